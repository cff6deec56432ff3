//! What a status word means: whether something is still going on.
//!
//! The city writes one status in several ways ("Active", "active", "not active"), so the whole word decides and
//! never a part of it.

/// Whether a complaint or a notice of violation still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Work is still owed.
    Active,
    /// Settled.
    NotActive,
    /// The city gave no status, or a word we do not know; shown as it came and counted as neither.
    Unknown,
}

impl Standing {
    /// Reads the status of a complaint or a notice of violation.
    #[must_use]
    pub fn of(status: Option<&str>) -> Self {
        match normal(status).as_str() {
            "active" | "open" => Self::Active,
            "not active" | "inactive" | "closed" | "abated" => Self::NotActive,
            _ => Self::Unknown,
        }
    }
}

/// Where a permit is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Applied for; the city is looking at it.
    Review,
    /// Granted; work may go on.
    Issued,
    /// The work is finished.
    Complete,
    /// It ended without being finished.
    Ended,
    /// The city gave no status, or a word we do not know.
    Unknown,
}

impl Stage {
    /// Reads the status of a permit.
    #[must_use]
    pub fn of(status: Option<&str>) -> Self {
        match normal(status).as_str() {
            "filed" | "filing" | "plancheck" | "triage" | "approved" | "appeal" | "upheld" | "suspend" => Self::Review,
            "issued" | "issuing" | "reinstated" | "incomplete" => Self::Issued,
            "complete" => Self::Complete,
            "withdrawn" | "cancelled" | "expired" | "revoked" | "denied" | "disapproved" => Self::Ended,
            _ => Self::Unknown,
        }
    }

    /// The stage as a class of the style sheet.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Issued => "issued",
            Self::Complete => "complete",
            Self::Ended => "ended",
            Self::Unknown => "unknown",
        }
    }
}

fn normal(status: Option<&str>) -> String {
    status.unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_active_is_not_active() {
        for (status, expected) in [
            (Some("active"), Standing::Active),
            (Some("Active"), Standing::Active),
            (Some(" ACTIVE "), Standing::Active),
            (Some("open"), Standing::Active),
            (Some("not active"), Standing::NotActive),
            (Some("Not Active"), Standing::NotActive),
            (Some("closed"), Standing::NotActive),
            (Some("actively ignored"), Standing::Unknown),
            (Some(""), Standing::Unknown),
            (None, Standing::Unknown),
        ] {
            assert_eq!(Standing::of(status), expected, "{status:?}");
        }
    }

    #[test]
    fn every_permit_status_of_the_city_has_a_stage() {
        for (status, expected) in [
            ("filed", Stage::Review),
            ("filing", Stage::Review),
            ("plancheck", Stage::Review),
            ("approved", Stage::Review),
            ("appeal", Stage::Review),
            ("suspend", Stage::Review),
            ("Issued", Stage::Issued),
            ("reinstated", Stage::Issued),
            ("complete", Stage::Complete),
            ("withdrawn", Stage::Ended),
            ("cancelled", Stage::Ended),
            ("expired", Stage::Ended),
            ("disapproved", Stage::Ended),
            ("denied", Stage::Ended),
            ("revoked", Stage::Ended),
        ] {
            assert_eq!(Stage::of(Some(status)), expected, "{status}");
        }
        assert_eq!(Stage::of(None), Stage::Unknown);
    }
}
