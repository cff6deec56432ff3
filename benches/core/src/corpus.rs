//! The exchanges of `corpus.txt`.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::header::{HeaderName, HeaderValue};

/// A request, its response, and when the same request comes again.
pub struct Exchange {
    /// The request, with its whole URL.
    pub request: http::Request<()>,
    /// Whom the request is for; most hosts have it from `Host`.
    pub host: String,
    /// The response.
    pub response: http::Response<()>,
    /// How long after the response the request comes again.
    pub again_after: Duration,
}

/// Reads the exchanges that are kept beside this package.
///
/// # Errors
/// When a line of the file is none of its four kinds, named by its number.
pub fn read() -> Result<Vec<Exchange>> {
    let mut exchanges = Vec::new();
    let mut request = http::Request::new(());
    let mut response: Option<http::Response<()>> = None;
    for (number, line) in (1..).zip(TEXT.lines().map(str::trim)) {
        let mut read = || -> Result<()> {
            if line.is_empty() || line.starts_with('#') {
                return Ok(());
            }
            if let Some(start) = line.strip_prefix("> ") {
                let (method, uri) = start.split_once(' ').context("a request needs a method and a URL")?;
                request = http::Request::builder().method(method).uri(uri).body(())?;
            } else if let Some(status) = line.strip_prefix("< ") {
                response = Some(http::Response::builder().status(status).body(())?);
            } else if let Some(seconds) = line.strip_prefix("= ") {
                let request = std::mem::take(&mut request);
                exchanges.push(Exchange {
                    host: request.uri().host().context("a request needs a whole URL")?.to_owned(),
                    request,
                    response: response.take().context("there is no response before this line")?,
                    again_after: Duration::from_secs(seconds.parse()?),
                });
            } else {
                let Some((name, value)) = line.split_once(": ") else { bail!("a field is a name, `: ` and a value") };
                let fields = response.as_mut().map_or_else(|| request.headers_mut(), |response| response.headers_mut());
                fields.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
            }
            Ok(())
        };
        read().with_context(|| format!("corpus.txt, line {number}: {line:?}"))?;
    }
    ensure!(exchanges.len() >= EXCHANGES_MIN, "corpus.txt has only {} exchanges", exchanges.len());
    Ok(exchanges)
}

const TEXT: &str = include_str!("../corpus.txt");

/// Fewer would say little about sites in general.
const EXCHANGES_MIN: usize = 30;
