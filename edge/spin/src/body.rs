//! Bodies: Spin's streams handed on as they are, read chunk by chunk only where two want the same one.

use core::future::poll_fn;

use bytes::{Bytes, BytesMut};
use futures_channel::mpsc;
use futures_util::StreamExt;
use seawall_edge::body::within;
use spin_sdk::wasip3::{
    http::types::{ErrorCode, Trailers},
    spawn,
    wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult},
    wit_future, wit_stream,
};

/// A body.
pub(crate) enum Body {
    /// A stream of the host's.
    Stream(Flow),
    /// One of several readers of a stream.
    Branch(mpsc::Receiver<Chunk>),
    /// All of it, in memory.
    Bytes(Bytes),
}

/// A stream of the host's, and how it ends.
pub(crate) struct Flow {
    pub(crate) stream: StreamReader<u8>,
    pub(crate) end: FutureReader<End>,
    /// Tells the host that we are done, when it is dropped.
    pub(crate) taken: FutureWriter<Result<(), ErrorCode>>,
}

/// How a body ends: with trailers, or broken off.
type End = Result<Option<Trailers>, ErrorCode>;
/// A part of a body, or that it broke off.
type Chunk = Result<Bytes, ErrorCode>;

/// What a message of Spin's is made of.
pub(crate) struct Parts {
    pub(crate) stream: Option<StreamReader<u8>>,
    pub(crate) end: FutureReader<End>,
}

impl Body {
    /// The body as Spin takes it. A stream of the host's goes back to the host without passing through this component.
    pub(crate) fn into_parts(self) -> Parts {
        match self {
            Self::Stream(Flow { stream, end, taken }) => {
                drop(taken);
                Parts { stream: Some(stream), end }
            }
            Self::Bytes(bytes) if bytes.is_empty() => Parts::empty(),
            Self::Bytes(bytes) => {
                let (mut writer, stream) = wit_stream::new();
                spawn(async move {
                    // What is left unwritten has no reader any more.
                    let _ = writer.write_all(bytes.into()).await;
                });
                Parts { stream: Some(stream), ..Parts::empty() }
            }
            Self::Branch(mut chunks) => {
                let (mut writer, stream) = wit_stream::new();
                let (end_writer, end) = wit_future::new(|| Err(ErrorCode::ConnectionTerminated));
                spawn(async move {
                    while let Some(chunk) = chunks.next().await {
                        match chunk {
                            Ok(bytes) => {
                                if !writer.write_all(bytes.into()).await.is_empty() {
                                    // Nobody reads on.
                                    return;
                                }
                            }
                            Err(error) => {
                                let _ = end_writer.write(Err(error)).await;
                                return;
                            }
                        }
                    }
                    drop(writer);
                    let _ = end_writer.write(Ok(None)).await;
                });
                Parts { stream: Some(stream), end }
            }
        }
    }

    /// All of it; `None` when it is longer than `bytes_max`, or breaks off.
    pub(crate) async fn collect(self, bytes_max: usize) -> Option<Bytes> {
        if let Self::Bytes(bytes) = self {
            return (bytes.len() <= bytes_max).then_some(bytes);
        }
        let mut source = Source::from(self);
        let mut whole = BytesMut::new();
        while let Some(chunk) = source.next().await {
            let chunk = chunk.ok()?;
            if whole.len() + chunk.len() > bytes_max {
                return None;
            }
            whole.extend_from_slice(&chunk);
        }
        Some(whole.freeze())
    }
}

impl seawall_edge::Body for Body {
    fn tee(self) -> (Self, Self) {
        if let Self::Bytes(bytes) = self {
            return (Self::Bytes(bytes.clone()), Self::Bytes(bytes));
        }
        let (mut one, ours) = mpsc::channel(CHUNKS_AHEAD);
        let (mut other, theirs) = mpsc::channel(CHUNKS_AHEAD);
        let mut source = Source::from(self);
        spawn(async move {
            while let Some(chunk) = source.next().await {
                // The slower of the two sets the pace; who went away sets none.
                let ours_gone = !send(&mut one, chunk.clone()).await;
                let theirs_gone = !send(&mut other, chunk).await;
                if ours_gone && theirs_gone {
                    return;
                }
            }
        });
        (Self::Branch(ours), Self::Branch(theirs))
    }

