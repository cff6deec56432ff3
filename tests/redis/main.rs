//! The limiter's script in a real Redis decides as core does: random traces under every rule and under sets of rules,
//! with no difference in any decision or state.

/// A client that is just enough to send scripts.
mod client;
/// Random requests on both sides.
mod trace;

use std::num::NonZeroU32;

use seawall_core::limit::lua::{Asked, Call, Operation, Reply, key, state_from_text};
use seawall_core::limit::{Algorithm, Decision, LimitId, Quota, Ruling, SlidingWindow, Spend};
use seawall_core::time::Timestamp;
use seawall_xtask::redis::Redis;

use client::Client;
use trace::{Steps, rules};

/// Decisions compared for each rule, and for sets of rules.
const STEPS: u32 = 20_000;

#[test]
fn each_rule_decides_as_core_does() {
    let redis = Redis::start().expect("a Redis starts");
    let mut client = Client::connect(redis.socket()).expect("it accepts a connection");
    for rule in rules() {
        let compared = Steps::new(&[rule], 1).compare(&mut client, STEPS / 4);
        println!("{}: {compared}", rule.as_str());
    }
}

#[test]
fn a_set_of_rules_is_charged_whole_or_not_at_all() {
    let redis = Redis::start().expect("a Redis starts");
    let mut client = Client::connect(redis.socket()).expect("it accepts a connection");
    let compared = Steps::new(&rules(), 8).compare(&mut client, STEPS);
    println!("sets of 1 to 8 rules: {compared}");
}

/// Products far beyond what a double holds exactly, that are one above and one below what there is room for.
#[test]
fn the_largest_products_are_exact() {
    const PREVIOUS: u32 = 4_294_967_291;
    let year_us = Quota::WINDOW_MAX.as_micros();
    let rule: Algorithm = SlidingWindow::new(NonZeroU32::MAX, Quota::WINDOW_MAX).expect("the largest there is").into();
    let redis = Redis::start().expect("a Redis starts");
    let mut client = Client::connect(redis.socket()).expect("it accepts a connection");
    for (rest_us, room, above, allowed) in
        [(28743837397811_u64, 3903999742_u32, 1_i128, "0"), (2878562602189, 390967549, -1, "1")]
    {
        let product = i128::from(PREVIOUS) * i128::from(rest_us);
        assert_eq!(product - i128::from(room) * year_us as i128, above);
        let end_us = 1_800_000_000_000_000_u64;
        let state = format!("s {end_us} {} {PREVIOUS}", u32::MAX - room);
        client.command(&["SET", "largest", &state]).expect("it is kept");
        let now = Timestamp::from_unix_nanos((end_us - rest_us) * 1000);
        let asked = [Asked { limit: LimitId(0), algorithm: &rule, spend: Spend::new(0, 0) }];
        let call = Call::new(Operation::Peek, &asked, ["largest".to_owned()], Some(now));
        assert_eq!(client.run(&call).expect("the script runs")[0], allowed, "{rest_us}");
        let ruling = rule.peek(state_from_text(&state).as_ref(), now, &asked[0].spend);
        assert_eq!(ruling == Ruling::Allow, allowed == "1");
    }
}

/// Without a given time Redis's clock counts, and a key is gone at its full reset, not before.
#[test]
fn a_key_lives_until_its_full_reset() {
    let redis = Redis::start().expect("a Redis starts");
    let mut client = Client::connect(redis.socket()).expect("it accepts a connection");
    for (number, rule) in (0..).zip(rules()) {
        let spend = Spend::new(1, number);
        let asked = [Asked { limit: LimitId(0), algorithm: &rule, spend }];
        let name = key("ttl", number, rule.as_str());
        let reply = client.run(&Call::new(Operation::Spend, &asked, [name.clone()], None)).expect("the script runs");
        let reply = Reply::parse(reply.iter().map(String::as_str)).expect("an answer of the script");
        assert!(reply.allowed && reply.stored == [None], "{rule:?}: {reply:?}");
        let Some(expires) = full_reset_ms(&rule, &reply, &spend) else { continue };
        let lives_until = client.command(&["PEXPIRETIME", &name]).expect("a time");
        // A rule of microseconds may be over before it is asked about: the key is gone then.
        let gone = lives_until == ["-2"];
        assert!(lives_until == [expires.to_string()] || gone, "{rule:?}: {lives_until:?}, not {expires}");
        assert!(!gone || expires < reply.now.as_unix_millis() + 1000, "{rule:?} is gone too soon");
    }
}

/// When the state that the script has made is worth nothing any more, in milliseconds rounded up.
fn full_reset_ms(rule: &Algorithm, reply: &Reply, spend: &Spend) -> Option<u64> {
    match rule.decide(None, reply.now, spend) {
        Decision::Allow { next } => Some(rule.expires(&next).as_unix_nanos().div_ceil(1_000_000)),
        Decision::Deny { .. } | Decision::Never => None,
    }
}
