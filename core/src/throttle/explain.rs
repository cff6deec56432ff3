//! What the throttle said, as a line.

use alloc::string::String;

use super::{Config, Load, Throttle};
use crate::explain::{Inputs, InvalidLine, Line, Record};
use crate::priority::Priority;
use crate::time::Timestamp;

impl Throttle {
    /// The line of what [`Throttle::admit`] says to the same call, under the policy of that name; see
    /// [`crate::explain`].
    #[must_use]
    pub fn explain(&self, config: &Config, priority: Priority, now: Timestamp, random: u32, policy: &str) -> String {
        self.clone().load(config, priority, now, random).line(policy)
    }

    pub(crate) fn replay(inputs: &Inputs<'_>, policy: &str) -> Result<String, InvalidLine> {
        let mut load = Load::default();
        load.record(&mut Record::read(inputs))?;
        Ok(load.line(policy))
    }
}

impl Load {
    fn line(mut self, policy: &str) -> String {
        let mut line = Line::new("throttle", policy);
        match self.dropped() {
            Some(mut permille) => {
                line.word("verdict", "drop");
                // Writing refuses nothing.
                let _ = Record::write(&mut line).number("drop-permille", &mut permille);
            }
            None => drop(line.word("verdict", "send")),
        }
        let _ = self.record(&mut Record::write(&mut line));
        line.into_text()
    }

    fn record(&mut self, record: &mut Record<'_>) -> Result<(), InvalidLine> {
        record.number("requests", &mut self.requests)?;
        record.number("accepts", &mut self.accepts)?;
        record.number("min-calls", &mut self.min_calls)?;
        record.number("k-permille", &mut self.k_permille)?;
        record.word("priority", &mut self.priority, &Priority::ALL.map(|priority| (priority, priority.as_str())))?;
        record.number("random", &mut self.random)
    }
}
