//! The purge log: purges that every isolate learns of within [`PURGE_KNOWN_FOR`].
//!
//! One authority holds them, as core's [`Purges`], which never grows beyond its bound: at the bound its earliest purge
//! becomes a coarser one. Isolates ask it for what changed. They do so in the background, so that a hit waits for
//! nothing; only one that has not asked for too long waits, beside the look-up. An authority that is away is logged,
//! and what is stored is served: a purge comes late then, and the site stays up.
//!
//! What travels is text, so that any host can carry it. Here is what it says, at both ends.

pub(crate) mod notes;

use alloc::{format, rc::Rc, string::String, vec::Vec};
use core::time::Duration;

use seawall_core::{
    cache::{
        key::{CacheKey, Target},
        purge::{Purges, Selector, Strength},
    },
    time::{Timestamp, seconds_ceil},
};
use serde::{Deserialize, Serialize};

use crate::{
    Edge, Platform, guard,
    limits::{PURGE_ASKED_EVERY, PURGE_DEADLINE, PURGE_KNOWN_FOR, PURGE_ORDERS_PER_MINUTE, PURGE_RETRIED_AFTER},
    lookup::{from_hex, to_hex},
    platform::AuthorityError,
    record::{Failure, Metric},
};

/// One purge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Whose it is.
    pub by: By,
    /// What it reaches.
    pub selector: Selector,
    /// What becomes of it.
    pub strength: Strength,
}

/// Who purges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// Who has the secret: every purge is kept, and there are only so many in a minute.
    Operator,
    /// A visitor whose request changed something: kept apart, where many push each other out and nothing else.
    Visitor,
}

/// What an isolate says to the authority.
#[derive(Serialize, Deserialize)]
struct Question {
    /// The version of the log that it knows; zero for none.
    known: u64,
    /// What is to be purged.
    orders: Vec<Order>,
}

/// What the authority answers.
#[derive(Serialize, Deserialize)]
enum Answer {
    /// It has taken the orders.
    Taken {
        version: u64,
        /// All purges, if the isolate does not know them yet.
        purges: Option<Purges>,
    },
    /// It has taken none of them: operators have ordered too much.
    TooMany {
        /// When it takes some again.
        retry_after_s: u64,
    },
}

/// What the authority holds: plain state, which a host keeps where it is not lost.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PurgeLog {
    version: u64,
    purges: Purges,
    pace: Pace,
}

/// What operators have ordered in this minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Pace {
    since: Timestamp,
    orders: u32,
}

impl Pace {
    /// Counts orders, all or none of them. A clock that steps back begins a new minute.
    fn take(&mut self, orders: u32, now: Timestamp) -> Result<(), Duration> {
        if now < self.since || now.since(self.since) >= MINUTE {
            *self = Self { since: now, orders: 0 };
        }
        let sum = self.orders.saturating_add(orders);
        if sum > PURGE_ORDERS_PER_MINUTE {
            return Err(MINUTE.saturating_sub(now.since(self.since)));
        }
        self.orders = sum;
        Ok(())
    }
}

const MINUTE: Duration = Duration::from_secs(60);

impl PurgeLog {
    /// Answers an isolate; `None` when that is no question. Answers too whether the log has changed, and must be kept.
    pub fn answer(&mut self, question: &str, now: Timestamp) -> Option<(String, bool)> {
        let (answer, changes) = self.hear(from_hex(question)?, now);
        Some((to_hex(&answer), changes))
    }

    fn hear(&mut self, Question { known, orders }: Question, now: Timestamp) -> (Answer, bool) {
        let changes = !orders.is_empty();
        let by_operators = orders.iter().filter(|order| order.by == By::Operator).count();
        if let Err(wait) = self.pace.take(u32::try_from(by_operators).unwrap_or(u32::MAX), now) {
            return (Answer::TooMany { retry_after_s: seconds_ceil(wait) }, false);
        }
        for Order { by, selector, strength } in orders {
            match by {
                By::Operator => self.purges.purge(selector, strength, now),
                By::Visitor => self.purges.change(selector, strength, now),
            }
            self.version += 1;
        }
        let purges = (known != self.version).then(|| self.purges.clone());
        (Answer::Taken { version: self.version, purges }, changes)
    }

    /// The log as text, to be kept.
    #[must_use]
    pub fn to_text(&self) -> String {
        to_hex(self)
    }

    /// The log of a kept text. One that does not read, of another release perhaps, is unknown, and so everything stored
    /// before `now` counts as purged.
    #[must_use]
    pub fn from_text(text: &str, now: Timestamp) -> Self {
        from_hex(text).unwrap_or_else(|| {
            let mut purges = Purges::default();
            purges.purge(Selector::All, Strength::Hard, now);
            // Beyond every version that an isolate may know of the log that was lost.
            Self { version: now.as_unix_millis(), purges, pace: Pace::default() }
        })
    }
}

