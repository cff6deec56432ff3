//! Refusals, which come in crowds: what one says, the next one of its route says too, but for how long to wait.

use alloc::vec::Vec;
use core::cell::RefCell;

use js_sys::Uint8Array;
use seawall_core::limit::Verdict;
use seawall_edge::pipeline::Refused;
use wasm_bindgen::JsValue;

use crate::{headers::HeaderList, mould::Mould};

/// The last refusal of each route, by its place in the policy; as long as the last route that refused.
#[derive(Default)]
pub(crate) struct Refusals(RefCell<Vec<Option<Last>>>);

/// What the last one said.
struct Last {
    mould: Mould,
    is_encrypted: bool,
    verdicts: Vec<Verdict>,
}

impl Refusals {
    /// The answer to a refused client.
    pub(crate) fn send(&self, refused: &Refused<'_>) -> Result<web_sys::Response, JsValue> {
        let kept = &mut *self.0.borrow_mut();
        if kept.len() <= refused.place() {
            kept.resize_with(refused.place() + 1, || None);
        }
        let kept = &mut kept[refused.place()];
        let is_encrypted = refused.is_encrypted();
        let like = kept.take().filter(|last| last.is_encrypted == is_encrypted && refused.is_like(&last.verdicts));
        let last = kept.insert(like.unwrap_or_else(|| Last::of(refused)));
        if last.verdicts != refused.verdicts() {
            refused.write_wait(&mut |name, value| last.mould.set(name, value));
            last.verdicts.clear();
            last.verdicts.extend_from_slice(refused.verdicts());
        }
        last.mould.cast()
    }
}

impl Last {
    fn of(refused: &Refused<'_>) -> Self {
        let mut headers = HeaderList::default();
        refused.write(&mut headers);
        let body = Uint8Array::from(refused.body().as_bytes());
        Self {
            mould: Mould::new(Refused::STATUS, &headers, Some(body)),
            is_encrypted: refused.is_encrypted(),
            verdicts: refused.verdicts().to_vec(),
        }
    }
}
