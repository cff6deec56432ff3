//! What a test may want: commands under `/__test/`, which no route has. The same as Miniflare's entry module takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use http::StatusCode;
use tokio::sync::watch;

use crate::world::World;

/// What Redis does, as far as the component can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Authority {
    #[default]
    Answers,
    Fails,
    Hangs,
}

/// What a test wants to happen.
#[derive(Debug, Default)]
pub(crate) struct Control {
    authority: Mutex<Authority>,
    meeting: Meeting,
}

/// Two stores that answer only when both are asked, where a test wants to see that neither question waits for the other.
#[derive(Debug, Default)]
struct Meeting {
    is_on: AtomicBool,
    key_value: watch::Sender<bool>,
    redis: watch::Sender<bool>,
}

/// A store that was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    KeyValue,
    Redis,
}

impl Control {
    pub(crate) fn authority(&self) -> Authority {
        *self.authority.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the other store to be asked as well, where a test wants that.
    pub(crate) async fn meet(&self, asked: Asked) {
        let Meeting { is_on, key_value, redis } = &self.meeting;
        if !is_on.load(Ordering::SeqCst) {
            return;
        }
        let (here, there) = match asked {
            Asked::KeyValue => (key_value, redis),
            Asked::Redis => (redis, key_value),
        };
        here.send_replace(true);
        // What sends lives as long as what waits.
        let _ = there.subscribe().wait_for(|is_asked| *is_asked).await;
    }

    fn set_authority(&self, authority: Authority) {
        *self.authority.lock().unwrap_or_else(PoisonError::into_inner) = authority;
    }
}

/// The answer to a command, when `path` is one and the world obeys.
pub(crate) fn command(world: &World, path: &str) -> Option<(StatusCode, String)> {
    let command = path.strip_prefix("/__test/").filter(|_| world.obeys)?;
    let (name, value) = command.split_once('/').unwrap_or((command, ""));
    let done = match (name, value) {
        ("clock", "") => Some(world.clock.now_ms().to_string()),
        ("advance", by_ms) => by_ms.parse().ok().map(|by_ms| {
            world.clock.advance(by_ms);
            world.clock.now_ms().to_string()
        }),
        ("meet", "") => {
            world.control.meeting.is_on.store(true, Ordering::SeqCst);
            Some("on".to_owned())
        }
        ("authority", word) => {
            let authority = match word {
                "answers" => Some(Authority::Answers),
                "fails" => Some(Authority::Fails),
                "hangs" => Some(Authority::Hangs),
                _ => None,
            };
            authority.map(|authority| {
                world.control.set_authority(authority);
                word.to_owned()
            })
        }
        _ => None,
    };
    Some(match done {
        Some(text) => (StatusCode::OK, text),
        None => (StatusCode::NOT_FOUND, format!("no such command: {path}")),
    })
}