/// How an isolate stands to the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Feed {
    version: u64,
    /// When the last answer was asked for.
    known_at: Option<Timestamp>,
    /// Since when an answer is awaited.
    asking: Option<Timestamp>,
    /// When there was none.
    failed_at: Option<Timestamp>,
    /// Whether there is no log to ask.
    is_absent: bool,
}

/// What an isolate has to do before it serves what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing.
    No,
    /// Ask, while the request goes on.
    Aside,
    /// Ask, and wait for the answer.
    First,
    /// Wait for the answer that another request asked for.
    Wait,
}

impl Feed {
    /// Whether anything is due before what is stored may be served.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        !self.is_absent && self.due(now) != Due::No
    }

    /// What is due at `now`. A clock that stepped back makes it ask.
    pub(crate) fn due(&self, now: Timestamp) -> Due {
        let within = |at: Option<Timestamp>, time| at.is_some_and(|at| now >= at && now.since(at) < time);
        let is_known = within(self.known_at, PURGE_KNOWN_FOR);
        if within(self.known_at, PURGE_ASKED_EVERY) {
            Due::No
        } else if within(self.asking, PURGE_DEADLINE) {
            if is_known { Due::No } else { Due::Wait }
        } else if within(self.failed_at, PURGE_RETRIED_AFTER) {
            Due::No
        } else if is_known {
            Due::Aside
        } else {
            Due::First
        }
    }
}

/// Whether isolates learn of each other's purges, in one way or the other.
pub(crate) fn has_log<P: Platform>(platform: &P) -> bool {
    platform.has_purge_log() || platform.has_notes()
}

/// Sees to it that this isolate knows the purges of the last [`PURGE_KNOWN_FOR`]; waits only when it does not.
pub(crate) async fn keep_up<P: Platform>(edge: &Rc<Edge>, platform: &P) {
    if !has_log(platform) {
        edge.state.borrow_mut().feed.is_absent = true;
        return;
    }
    let due = edge.state.borrow().feed.due(platform.now());
    match due {
        Due::No => {}
        Due::Aside => {
            edge.state.borrow_mut().feed.asking = Some(platform.now());
            let (edge, platform_) = (Rc::clone(edge), platform.clone());
            platform.spawn(async move {
                // What failed is in the log, and is tried again.
                let _ = ask(&edge, &platform_, Vec::new()).await;
                if platform_.has_notes() {
                    guard::notes::learn(&edge, &platform_).await;
                }
            });
        }
        Due::First => {
            // Fails open: the site stays up, and the purge comes late.
            let _ = ask(edge, platform, Vec::new()).await;
            if platform.has_notes() {
                let (edge, platform_) = (Rc::clone(edge), platform.clone());
                platform.spawn(async move { guard::notes::learn(&edge, &platform_).await });
            }
        }
        Due::Wait => platform.wait(&turn(), PURGE_DEADLINE).await,
    }
}

/// What requests wait for while one of them asks the log.
fn turn() -> CacheKey {
    // No request has an empty method.
    CacheKey::new(&Target { path: "purge log", ..Target::default() })
}

/// Why the log of purges has not taken orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// It did not answer.
    Away,
    /// Operators have ordered too much.
    TooMany {
        /// When it takes some again.
        retry_after: Duration,
    },
}

