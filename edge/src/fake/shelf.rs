//! The stores of a [`World`](super::World).

use core::time::Duration;

use seawall_core::cache::key::CacheKey;

use crate::{
    Store,
    message::Response,
    store::{StoreError, Stored},
};

use super::{Host, world::Entry};

/// A store of a world, as one request sees it.
pub struct Shelf {
    pub(super) host: Host,
    pub(super) which: Which,
}

/// Which store of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Which {
    /// For all isolates.
    Near,
    /// The same, behind the near one.
    Far,
}

impl Store<Host> for Shelf {
    fn body_bytes_max(&self) -> u64 {
        self.host.0.0.body_bytes_max.get()
    }

    async fn load(&self, key: &CacheKey) -> Result<Option<Stored<Host>>, StoreError> {
        let world = &self.host.0;
        let faults = *world.0.faults.borrow();
        self.host.take_time().await;
        if world.happens(faults.load) {
            return Err(StoreError(String::from("by chance")));
        }
        let found = world.0.shelves.borrow().get(&(self.which, *key)).filter(|entry| entry.until > world.now()).map(
            |Entry { stored, .. }| {
                let Response { status, headers, body } = &stored.response;
                Stored { response: Response::new(*status, headers.clone(), body.clone()), note: stored.note.clone() }
            },
        );
        if self.which == Which::Far {
            world.sleep(world.0.far_lag.get()).await;
        }
        Ok(found)
    }

    async fn save(&self, key: &CacheKey, stored: Stored<Host>, keep_for: Duration) -> Result<(), StoreError> {
        let world = &self.host.0;
        let faults = *world.0.faults.borrow();
        self.host.take_time().await;
        if world.happens(faults.save) {
            return Err(StoreError(String::from("by chance")));
        }
        if stored.response.body.as_ref().is_some_and(|body| body.len() as u64 > self.body_bytes_max()) {
            return Err(StoreError(String::from("the body is too long")));
        }
        let until = world.now().after(keep_for);
        world.0.shelves.borrow_mut().insert((self.which, *key), Entry { until, stored });
        Ok(())
    }

    async fn remove(&self, key: &CacheKey) -> Result<(), StoreError> {
        let world = &self.host.0;
        let lag = if self.which == Which::Far { world.0.far_lag.get() } else { Duration::ZERO };
        if let Some(entry) = world.0.shelves.borrow_mut().get_mut(&(self.which, *key)) {
            entry.until = entry.until.min(world.now().after(lag));
        }
        Ok(())
    }
}
