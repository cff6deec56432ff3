//! The fields of a response that decide whether it is stored, read in one pass.

use crate::headers::{Fields, Names, Values};

use super::{
    freshness::TARGETED,
    groups::{GROUPS_FIELD, TAG_FIELD},
    search::SEARCH_FIELD,
};

macro_rules! response_fields {
    ($($field:ident: $name:expr,)*) => {
        const RESPONSE_FIELDS_COUNT: usize = [$($name),*].len();

        /// Their names.
        pub(super) static RESPONSE_FIELDS: Names<RESPONSE_FIELDS_COUNT> = Names::new([$($name),*]);

        /// Their places among the names.
        #[expect(non_camel_case_types, reason = "each is called as the method that reads it")]
        enum Place {
            $($field,)*
        }

        impl ResponseFields<'_> {
            $(pub(super) fn $field(&self) -> Option<&[u8]> {
                self.0.at(Place::$field as usize)
            })*
        }
    };
}

/// What a response says in them.
#[derive(Clone, Debug)]
pub(super) struct ResponseFields<'a>(Values<'a, RESPONSE_FIELDS_COUNT>);

impl<'a> ResponseFields<'a> {
    /// Reads them all.
    pub(super) fn read(response: &'a impl Fields) -> Self {
        Self(response.fields(&RESPONSE_FIELDS))
    }
}

response_fields! {
    own_cache_control: TARGETED[0],
    cdn_cache_control: TARGETED[1],
    surrogate_control: TARGETED[2],
    age: "age",
    cache_groups: GROUPS_FIELD,
    cache_tag: TAG_FIELD,
    cache_control: "cache-control",
    content_encoding: "content-encoding",
    content_length: "content-length",
    content_range: "content-range",
    date: "date",
    etag: "etag",
    expires: "expires",
    last_modified: "last-modified",
    location: "location",
    no_vary_search: SEARCH_FIELD,
    set_cookie: "set-cookie",
    vary: "vary",
}
