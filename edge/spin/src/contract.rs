//! The contracts of the stores and of bodies, run where Spin's are. What is deployed does not have this.

use std::rc::Rc;

use bytes::Bytes;
use futures_channel::mpsc;
use seawall_edge::{Platform, body, message::Response, store};

use crate::{
    body::{Body, CHUNK_BYTES},
    headers::SpinHeaders,
    host::Host,
    settings::Places,
};

/// Runs them; answers with what went wrong.
pub(crate) async fn run(places: Rc<Places>) -> Response<Host> {
    let host = Host::new(places);
    let stored = store::contract::check(&host, &host.near()).await.map_err(|fault| format!("store: {fault}"));
    let in_memory = body::contract::check(&host, in_memory).await.map_err(|fault| format!("bytes: {fault}"));
    let in_pieces = body::contract::check(&host, in_pieces).await.map_err(|fault| format!("pieces: {fault}"));
    let faults: Vec<String> = [stored, in_memory, in_pieces].into_iter().filter_map(Result::err).collect();
    let status = if faults.is_empty() { 200 } else { 500 };
    Response::new(status, SpinHeaders::default(), Some(host.text(faults.join("\n"))))
}

fn in_memory(text: &str) -> Body {
    Body::Bytes(Bytes::copy_from_slice(text.as_bytes()))
}

/// The same in pieces. A stream of the host's cannot be made here: a component may not read what it writes itself.
fn in_pieces(text: &str) -> Body {
    let pieces = text.as_bytes().chunks(PIECE_BYTES).map(Bytes::copy_from_slice);
    let (mut sender, chunks) = mpsc::channel(pieces.len());
    for piece in pieces {
        // There is room for all of them.
        let _ = sender.try_send(Ok(piece));
    }
    Body::Branch(chunks)
}

/// As long as what is read from a host's stream at once. The longest body of the contract fits into what one of two readers
/// may be behind; with smaller pieces both would wait for each other, and nothing for the host, on which instances trap.
const PIECE_BYTES: usize = CHUNK_BYTES;

/// What is asked for to run them.
pub(crate) const PATH: &str = "/__contract";
