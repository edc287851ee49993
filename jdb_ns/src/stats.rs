//! Numbers about an open database.

use crate::error::Error;
use crate::shard::Shard;
use jdb_base::SeqNo;
use jdb_io::{Counters, Driver, Steps};
use jdb_lsm::Table;
use std::rc::Rc;
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
    /// Blocks that were looked for in the block cache and found there.
    pub cache_hits: u64,
    /// Blocks that were looked for there and had to be read.
    pub cache_misses: u64,
    /// Bytes of tables and segments kept open: mostly the tables' top indexes.
    pub handles_len: usize,
    /// Tables and segments kept open; [`Counters::open_files`] counts every open file.
    pub handle_count: usize,
    /// How long background work held the thread at a time.
    pub steps: StepStats,
    /// Each shard.
    pub shards: Vec<ShardStats>,
}

impl Stats {
    /// Bytes of all tables.
    #[must_use]
    pub fn table_len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.table_len).sum()
    }

    /// Bytes of all segments of the value log, and of all packs.
    #[must_use]
    pub fn log_len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.log_len).sum()
    }

    /// Bytes of live records in the log, as of the last flushes.
    #[must_use]
    pub fn live_len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.live_len).sum()
    }

    /// Bytes of keys and values put since the database was opened.
    #[must_use]
    pub fn put_len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.put_len).sum()
    }

    /// Whether nothing waits to be flushed or merged, in any shard.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shards.iter().all(|shard| shard.idle)
    }
}

/// Steps of flushes and compactions on the thread since the database was opened, on the wall clock.
#[derive(Clone, Copy, Default, Debug)]
#[non_exhaustive]
pub struct StepStats {
    /// How many.
    pub count: u64,
    /// Half of them took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// 999 of 1000 took no longer.
    pub p999: Duration,
    /// The longest one.
    pub longest: Duration,
}

impl StepStats {
    pub(crate) fn of(steps: &Steps) -> Self {
        Self {
            count: steps.count(),
            p50: steps.quantile(0.5),
            p99: steps.quantile(0.99),
            p999: steps.quantile(0.999),
            longest: steps.longest(),
        }
    }
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
    /// Bytes of tables that flushes wrote.
    pub flushed_len: u64,
    /// Compactions, those included that only moved tables.
    pub compactions: u64,
    /// Of these, those that only moved tables.
    pub moves: u64,
    /// Bytes of tables that compactions wrote.
    pub compacted_len: u64,
    /// Tombstones that compactions let go.
    pub tombstones_dropped: u64,
    /// Whether nothing is due to be merged and nothing is being merged.
    pub idle: bool,
    /// Tables that left the tree and that a reader still holds.
    pub retired_tables: usize,
    /// Snapshots and scans that hold rows.
    pub read_points: usize,
    /// Bytes of live records in the log, as of the last flush.
    pub live_len: u64,
    /// Collections of the log's garbage.
    pub collections: u64,
    /// Bytes of packs that they wrote.
    pub collected_len: u64,
    /// Bytes of files that they gave up.
    pub freed_len: u64,
    /// Collected files that a reader still holds.
    pub retired_files: usize,
    /// Why the last collection failed, or why a file has to stay, when it did or has to.
    pub collection_error: Option<String>,
    /// Packs: files of values that collections moved.
    pub packs: usize,
    /// Bytes of packs.
    pub pack_len: u64,
    /// Tables per level.
    pub tables: Vec<usize>,
    /// Bytes of tables per level.
    pub level_len: Vec<u64>,
    /// Bytes of tables.
    pub table_len: u64,
    /// Segments of the value log.
    pub segments: u64,
    /// Segments that were written over the file of a collected one.
    pub segments_recycled: u64,
    /// Bytes of segments and of packs.
    pub log_len: u64,
    /// Bytes of log that no table covers yet.
    pub unflushed_len: u64,
    /// Closed memtables that wait for their flush.
    pub closed_memtables: usize,
    /// Drops that some table still needs.
    pub drops: usize,
    /// Time in which the writer waited for the flusher, the syncer or the compactor.
    pub stalled: Duration,
    /// Why writing stopped, when it did.
    pub stopped: Option<String>,
}

impl ShardStats {
    pub(crate) fn of(shard: &Shard) -> Self {
        let counts = shard.counts.get();
        let version = shard.tree.version();
        let log = shard.log.stats();
        let (packs, pack_len) = shard.packs.totals();
        let collected = shard.collection.counts.get();
        let level_len =
            |tables: &Vec<Rc<Table>>| -> u64 { tables.iter().map(|table| table.meta().len).sum() };
        Self {
            last_seq: shard.visible.get(),
            commits: counts.commits,
            groups: counts.groups,
            put_len: counts.put_len,
            syncs: counts.syncs,
            flushes: counts.flushes,
            flushed_len: counts.flushed_len,
            compactions: counts.compactions,
            moves: counts.moves,
            compacted_len: counts.compacted_len,
            tombstones_dropped: counts.tombstones_dropped,
            idle: shard.compaction_idle.get()
                && shard.collection.idle.get()
                && shard.closed.borrow().is_empty(),
            retired_tables: shard.tree.retired_count(),
            read_points: shard.points.borrow().count(),
            live_len: shard.live_len.get(),
            tables: version.levels.iter().map(Vec::len).collect(),
            level_len: version.levels.iter().map(level_len).collect(),
            segments: log.segments,
            segments_recycled: log.segments_recycled,
            log_len: log.len + pack_len,
            collections: collected.collections,
            collected_len: collected.written_len,
            freed_len: collected.freed_len,
            retired_files: shard.collection.retired_count(),
            collection_error: shard.collection.why_not().as_ref().map(Error::chain),
            packs,
            pack_len,
            table_len: version.tables().map(|table| table.meta().len).sum(),
            unflushed_len: shard.active.get().log_len,
            closed_memtables: shard.closed.borrow().len(),
            drops: shard.drops.borrow().count(),
            stalled: counts.stalled,
            stopped: shard.check_poison().err().map(|error| error.to_string()),
        }
    }
}
