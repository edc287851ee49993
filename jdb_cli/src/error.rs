//! What can go wrong in the program: one line that says what happened, where, and what to do; and the exit code.

use crate::interrupt;
use std::io;
use std::path::{Path, PathBuf};

/// Result of the program's acts.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Exit code of damage found in a database.
const DAMAGE: u8 = 2;
/// Exit code of a command line that makes no sense (`EX_USAGE` of sysexits).
pub(crate) const USAGE: u8 = 64;

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
    /// From a measurement of namespaces.
    #[error(transparent)]
    Tenants(#[from] jdb_tenants::Error),
    /// No runtime could be made.
    #[error("start the runtime")]
    Runtime {
        /// The system's word.
        source: io::Error,
    },
    /// Standard output takes no more.
    #[error("write to standard output")]
    Stdout {
        /// The system's word.
        source: io::Error,
    },
    /// Whoever reads standard output has gone: not an error.
    #[error("standard output is closed")]
    Pipe,
    /// Something is missing on the command line, or does not fit the rest.
    #[error("{0}")]
    Usage(String),
    /// The child process did something else than import until it was killed.
    #[error("the importing process {0}")]
    Child(String),
    /// The database does not hold what it must hold.
    #[error("check failed: {0}")]
    Check(String),
    /// There is nothing to import.
    #[error("no files to import in the cargo registry, nor below {0}")]
    NoFiles(PathBuf),
    /// There is no such key.
    #[error("no key {key} in namespace {ns}")]
    NoKey {
        /// As it is shown.
        key: String,
        /// Where it was looked for.
        ns: String,
    },
    /// A line or file of an import is not what it should be.
    #[error("{place}: {why}; {imported} rows before it are imported, --keep-going passes over such")]
    Row {
        /// File and line.
        place: String,
        /// What is wrong.
        why: String,
        /// Rows that are in the database now.
        imported: u64,
    },
    /// An import passed over some rows.
    #[error("{bad} of {all} rows were passed over; the others are imported")]
    Rows {
        /// Rows passed over.
        bad: u64,
        /// Rows met.
        all: u64,
    },
    /// Ctrl-C.
    #[error("interrupted: {imported} rows are imported")]
    Interrupted {
        /// Rows that are in the database now.
        imported: u64,
    },
    /// `verify` found damage, and has told it.
    #[error("{count} places are damaged")]
    Damage {
        /// How many.
        count: u64,
    },
    /// `salvage` could not save everything.
    #[error("{count} places of the old database are damaged: the new one may hold less")]
    Salvaged {
        /// How many.
        count: u64,
    },
}

impl Error {
    /// Names the act and the file of a system's error.
    pub(crate) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { op, path, source }
    }

    /// 0 for an end that is none, 1, 2 for damage in a database, 64 for a wrong command line, 130 for Ctrl-C.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Pipe => 0,
            Self::Damage { .. } | Self::Salvaged { .. } => DAMAGE,
            Self::Database(error) if error.kind() == jdb::ErrorKind::Corrupt => DAMAGE,
            Self::Usage(_) => USAGE,
            Self::Interrupted { .. } => interrupt::EXIT_CODE,
            _ => 1,
        }
    }

    /// What to do about it.
    fn advice(&self) -> Option<&'static str> {
        use jdb::ErrorKind as Kind;
        Some(match self {
            Self::Database(error) => match error.kind() {
                // Nothing can be verified without what it holds; it is the same in every backup but for the history's id.
                Kind::Corrupt | Kind::NotFound
                    if error.path().is_some_and(|path| path.ends_with("SUPERBLOCK")) =>
                {
                    "copy SUPERBLOCK out of a backup of this database"
                }
                Kind::Corrupt => "`jdb verify` lists what is damaged, `jdb salvage` saves the rest",
                Kind::NotFound => "restore it from a backup, or see what `jdb salvage` saves",
                Kind::NotADatabase => {
                    "--db names the directory of a database; `jdb put` and `jdb import` make one"
                }
                Kind::Locked => "close it there first",
                Kind::NoSpace => "make room; what was acknowledged is there",
                Kind::Unsupported => "use the version that wrote it, or a later one",
                Kind::Stopped => "look after the disk, then try again",
                _ => return None,
            },
            Self::Damage { .. } => "`jdb salvage` saves what is sound",
            _ => return None,
        })
    }

    /// The error, what lies under it and what to do, on one line.
    pub(crate) fn line(&self) -> String {
        let mut line = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(source) = next {
            line = format!("{line}: {source}");
            next = source.source();
        }
        if let Some(advice) = self.advice() {
            line = format!("{line}; {advice}");
        }
        // A file's name may hold anything.
        line.replace(['\n', '\r'], " ")
    }
}
