//! A fleet whose messages are lost, doubled and overtake each other.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::member::Right;
use super::*;
use crate::breaker::{Config, Settings, State};
use crate::time::Timestamp;

const FAIL: Outcome = Outcome::Failure { slow: false, retry_after: None };

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_millis(1_772_323_200_000 + ms)
}

/// Twenty calls, half of them, no jitter: the defaults of the edge.
fn config() -> Config {
    Config::new(Settings { jitter_permille: 0, ..Settings::default() }).expect("the defaults are sound")
}

/// Calls once at `ms`, after a limit's check that carried report and reply. Says whether the call was made.
fn call(config: &Config, authority: &mut Authority, member: &mut Member, ms: u64, outcome: Outcome) -> bool {
    let report = member.report(config, at(ms));
    member.adopt(&authority.hear(config, &report, at(ms), 0).hint, at(ms));
    let gate = match member.admit(config, at(ms)) {
        MemberGate::Ask(report) => {
            let reply = authority.hear(config, &report, at(ms), 0);
            member.answer(config, &reply, at(ms))
        }
        gate => gate,
    };
    let MemberGate::Pass(permit) = gate else { return false };
    if let Some(report) = member.record(config, permit, outcome, at(ms), 0) {
        let reply = authority.hear(config, &report, at(ms), 0);
        member.adopt(&reply.hint, at(ms));
    }
    true
}

#[test]
fn five_hundred_isolates_leak_few_calls_into_a_dead_upstream() {
    let config = config();
    let mut authority = Authority::new(at(0));
    let mut members: Vec<Member> = (1..=500).map(Member::new).collect();
    let mut made = 0;
    for (ms, place) in (0..10_000_u64).zip((0..500).cycle()) {
        made += u32::from(call(&config, &mut authority, &mut members[place], ms, FAIL));
    }
    // Twenty to open; then after 1, 2 and 4 seconds two failed probes each.
    assert_eq!(made, 20 + 3 * 2);
}

#[test]
fn a_member_alone_opens_by_itself() {
    let config = config();
    let mut member = Member::new(1);
    let mut made = 0;
    for ms in 0..900 {
        if let MemberGate::Pass(permit) = member.admit(&config, at(ms)) {
            made += 1;
            let _lost = member.record(&config, permit, FAIL, at(ms), 0);
        }
    }
    assert_eq!((made, member.state(at(900))), (20, State::Open));
}

/// The first word of an authority that has seen nothing yet is no news about what this isolate saw itself.
#[test]
fn what_opened_before_the_first_hint_stays_open() {
    let config = config();
    let authority = Authority::new(at(0));
    let mut member = Member::new(1);
    for ms in 0..20 {
        let MemberGate::Pass(permit) = member.admit(&config, at(ms)) else { panic!("it is closed") };
        let _not_sent = member.record(&config, permit, FAIL, at(ms), 0);
    }
    member.adopt(&authority.hint(&config, at(20)), at(20));
    assert_eq!(member.state(at(20)), State::Open);
}

#[test]
fn what_is_open_for_all_is_not_closed_by_one() {
    let config = config();
    let mut authority = Authority::new(at(0));
    let mut members = [Member::new(1), Member::new(2)];
    for ms in 0..20 {
        call(&config, &mut authority, &mut members[0], ms, FAIL);
    }
    // The second one learns of it, and then hears an older hint that was on its way.
    let open = authority.hint(&config, at(20));
    members[1].adopt(&open, at(20));
    members[1].adopt(&Hint { generation: open.generation - 1, standing: Standing::Closed }, at(21));
    assert!(matches!(members[1].admit(&config, at(22)), MemberGate::Reject { .. }));

    // When the wait is over it asks, and an authority that does not answer leaves it to its own breaker.
    let MemberGate::Ask(report) = members[1].admit(&config, at(1100)) else { panic!("the wait is over") };
    assert!(report.wants_probe);
    assert!(matches!(members[1].admit(&config, at(1100)), MemberGate::Reject { .. }));
    let MemberGate::Pass(permit) = members[1].unreachable(&config, at(1600)) else { panic!("its own probe") };
    let _lost = members[1].record(&config, permit, FAIL, at(1600), 0);
    // It does not ask again for a while.
    assert!(matches!(members[1].admit(&config, at(1601)), MemberGate::Pass(_)));
    assert!(matches!(members[1].admit(&config, at(3601)), MemberGate::Ask(_)));
}

