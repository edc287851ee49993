//! Options: how a database is opened.

use crate::error::{Error, Result};
use jdb_io::Disk;
use jdb_ns::{Durability, PickerOptions, Recovery};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a database is opened. A path is enough: it converts into the defaults.
///
/// ```
/// use jdb::{Durability, Options};
/// let options = Options { memory: 256 << 20, durability: Durability::Sync, ..Options::at("data") };
/// assert_eq!(options.shards, 8);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the database; made when missing and [`Options::create`] is set.
    pub path: PathBuf,
    /// Shards of a new database: a power of two from 1 to 256, default 8, fixed for ever. More shards spread the work of
    /// flushes over smaller steps; each costs about a kilobyte of memory, two small files and its own syncs.
    pub shards: u16,
    /// Memory of the whole database in bytes; default 64 MiB: half for memtables, a quarter for the block cache, which also has what
    /// memtables leave of their half, a sixteenth
    /// for open tables and segments, the rest for buffers of what runs in the background. Values and batches in flight come
    /// on top, about 300 bytes for each table, segment and pack, and up to 12 MiB for each of at most two collections under way. Writers wait for a flush when the memtables' half is full.
    /// More makes fewer, larger tables and keeps more of them at hand.
    pub memory: usize,
    /// Tables and segments kept open, of the whole database; default 256. Three for each shard, half of all at most, are for
    /// segments that are written to, the others for reading. What is evicted is opened again when it is read. Open as well are
    /// what reads, compactions and collections use just then, and the MANIFEST of each shard.
    pub descriptors: usize,
    /// Values up to this many bytes also stay in the index, where reads and scans find them without a second read;
    /// default 128. Larger makes the index, and what its compaction writes, larger.
    pub inline_max: usize,
    /// What an acknowledgement promises when a write does not say; default [`Durability::Os`].
    pub durability: Durability,
    /// Longest time in which a commit acknowledged with [`Durability::Os`] is not yet safe from a power cut; default
    /// 500 ms. Shorter makes more syncs.
    pub sync_interval: Duration,
    /// Longest time in which a commit is only in the log; default 60 s. Shorter makes more, smaller tables and quicker
    /// opening after a crash.
    pub flush_interval: Duration,
    /// The part of the log's bytes that may be garbage, 0.01 to 0.95; default 0.3. What is above it is collected in the
    /// background: live values move together, files are removed. Smaller takes less room and writes more: at 0.3 files come to
    /// at most 1.43 times the live records, the log of the last flushes and what readers hold apart.
    pub max_garbage: f64,
    /// Compresses the blocks of packs, where values are that collections moved, with lz4: text takes about two thirds of the room, a
    /// get of such a value some microseconds more, a walk little. Default `false`; needs the feature `lz4`, and so does reading such
    /// a database from then on.
    pub compress_packs: bool,
    /// Whether reads of what is in the page cache are copied from mappings of the files, where the system has them (Linux, 64 bits);
    /// default yes. They take a half to three quarters of the time. Mapped pages count as resident memory of the process, although the
    /// system takes them back at any time. A page is read so only when the kernel has said within a quarter of a second that it is
    /// there. If it goes all the same, for memory is short, the thread waits for the device; and if that fails, the process ends with
    /// SIGBUS. So it does when somebody else cuts a file of an open database. Without, such failures are errors of the one read.
    pub mapped_reads: bool,
    /// Whether small commits that follow each other quickly are stored into a mapping of the log's file, where the system has them
    /// (Linux 5.14, 64 bits; ext4, tmpfs); default yes. A put of 1 KiB then takes about two thirds of the time. They are in the page cache
    /// as after a system call: they survive the process, and a sync makes them durable. The room for them is asked for before, so that
    /// a full disk is an error as ever; but a file system that shuts down between that and the store, a tenth of a second at most,
    /// ends the process with SIGBUS, as does somebody else who cuts a file of an open database.
    pub mapped_writes: bool,
    /// Whether tables are written and merged and garbage is collected by a second thread, which is started when there is something of that
    /// kind; default on, where there is more than one core. It shares nothing with this one but files, and on Linux its nice value is
    /// 10 above this one's: where threads want the same core, others go first. Without it that work is done on this thread in short
    /// steps between everything else: random puts get about an eighth less far, gets wait for steps, in exchange the database takes no
    /// more than one core.
    pub worker: bool,
    /// Whether a missing database is made; default yes.
    pub create: bool,
    /// Nothing is changed, no file is written; default no.
    pub read_only: bool,
    /// What to do about proven damage in the log; default [`Recovery::Strict`]: opening fails and names the place.
    pub recovery: Recovery,
    /// Sizes that follow from the others; for tests and experiments.
    pub tuning: Tuning,
    /// Another disk than the real one, for tests.
    #[doc(hidden)]
    pub disk: Option<Disk>,
}

