//! Errors of the tree: those of its tables, and entries that no writer of ours makes.

use std::path::PathBuf;

/// What went wrong while the tree was read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A table could not be read or written.
    #[error(transparent)]
    Table(#[from] jdb_sst::Error),
    /// The disk refused an operation.
    #[error(transparent)]
    Io(#[from] jdb_io::Error),
    /// A sound table lies where another one should.
    #[error("{path}: {what}: expected {expected:#x}, found {found:#x}")]
    OtherTable {
        /// The table.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the MANIFEST says.
        expected: u64,
        /// What the table says.
        found: u64,
    },
    /// An entry of a verified block does not hold what its kind says.
    #[error("{path}: {what} in entry {seq}")]
    Entry {
        /// The table, or the directory of the shard for an entry in memory.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
        /// Sequence of the entry.
        seq: u64,
    },
    /// A compaction was planned for another Version.
    #[error("level {level} does not hold the tables that the compaction was planned for")]
    Unplanned {
        /// The level.
        level: usize,
    },
    /// A merge or a cursor was used after an error, or after a dropped step, without being sought anew.
    #[error("place lost after a failed or cancelled step")]
    Lost,
}

/// Result of the tree.
pub type Result<T, E = Error> = std::result::Result<T, E>;
