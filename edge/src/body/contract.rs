//! What every [`Body`] must do, as a test that runs against each: the fake one natively, the others in the runtime that
//! has them.

use alloc::{format, string::String};

use super::Body;
use crate::Platform;

/// Runs it on bodies that `make` makes of a text: those that are in memory, and streams.
///
/// # Errors
/// With the first thing that is not as it must be.
pub async fn check<P: Platform>(platform: &P, make: impl Fn(&str) -> P::Body) -> Result<(), String> {
    let long = "0123456789abcdef".repeat(4096);
    for text in ["", "a", "zażółć gęślą jaźń", &long] {
        expect(platform, "a body", make(text), text).await?;
        let (one, other) = make(text).tee();
        expect(platform, "one of two", one, text).await?;
        expect(platform, "the other of two", other, text).await?;
        expect(
            platform,
            "all of it",
            make(text).slice(0, text.len() as u64).map_err(|_| "all of it is not cut")?,
            text,
        )
        .await?;
        for rest in ["", "b", &long] {
            expect(platform, "two joined", make(text).join(make(rest)), &[text, rest].concat()).await?;
        }
    }
    for (first, length) in [(0, 1), (16, 16), (65_535, 1), (1, 65_535), (40_000, 20_000)] {
        let part = make(&long).slice(first, length).map_err(|_| "a part is not cut")?;
        let wanted = &long[first as usize..(first + length) as usize];
        expect(platform, "a part", part, wanted).await?;
        let (one, _) = make(&long).tee();
        let joined = one.slice(first, length).map_err(|_| "a part of one of two is not cut")?.join(make("end"));
        expect(platform, "a part, joined", joined, &[wanted, "end"].concat()).await?;
    }
    let short = match make("0123").slice(2, 3) {
        Ok(part) => platform.read(part, BYTES_MAX).await,
        Err(whole) => return expect(platform, "what could not be cut", whole, "0123").await,
    };
    if short.is_some() { Err(format!("a part that is not there: {short:?}")) } else { Ok(()) }?;
    match platform.read(make("0123"), 3).await {
        Some(text) => Err(format!("more than the most: {text}")),
        None => Ok(()),
    }
}

async fn expect<P: Platform>(platform: &P, what: &str, body: P::Body, wanted: &str) -> Result<(), String> {
    match platform.read(body, BYTES_MAX).await {
        Some(text) if text == wanted => Ok(()),
        Some(text) => Err(format!("{what}: {} bytes in place of {}", text.len(), wanted.len())),
        None => Err(format!("{what}: it broke off, of {} bytes", wanted.len())),
    }
}

/// More than any body here.
const BYTES_MAX: usize = 1 << 20;