    fn slice(self, first: u64, length: u64) -> Result<Self, Self> {
        if let Self::Bytes(bytes) = &self {
            let part = within(first, length, bytes.len()).map(|range| Self::Bytes(bytes.slice(range)));
            return part.ok_or(self);
        }
        let (mut sender, part) = mpsc::channel(CHUNKS_AHEAD);
        let mut source = Source::from(self);
        spawn(async move {
            let (mut skip, mut left) = (first, length);
            while left > 0 {
                // One that is too short breaks off, and is not taken for a short part.
                let chunk = source.next().await.unwrap_or(Err(ErrorCode::HttpResponseIncomplete));
                let chunk = chunk.map(|bytes| cut(bytes, &mut skip, &mut left));
                if chunk.as_ref().is_ok_and(Bytes::is_empty) {
                    continue;
                }
                let is_broken = chunk.is_err();
                if !send(&mut sender, chunk).await || is_broken {
                    return;
                }
            }
        });
        Ok(Self::Branch(part))
    }

    fn join(self, next: Self) -> Self {
        let (mut sender, joined) = mpsc::channel(CHUNKS_AHEAD);
        spawn(async move {
            for body in [self, next] {
                let mut source = Source::from(body);
                while let Some(chunk) = source.next().await {
                    let is_broken = chunk.is_err();
                    if !send(&mut sender, chunk).await || is_broken {
                        return;
                    }
                }
            }
        });
        Self::Branch(joined)
    }
}

impl Parts {
    pub(crate) fn empty() -> Self {
        // The writer is dropped, and the value is this one then.
        let (_, end) = wit_future::new(|| Ok(None));
        Self { stream: None, end }
    }
}

/// A body that is read here.
enum Source {
    Stream(StreamReader<u8>, FutureReader<End>),
    /// Its end is read.
    Ended,
    Branch(mpsc::Receiver<Chunk>),
    Bytes(Option<Bytes>),
}

impl From<Body> for Source {
    fn from(body: Body) -> Self {
        match body {
            Body::Stream(Flow { stream, end, .. }) => Self::Stream(stream, end),
            Body::Branch(chunks) => Self::Branch(chunks),
            Body::Bytes(bytes) => Self::Bytes(Some(bytes)),
        }
    }
}

impl Source {
    async fn next(&mut self) -> Option<Chunk> {
        match self {
            Self::Stream(stream, _) => match stream.read(Vec::with_capacity(CHUNK_BYTES)).await {
                (StreamResult::Complete(_), chunk) => Some(Ok(chunk.into())),
                (StreamResult::Cancelled | StreamResult::Dropped, _) => {
                    let Self::Stream(_, end) = core::mem::replace(self, Self::Ended) else { return None };
                    end.await.err().map(Err)
                }
            },
            Self::Ended => None,
            Self::Branch(chunks) => chunks.next().await,
            Self::Bytes(bytes) => bytes.take().map(Ok),
        }
    }
}

/// Sends when there is room; says whether anybody is there.
async fn send(sender: &mut mpsc::Sender<Chunk>, chunk: Chunk) -> bool {
    poll_fn(|context| sender.poll_ready(context)).await.is_ok() && sender.start_send(chunk).is_ok()
}

/// What of `bytes` lies behind the next `skip` and within the `left` bytes after them.
fn cut(mut bytes: Bytes, skip: &mut u64, left: &mut u64) -> Bytes {
    // Both are at most the length of the chunk, which is a usize.
    let before = (*skip).min(bytes.len() as u64) as usize;
    *skip -= before as u64;
    let mut part = bytes.split_off(before);
    part.truncate((*left).min(part.len() as u64) as usize);
    *left -= part.len() as u64;
    part
}

/// What is read at once.
pub(crate) const CHUNK_BYTES: usize = 16 << 10;
/// Chunks that wait for a reader. With two readers of a body the slower one is at most so far behind.
const CHUNKS_AHEAD: usize = 4;
