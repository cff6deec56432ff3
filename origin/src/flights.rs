//! One at a time for each key: who comes first does the work, and the others wait for that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What those of this process wait for who want one thing; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flights {
    /// As many as there are keys that someone holds or waits for, which is fewer than requests.
    held: Arc<Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>>,
}

impl Flights {
    /// The flight of one key: who locks it goes alone. Forgotten when nobody holds it.
    pub(crate) fn of(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        // A map that a panic left is whole.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = held.get(key).and_then(Weak::upgrade) {
            return flight;
        }
        held.retain(|_, flight| flight.strong_count() > 0);
        let flight = Arc::default();
        held.insert(key.to_owned(), Arc::downgrade(&flight));
        flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_has_one_flight_for_as_long_as_someone_holds_it() {
        let flights = Flights::default();
        let (one, other) = (flights.of("one"), flights.of("other"));
        let alone = one.try_lock();
        assert!(alone.is_ok() && flights.of("one").try_lock().is_err(), "the second waits for the first");
        assert!(other.try_lock().is_ok(), "another key is another's");
        drop(alone);
        assert!(flights.of("one").try_lock().is_ok());
        drop((one, other));
        let _last = flights.of("last");
        assert_eq!(flights.held.lock().unwrap().len(), 1, "what nobody holds is forgotten");
    }
}
