//! Errors of the I/O layer: each names the operation and the path.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong, where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system (or the simulated disk) refused an operation.
    #[error("{op} {path}")]
    Io {
        /// The operation: `read`, `write`, `sync`, `open`, ..
        op: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process, or another handle of this one, holds the lock file.
    #[error("lock {path}: another process has this database open")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
}

/// Result of the I/O layer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Io`].
    #[must_use]
    pub fn io(op: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { op, path: path.to_owned(), source }
    }

    /// The system's kind of error; `None` for a held lock.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            Self::Locked { .. } => None,
        }
    }

    /// The file or directory does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.io_kind() == Some(io::ErrorKind::NotFound)
    }

    /// The disk or the quota is full, or the file size limit is reached.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self.io_kind(), Some(StorageFull | QuotaExceeded | FileTooLarge))
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. } | Self::Locked { path } => path,
        }
    }
}
