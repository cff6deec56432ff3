//! A cable to the database that can be pulled out.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

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

/// A cable so long that every byte is under way for a while, so that a round trip costs twice that whatever else it costs.
pub(crate) struct LongCable {
    address: SocketAddr,
    task: AbortHandle,
}

impl LongCable {
    pub(crate) async fn to(port: u16, one_way: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen for the origin")?;
        let address = listener.local_addr()?;
        let run = async move {
            let mut ways = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                ways.spawn(carry(near_in, far_out, one_way));
                ways.spawn(carry(far_in, near_out, one_way));
            }
        };
        Ok(Self { address, task: tokio::spawn(run).abort_handle() })
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for LongCable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Hands on what comes, each piece so long after it came, until either end closes.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, one_way: Duration) {
    let (sender, mut pieces) = mpsc::unbounded_channel();
    let read = async move {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            if sender.send((Instant::now() + one_way, piece[..length].to_vec())).is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = pieces.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
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
