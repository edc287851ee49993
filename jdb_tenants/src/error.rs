//! What can go wrong while measuring.

use std::io;
use std::path::{Path, PathBuf};

/// Result of a measurement.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a measurement ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// From jdb.
    #[error(transparent)]
    Database(#[from] jdb::Error),
    /// From another store.
    #[error(transparent)]
    Store(Box<dyn std::error::Error + Send + Sync>),
    /// From a file, a directory or a process.
    #[error("{op} {path}")]
    Io {
        /// The act.
        op: &'static str,
        /// The file, directory or program.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A store does not hold what was put into it.
    #[error("namespace {ns}: expected {expected}, found {found}")]
    Wrong {
        /// Where.
        ns: u64,
        /// What must be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The process of a step did something else than tell its figures.
    #[error("the process of step {step} {what}")]
    Child {
        /// The step.
        step: &'static str,
        /// What it did.
        what: String,
    },
    /// The system cannot do what the measurement needs.
    #[error("{0}")]
    Unsupported(&'static str),
}

impl Error {
    /// Names the act and the place of a system's error.
    pub(crate) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { op, path, source }
    }

    /// An error of a store that is not jdb.
    pub fn store(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Store(Box::new(error))
    }
}
