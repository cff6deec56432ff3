//! Where visitors find the site: the address of its pages, and that of its files.
//!
//! Pages are rendered in many places, error pages outside of any handler, and the two addresses never change while the
//! process runs. So they are set once, before the first page; without that, as in tests of single pages, there is no
//! canonical address and files are beside the pages.

use std::sync::OnceLock;

use crate::assets;
use crate::config::Config;

static PLACE: OnceLock<Place> = OnceLock::new();

#[derive(Debug)]
struct Place {
    base_url: String,
    static_base_url: String,
}

/// Sets both addresses; a second call in one process changes nothing.
pub(crate) fn settle(config: &Config) {
    let base_url = config.accounts.base_url.clone();
    let static_base_url = config.site.static_base_url.clone().unwrap_or_default();
    let _ = PLACE.set(Place { base_url, static_base_url });
}

/// `BASE_URL`, or nothing before it is set.
pub(crate) fn base_url() -> &'static str {
    PLACE.get().map_or("", |place| &place.base_url)
}

/// `STATIC_BASE_URL`, or nothing: files are beside the pages.
pub(crate) fn static_base_url() -> &'static str {
    PLACE.get().map_or("", |place| &place.static_base_url)
}

/// The address of one of our files.
pub(super) fn asset(name: &str) -> String {
    format!("{}{}", static_base_url(), assets::href(name))
}
