//! Numbers about an open database.

use crate::shard::Shard;
use jdb_base::SeqNo;
use jdb_io::{Counters, Driver};
use std::time::Duration;

/// Numbers about an open database, as of one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// What carries out the I/O.
    pub driver: Driver,
    /// What the disk has done since the database was opened: operations, bytes, syncs.
    pub io: Counters,
    /// Bytes that active memtables hold.
    pub memtable_len: usize,
    /// Bytes of closed memtables that are not yet flushed, or that a read still holds.
    pub closed_memtable_len: usize,
    /// Bytes that the block cache holds, with what it needs for itself.
    pub cache_len: u64,
    /// Bytes of tables and segments kept open: mostly the tables' top indexes.
    pub handles_len: usize,
    /// Tables and segments kept open; [`Counters::open_files`] counts every open file.
    pub handle_count: usize,
    /// Each shard.
    pub shards: Vec<ShardStats>,
}

/// Numbers about a shard.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShardStats {
    /// Newest sequence that reads see.
    pub last_seq: SeqNo,
    /// Commits since the database was opened.
    pub commits: u64,
    /// Groups in which they were written.
    pub groups: u64,
    /// Bytes of their keys and values.
    pub put_len: u64,
    /// Syncs of the log.
    pub syncs: u64,
    /// Memtables flushed.
    pub flushes: u64,
    /// Tables per level.
    pub tables: Vec<usize>,
    /// Bytes of tables.
    pub table_len: u64,
    /// Bytes of log that no table covers yet.
    pub unflushed_len: u64,
    /// Closed memtables that wait for their flush.
    pub closed_memtables: usize,
    /// Drops that some table still needs.
    pub drops: usize,
    /// Time in which the writer waited for the flusher or the syncer.
    pub stalled: Duration,
    /// Why writing stopped, when it did.
    pub stopped: Option<String>,
}

impl ShardStats {
    pub(crate) fn of(shard: &Shard) -> Self {
        let counts = shard.counts.get();
        let version = shard.tree.version();
        Self {
            last_seq: shard.visible.get(),
            commits: counts.commits,
            groups: counts.groups,
            put_len: counts.put_len,
            syncs: counts.syncs,
            flushes: counts.flushes,
            tables: version.levels.iter().map(Vec::len).collect(),
            table_len: version.tables().map(|table| table.meta().len).sum(),
            unflushed_len: shard.active.get().log_len,
            closed_memtables: shard.closed.borrow().len(),
            drops: shard.drops.borrow().borrow().count(),
            stalled: counts.stalled,
            stopped: shard.check_poison().err().map(|error| error.to_string()),
        }
    }
}