/// Tells the log of purges, and takes in all that it knows.
///
/// # Errors
/// When it took nothing. One that is away has been written to the log.
pub(crate) async fn ask<P: Platform>(edge: &Edge, platform: &P, orders: Vec<Order>) -> Result<(), NotTaken> {
    let now = platform.now();
    let known = {
        let mut state = edge.state.borrow_mut();
        state.feed.asking = Some(now);
        state.feed.version
    };
    let answer = if platform.has_purge_log() {
        let question = to_hex(&Question { known, orders });
        platform.ask_purge_log(question, PURGE_DEADLINE).await.and_then(|text| {
            from_hex::<Answer>(&text).ok_or_else(|| AuthorityError::Failed(String::from("the answer does not decode")))
        })
    } else {
        notes::exchange(edge, platform, Question { known, orders }).await
    };
    let outcome = match answer {
        Ok(Answer::Taken { version, purges }) => {
            let state = &mut *edge.state.borrow_mut();
            if let Some(purges) = purges {
                state.purges.merge(&purges);
            }
            // What was purged after the question went out may be missing from its answer.
            state.feed = Feed { version, known_at: Some(now), ..Feed::default() };
            Ok(())
        }
        Ok(Answer::TooMany { retry_after_s }) => {
            edge.state.borrow_mut().feed.asking = None;
            Err(NotTaken::TooMany { retry_after: Duration::from_secs(retry_after_s) })
        }
        Err(error) => {
            platform.log(&format!("edge.purge.log failed: {error}"));
            platform.measure(&Metric::Failure(Failure::PurgeLog));
            let feed = &mut edge.state.borrow_mut().feed;
            (feed.asking, feed.failed_at) = (None, Some(platform.now()));
            Err(NotTaken::Away)
        }
    };
    platform.wake(&turn());
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milli: u64) -> Timestamp {
        Timestamp::from_unix_millis(1_000_000 + milli)
    }

    /// The version of the log, whether all purges came with it, and whether it has to be kept.
    fn ask(log: &mut PurgeLog, known: u64, orders: Vec<Order>) -> (u64, bool, bool) {
        let (answer, changed) = log.answer(&to_hex(&Question { known, orders }), at(0)).unwrap();
        match from_hex(&answer) {
            Some(Answer::Taken { version, purges }) => (version, purges.is_some(), changed),
            _ => panic!("{answer}"),
        }
    }

    fn all(by: By) -> Order {
        Order { by, selector: Selector::All, strength: Strength::Soft }
    }

    #[test]
    fn only_what_is_new_travels() {
        let mut log = PurgeLog::default();
        assert_eq!(ask(&mut log, 0, Vec::new()), (0, false, false));
        assert_eq!(ask(&mut log, 0, vec![all(By::Operator)]), (1, true, true));
        assert_eq!(ask(&mut log, 1, Vec::new()), (1, false, false));
        assert!(log.answer("no question", at(0)).is_none());
    }

    #[test]
    fn a_kept_log_reads_back_and_a_lost_one_purges_everything() {
        let mut log = PurgeLog::default();
        ask(&mut log, 0, vec![all(By::Operator)]);
        let read = PurgeLog::from_text(&log.to_text(), at(0));
        assert_eq!((read.version, &read.purges, read.pace), (1, &log.purges, log.pace));
        let mut lost = PurgeLog::from_text("of another release", at(0));
        assert!(ask(&mut lost, 1, Vec::new()).1);
    }

    #[test]
    fn operators_order_so_much_in_a_minute_and_visitors_do_not_count() {
        let mut log = PurgeLog::default();
        let mut say = |orders: Vec<Order>, now| {
            let (answer, changed) = log.answer(&to_hex(&Question { known: 0, orders }), now).unwrap();
            match from_hex(&answer) {
                Some(Answer::Taken { .. }) => None,
                Some(Answer::TooMany { retry_after_s }) => Some(retry_after_s).filter(|_| !changed),
                None => panic!("{answer}"),
            }
        };
        let many = |by, count: u32| (0..count).map(|_| all(by)).collect::<Vec<Order>>();
        for (by, count, now, expect) in [
            (By::Operator, PURGE_ORDERS_PER_MINUTE - 1, 0, None),
            (By::Operator, 2, 1_000, Some(59)),
            (By::Visitor, PURGE_ORDERS_PER_MINUTE + 1, 1_000, None),
            (By::Operator, 1, 2_000, None),
            (By::Operator, 1, 59_999, Some(1)),
            (By::Operator, 1, 60_000, None),
        ] {
            assert_eq!(say(many(by, count), at(now)), expect, "{count} by {by:?} at {now}");
        }
        assert_eq!(say(many(By::Operator, PURGE_ORDERS_PER_MINUTE), Timestamp::UNIX_EPOCH), None, "a step back");
    }

    #[test]
    fn an_isolate_asks_in_time_and_waits_only_when_it_must() {
        let ms = |time: Duration| time.as_millis() as u64;
        let known = Feed { known_at: Some(at(0)), ..Feed::default() };
        let asking = |feed: Feed, since| Feed { asking: Some(at(since)), ..feed };
        let failed = |feed: Feed, since| Feed { failed_at: Some(at(since)), ..feed };
        let (every, known_for) = (ms(PURGE_ASKED_EVERY), ms(PURGE_KNOWN_FOR));
        for (id, feed, now, due) in [
            ("never asked", Feed::default(), at(0), Due::First),
            ("another is asking", asking(Feed::default(), 0), at(1), Due::Wait),
            ("another was lost", asking(Feed::default(), 0), at(ms(PURGE_DEADLINE)), Due::First),
            ("just asked", known, at(0), Due::No),
            ("before the next", known, at(every - 1), Due::No),
            ("the next", known, at(every), Due::Aside),
            ("being asked aside", asking(known, every), at(every + 1), Due::No),
            ("being asked for too long", asking(known, known_for - 1), at(known_for), Due::Wait),
            ("known for too long", known, at(known_for), Due::First),
            ("no answer", failed(known, known_for), at(known_for + ms(PURGE_RETRIED_AFTER) - 1), Due::No),
            ("no answer, again", failed(known, known_for), at(known_for + ms(PURGE_RETRIED_AFTER)), Due::First),
            ("a clock that stepped back", Feed { known_at: Some(at(9_000)), ..known }, at(0), Due::First),
        ] {
            assert_eq!(feed.due(now), due, "{id}");
        }
        // Known for less than this after the question went out, and asked within the deadline after that.
        assert!(PURGE_KNOWN_FOR + PURGE_DEADLINE < Duration::from_secs(5));
    }
}
