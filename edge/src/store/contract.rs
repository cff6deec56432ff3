//! What every [`Store`] must do, as a test that runs against each: the fake one natively, the Cache API and Workers KV
//! in the runtime that has them.
//!
//! It knows no clock: that an entry ends is decided by the note beside it, so a store may keep it longer, and must not
//! drop it sooner.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::time::Duration;

use futures_util::future::join;
use seawall_core::cache::key::{CacheKey, Target};

use super::{Store, Stored};
use crate::{
    Body as _, Platform,
    message::{Headers, Response},
};

/// Runs it.
///
/// # Errors
/// With the first thing that is not as it must be.
pub async fn check<P: Platform>(platform: &P, store: &impl Store<P>) -> Result<(), String> {
    let key = |name: &str| CacheKey::new(&Target { path: name, ..Target::default() });
    let (one, other) = (key("/contract/one"), key("/contract/other"));
    for key in [&one, &other] {
        done("removing what is not there", store.remove(key).await)?;
    }
    expect("a key that nobody saved", &read(platform, store, &one).await?, &None)?;

    for (id, entry) in [
        ("a page", Entry::new(200, Some("the page"), &[("content-type", "text/html"), ("etag", "\"1\"")])),
        ("an empty body", Entry::new(200, Some(""), &[])),
        ("no body", Entry::new(204, None, &[])),
        ("an error", Entry::new(503, Some("away"), &[("retry-after", "5")])),
        ("a redirect", Entry::new(301, Some(""), &[("location", "/there")])),
        ("a part", Entry::new(206, Some("part"), &[("content-range", "bytes 0-3/10")])),
        (
            "fields on which a cache would act",
            Entry::new(
                200,
                Some("text"),
                &[
                    ("cache-control", "no-store, private"),
                    ("cache-tag", "city, permits"),
                    ("cdn-cache-control", "no-store"),
                    ("cloudflare-cdn-cache-control", "max-age=0"),
                    ("etag", "W/\"1\""),
                    ("last-modified", "Wed, 31 Dec 2025 00:00:00 GMT"),
                    ("surrogate-control", "no-store"),
                    ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
                    ("expires", "0"),
                    ("vary", "accept-language"),
                ],
            ),
        ),
        ("letters beyond ASCII", Entry::new(200, Some("zażółć gęślą jaźń \u{1f30a}"), &[])),
        ("a long body", Entry::new(200, Some(&"0123456789abcdef".repeat(8192)), &[])),
        ("a long note", Entry { note: "0123456789abcdef".repeat(256), ..Entry::new(200, Some("text"), &[]) }),
    ] {
        done(id, store.save(&one, entry.stored(platform), KEEP_FOR).await)?;
        expect(id, &read(platform, store, &one).await?, &Some(entry))?;
    }
    expect("the other key", &read(platform, store, &other).await?, &None)?;

    let first = Entry::new(200, Some("first"), &[("x-only-first", "1")]);
    let second = Entry::new(200, Some("second"), &[]);
    done("first", store.save(&one, first.stored(platform), KEEP_FOR).await)?;
    done("second", store.save(&one, second.stored(platform), KEEP_FOR).await)?;
    expect("what was saved last", &read(platform, store, &one).await?, &Some(second))?;

    let (joined, other_half) = platform.text("one half, ".into()).join(platform.text("the other".into())).tee();
    let joined =
        Stored { response: Response::new(200, P::Headers::default(), Some(joined)), note: String::from("00ff") };
    let (saved, read_beside) =
        join(store.save(&one, joined, KEEP_FOR), platform.read(other_half, BODY_BYTES_MAX)).await;
    done("a body that is joined and read beside", saved)?;
    let wanted = Entry::new(200, Some("one half, the other"), &[]);
    if read_beside != wanted.body {
        return Err(format!("what is read beside: {read_beside:?}"));
    }
    expect("a body that is joined", &read(platform, store, &one).await?, &Some(wanted))?;

    done("removing", store.remove(&one).await)?;
    expect("what was removed", &read(platform, store, &one).await?, &None)
}

/// Something to store, as plain values.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    status: u16,
    fields: Vec<(String, String)>,
    body: Option<String>,
    note: String,
}

impl Entry {
    fn new(status: u16, body: Option<&str>, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { status, fields, body: body.map(str::to_owned), note: String::from("00ff") }
    }

    fn stored<P: Platform>(&self, platform: &P) -> Stored<P> {
        let mut headers = P::Headers::default();
        for (name, value) in &self.fields {
            headers.set(name, value);
        }
        let body = self.body.clone().map(|text| platform.text(text));
        Stored { response: Response::new(self.status, headers, body), note: self.note.clone() }
    }
}

async fn read<P: Platform>(platform: &P, store: &impl Store<P>, key: &CacheKey) -> Result<Option<Entry>, String> {
    let loaded = store.load(key).await.map_err(|error| error.to_string())?;
    let Some(Stored { response: Response { status, headers, body }, note }) = loaded else { return Ok(None) };
    let mut fields = Vec::new();
    headers.each(&mut |name, value| fields.push((name.to_ascii_lowercase(), value.to_owned())));
    let body = match body {
        None => None,
        Some(body) => Some(platform.read(body, BODY_BYTES_MAX).await.ok_or("the body broke off, or is no text")?),
    };
    Ok(Some(Entry { status, fields, body, note }))
}

fn done(what: &str, result: Result<(), super::StoreError>) -> Result<(), String> {
    result.map_err(|error| format!("{what}: {error}"))
}

/// Compares, whatever the order of fields, and without those that a platform adds by itself for a body it has.
fn expect(what: &str, seen: &Option<Entry>, wanted: &Option<Entry>) -> Result<(), String> {
    let plain = |entry: &Option<Entry>| {
        entry.clone().map(|mut entry| {
            entry.fields.retain(|(name, value)| {
                name != "content-length" && !(name == "content-type" && value.starts_with("text/plain"))
            });
            entry.fields.sort();
            // A response without a body and one with an empty body look alike on some platforms.
            entry.body = entry.body.filter(|body| !body.is_empty());
            entry
        })
    };
    if plain(seen) == plain(wanted) { Ok(()) } else { Err(format!("{what}: {seen:?} in place of {wanted:?}")) }
}

/// Long enough for every store: KV takes nothing for less than a minute.
const KEEP_FOR: Duration = Duration::from_secs(120);

/// More than any body here.
const BODY_BYTES_MAX: usize = 1 << 20;