/// A hint that travels from isolate to isolate opens each of them until the same moment.
#[test]
fn a_hint_travels() {
    let config = config();
    let mut authority = Authority::new(at(0));
    let mut members = [Member::new(1), Member::new(2), Member::new(3)];
    assert_eq!(members[0].hint(at(0)).generation, 0);
    for ms in 0..20 {
        call(&config, &mut authority, &mut members[0], ms, FAIL);
    }
    for (from, ms) in [(0, 100), (1, 200)] {
        let (hint, later) = (members[from].hint(at(ms)), Duration::from_millis(50));
        members[from + 1].adopt(&hint.after(later), at(ms + 50));
    }
    let waits = members.map(|mut member| match member.admit(&config, at(500)) {
        MemberGate::Reject { retry_after } => retry_after.as_millis(),
        gate => panic!("{gate:?}"),
    });
    assert_eq!(waits, [519; 3]);
    let open = Hint { generation: 1, standing: Standing::Open { wait: Duration::from_secs(1) } };
    for (ms, standing) in [
        (999, Standing::Open { wait: Duration::from_millis(1) }),
        (1000, Standing::HalfOpen { wait: Duration::ZERO }),
        (5000, Standing::HalfOpen { wait: Duration::ZERO }),
    ] {
        assert_eq!(open.after(Duration::from_millis(ms)).standing, standing);
    }
}

#[test]
fn probes_close_it_for_all() {
    let config = config();
    let mut authority = Authority::new(at(0));
    let mut members: Vec<Member> = (1..=10).map(Member::new).collect();
    for (ms, place) in (0..40).zip((0..10).cycle()) {
        call(&config, &mut authority, &mut members[place], ms, FAIL);
    }
    assert!(!call(&config, &mut authority, &mut members[3], 900, Outcome::Success));
    assert!(call(&config, &mut authority, &mut members[3], 1100, Outcome::Success));
    assert!(call(&config, &mut authority, &mut members[4], 1101, Outcome::Success));
    assert_eq!(authority.hint(&config, at(1102)).standing, Standing::Closed);
    assert!(call(&config, &mut authority, &mut members[5], 1102, Outcome::Success));
    assert_eq!(members[5].state(at(1102)), State::Closed);
}

#[test]
fn a_copy_of_a_report_changes_nothing() {
    let config = config();
    let mut authority = Authority::new(at(0));
    let generation = authority.hint(&config, at(0)).generation;
    let counts = Counts { calls: 19, failures: 19, slow: 0 };
    let report =
        Report { isolate: 1, seq: 1, generation, counts, retry_after: None, settled: None, wants_probe: false };
    for _ in 0..10 {
        assert_eq!(authority.hear(&config, &report, at(0), 0).hint.standing, Standing::Closed);
    }
    let one = Report { seq: 2, counts: Counts { calls: 1, failures: 1, slow: 0 }, ..report.clone() };
    let old = Report { seq: 3, generation: generation - 1, ..one.clone() };
    assert_eq!(authority.hear(&config, &old, at(0), 0).hint.standing, Standing::Closed);
    let wait = Duration::from_secs(1);
    assert_eq!(authority.hear(&config, &one, at(0), 0).hint.standing, Standing::Open { wait });

    // A probe that was asked for twice is one probe, and its end counts once.
    let ask = Report { seq: 4, wants_probe: true, counts: Counts::default(), ..one };
    let first = authority.hear(&config, &ask, at(1000), 0);
    assert_eq!(first.lease, Some(1));
    assert_eq!(authority.hear(&config, &ask, at(1001), 0), first);
    let settled = Report {
        seq: 5,
        generation: first.hint.generation,
        wants_probe: false,
        settled: Some((1, Outcome::Success)),
        ..ask
    };
    for seq in 5..9 {
        let reply = authority.hear(&config, &Report { seq, ..settled.clone() }, at(1002), 0);
        assert_eq!(reply.hint.standing, Standing::HalfOpen { wait: Duration::ZERO });
    }
}

