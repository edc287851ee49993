//! Errors: a codec knows what and where in its bytes ([`Damage`]), the layer that knows the file adds its path ([`Error`]).

use jdb_base::SeqNo;
use std::path::{Path, PathBuf};

/// What went wrong with a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes on disk are not what was written.
    #[error("{path}: {what} at byte {offset}: expected {expected:#x}, found {found:#x}")]
    Corrupt {
        /// The table.
        path: PathBuf,
        /// The field or the part.
        what: &'static str,
        /// Its offset in the file.
        offset: u64,
        /// What it should be; for a length its limit.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// The table uses something that only a later version knows.
    #[error("{path}: {what} {found:#x} at byte {offset} is of a later version")]
    Unsupported {
        /// The table.
        path: PathBuf,
        /// The field.
        what: &'static str,
        /// Its offset in the file.
        offset: u64,
        /// Its value.
        found: u64,
    },
    /// An entry was appended that does not lie above the one before: by key ascending, then by sequence descending.
    #[error("{path}: entry {index} ({seq}) does not lie above the entry before it ({before})")]
    OutOfOrder {
        /// The table; empty for a table in memory.
        path: PathBuf,
        /// Number of the refused entry, counted from 0.
        index: u64,
        /// Its sequence.
        seq: SeqNo,
        /// Sequence of the entry before it.
        before: SeqNo,
    },
    /// A key, a value or a sequence number is over its limit.
    #[error("{what} {found} is over the limit of {max}")]
    TooLarge {
        /// `key length`, `value length` or `sequence`.
        what: &'static str,
        /// What was given.
        found: u64,
        /// The limit.
        max: u64,
    },
    /// A writer's option is outside its range.
    #[error("option {what}: {found} is not within {min}..={max}")]
    Option {
        /// The option.
        what: &'static str,
        /// What was given.
        found: u64,
        /// The least.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// The writer was used again after a write had failed or had been given up in the middle.
    #[error("{path}: an earlier write of this table failed")]
    Failed {
        /// The table.
        path: PathBuf,
    },
    /// The cursor lost its place in an error, or in a step that was given up; it needs a seek.
    #[error("{path}: the cursor lost its place in an earlier error")]
    Lost {
        /// The table.
        path: PathBuf,
    },
    /// The disk refused an operation.
    #[error(transparent)]
    Io(#[from] jdb_io::Error),
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a codec found wrong in bytes; offsets count from the start of those bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The bytes are not what was written.
    #[error("{what} at byte {offset}: expected {expected:#x}, found {found:#x}")]
    Corrupt {
        /// The field or the part.
        what: &'static str,
        /// Its offset.
        offset: u64,
        /// What it should be; for a length its limit.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// The bytes use something that only a later version knows.
    #[error("{what} {found:#x} at byte {offset} is of a later version")]
    Unsupported {
        /// The field.
        what: &'static str,
        /// Its offset.
        offset: u64,
        /// Its value.
        found: u64,
    },
}

impl Damage {
    #[cold]
    pub(crate) fn corrupt(what: &'static str, offset: usize, expected: u64, found: u64) -> Self {
        Self::Corrupt { what, offset: offset as u64, expected, found }
    }

    #[cold]
    pub(crate) fn unsupported(what: &'static str, offset: usize, found: u64) -> Self {
        Self::Unsupported { what, offset: offset as u64, found }
    }

    /// The same damage, when the bytes begin at `start` of something larger.
    #[must_use]
    pub fn after(self, start: u64) -> Self {
        match self {
            Self::Corrupt { what, offset, expected, found } => {
                Self::Corrupt { what, offset: offset.saturating_add(start), expected, found }
            }
            Self::Unsupported { what, offset, found } => {
                Self::Unsupported { what, offset: offset.saturating_add(start), found }
            }
        }
    }

    /// The error for damage in the file at `path`.
    #[must_use]
    pub fn of(self, path: &Path) -> Error {
        let path = path.to_owned();
        match self {
            Self::Corrupt { what, offset, expected, found } => {
                Error::Corrupt { path, what, offset, expected, found }
            }
            Self::Unsupported { what, offset, found } => Error::Unsupported { path, what, offset, found },
        }
    }
}
