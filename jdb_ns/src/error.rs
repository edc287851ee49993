//! Errors of a database: each names the act, the place, what was expected and what was found.
//!
//! A codec knows what is wrong with some bytes and where in them: a [`Fault`]. The layer that knows the file makes an
//! [`Error`] of it with [`Fault::at`].

mod from;

use jdb_base::SeqNo;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk refused an operation; a held lock is [`Error::Locked`] instead.
    #[error(transparent)]
    Io(jdb_io::Error),
    /// Bytes on disk are not what was written there.
    #[error("{path}: {what} at byte {offset}: expected {expected:#x}, found {found:#x}", path = path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The field or rule that does not hold.
        what: &'static str,
        /// Where in the file, in bytes.
        offset: u64,
        /// What should stand there.
        expected: u64,
        /// What stands there.
        found: u64,
    },
    /// The file was written by a later version, or with a feature that this one does not know.
    #[error("{path}: {what} {found:#x} is not supported by this version", path = path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// `version`, `incompatible feature`, `field`, ..
        what: &'static str,
        /// Its number or bits.
        found: u64,
    },
    /// The directory holds something, but no database.
    #[error("{path}: not a database", path = path.display())]
    NotADatabase {
        /// The file that should be a superblock, or the directory.
        path: PathBuf,
    },
    /// A file that must be there is not.
    #[error("{path}: {what} is missing", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Its part: `manifest`, `table`, ..
        what: &'static str,
    },
    /// A change was asked of a database that is open for reading only.
    #[error("the database is open for reading only")]
    ReadOnly,
    /// The database was closed.
    #[error("the database is closed")]
    Closed,
    /// Writing stopped after an error that leaves doubt about what is durable; reads go on.
    #[error("{path}: writes stopped until reopen after: {why}", path = path.display())]
    Poisoned {
        /// The file or directory whose state is in doubt.
        path: PathBuf,
        /// The first error, as text.
        why: Arc<str>,
    },
    /// The disk, or the quota, is full: puts are refused, reads and deletes go on.
    #[error("{path}: no space left", path = path.display())]
    NoSpace {
        /// The file that should have grown, or the database's directory.
        path: PathBuf,
    },
    /// Something is longer than allowed.
    #[error("{what} of {len} is over the limit of {max}")]
    TooLarge {
        /// `key`, `value`, `batch`, ..
        what: &'static str,
        /// Its length in bytes, or its count.
        len: u64,
        /// The limit, in the same unit.
        max: u64,
    },
    /// A write that was to happen only if a key is in a certain state found it in another.
    #[error("the key is not what the write expects: {found}", found = found_text(*found))]
    Conflict {
        /// Sequence of the change that the key has; `None` when the key is absent.
        found: Option<SeqNo>,
    },
    /// A namespace is to be renamed that is not there.
    #[error("no namespace is named {name}")]
    NoName {
        /// The name, escaped.
        name: String,
    },
    /// A namespace was to get a name that another one has.
    #[error("another namespace is named {name}")]
    NameTaken {
        /// The name, escaped.
        name: String,
    },
    /// A put would make a namespace larger than its handle allows.
    #[error("namespace {ns}: {more} bytes more would be too many: {used} of {limit} are in use")]
    Quota {
        /// The namespace.
        ns: jdb_base::NsId,
        /// Bytes of keys and values that it holds.
        used: u64,
        /// By how much the put would have it grow.
        more: u64,
        /// The most that it may hold.
        limit: u64,
    },
    /// A conditional write was overtaken between its read and its commit: nothing was written, read again.
    #[error("the key was changed meanwhile")]
    Stale,
    /// An argument makes no sense.
    #[error("invalid argument: {what}")]
    InvalidArgument {
        /// Which one, and why.
        what: &'static str,
    },
    /// A directory for something new holds something already.
    #[error("{path}: the directory is not empty", path = path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// Another process, or another handle of this one, has the database open.
    #[error("{path}: another process has this database open", path = path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
}

fn found_text(found: Option<SeqNo>) -> String {
    found.map_or_else(|| "it is absent".to_owned(), |seq| format!("it was changed at sequence {}", seq.get()))
}

impl Error {
    /// The disk or the quota is full.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::Io(error) => error.is_no_space(),
            Self::NoSpace { .. } => true,
            _ => false,
        }
    }

    /// A file or directory does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Io(error) => error.is_not_found(),
            Self::Missing { .. } => true,
            _ => false,
        }
    }
}

impl From<jdb_io::Error> for Error {
    fn from(error: jdb_io::Error) -> Self {
        match error {
            jdb_io::Error::Locked { path } => Self::Locked { path },
            error => Self::Io(error),
        }
    }
}

/// What a codec found wrong with bytes whose file it does not know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes are not what was written.
    #[error("{what} at byte {offset}: expected {expected:#x}, found {found:#x}")]
    Corrupt {
        /// The field or rule that does not hold.
        what: &'static str,
        /// Where in the bytes given.
        offset: u64,
        /// What should stand there.
        expected: u64,
        /// What stands there.
        found: u64,
    },
    /// A later version, or a feature that this one does not know.
    #[error("{what} {found:#x} is not supported by this version")]
    Unsupported {
        /// `version`, `incompatible feature`, `field`, ..
        what: &'static str,
        /// Its number or bits.
        found: u64,
    },
    /// The bytes do not begin like a file of this kind.
    #[error("not a database")]
    NotADatabase,
}

impl Fault {
    /// The same fault where the bytes begin at `base` of longer ones.
    #[must_use]
    pub const fn shifted(self, base: u64) -> Self {
        match self {
            Self::Corrupt { what, offset, expected, found } => {
                Self::Corrupt { what, offset: offset.saturating_add(base), expected, found }
            }
            other => other,
        }
    }

    /// The error of these bytes in the file `path`, where they begin at `base`.
    #[must_use]
    pub fn at(self, path: &Path, base: u64) -> Error {
        let path = path.to_owned();
        match self.shifted(base) {
            Self::Corrupt { what, offset, expected, found } => {
                Error::Corrupt { path, what, offset, expected, found }
            }
            Self::Unsupported { what, found } => Error::Unsupported { path, what, found },
            Self::NotADatabase => Error::NotADatabase { path },
        }
    }
}
