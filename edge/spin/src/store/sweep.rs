//! Takes entries away that have ended, and the next to end where there are too many.
//!
//! A sweep looks at a random part of the entries, as Redis does for keys that expire: what it costs has a bound, and what
//! has ended stays a small part of all.

use seawall_edge::store::StoreError;

use crate::host;

use super::{
    entry::{Mark, of_mark},
    failed, now_ms, open,
};

/// One sweep: looks at the names of all entries and at the ends of a few, and removes some of those.
pub(super) async fn sweep() -> Result<(), StoreError> {
    let store = open().await?;
    let (sample, entries) = sample(store.get_keys().await).await;
    let mut ends = Vec::with_capacity(sample.len());
    for Mark { name, entry } in sample {
        let until_ms = store.get(&name).await.map_err(failed)?.and_then(|value| Mark::until_ms(&value));
        // A mark that cannot be read is of no use, and neither is what it stands for.
        ends.push((until_ms.unwrap_or(0), name, entry));
    }
    ends.sort_unstable();
    let ended = ends.partition_point(|(until_ms, ..)| *until_ms <= now_ms());
    let surplus = entries.saturating_sub(ENTRIES_MAX);
    for (_, mark, entry) in ends.into_iter().take(ended.max(surplus)) {
        // The entry last: should another instance store it at this moment, it is gone and not there without a mark.
        store.delete(mark).await.map_err(failed)?;
        store.delete(entry).await.map_err(failed)?;
    }
    Ok(())
}

/// Some marks, each as likely as any other, and how many there are.
async fn sample(mut names: spin_sdk::key_value::Keys) -> (Vec<Mark>, usize) {
    let (mut sample, mut marks) = (Vec::with_capacity(SAMPLE), 0);
    for _ in 0..NAMES_MAX {
        let Some(name) = names.next().await else { break };
        let Some(mark) = of_mark(name) else { continue };
        marks += 1;
        if sample.len() < SAMPLE {
            sample.push(mark);
        } else if let Some(place) =
            usize::try_from(host::random() % marks as u64).ok().and_then(|at| sample.get_mut(at))
        {
            *place = mark;
        }
    }
    (sample, marks)
}

/// Names that one sweep looks at: a second's work, and a megabyte.
const NAMES_MAX: usize = 20_000;
/// Most entries that stay. Beyond it those of the sample that end soonest go.
const ENTRIES_MAX: usize = 8_000;
/// Entries whose end one sweep looks at. It comes once in 64 saves, so in the long run at most a quarter of the entries
/// has ended.
const SAMPLE: usize = 256;

// Each entry has two names, and all of them are looked at.
const _: () = assert!(2 * ENTRIES_MAX < NAMES_MAX);