/// Sizes in bytes that otherwise follow from [`Options`]; for tests and experiments.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tuning {
    /// Length at which a segment of the value log is full; at least 256, default 16 MiB.
    pub segment_len: Option<u64>,
    /// Bytes that all memtables may hold together, those that wait for their flush included; default half of
    /// [`Options::memory`].
    pub memtable_len: Option<usize>,
    /// Bytes of log that may be in no table yet; default 128 MiB. A shard that holds garbage is flushed at a 16th of its live bytes, but
    /// not below 16 MiB, when that comes first.
    pub unflushed_len: Option<u64>,
    /// Length of a data block, default 4096.
    pub block_len: Option<usize>,
    /// How far the sequences of a life start above those of the life before, and how many operations may be unsynced;
    /// default 2^24.
    pub life_jump: Option<u64>,
    /// Length from which on a table of a compaction ends with its key; default 16 MiB.
    pub table_len: Option<u64>,
    /// Tables of level 0 of a shard that make a compaction due; default 4.
    pub newest_count: Option<usize>,
    /// Bytes of tables that level 1 of a shard may hold; default 64 MiB.
    pub level_len: Option<u64>,
    /// How many times more each deeper level may hold; default 10.
    pub level_ratio: Option<u64>,
    /// Value bytes hidden by newer versions that never make a compaction due; default 1 MiB. From there on a tenth of a
    /// shard's live bytes does.
    pub hidden_len_min: Option<u64>,
    /// Namespace drops that a table must lack to be written anew because of them, unless it lies within one namespace or
    /// time is plenty; default 32. A number, not bytes.
    pub drops_min: Option<u64>,
    /// Target length of a block of a pack, where values are that collections moved; default 16 KiB.
    pub pack_block_len: Option<usize>,
    /// Room that is given up when the disk is full, so that deletes still fit; default 1 MiB, 0 for none.
    pub reserve_len: Option<u64>,
}

const SEGMENT_LEN: u64 = 16 << 20;
const UNFLUSHED_LEN: u64 = 128 << 20;
const BLOCK_LEN: usize = 4096;
const TABLE_LEN: u64 = 16 << 20;
const DROPS_MIN: u64 = 32;
const LIFE_JUMP: u64 = 1 << 24;
const RESERVE_LEN: u64 = 1 << 20;

impl Options {
    /// The defaults for a database in `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            shards: 8,
            memory: 64 << 20,
            descriptors: 256,
            inline_max: 128,
            durability: Durability::Os,
            sync_interval: Duration::from_millis(500),
            flush_interval: Duration::from_secs(60),
            max_garbage: 0.3,
            compress_packs: false,
            mapped_reads: true,
            mapped_writes: true,
            worker: true,
            create: true,
            read_only: false,
            recovery: Recovery::Strict,
            tuning: Tuning::default(),
            disk: None,
        }
    }

    /// Runs the database on this disk instead of the real one.
    #[doc(hidden)]
    #[must_use]
    pub fn on_disk(self, disk: Disk) -> Self {
        Self { disk: Some(disk), ..self }
    }

    pub(crate) fn into_parts(self) -> Result<(Disk, Durability, jdb_ns::Options)> {
        if self.path.as_os_str().is_empty() {
            return Err(Error::from(jdb_ns::Error::InvalidArgument { what: "path: empty" }));
        }
        let disk = self.disk.unwrap_or_else(Disk::real);
        disk.map_reads(self.mapped_reads);
        disk.map_writes(self.mapped_writes);
        disk.hire(self.worker && std::thread::available_parallelism().is_ok_and(|count| count.get() > 1));
        let defaults = PickerOptions::default();
        let picker = PickerOptions {
            newest_count: self.tuning.newest_count.unwrap_or(defaults.newest_count),
            base_len: self.tuning.level_len.unwrap_or(defaults.base_len),
            ratio: self.tuning.level_ratio.unwrap_or(defaults.ratio),
            hidden_len_min: self.tuning.hidden_len_min.unwrap_or(defaults.hidden_len_min),
            ..defaults
        };
        let options = jdb_ns::Options {
            dir: self.path,
            shards: self.shards,
            memory: self.memory,
            descriptors: self.descriptors,
            inline_max: self.inline_max,
            sync_interval: self.sync_interval,
            flush_interval: self.flush_interval,
            max_garbage: self.max_garbage,
            compress_packs: self.compress_packs,
            pack_block_len: self.tuning.pack_block_len,
            create: self.create,
            read_only: self.read_only,
            recovery: self.recovery,
            segment_len: self.tuning.segment_len.unwrap_or(SEGMENT_LEN),
            memtable_len: self.tuning.memtable_len,
            unflushed_len: self.tuning.unflushed_len.unwrap_or(UNFLUSHED_LEN),
            block_len: self.tuning.block_len.unwrap_or(BLOCK_LEN),
            table_len: self.tuning.table_len.unwrap_or(TABLE_LEN),
            picker,
            drops_min: self.tuning.drops_min.unwrap_or(DROPS_MIN),
            life_jump: self.tuning.life_jump.unwrap_or(LIFE_JUMP),
            reserve_len: self.tuning.reserve_len.unwrap_or(RESERVE_LEN),
        };
        Ok((disk, self.durability, options))
    }
}

impl From<&str> for Options {
    fn from(path: &str) -> Self {
        Self::at(path)
    }
}

impl From<String> for Options {
    fn from(path: String) -> Self {
        Self::at(path)
    }
}

impl From<&Path> for Options {
    fn from(path: &Path) -> Self {
        Self::at(path)
    }
}

impl From<PathBuf> for Options {
    fn from(path: PathBuf) -> Self {
        Self::at(path)
    }
}

impl From<&PathBuf> for Options {
    fn from(path: &PathBuf) -> Self {
        Self::at(path)
    }
}
