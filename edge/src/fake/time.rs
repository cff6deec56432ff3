//! The virtual clock of a [`World`], and what waits for it.

use core::time::Duration;
use std::{
    pin::Pin,
    task::Poll,
    task::{Context, Waker},
};

use seawall_core::time::Timestamp;

use super::World;

impl World {
    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        *self.0.now.borrow()
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let until = self.now().after(by);
        self.run(Some(until));
        *self.0.now.borrow_mut() = until;
    }

    /// Sets the clock, forward or back, without anything happening in between.
    pub fn set_clock(&self, now: Timestamp) {
        *self.0.now.borrow_mut() = now;
    }

    /// Lets everything that goes on come to its end.
    pub fn settle(&self) {
        self.run(None);
    }

    /// Waits for a time by the virtual clock.
    pub(super) async fn sleep(&self, time: Duration) {
        let id = self.0.timers_made.get();
        self.0.timers_made.set(id + 1);
        Sleep { world: self.clone(), id, until: self.now().after(time) }.await;
    }

    fn run(&self, until: Option<Timestamp>) {
        loop {
            self.0.pool.borrow_mut().run_until_stalled();
            if !self.jump_to_next_timer(until) {
                return;
            }
        }
    }

    /// Moves the clock to the earliest timer, not past `until`; false when there is none.
    pub(super) fn jump_to_next_timer(&self, until: Option<Timestamp>) -> bool {
        let mut timers = self.0.timers.borrow_mut();
        let next = timers.iter().map(|timer| timer.at).min();
        let Some(next) = next.filter(|next| until.is_none_or(|until| *next <= until)) else {
            return false;
        };
        let now = self.now().max(next);
        *self.0.now.borrow_mut() = now;
        timers.retain(|timer| {
            if timer.at <= now {
                timer.waker.wake_by_ref();
            }
            timer.at > now
        });
        true
    }
}

pub(super) struct Timer {
    id: u64,
    at: Timestamp,
    waker: Waker,
}

struct Sleep {
    world: World,
    id: u64,
    until: Timestamp,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.world.now() >= self.until {
            return Poll::Ready(());
        }
        let mut timers = self.world.0.timers.borrow_mut();
        timers.retain(|timer| timer.id != self.id);
        timers.push(Timer { id: self.id, at: self.until, waker: context.waker().clone() });
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.world.0.timers.borrow_mut().retain(|timer| timer.id != self.id);
    }
}
