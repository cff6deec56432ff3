//! What users ask for, and what an answer must look like.

use clap::ValueEnum;

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Scenario {
    Health,
    Landing,
    Methodology,
    Demo,
    Search,
    Report,
    Sitemap,
}

/// What `--scenario` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    Health,
    Landing,
    Methodology,
    Demo,
    Search,
    Report,
    Sitemap,
    /// All of them in turn.
    All,
}

impl Choice {
    pub(crate) fn scenarios(self) -> &'static [Scenario] {
        match self {
            Self::Health => &[Scenario::Health],
            Self::Landing => &[Scenario::Landing],
            Self::Methodology => &[Scenario::Methodology],
            Self::Demo => &[Scenario::Demo],
            Self::Search => &[Scenario::Search],
            Self::Report => &[Scenario::Report],
            Self::Sitemap => &[Scenario::Sitemap],
            Self::All => Scenario::value_variants(),
        }
    }
}

/// What people look for: streets, an address, words of a description, and a spelling that is wrong. One of them is what
/// the replaced site was measured with.
pub(crate) const SEARCHES: [&str; 8] =
    ["market", "valencia", "1455 Market St", "mission st", "kitchen remodel", "solar", "reroofing", "valensia"];

impl Scenario {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Landing => "landing",
            Self::Methodology => "methodology",
            Self::Demo => "demo",
            Self::Search => "search",
            Self::Report => "report",
            Self::Sitemap => "sitemap",
        }
    }

    /// The path of the request with this number. `parcels` are the reports that are asked for; without one, that of the
    /// demonstration. `searches` are what is looked for; without one, [`SEARCHES`].
    pub(crate) fn path(self, number: u64, parcels: &[String], searches: &[String]) -> String {
        // Both lengths are small.
        let pick = |length: usize| usize::try_from(number % length.max(1) as u64).unwrap_or_default();
        match self {
            Self::Health => "/health".to_owned(),
            Self::Landing => "/".to_owned(),
            Self::Methodology => "/methodology".to_owned(),
            Self::Demo => "/demo".to_owned(),
            Self::Search => {
                let search = searches.get(pick(searches.len())).map(String::as_str);
                let search = search.unwrap_or_else(|| SEARCHES[pick(SEARCHES.len())]);
                format!("/search?q={}", encoded(search))
            }
            Self::Report => format!("/report/{}", parcels.get(pick(parcels.len())).map_or(PARCEL, String::as_str)),
            Self::Sitemap => "/sitemap.xml".to_owned(),
        }
    }

    /// How a whole answer ends. The replaced site answered with pages that apologised, and with half pages; a status
    /// alone does not tell.
    pub(crate) const fn end(self) -> &'static [u8] {
        match self {
            Self::Health => b"}",
            Self::Sitemap => b"</sitemapindex>",
            Self::Landing | Self::Methodology | Self::Demo | Self::Search | Self::Report => b"</html>",
        }
    }
}

/// A value as a form sends it in an address.
pub(crate) fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// The parcel of the demonstration.
const PARCEL: &str = "3507/004";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_take_turns() {
        let parcels = ["1/2".to_owned(), "3/4".to_owned()];
        assert_eq!(Scenario::Report.path(0, &parcels, &[]), "/report/1/2");
        assert_eq!(Scenario::Report.path(3, &parcels, &[]), "/report/3/4");
        assert_eq!(Scenario::Report.path(7, &[], &[]), "/report/3507/004");
        assert_eq!(Scenario::Search.path(2, &[], &[]), "/search?q=1455+Market+St");
        assert_eq!(Scenario::Search.path(8, &[], &[]), Scenario::Search.path(0, &[], &[]));
        let searches = ["Geary & 3rd".to_owned(), "a/b".to_owned()];
        assert_eq!(Scenario::Search.path(2, &[], &searches), "/search?q=Geary+%26+3rd");
        assert_eq!(Scenario::Search.path(3, &[], &searches), "/search?q=a%2Fb");
    }

    #[test]
    fn all_is_every_scenario() {
        assert_eq!(Choice::All.scenarios().len(), 7);
        assert_eq!(Choice::Search.scenarios(), [Scenario::Search]);
    }
}
