//! A memtable becomes a table: its entries in order, streamed into an SST.

use crate::error::Result;
use crate::table::TableMeta;
use crate::weigh::Sample;
use jdb_base::{Kind, Map, SeqNo, ValuePtr};
use jdb_io::{Disk, task};
use jdb_mem::Memtable;
use jdb_sst::{SstWriter, WriterOptions};
use std::path::Path;
use std::rc::Rc;

/// Entries written between two steps aside for other tasks; about 100 us of work.
const SLICE_COUNT: usize = 64;

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

/// Writes all entries of a closed `memtable` into a new table file `number` at `path` and syncs the file, not its
/// directory. `None`, and no file, when the memtable has no entry.
///
/// `record_len` gives the length in the value log of a record with this key and value length.
///
/// # Errors
/// The disk's. The partial file may stay behind.
pub async fn write_table(
    disk: &Disk,
    path: &Path,
    number: u32,
    options: WriterOptions,
    memtable: &Rc<Memtable>,
    record_len: fn(usize, usize) -> u64,
) -> Result<Option<Flushed>> {
    if memtable.is_empty() {
        return Ok(None);
    }
    let mut writer = SstWriter::create(disk, path, options).await?;
    let mut live = Map::<u32, Live>::default();
    let mut sample = Sample::default();
    let mut cursor = memtable.cursor();
    cursor.seek_first();
    let (mut count, mut tombstones) = (0usize, 0u64);
    while let Some(entry) = cursor.entry() {
        if let Some(ptr) = (entry.kind == Kind::Pointer).then(|| ValuePtr::decode(entry.value)).flatten() {
            let origin = live.entry(ptr.segment).or_default();
            origin.len += record_len(entry.key.len(), ptr.len as usize);
            origin.count += 1;
        }
        tombstones += u64::from(entry.kind == Kind::Tombstone);
        sample.add(entry.key);
        writer.append(entry.key, entry.seq, entry.kind, entry.value).await?;
        cursor.next();
        count += 1;
        if count.is_multiple_of(SLICE_COUNT) {
            task::yield_now().await;
        }
    }
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
    };
    Ok(Some(Flushed { meta, sample, live, tombstones }))
}
