//! Whose calls go first when not all can.

/// How much a call matters. The order is that of shedding: what is less goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Priority {
    /// Work that someone will do again, or that nobody waits for: crawling, prefetching, reports.
    Sheddable,
    /// What visitors ask for.
    #[default]
    Normal,
    /// What must go on while pages fail: signing in, payments.
    Critical,
    /// Never held back: health checks and administration, whose loss would make an overload an outage.
    Always,
}

impl Priority {
    /// All of them, from the first to go.
    pub const ALL: [Self; 4] = [Self::Sheddable, Self::Normal, Self::Critical, Self::Always];

    /// The word for it in policy.toml, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sheddable => "sheddable",
            Self::Normal => "normal",
            Self::Critical => "critical",
            Self::Always => "always",
        }
    }
}
