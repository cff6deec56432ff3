//! What a job makes: written in portions, so that no process holds it whole, and read the same way.

use std::io;

use axum::body::{Body, Bytes};
use futures_util::stream;

use super::lease::{Lease, LeaseLost};
use super::queue::{Queue, ResultInfo};

/// Most bytes of one result. What does not fit is left out, and the answer says so.
pub(crate) const RESULT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of one portion: few enough to hold for each reader, enough that a result is some dozens of rows.
const PART_BYTES: usize = 256 * 1024;

/// A result that is being made.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    lease: &'a Lease,
    waiting: Vec<u8>,
    parts: i32,
    stored: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(lease: &'a Lease) -> Self {
        Self { lease, waiting: Vec::with_capacity(PART_BYTES), parts: 0, stored: 0 }
    }

    /// Whether so many bytes more still fit.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.bytes() + bytes as u64 <= RESULT_BYTES_MAX
    }

    fn bytes(&self) -> u64 {
        self.stored + self.waiting.len() as u64
    }

    /// Adds to the result.
    pub(super) async fn write(&mut self, content: &[u8]) -> anyhow::Result<()> {
        self.waiting.extend_from_slice(content);
        while self.waiting.len() >= PART_BYTES {
            let rest = self.waiting.split_off(PART_BYTES);
            let part = std::mem::replace(&mut self.waiting, rest);
            self.store(&part).await?;
        }
        Ok(())
    }

    async fn store(&mut self, part: &[u8]) -> anyhow::Result<()> {
        self.lease.store_part(self.parts, part).await?;
        self.parts += 1;
        self.stored += part.len() as u64;
        Ok(())
    }

    /// Stores what is left, and says what the result is. Nobody reads it before the job is done.
    pub(super) async fn end(mut self, media_type: &str, name: String, cut: bool) -> anyhow::Result<ResultInfo> {
        let rest = std::mem::take(&mut self.waiting);
        if !rest.is_empty() {
            self.store(&rest).await?;
        }
        let (_, fence) = self.lease.name();
        Ok(ResultInfo { media_type: media_type.to_owned(), name, bytes: self.stored, cut, fence })
    }
}

/// A body that reads one portion after another. Each takes a connection for one statement, however slow the reader is.
pub(super) fn body(queue: Queue, job_id: String, result: &ResultInfo) -> Body {
    let (fence, bytes) = (result.fence, result.bytes);
    let parts = stream::try_unfold((0, 0), move |(part, read)| {
        let (queue, job_id) = (queue.clone(), job_id.clone());
        async move {
            if read >= bytes {
                return Ok(None);
            }
            let content = queue.part(&job_id, fence, part).await.map_err(io::Error::other)?;
            // Pruned while it was read.
            let content = content.ok_or_else(|| io::Error::other(LeaseLost))?;
            let read = read + content.len() as u64;
            Ok::<_, io::Error>(Some((Bytes::from(content), (part + 1, read))))
        }
    });
    Body::from_stream(parts)
}
