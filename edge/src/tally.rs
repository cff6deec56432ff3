//! Answers from isolate memory, counted until someone writes them down.
//!
//! The shortest way through the edge writes no line: the line would cost several times what the answer does. It counts
//! the answer here, and a request that takes the whole way writes the counts, at most [`TALLY_FOR`] or [`TALLY_MAX`]
//! answers later; what comes after that takes the whole way for this reason alone. An isolate that ends loses its count.

use alloc::{string::ToString, vec::Vec};
use core::{mem, time::Duration};

use seawall_core::{
    policy::Policy,
    time::{Timestamp, millis},
};

use crate::{
    Platform,
    limits::{TALLY_FOR, TALLY_MAX},
    record::Metric,
};

/// The counts of one isolate.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By route, in the policy's order; as long as the last route that has been counted.
    hits: Vec<u32>,
    /// The same of refusals.
    denials: Vec<u32>,
    total: u32,
    /// When the first of them was counted.
    since: Option<Timestamp>,
}

/// Counts that have been taken out.
#[derive(Debug)]
pub(crate) struct Taken {
    hits: Vec<u32>,
    denials: Vec<u32>,
    span: Duration,
}

impl Tally {
    /// Whether it is time to write them down.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.total >= TALLY_MAX || self.since.is_some_and(|since| now.since(since) >= TALLY_FOR)
    }

    /// Counts one answer of the route at this place of the policy.
    pub(crate) fn count(&mut self, route: usize, now: Timestamp) {
        add(&mut self.hits, route);
        self.total += 1;
        self.since.get_or_insert(now);
    }

    /// Counts one refusal of the route at this place.
    pub(crate) fn deny(&mut self, route: usize, now: Timestamp) {
        add(&mut self.denials, route);
        self.total += 1;
        self.since.get_or_insert(now);
    }

    /// Takes them out, if there are any.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<Taken> {
        let since = self.since?;
        let Self { hits, denials, .. } = mem::take(self);
        Some(Taken { hits, denials, span: now.since(since) })
    }
}

/// Counts one at `route`.
fn add(counts: &mut Vec<u32>, route: usize) {
    if counts.len() <= route {
        counts.resize(route + 1, 0);
    }
    // Far below the largest number: it is due long before.
    counts[route] += 1;
}

impl Taken {
    /// One line and one data point for each route.
    pub(crate) fn write<P: Platform>(self, policy: &Policy, platform: &P) {
        let Self { hits, denials, span } = self;
        let span_ms = millis(span).to_string();
        let write = |event: &str, counts: Vec<u32>, metric: &dyn Fn(&str, u32)| {
            for (route, count) in policy.routes().iter().zip(counts).filter(|(_, count)| *count > 0) {
                let name = route.name.as_str();
                let line = [event, " route=", name, " count=", &count.to_string(), " within_ms=", &span_ms];
                platform.log(&line.concat());
                metric(name, count);
            }
        };
        write("edge.hits", hits, &|route, count| platform.measure(&Metric::Hits { route, count }));
        write("edge.denials", denials, &|route, count| platform.measure(&Metric::Denials { route, count }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_due_after_a_time_or_a_number() {
        let start = Timestamp::from_unix_seconds(1000);
        let mut tally = Tally::default();
        assert!(!tally.is_due(start) && tally.take(start).is_none());
        tally.count(3, start);
        tally.count(1, start.after(TALLY_FOR));
        assert!(!tally.is_due(start.after(TALLY_FOR - Duration::from_millis(1))));
        assert!(tally.is_due(start.after(TALLY_FOR)));
        let taken = tally.take(start.after(TALLY_FOR)).unwrap();
        assert_eq!((taken.hits, taken.span), (vec![0, 1, 0, 1], TALLY_FOR));
        assert!(!tally.is_due(start.after(TALLY_FOR)));
        for _ in 1..TALLY_MAX {
            tally.count(0, start);
        }
        assert!(!tally.is_due(start));
        tally.count(0, start);
        assert!(tally.is_due(start));
    }
}