#[test]
fn only_so_many_leases_are_remembered() {
    let config = Config::new(Settings { probes: 16, probes_to_close: 16, ..*config() }).expect("sixteen is allowed");
    let mut authority = Authority::new(at(0));
    let generation = authority.hint(&config, at(0)).generation;
    let counts = Counts { calls: 20, failures: 20, slow: 0 };
    let mut report =
        Report { isolate: 1, seq: 1, generation, counts, retry_after: None, settled: None, wants_probe: false };
    let _ = authority.hear(&config, &report, at(0), 0);
    report = Report { wants_probe: true, counts: Counts::default(), ..report };
    let mut leases = vec![];
    // All leases are lost, five rounds long.
    for round in 0..5 {
        for _ in 0..20 {
            report.seq += 1;
            leases.extend(authority.hear(&config, &report, at(2000 + 2000 * round), 0).lease);
        }
    }
    assert_eq!(leases, (1..=80).collect::<Vec<u32>>());
    report.generation = authority.hint(&config, at(10_000)).generation;
    report.wants_probe = false;
    let settle = |authority: &mut Authority, seq: u64, lease| {
        let before = authority.clone();
        let report = Report { seq, settled: Some((lease, Outcome::Success)), ..report.clone() };
        let _ = authority.hear(&config, &report, at(10_000), 0);
        authority.breaker != before.breaker
    };
    assert!(!settle(&mut authority, 1000, 16));
    assert!(settle(&mut authority, 1001, 17));
}

/// A message under way.
#[derive(Clone)]
enum Message {
    Report(Report),
    Reply(usize, Reply),
}

