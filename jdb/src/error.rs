//! Errors as a user sees them: a kind that says what to do, a message that says what happened and where.

use std::path::Path;

/// What went wrong. [`Error::kind`] tells what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}", message = .0.chain())]
pub struct Error(Box<jdb_ns::Error>);

/// Result of a database.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of error it is, and so what to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Bytes on disk are not what was written: restore the file, or open with [`Recovery`](crate::Recovery) that goes on.
    Corrupt,
    /// A file of the database is missing: restore it. Or a name that was to be changed is.
    NotFound,
    /// The operating system refused an operation.
    Io,
    /// The disk is full: make room; puts are refused until then, reads and deletes are not.
    NoSpace,
    /// Another process has the database open.
    Locked,
    /// The database was closed.
    Closed,
    /// The database was opened for reading only.
    ReadOnly,
    /// Writing stopped after an error that left doubt about what is durable: open the database again.
    Stopped,
    /// A key, value or batch is over its limit.
    TooLarge,
    /// A conditional write found its key in another state: read it again and decide anew. Or a name is taken.
    Conflict,
    /// A put would make its namespace larger than its handle allows: delete something, or take a handle that allows more.
    Quota,
    /// A later version wrote the file.
    Unsupported,
    /// An argument or option makes no sense.
    InvalidArgument,
    /// The directory holds something else.
    NotADatabase,
}

impl Error {
    /// What sort of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        use jdb_ns::Error as E;
        match &*self.0 {
            E::Corrupt { .. } => ErrorKind::Corrupt,
            E::Missing { .. } | E::NoName { .. } => ErrorKind::NotFound,
            E::NoSpace { .. } => ErrorKind::NoSpace,
            E::Io(error) if error.is_no_space() => ErrorKind::NoSpace,
            E::Locked { .. } => ErrorKind::Locked,
            E::Closed => ErrorKind::Closed,
            E::ReadOnly => ErrorKind::ReadOnly,
            E::Poisoned { .. } => ErrorKind::Stopped,
            E::TooLarge { .. } => ErrorKind::TooLarge,
            E::Conflict { .. } | E::NameTaken { .. } | E::Stale => ErrorKind::Conflict,
            E::Quota { .. } => ErrorKind::Quota,
            E::Unsupported { .. } => ErrorKind::Unsupported,
            E::InvalidArgument { .. } | E::NotEmpty { .. } => ErrorKind::InvalidArgument,
            E::NotADatabase { .. } => ErrorKind::NotADatabase,
            _ => ErrorKind::Io,
        }
    }

    /// Whether the same call may succeed later without any other change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), ErrorKind::NoSpace | ErrorKind::Locked | ErrorKind::Io)
    }

    /// The file or directory it is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.path()
    }

    /// Where in the file, in bytes, for damage.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        match &*self.0 {
            jdb_ns::Error::Corrupt { offset, .. } => Some(*offset),
            _ => None,
        }
    }
}

impl From<jdb_ns::Error> for Error {
    fn from(error: jdb_ns::Error) -> Self {
        Self(Box::new(error))
    }
}
