//! What the limit of calls in flight said, as a line.

use alloc::string::String;

use super::{Config, Overload, Room};
use crate::explain::{Inputs, InvalidLine, Line, Record};
use crate::priority::Priority;

impl Overload {
    /// The line of what [`Overload::admit`] says to the same call, under the policy of that name; see
    /// [`crate::explain`].
    #[must_use]
    pub fn explain(&self, config: &Config, priority: Priority, policy: &str) -> String {
        self.room(config, priority).line(policy)
    }

    pub(crate) fn replay(inputs: &Inputs<'_>, policy: &str) -> Result<String, InvalidLine> {
        let mut room = Room::default();
        room.record(&mut Record::read(inputs))?;
        Ok(room.line(policy))
    }
}

impl Room {
    fn line(mut self, policy: &str) -> String {
        let mut line = Line::new("overload", policy);
        line.word("verdict", if self.is_full() { "shed" } else { "admit" });
        // Writing refuses nothing.
        let _ = self.record(&mut Record::write(&mut line));
        line.into_text()
    }

    fn record(&mut self, record: &mut Record<'_>) -> Result<(), InvalidLine> {
        record.number("in-flight", &mut self.in_flight)?;
        record.number("limit", &mut self.limit)?;
        record.word("priority", &mut self.priority, &Priority::ALL.map(|priority| (priority, priority.as_str())))
    }
}
