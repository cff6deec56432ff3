use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use super::{InvalidLine, replay};
use crate::breaker::{self, Breaker, Gate, Outcome};
use crate::limit::Quota;
use crate::limit::distributed::{Answer, Holding, Mode, Spender, Step, Terms};
use crate::overload::{self, Overload};
use crate::priority::Priority;
use crate::retry::{self, Attempt, Budget, Failure, Repeatable};
use crate::throttle::{self, End, Pass, Throttle};
use crate::time::Timestamp;

/// Numbers that look drawn, the same in each run.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    fn below(&mut self, end: u32) -> u32 {
        self.next() % end
    }

    fn priority(&mut self) -> Priority {
        Priority::ALL[self.below(4) as usize]
    }
}

const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn check(line: &str, verdict: &str) {
    assert!(line.contains(&alloc::format!(" verdict={verdict}")), "{verdict}: {line}");
    assert_eq!(replay(line).as_deref(), Ok(line));
}

#[test]
fn a_breaker_explains_every_step_of_its_life() {
    let settings = breaker::Settings { min_calls: 5, slow_call: Some(Duration::from_secs(1)), ..Default::default() };
    let config = breaker::Config::new(settings).expect("within its ranges");
    let (mut draw, mut breaker, mut now) = (Draw(1), Breaker::new(), START);
    let mut permits = Vec::new();
    let mut seen = [0; 5];
    for _ in 0..4000 {
        now = now.after(Duration::from_millis(u64::from(draw.below(300))));
        let line = breaker.explain(&config, now, "city");
        match breaker.admit(&config, now) {
            Gate::Pass(permit) => {
                check(&line, "pass");
                permits.push(permit);
            }
            Gate::Reject { retry_after } => {
                check(
                    &line,
                    &alloc::format!("reject why={}", if line.contains("why=open") { "open" } else { "probes-out" }),
                );
                assert!(line.contains(&alloc::format!("retry-after={}ns", retry_after.as_nanos())), "{line}");
                seen[0] += 1;
            }
        }
        if permits.is_empty() || draw.below(3) == 0 {
            continue;
        }
        let permit = permits.swap_remove(draw.below(permits.len() as u32) as usize);
        let retry_after = (draw.below(4) == 0).then_some(Duration::from_secs(3));
        let outcome = match draw.below(6) {
            0 | 1 => Outcome::Failure { slow: draw.below(2) == 0, retry_after },
            2 => Outcome::Slow,
            3 => Outcome::Ignored,
            _ => Outcome::Success,
        };
        let random = draw.next();
        let before = breaker.state(now);
        let line = breaker.explain_end(&config, &permit, outcome, now, random, "city");
        breaker.record(&config, permit, outcome, now, random);
        let verdict = match (before, breaker.state(now)) {
            (breaker::State::Closed | breaker::State::HalfOpen, breaker::State::Open) => 1,
            (breaker::State::HalfOpen, breaker::State::Closed) => 2,
            _ => 3,
        };
        check(&line, ["", "opens", "closes", "stays"][verdict]);
        seen[verdict] += 1;
    }
    assert!(seen[..4].iter().all(|count| *count > 10), "each verdict was met: {seen:?}");
}

#[test]
fn a_throttle_explains_what_it_drops() {
    let (mut draw, mut throttle, mut now) = (Draw(2), Throttle::new(), START);
    let config = throttle::Config::default();
    let mut dropped = 0;
    for _ in 0..2000 {
        now = now.after(Duration::from_millis(u64::from(draw.below(100))));
        let (priority, random) = (draw.priority(), draw.next());
        let line = throttle.explain(&config, priority, now, random, "city");
        match throttle.admit(&config, priority, now, random) {
            Pass::Send(ticket) => {
                check(&line, "send");
                throttle.record(&config, ticket, if draw.below(5) == 0 { End::Accepted } else { End::Refused });
            }
            Pass::Drop { probability_permille } => {
                check(&line, &alloc::format!("drop drop-permille={probability_permille}"));
                dropped += 1;
            }
        }
    }
    assert!((100..1900).contains(&dropped), "{dropped}");
}

