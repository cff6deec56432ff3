//! Time for what is spent and earned back.

use core::time::Duration;

use seawall_core::time::Timestamp;

/// A clock that goes on from where it was when the host's steps back, so that a step neither forgives nor charges
/// anybody. A step forward is passed on: nobody can tell it from time that passed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steady {
    latest: Timestamp,
    /// All steps back so far.
    ahead: Duration,
}

impl Steady {
    /// The time when the host's clock says `now`.
    pub(crate) fn at(&mut self, now: Timestamp) -> Timestamp {
        let time = now.after(self.ahead);
        self.ahead = self.ahead.saturating_add(self.latest.since(time));
        self.latest = self.latest.max(time);
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_where_the_host_steps_back() {
        let mut steady = Steady::default();
        let mut told = |seconds| steady.at(Timestamp::from_unix_seconds(seconds)).as_unix_seconds();
        assert_eq!(
            [1000, 1010, 400, 401, 401, 300, 310, 2000].map(&mut told),
            [1000, 1010, 1010, 1011, 1011, 1011, 1021, 2711]
        );
    }
}