#[derive(Clone, Debug)]
enum Step {
    /// A member wants to call.
    Call(usize),
    /// A member's call that is out ends.
    End(usize, Outcome),
    /// The message at that place arrives, and is kept for another arrival or not.
    Deliver(usize, bool),
    /// The message at that place is lost.
    Lose(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![2 => Just(Outcome::Success), 3 => Just(FAIL), 1 => Just(Outcome::Ignored)];
    prop_oneof![
        4 => (0..6_usize).prop_map(Step::Call),
        4 => (0..20_usize, outcome).prop_map(|(place, outcome)| Step::End(place, outcome)),
        5 => (0..20_usize, any::<bool>()).prop_map(|(place, copy)| Step::Deliver(place, copy)),
        1 => (0..20_usize).prop_map(Step::Lose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens to messages and however clocks of isolates differ: no more probes are out under live
    /// leases than there may be in all isolates together, and no member that heard of an opening calls before
    /// its wait is over, except as a probe.
    #[test]
    fn probes_are_bounded_in_all_isolates_together(
        probes in 1..4_u8,
        skews in prop::array::uniform6(0..10_000_u64),
        steps in prop::collection::vec((0..400_u64, step()), 1..300),
    ) {
        let settings = Settings { probes, probes_to_close: 1, min_calls: 4, ..*config() };
        let config = Config::new(settings).expect("a sound variation");
        let mut authority = Authority::new(at(0));
        let mut members: Vec<Member> = (1..=6).map(Member::new).collect();
        let mut under_way: Vec<Message> = vec![];
        let mut out: Vec<(usize, MemberPermit)> = vec![];
        // Lease by lease: who uses it, and when the authority's lease ends.
        let mut leases: BTreeMap<(u64, u32), (bool, u64)> = BTreeMap::new();
        let mut now = 0;
        for (gap, step) in steps {
            now += gap;
            let here = |member: usize| at(now + skews[member]);
            match step {
                Step::Call(member) => match members[member].admit(&config, here(member)) {
                    MemberGate::Pass(permit) => out.push((member, permit)),
                    MemberGate::Ask(report) => under_way.push(Message::Report(report)),
                    MemberGate::Reject { retry_after } => prop_assert!(!retry_after.is_zero()),
                },
                Step::End(place, outcome) if place < out.len() => {
                    let (member, permit) = out.swap_remove(place);
                    if let Right::Leased { lease, generation } = permit.0 {
                        leases.insert((generation, lease), (false, 0));
                    }
                    let report = members[member].record(&config, permit, outcome, here(member), 0);
                    under_way.extend(report.map(Message::Report));
                }
                Step::Deliver(place, copy) if place < under_way.len() => {
                    let message = if copy { under_way[place].clone() } else { under_way.swap_remove(place) };
                    match message {
                        Message::Report(report) => {
                            let reply = authority.hear(&config, &report, at(now), 0);
                            if let Some(lease) = reply.lease {
                                let until = now + config.probe_timeout.as_millis() as u64;
                                leases.entry((reply.hint.generation, lease)).or_insert((false, until));
                            }
                            under_way.push(Message::Reply(report.isolate as usize - 1, reply));
                        }
                        Message::Reply(member, reply) => {
                            let waits = members[member].state(here(member)) == State::Open;
                            match members[member].answer(&config, &reply, here(member)) {
                                MemberGate::Pass(permit) => {
                                    if let Right::Leased { lease, generation } = permit.0 {
                                        let used = leases.get_mut(&(generation, lease)).expect("it was leased");
                                        prop_assert!(!used.0 && used.1 > now, "a lease is used once, while it holds");
                                        used.0 = true;
                                    } else {
                                        prop_assert!(!waits || reply.hint.standing == Standing::Closed);
                                    }
                                    out.push((member, permit));
                                }
                                MemberGate::Reject { retry_after } => prop_assert!(!retry_after.is_zero()),
                                MemberGate::Ask(_) => prop_assert!(false, "an answer asks nothing"),
                            }
                        }
                    }
                }
                Step::Lose(place) if place < under_way.len() => {
                    under_way.swap_remove(place);
                }
                Step::End(..) | Step::Deliver(..) | Step::Lose(_) => {}
            }
            let live = leases.values().filter(|(used, until)| *used && *until > now).count();
            prop_assert!(live <= usize::from(probes), "{live} probes are out");
        }
    }

    /// Whatever happened before, once messages arrive again and the upstream is well, all close.
    #[test]
    fn the_fleet_finds_a_healthy_upstream_again(
        failures in 20..200_u64,
        lost in prop::collection::vec(any::<bool>(), 200),
        step in 1..500_u64,
    ) {
        let config = config();
        let mut authority = Authority::new(at(0));
        let mut members: Vec<Member> = (1..=5).map(Member::new).collect();
        let mut now = 0;
        for (place, lost) in (0..failures as usize).zip(lost) {
            now += 37;
            let member = &mut members[place % 5];
            match member.admit(&config, at(now)) {
                MemberGate::Ask(report) if !lost => {
                    let reply = authority.hear(&config, &report, at(now), 0);
                    if let MemberGate::Pass(permit) = member.answer(&config, &reply, at(now)) {
                        let report = member.record(&config, permit, FAIL, at(now), 0);
                        report.map(|report| authority.hear(&config, &report, at(now), 0));
                    }
                }
                MemberGate::Pass(permit) => {
                    let report = member.record(&config, permit, FAIL, at(now), 0);
                    report.filter(|_| !lost).map(|report| authority.hear(&config, &report, at(now), 0));
                }
                MemberGate::Ask(_) | MemberGate::Reject { .. } => {}
            }
        }
        // One longest pause for what a member opened by itself, one for what the authority did.
        let longest = 2 * (config.open_cap + config.probe_timeout).as_millis() as u64;
        let deadline = now + longest + 20 * step;
        while now <= deadline {
            now += step;
            for member in &mut members {
                call(&config, &mut authority, member, now, Outcome::Success);
            }
        }
        prop_assert_eq!(authority.hint(&config, at(now)).standing, Standing::Closed);
        for member in &members {
            prop_assert_eq!(member.state(at(now)), State::Closed);
        }
    }
}
