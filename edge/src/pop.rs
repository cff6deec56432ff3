//! One call to the origin for all isolates of a point of presence: who makes it, by the word of one object.
//!
//! The object holds core's [`Flights`] in memory and nothing else. A question has the number of its asker, so one that is
//! sent again because its answer was lost gets the same answer; one that arrives when nobody waits for it any more leads
//! nothing for longer than a lease. An object that starts anew has forgotten who leads: that costs one more call.
//!
//! Who is to wait waits by itself and looks into the store of its place, so nothing is held open. An object that is away
//! is logged, and each isolate goes on by itself.

use alloc::{format, string::String};
use core::time::Duration;

use seawall_core::{
    breaker::{Gate, Outcome},
    cache::{
        collapse::{Collapse, Flights, Joiner, Landed, Landing, Role, Ticket},
        key::CacheKey,
    },
    policy::Authority,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    Edge, Platform,
    limits::{POP_FLIGHTS_MAX, POP_SHARDS},
    lookup::{from_hex, to_hex},
    platform::AuthorityError,
    record::{Failure, Metric},
};

/// What an isolate says to the object.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Question {
    key: CacheKey,
    /// How calls for it are shared: the policy's word, which the object does not read.
    collapse: Collapse,
    what: What,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum What {
    Join(Joiner),
    Land(Ticket, Landing),
}

/// What it answers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Answer {
    Role(Role),
    /// The lead has ended, now or before.
    Noted,
}

/// What the object holds: the calls under way in one place, for its share of the keys.
#[derive(Clone, Debug)]
pub struct PopFlights(Flights);

impl Default for PopFlights {
    fn default() -> Self {
        Self(Flights::new(POP_FLIGHTS_MAX))
    }
}

impl PopFlights {
    /// Answers an isolate at `now`, the object's own clock; `None` when that is no question.
    pub fn answer(&mut self, question: &str, now: Timestamp) -> Option<String> {
        let Question { key, collapse, what } = from_hex(question)?;
        let answer = match what {
            What::Join(joiner) => Answer::Role(self.0.join(&key, joiner, now, &collapse)),
            What::Land(ticket, landing) => match self.0.land(&key, ticket, landing, now, &collapse) {
                Landed::Ended | Landed::Lost => Answer::Noted,
            },
        };
        Some(to_hex(&answer))
    }
}

/// The object is of no help, and the isolate goes on by itself. Why has been written to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Away;

/// Asks who makes the call for `key`.
pub(crate) async fn join<P: Platform>(
    edge: &Edge,
    platform: &P,
    key: &CacheKey,
    joiner: Joiner,
    collapse: Collapse,
) -> Result<Role, Away> {
    match ask(edge, platform, Question { key: *key, collapse, what: What::Join(joiner) }).await? {
        Answer::Role(role) => Ok(role),
        Answer::Noted => Err(Away),
    }
}

/// Tells how a lead ended. What does not arrive ends with its lease.
pub(crate) async fn land<P: Platform>(
    edge: &Edge,
    platform: &P,
    key: &CacheKey,
    (ticket, landing): (Ticket, Landing),
    collapse: Collapse,
) {
    let _ = ask(edge, platform, Question { key: *key, collapse, what: What::Land(ticket, landing) }).await;
}

