//! The bytes of a document, and what they come down to.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;

use crate::http::cache::{digest, entity_tag};

/// A text with its entity tag, compressed when that is first asked for.
#[derive(Debug)]
pub(crate) struct Page {
    text: Bytes,
    entity_tag: HeaderValue,
    gzip: OnceLock<Bytes>,
    brotli: OnceLock<Bytes>,
}

/// How an answer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// Once for each version of a document, so better than at its quickest: 5 of 11, where each step more takes twice as long.
const BROTLI_QUALITY: u32 = 5;
/// The window of a Brotli stream, in bits: 256 KiB, as much as the longest kept document.
const BROTLI_WINDOW: u32 = 18;
/// Bytes that the encoder takes at a time.
const BUFFER_BYTES: usize = 4096;

impl Page {
    pub(crate) fn new(text: impl Into<Bytes>) -> Arc<Self> {
        let text = text.into();
        let entity_tag = entity_tag(&digest(&text));
        Arc::new(Self { text, entity_tag, gzip: OnceLock::new(), brotli: OnceLock::new() })
    }

    pub(crate) fn text(&self) -> &Bytes {
        &self.text
    }

    pub(crate) fn entity_tag(&self) -> &HeaderValue {
        &self.entity_tag
    }

    /// The text in this coding. The first who asks compresses it, and others wait for that.
    pub(crate) fn coded(&self, coding: Coding) -> &Bytes {
        match coding {
            Coding::Brotli => self.brotli.get_or_init(|| {
                let mut coder = brotli::CompressorWriter::new(Vec::new(), BUFFER_BYTES, BROTLI_QUALITY, BROTLI_WINDOW);
                // Writing into memory does not fail.
                let _ = coder.write_all(&self.text);
                coder.into_inner().into()
            }),
            Coding::Gzip => self.gzip.get_or_init(|| {
                let mut coder = GzEncoder::new(Vec::new(), Compression::default());
                // Writing into memory does not fail.
                let _ = coder.write_all(&self.text);
                coder.finish().unwrap_or_default().into()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_was_compressed_reads_as_it_was() {
        let text = "A page of the city's permits. ".repeat(1_000);
        let page = Page::new(text.clone());
        for coding in [Coding::Brotli, Coding::Gzip] {
            let coded = page.coded(coding);
            assert!(coded.len() < text.len() / 10, "{}", coding.as_str());
            let mut read = String::new();
            match coding {
                Coding::Brotli => brotli::Decompressor::new(&coded[..], BUFFER_BYTES).read_to_string(&mut read),
                Coding::Gzip => flate2::read::GzDecoder::new(&coded[..]).read_to_string(&mut read),
            }
            .unwrap();
            assert_eq!(read, text);
        }
        assert_eq!(page.entity_tag(), Page::new(text).entity_tag());
    }
}
