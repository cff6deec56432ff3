//! A cable to the database that can be pulled out.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// Passes connections on to a port of this machine.
pub(crate) struct Cable {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    task: AbortHandle,
}

/// What a cable does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Passes them on.
    Whole,
    /// Breaks those there are, and closes new ones at once.
    Cut,
    /// Keeps those there are and takes new ones, and nothing moves.
    Silent,
}

impl Cable {
    pub(crate) async fn to(port: u16, state: State) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen for the origin")?;
        let address = listener.local_addr()?;
        let state = Arc::new(watch::Sender::new(state));
        let task = tokio::spawn(run(listener, port, state.subscribe())).abort_handle();
        Ok(Self { address, state, task })
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(listener: TcpListener, port: u16, mut state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                if *state.borrow() != State::Cut {
                    connections.spawn(pass_on(stream, port, state.clone()));
                }
            }
            changed = state.changed() => {
                if changed.is_err() {
                    return;
                }
                if *state.borrow() == State::Cut {
                    connections.abort_all();
                }
            }
        }
    }
}

/// Passes bytes both ways while the cable is whole.
async fn pass_on(mut near: TcpStream, port: u16, mut state: watch::Receiver<State>) {
    let mut far = None;
    loop {
        // Ends when the cable is dropped.
        if state.wait_for(|state| *state == State::Whole).await.is_err() {
            return;
        }
        let far = match &mut far {
            Some(far) => far,
            None => match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                Ok(stream) => far.insert(stream),
                Err(_) => return,
            },
        };
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, far) => return,
            _ = state.wait_for(|state| *state != State::Whole) => {}
        }
    }
}
