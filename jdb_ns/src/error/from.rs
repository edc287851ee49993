//! Errors of the layers below as errors of a database, and what can be asked of one.

use super::Error;
use std::error::Error as _;
use std::io;
use std::path::Path;

impl Error {
    /// The file or directory it is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io(error) => Some(error.path()),
            Self::Corrupt { path, .. }
            | Self::Unsupported { path, .. }
            | Self::NotADatabase { path }
            | Self::Missing { path, .. }
            | Self::Poisoned { path, .. }
            | Self::NoSpace { path }
            | Self::Locked { path }
            | Self::NotEmpty { path } => Some(path),
            _ => None,
        }
    }

    /// The same error for another who waits for the same operation.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::Io(error) => Self::Io(io_again(error)),
            Self::Corrupt { path, what, offset, expected, found } => Self::Corrupt {
                path: path.clone(),
                what,
                offset: *offset,
                expected: *expected,
                found: *found,
            },
            Self::Unsupported { path, what, found } => {
                Self::Unsupported { path: path.clone(), what, found: *found }
            }
            Self::NotADatabase { path } => Self::NotADatabase { path: path.clone() },
            Self::Missing { path, what } => Self::Missing { path: path.clone(), what },
            Self::Conflict { found } => Self::Conflict { found: *found },
            Self::NoName { name } => Self::NoName { name: name.clone() },
            Self::NameTaken { name } => Self::NameTaken { name: name.clone() },
            Self::Quota { ns, used, more, limit } => {
                Self::Quota { ns: *ns, used: *used, more: *more, limit: *limit }
            }
            Self::Stale => Self::Stale,
            Self::ReadOnly => Self::ReadOnly,
            Self::Closed => Self::Closed,
            Self::Poisoned { path, why } => Self::Poisoned { path: path.clone(), why: why.clone() },
            Self::NoSpace { path } => Self::NoSpace { path: path.clone() },
            Self::TooLarge { what, len, max } => Self::TooLarge { what, len: *len, max: *max },
            Self::InvalidArgument { what } => Self::InvalidArgument { what },
            Self::Locked { path } => Self::Locked { path: path.clone() },
            Self::NotEmpty { path } => Self::NotEmpty { path: path.clone() },
        }
    }

    /// The message with those of its sources.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }

    /// Whether a sync failed: nothing is known about what it should have made durable.
    #[must_use]
    pub fn is_failed_sync(&self) -> bool {
        matches!(self, Self::Io(jdb_io::Error::Io { op, .. }) if op.starts_with("sync"))
    }
}

fn io_again(error: &jdb_io::Error) -> jdb_io::Error {
    match error {
        jdb_io::Error::Io { op, path, source } => {
            let source = match source.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(source.kind(), source.to_string()),
            };
            jdb_io::Error::io(op, path, source)
        }
        error => jdb_io::Error::io("use", error.path(), io::Error::other(error.to_string())),
    }
}

impl From<jdb_val::Error> for Error {
    fn from(error: jdb_val::Error) -> Self {
        use jdb_val::Error as Log;
        match error {
            Log::Io(error) => error.into(),
            Log::Corrupt { path, what, offset, expected, found } => {
                Self::Corrupt { path, what, offset, expected, found }
            }
            Log::Missing { path, what } => Self::Missing { path, what },
            Log::Unsupported { path, what, found, .. } => Self::Unsupported { path, what, found },
            Log::TooLarge { what, len, max } => Self::TooLarge { what, len, max },
            Log::ReadOnly { .. } => Self::ReadOnly,
            Log::NoNumber { number, newest, .. } => {
                let (len, max) = (u64::from(number), u64::from(newest));
                Self::TooLarge { what: "file number", len, max }
            }
            Log::Poisoned { path } => Self::Poisoned { path, why: "a sync of the value log failed".into() },
            error => Self::Io(jdb_io::Error::io("use", Path::new("value log"), io::Error::other(error))),
        }
    }
}

impl From<jdb_sst::Error> for Error {
    fn from(error: jdb_sst::Error) -> Self {
        use jdb_sst::Error as Table;
        match error {
            Table::Io(error) => error.into(),
            Table::Corrupt { path, what, offset, expected, found } => {
                Self::Corrupt { path, what, offset, expected, found }
            }
            Table::Unsupported { path, what, found, .. } => Self::Unsupported { path, what, found },
            Table::TooLarge { what, found, max } => Self::TooLarge { what, len: found, max },
            error => Self::Io(jdb_io::Error::io("use", Path::new("table"), io::Error::other(error))),
        }
    }
}

impl From<jdb_lsm::Error> for Error {
    fn from(error: jdb_lsm::Error) -> Self {
        match error {
            jdb_lsm::Error::Table(error) => error.into(),
            jdb_lsm::Error::Io(error) => error.into(),
            jdb_lsm::Error::OtherTable { path, what, expected, found } => {
                Self::Corrupt { path, what, offset: 0, expected, found }
            }
            jdb_lsm::Error::Entry { path, what, seq } => {
                Self::Corrupt { path, what, offset: 0, expected: 0, found: seq }
            }
            error => Self::Io(jdb_io::Error::io("use", Path::new("tree"), io::Error::other(error))),
        }
    }
}
