//! The log of purges in a note, where no authority could keep it.
//!
//! A note has no compare-and-swap: of two isolates that read it at the same moment and write it back, the later one takes
//! the other's purge out again. So nobody relies on its own write. Each isolate remembers what it has read and written;
//! whenever it reads a note that lacks some of it, it puts it back; and who purged looks twice whether the purge is still
//! there. Purges merge in any order and as often as one likes, so a repair can never do harm
//! (docs/decisions/0033-purges-without-an-authority.md).

use alloc::vec::Vec;

use seawall_core::cache::purge::Purges;

use crate::{
    Edge, Platform,
    limits::{PURGE_DEADLINE, PURGE_SEEN_TO},
    platform::AuthorityError,
};

use super::{Answer, PurgeLog, Question};

/// Answers a question by what the note says, and writes there what it lacks.
pub(super) async fn exchange<P: Platform>(
    edge: &Edge,
    platform: &P,
    question: Question,
) -> Result<Answer, AuthorityError> {
    let began = platform.now();
    let noted = platform.read_note(NOTE, PURGE_DEADLINE).await?;
    let now = platform.now();
    let mut log = noted.map(|text| PurgeLog::from_text(&text, now)).unwrap_or_default();
    let is_repaired = log.take_in(&edge.state.borrow().noted);
    let (answer, is_ordered) = log.hear(question, now);
    if is_repaired || is_ordered {
        // A number that no other isolate draws: two logs of one version would hide a purge.
        log.version = platform.random();
        // Who writes late may take others' purges out, and they look only so long whether theirs are there.
        let left = PURGE_DEADLINE.saturating_sub(platform.now().since(began));
        platform.write_note(NOTE, log.to_text(), left).await?;
    }
    edge.state.borrow_mut().noted.merge(&log.purges);
    Ok(match answer {
        Answer::Taken { .. } if is_repaired || is_ordered => {
            Answer::Taken { version: log.version, purges: Some(log.purges) }
        }
        answer => answer,
    })
}

/// Looks whether purges that an operator ordered here are still noted, after the answer; what is missing is noted again.
/// What visitors changed is left to whoever reads the note next.
pub(crate) async fn see_to<P: Platform>(edge: &Edge, platform: &P) {
    for pause in PURGE_SEEN_TO {
        platform.sleep(pause).await;
        // What failed is in the log; the next look, or another isolate that read the note, does the same.
        let _ = super::ask(edge, platform, Vec::new()).await;
    }
}

impl PurgeLog {
    /// Takes in what an isolate knows; answers whether anything of it was missing.
    fn take_in(&mut self, known: &Purges) -> bool {
        let before = self.purges.clone();
        self.purges.merge(known);
        !self.purges.agrees_with(&before)
    }
}

/// The note's name.
const NOTE: &str = "purges";
