//! Computes what the page cache keeps before it is asked for, so that no visitor waits, and tells the edge what it was not
//! told before.

use super::job::Counts;
use crate::jobs::Context;
use crate::page_cache::{Entry, PageCache};
use crate::permits::stuck::Whole;
use crate::purge;
use crate::stats::Stats;

pub(super) async fn run(context: &Context) -> Counts {
    let mut tally = Tally::default();
    tally.refresh(&context.cache, &Stats(context.databases.clone())).await;
    tally.refresh(&context.cache, &Whole(context.databases.clone())).await;
    if let Err(error) = purge::drain(&context.config).await {
        let error = format!("{error:#}");
        tracing::warn!(event = "purge.failed", error, "the edge was not told which pages are old: {error}");
    }
    Counts::from_iter([("computed".to_owned(), tally.computed.into()), ("errors".to_owned(), tally.errors.into())])
}

#[derive(Debug, Default)]
struct Tally {
    computed: u64,
    errors: u64,
}

impl Tally {
    /// An entry that someone else computes now counts as neither.
    async fn refresh<E: Entry>(&mut self, cache: &PageCache, entry: &E) {
        match cache.refresh(entry).await {
            Ok(computed) => self.computed += u64::from(computed),
            // Logged where it was computed.
            Err(_) => self.errors += 1,
        }
    }
}
