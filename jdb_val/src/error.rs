//! Errors of the value log: each names file and offset.

use std::path::{Path, PathBuf};

/// What went wrong, where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An I/O operation failed.
    #[error(transparent)]
    Io(#[from] jdb_io::Error),
    /// Bytes are not what was written, and were proven to have been written.
    #[error("{path}: {what} at byte {offset}: expected {expected:#x}, found {found:#x}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// Where, in bytes.
        offset: u64,
        /// The number that had to be there.
        expected: u64,
        /// The number that is there.
        found: u64,
    },
    /// A segment that must exist is not in the directory.
    #[error("{path}: {what} is missing")]
    Missing {
        /// The file.
        path: PathBuf,
        /// What it is needed for.
        what: &'static str,
    },
    /// Whole bytes of a later version.
    #[error("{path}: {what} {found:#x} at byte {offset} is not supported by this version")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field.
        what: &'static str,
        /// Where, in bytes.
        offset: u64,
        /// Its value.
        found: u64,
    },
    /// An argument is over its limit.
    #[error("{what} of {len} is over the limit of {max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// A new segment needs a number above every one before it, and below [`u32::MAX`], which is left to nobody.
    #[error("{path}: no number for a new segment: {number} was offered, {newest} is in use")]
    NoNumber {
        /// Directory of the log.
        path: PathBuf,
        /// The number that was offered.
        number: u32,
        /// The largest number known to be in use.
        newest: u32,
    },
    /// The log was opened for reading only.
    #[error("{path}: the log is open for reading only")]
    ReadOnly {
        /// Directory of the log.
        path: PathBuf,
    },
    /// A sync failed before: what is durable is unknown, nothing is written until the log is opened again.
    #[error("{path}: an earlier sync failed; the log must be opened again")]
    Poisoned {
        /// Directory of the log.
        path: PathBuf,
    },
}

/// Result of the value log.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The file or directory; `None` for an argument.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io(error) => Some(error.path()),
            Self::Corrupt { path, .. }
            | Self::Missing { path, .. }
            | Self::Unsupported { path, .. }
            | Self::NoNumber { path, .. }
            | Self::ReadOnly { path }
            | Self::Poisoned { path } => Some(path),
            Self::TooLarge { .. } => None,
        }
    }

    /// Whether what was written is damaged or missing.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Missing { .. })
    }

    /// Whether the disk is full.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::Io(error) if error.is_no_space())
    }
}

/// What a codec found wrong: it knows the offset, the caller adds the path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Bytes that do not verify.
    Corrupt {
        /// What was looked for.
        what: &'static str,
        /// Where, in bytes.
        offset: u64,
        /// The number that had to be there.
        expected: u64,
        /// The number that is there.
        found: u64,
    },
    /// Bytes that verify and are of a later version.
    Unsupported {
        /// The field.
        what: &'static str,
        /// Where, in bytes.
        offset: u64,
        /// Its value.
        found: u64,
    },
}

impl Fault {
    /// The error of the file at `path`.
    #[must_use]
    pub fn in_file(self, path: &Path) -> Error {
        let path = path.to_owned();
        match self {
            Self::Corrupt { what, offset, expected, found } => {
                Error::Corrupt { path, what, offset, expected, found }
            }
            Self::Unsupported { what, offset, found } => Error::Unsupported { path, what, offset, found },
        }
    }
}
