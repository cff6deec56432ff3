//! Settings that are checked once, and how one that is out of its range is reported.

use core::fmt;

/// A setting out of its range. The text says the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The name of the setting.
    pub setting: &'static str,
    /// What it may be.
    pub expected: &'static str,
}

impl ConfigError {
    /// The settings, or the first of the `checks` that does not fit.
    pub(crate) fn first<S, const N: usize>(
        settings: S,
        checks: [(&'static str, &'static str, bool); N],
    ) -> Result<S, Self> {
        match checks.into_iter().find(|(.., fits)| !fits) {
            None => Ok(settings),
            Some((setting, expected, _)) => Err(Self { setting, expected }),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.setting, self.expected)
    }
}

impl core::error::Error for ConfigError {}

/// Makes `$config`, which holds checked `$settings`, readable as them and nothing more: only its `new` makes a changed
/// set.
macro_rules! checked {
    ($config:ident, $settings:ident) => {
        impl core::ops::Deref for $config {
            type Target = $settings;

            fn deref(&self) -> &$settings {
                &self.0
            }
        }

        impl TryFrom<$settings> for $config {
            type Error = ConfigError;

            fn try_from(settings: $settings) -> Result<Self, ConfigError> {
                Self::new(settings)
            }
        }

        impl From<$config> for $settings {
            fn from(config: $config) -> Self {
                config.0
            }
        }
    };
}

pub(crate) use checked;
