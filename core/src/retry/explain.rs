//! What the retry budget said, as a line.

use alloc::string::String;
use core::time::Duration;

use super::{Attempt, Budget, Config, Decision, Failure, Repeatable, Settings};
use crate::explain::{Inputs, InvalidLine, Line, Record};

impl Budget {
    /// The line of what [`Budget::decide`] says of the same attempt, under the policy of that name; see
    /// [`crate::explain`]. No token is spent.
    #[must_use]
    pub fn explain(&self, config: &Config, attempt: &Attempt, random: u32, policy: &str) -> String {
        let mut line = Line::new("retry", policy);
        match { *self }.decide(config, attempt, random) {
            Decision::Retry { delay, .. } => line.word("verdict", "retry").time("delay", Some(delay)),
            Decision::GiveUp(reason) => line.word("verdict", "give-up").word("why", reason.as_str()),
        };
        let mut inputs = Tried { budget: *self, settings: **config, attempt: *attempt, random };
        // Writing refuses nothing.
        let _ = inputs.record(&mut Record::write(&mut line));
        line.into_text()
    }

    pub(crate) fn replay(inputs: &Inputs<'_>, policy: &str) -> Result<String, InvalidLine> {
        let mut tried = Tried {
            budget: Self { tokens: 0 },
            settings: Settings::default(),
            attempt: Attempt {
                number: 0,
                repeatable: Repeatable::No,
                failure: Failure::Transient,
                retry_after: None,
                time_left: Duration::ZERO,
            },
            random: 0,
        };
        tried.record(&mut Record::read(inputs))?;
        let config = Config::new(tried.settings).map_err(|error| InvalidLine::of(error.setting))?;
        Ok(tried.budget.explain(&config, &tried.attempt, tried.random, policy))
    }
}

/// All that the decision on one attempt depends on.
struct Tried {
    budget: Budget,
    settings: Settings,
    attempt: Attempt,
    random: u32,
}

impl Tried {
    fn record(&mut self, record: &mut Record<'_>) -> Result<(), InvalidLine> {
        let Self { budget, settings, attempt, random } = self;
        record.number("number", &mut attempt.number)?;
        let repeatable = [(Repeatable::Method, "method"), (Repeatable::Key, "key"), (Repeatable::No, "no")];
        record.word("repeatable", &mut attempt.repeatable, &repeatable)?;
        let failure = [(Failure::Transient, "transient"), (Failure::Throttled, "throttled")];
        record.word("failure", &mut attempt.failure, &failure)?;
        record.optional_time("retry-after", &mut attempt.retry_after)?;
        record.time("time-left", &mut attempt.time_left)?;
        record.number("tokens", &mut budget.tokens)?;
        record.number("random", random)?;
        record.number("attempts", &mut settings.attempts)?;
        record.time("base", &mut settings.base)?;
        record.time("throttled-base", &mut settings.throttled_base)?;
        record.time("delay-max", &mut settings.delay_max)?;
        record.number("capacity", &mut settings.capacity)?;
        record.number("cost", &mut settings.cost)?;
        record.number("throttled-cost", &mut settings.throttled_cost)
    }
}
