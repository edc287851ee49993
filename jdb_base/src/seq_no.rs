//! Sequence number: the order of changes inside one shard.

use std::fmt;

/// Position of a change in its shard's commit order; larger is newer, and no number is ever given out twice.
///
/// [`SeqNo::ZERO`] is older than every change; [`SeqNo::MAX`] is newer than every change and is never given out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct SeqNo(u64);

impl SeqNo {
    /// Older than every change.
    pub const ZERO: Self = Self(0);
    /// Newer than every change: a read at `MAX` sees everything.
    pub const MAX: Self = Self(u64::MAX);

    /// The sequence number with this value.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Its value.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number `n` above this one, at most [`SeqNo::MAX`].
    #[must_use]
    pub const fn plus(self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }
}

impl fmt::Display for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
