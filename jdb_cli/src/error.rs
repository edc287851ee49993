//! What can go wrong in the program.

use std::io;
use std::path::{Path, PathBuf};

/// Result of the program's acts.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an act of the program failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// From the database.
    #[error(transparent)]
    Database(#[from] jdb::Error),
    /// From one of the user's files or a process.
    #[error("{op} {path}")]
    Io {
        /// The act.
        op: &'static str,
        /// The file or program.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// No runtime could be made.
    #[error("start the runtime")]
    Runtime {
        /// The system's word.
        source: io::Error,
    },
    /// The child process did something else than import until it was killed.
    #[error("the importing process {0}")]
    Child(String),
    /// The database does not hold what it must hold.
    #[error("check failed: {0}")]
    Check(String),
    /// There is nothing to import.
    #[error("no files to import in the cargo registry, nor below {0}")]
    NoFiles(PathBuf),
}

impl Error {
    /// Names the act and the file of a system's error.
    pub(crate) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { op, path, source }
    }

    /// Whether a file of a database is damaged.
    pub(crate) fn is_corruption(&self) -> bool {
        matches!(self, Self::Database(error) if error.kind() == jdb::ErrorKind::Corrupt)
    }
}