#[test]
fn a_retry_budget_explains_why_it_gives_up() {
    let config = retry::Config::default();
    let mut budget = Budget::full(&config);
    let mut draw = Draw(3);
    for _ in 0..500 {
        let attempt = Attempt {
            number: 1 + draw.below(3),
            repeatable: [Repeatable::Method, Repeatable::Key, Repeatable::No][draw.below(3) as usize],
            failure: [Failure::Transient, Failure::Throttled][draw.below(2) as usize],
            retry_after: (draw.below(3) == 0).then_some(Duration::from_millis(700)),
            time_left: Duration::from_millis(u64::from(draw.below(2000))),
        };
        let random = draw.next();
        let line = budget.explain(&config, &attempt, random, "city");
        match budget.decide(&config, &attempt, random) {
            retry::Decision::Retry { delay, .. } => check(&line, &alloc::format!("retry delay={}ns", delay.as_nanos())),
            retry::Decision::GiveUp(reason) => check(&line, &alloc::format!("give-up why={}", reason.as_str())),
        }
    }
    assert!(budget.tokens() < 14, "it was emptied");
}

#[test]
fn an_overloaded_server_explains_whom_it_sheds() {
    let config = overload::Config::default();
    let mut overload = Overload::new(&config, START);
    let mut draw = Draw(4);
    let mut shed = 0;
    for _ in 0..200 {
        let priority = draw.priority();
        let line = overload.explain(&config, priority, "site");
        match overload.admit(&config, priority, START) {
            overload::Gate::Admit(permit) => {
                check(&line, "admit");
                if draw.below(4) == 0 {
                    overload.finish(&config, permit, overload::End::Unknown, START, 0);
                }
            }
            overload::Gate::Shed { .. } => {
                check(&line, "shed");
                shed += 1;
            }
        }
    }
    assert!(shed > 10, "{shed}");
}

#[test]
fn an_isolate_explains_what_it_spends_of_a_shared_limit() {
    let units = |number| NonZeroU32::new(number).expect("above zero");
    let quota = Quota::new(units(100), Duration::from_secs(1), units(20)).expect("within its bounds");
    for mode in [
        Mode::Exact,
        Mode::Lease { outstanding_max: 10, ttl: Duration::from_secs(1) },
        Mode::Async { unsynced_max: 3, sync_every: Duration::from_millis(200) },
    ] {
        let terms = Terms::new(quota, mode).expect("within its ranges");
        let (mut draw, mut now) = (Draw(5), START);
        let mut spender = Spender::new(now);
        for _ in 0..300 {
            now = now.after(Duration::from_millis(u64::from(draw.below(60))));
            let cost = [1, 1, 2, 21][draw.below(4) as usize];
            let line = spender.explain(&terms, 7, cost, now, "search");
            match spender.spend(&terms, 7, cost, now) {
                Step::Allow { tell } => check(&line, if tell.is_some() { "allow tells=yes" } else { "allow tells=no" }),
                Step::Deny { .. } => check(&line, "deny retry-after="),
                Step::Never => check(&line, "never"),
                Step::Ask(ask) => {
                    check(&line, "ask");
                    let ruling = if draw.below(4) == 0 {
                        crate::limit::Ruling::Deny { retry_after: Duration::from_millis(90) }
                    } else {
                        crate::limit::Ruling::Allow
                    };
                    let holding = Some(Holding { kept: 0, granted: 5 });
                    let answer = Answer { seq: ask.seq, ruling, debt: Duration::from_millis(10), holding };
                    spender.answer(&terms, &answer, now, draw.next());
                }
            }
        }
    }
}

#[test]
fn what_is_no_line_is_refused_by_name() {
    for (line, input) in [
        ("", "kind"),
        ("cache.reuse policy=\"a\"", "kind"),
        ("throttle requests=1", "policy"),
        ("throttle policy=\"a\" requests=1", "accepts"),
        ("throttle policy=\"a\" requests=1 accepts=x", "accepts"),
        ("overload policy=\"a\" in-flight=1 limit=1 priority=some", "priority"),
        ("limit policy=\"a\" now=1 cost=1 rule=gcra limit=0", "limit"),
        ("limit policy=\"a\" now=1 cost=1 rule=gcra limit=1 window=0ns burst=1", "window"),
        ("limit.joint policy=\"\" now=1 0.policy=\"a\" 0.cost=1 0.rule=x", "0.rule"),
    ] {
        assert_eq!(replay(line), Err(InvalidLine::of(input)), "{line}");
    }
}
