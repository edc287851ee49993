//! A broken promise.

use std::fmt;

/// What promise was broken, in words that name namespace, key, sequence or file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation(pub String);

/// Result of a check.
pub type Check<T = ()> = Result<T, Violation>;

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

impl Violation {
    /// The same, with where or when it was seen in front.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

/// Returns a [`Violation`] with a formatted message.
#[macro_export]
macro_rules! broken {
    ($($arg:tt)*) => { return Err($crate::violation::Violation(format!($($arg)*))) };
}
