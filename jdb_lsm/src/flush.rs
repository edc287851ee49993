//! A memtable becomes a table: what some read still sees of it, in order, streamed into an SST.
//!
//! A memtable holds every version that was inserted. Those that nobody sees any more are left out here: in a table they would
//! count as live, and their values in the log could not be collected, until a compaction came upon them.

use crate::error::Result;
use crate::held::Held;
use crate::keeper::{Keeper, Newest};
use crate::shadow::Seen;
use crate::table::TableMeta;
use crate::visibility::Visibility;
use crate::weigh::Sample;
use jdb_base::{Kind, Map, SeqNo, ValuePtr};
use jdb_io::{Disk, task};
use jdb_mem::Memtable;
use jdb_sst::{SstWriter, WriterOptions};
use std::fmt;
use std::path::Path;
use std::rc::Rc;

/// Entries written between two steps aside for other tasks; about 100 us of work.
const SLICE_COUNT: usize = 64;

/// How a flush writes, and what it may leave out.
#[derive(Clone)]
pub struct FlushOptions {
    /// Of the table.
    pub writer: WriterOptions,
    /// Length in the value log of a record with this key and value length.
    pub record_len: fn(usize, usize) -> u64,
    /// What reads still see, as of a moment at which the memtable was closed; [`Keeper::judge`] is not asked.
    pub keeper: Rc<dyn Keeper>,
    /// The newest sequence of the memtable. Drops up to here are applied: the log has to be durable through it.
    pub last_seq: SeqNo,
}

impl FlushOptions {
    /// Keeps the newest version of each key.
    #[must_use]
    pub fn newest(writer: WriterOptions, record_len: fn(usize, usize) -> u64) -> Self {
        Self { writer, record_len, keeper: Rc::new(Newest), last_seq: SeqNo::MAX }
    }
}

impl fmt::Debug for FlushOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlushOptions").field("last_seq", &self.last_seq).finish_non_exhaustive()
    }
}

/// What a flush wrote.
#[derive(Clone, Debug)]
pub struct Flushed {
    /// The table, for the MANIFEST; its `hidden_len` is 0 until [`Version::hidden_len`](crate::Version::hidden_len) of the
    /// sample is put there.
    pub meta: TableMeta,
    /// Some of its keys.
    pub sample: Sample,
    /// Pointers in the table: bytes of values by origin segment, and how many.
    pub live: Map<u32, Live>,
    /// Tombstones in the table.
    pub tombstones: u64,
}

/// Values of one origin that a table points to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Live {
    /// Bytes of their records as `record_len` counts them.
    pub len: u64,
    /// How many.
    pub count: u64,
}

/// Writes what some read sees of a closed `memtable` into a new table file `number` at `path` and syncs the file, not its
/// directory. `None`, and no file, when there is nothing of that kind.
///
/// # Errors
/// The disk's. The partial file may stay behind.
pub async fn write_table(
    disk: &Disk,
    path: &Path,
    number: u32,
    options: FlushOptions,
    memtable: &Rc<Memtable>,
) -> Result<Option<Flushed>> {
    let mut visibility = Visibility::new(options.keeper, options.last_seq);
    let mut writer: Option<SstWriter> = None;
    let mut live = Map::<u32, Live>::default();
    let mut sample = Sample::default();
    let mut held = Held::default();
    let mut key: Option<Vec<u8>> = None;
    let mut cursor = memtable.cursor();
    cursor.seek_first();
    let (mut count, mut tombstones) = (0usize, 0u64);
    while let Some(entry) = cursor.entry() {
        if key.as_deref() != Some(entry.key) {
            visibility.begin_key(entry.key);
            let buffer = key.get_or_insert_default();
            buffer.clear();
            buffer.extend_from_slice(entry.key);
        }
        let seen = visibility.sees(entry.seq);
        if seen != Seen::Never {
            if let Some(ptr) = (entry.kind == Kind::Pointer).then(|| ValuePtr::decode(entry.value)).flatten()
            {
                if let Seen::ByPoints { oldest, newest } = seen {
                    held.add(oldest, newest, u64::from(ptr.len));
                }
                let origin = live.entry(ptr.segment).or_default();
                origin.len += (options.record_len)(entry.key.len(), ptr.len as usize);
                origin.count += 1;
            }
            tombstones += u64::from(entry.kind == Kind::Tombstone);
            sample.add(entry.key);
            let writer = match &mut writer {
                Some(writer) => writer,
                None => writer.insert(SstWriter::create(disk, path, options.writer.clone()).await?),
            };
            writer.append(entry.key, entry.seq, entry.kind, entry.value).await?;
        }
        cursor.next();
        count += 1;
        if count.is_multiple_of(SLICE_COUNT) {
            task::yield_now().await;
        }
    }
    let Some(writer) = writer else { return Ok(None) };
    let info = writer.finish().await?;
    let meta = TableMeta {
        number,
        len: info.len,
        count: info.count,
        first_key: info.first_key,
        last_key: info.last_key,
        seq_min: info.seq_min,
        seq_max: info.seq_max,
        drop_seq: SeqNo::new(info.seq_min.get().saturating_sub(1)),
        judged_seq: SeqNo::new(info.seq_min.get().saturating_sub(1)),
        id: info.id,
        tombstones,
        hidden_len: 0,
        held,
    };
    Ok(Some(Flushed { meta, sample, live, tombstones }))
}