/// Within the deadline of the policy's objects, behind a breaker, and once more when the first call broke off.
async fn ask<P: Platform>(edge: &Edge, platform: &P, question: Question) -> Result<Answer, Away> {
    let reach = edge.policy.reach(Authority::Objects);
    let began = platform.now();
    let Gate::Pass(permit) = edge.state.borrow_mut().pop.admit(&reach.breaker, began) else { return Err(Away) };
    let (shard, text) = (question.key.low_bits() as u64 % POP_SHARDS, to_hex(&question));
    let mut answer = platform.ask_pop(shard, text.clone(), reach.deadline).await;
    if matches!(answer, Err(AuthorityError::Failed(_))) {
        let left = reach.deadline.saturating_sub(platform.now().since(began));
        if !left.is_zero() {
            answer = platform.ask_pop(shard, text, left).await;
        }
    }
    let answer = answer.and_then(|text| {
        from_hex::<Answer>(&text).ok_or_else(|| AuthorityError::Failed(String::from("the answer does not decode")))
    });
    let (outcome, random) = match &answer {
        Ok(_) => (Outcome::Success, 0),
        // The upper half of a random number is as random as the whole.
        Err(_) => (Outcome::Failure { slow: false, retry_after: None }, (platform.random() >> 32) as u32),
    };
    edge.state.borrow_mut().pop.record(&reach.breaker, permit, outcome, platform.now(), random);
    answer.map_err(|error| {
        platform.log(&format!("edge.collapse.pop failed: {error}"));
        platform.measure(&Metric::Failure(Failure::Collapse));
        Away
    })
}

/// How long one who waits looks away before it looks again: twice as long each time, up to 400 ms.
pub(crate) fn pause(look: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << look.min(PAUSE_DOUBLINGS))
}

const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// Sixteen times that much is the longest.
const PAUSE_DOUBLINGS: u32 = 4;

#[cfg(test)]
mod tests {
    use seawall_core::cache::key::Target;

    use super::*;

    const COLLAPSE: Collapse = Collapse {
        lease: Duration::from_secs(10),
        wait: Duration::from_secs(10),
        followers_max: 2,
        uncacheable_for: Duration::from_secs(120),
    };

    /// Says something to the object at a second; the role that it gave, if it gave one.
    fn say(flights: &mut PopFlights, what: What, second: u64) -> Option<Role> {
        let question = Question { key: CacheKey::new(&Target::default()), collapse: COLLAPSE, what };
        let answer = flights.answer(&to_hex(&question), Timestamp::from_unix_seconds(second)).unwrap();
        match from_hex(&answer).unwrap() {
            Answer::Role(role) => Some(role),
            Answer::Noted => None,
        }
    }

    fn join(id: u128) -> What {
        What::Join(Joiner { has_stale: false, waited: Duration::ZERO, id: Some(id) })
    }

    fn ticket(role: Option<Role>) -> Ticket {
        let Some(Role::Lead(ticket)) = role else { panic!("{role:?}") };
        ticket
    }

    /// Every message may come twice, late or never: at no time do two lead who were not told that the other was lost.
    #[test]
    fn lost_late_and_repeated_messages_cost_a_lease_at_most() {
        let follows = |role: Option<Role>| assert!(matches!(role, Some(Role::Follow { .. })), "{role:?}");
        let mut object = PopFlights::default();
        let first = ticket(say(&mut object, join(1), 0));
        assert_eq!(ticket(say(&mut object, join(1), 1)), first, "the answer was lost");
        follows(say(&mut object, join(2), 1));
        assert_eq!(say(&mut object, What::Land(first, Landing::Open), 2), None);
        let second = ticket(say(&mut object, join(2), 2));
        assert_eq!(say(&mut object, What::Land(first, Landing::Uncacheable), 3), None, "it came twice");
        follows(say(&mut object, join(3), 3));
        // The second was lost; a question of the first that was under way for long takes over, and nobody knows of it.
        let nobodys = ticket(say(&mut object, join(1), 12));
        follows(say(&mut object, join(3), 21));
        let third = ticket(say(&mut object, join(3), 22));
        for late in [second, nobodys] {
            assert_eq!(say(&mut object, What::Land(late, Landing::Open), 23), None);
            follows(say(&mut object, join(4), 23));
        }
        assert_eq!(say(&mut object, What::Land(third, Landing::Uncacheable), 24), None);
        assert!(matches!(say(&mut object, join(4), 25), Some(Role::Alone(_))), "all know that it cannot be shared");
        assert!(object.answer("no question", Timestamp::UNIX_EPOCH).is_none());
    }

    #[test]
    fn who_waits_looks_soon_and_then_seldom() {
        assert_eq!([0, 1, 2, 4, 9].map(|look| pause(look).as_millis()), [25, 50, 100, 400, 400]);
    }
}
