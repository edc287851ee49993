//! A memtable becomes a table: what some read still sees of it, in order, streamed into an SST.
//!
//! A memtable holds every version that was inserted. Those that nobody sees any more are left out here: in a table they would
//! count as live, and their values in the log could not be collected, until a compaction came upon them.
//!
//! ```text
//! memtable -> feed: copies entries into runs -> channel -> write_runs: who sees them? -> table
//! ```
//!
//! The two halves may be on two threads: a memtable stays where it is, a run owns what it holds.

use crate::error::{Error, Result};
use crate::held::Held;
use crate::keeper::{Keeper, Newest};
use crate::seq_set::SeqSet;
use crate::shadow::Seen;
use crate::table::TableMeta;
use crate::visibility::Visibility;
use crate::weigh::Sample;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use jdb_base::{Kind, Map, SeqNo, ValuePtr};
use jdb_io::{Disk, task};
use jdb_mem::Memtable;
use jdb_sst::{SstWriter, WriterOptions};
use std::fmt;
use std::path::Path;
use std::rc::Rc;

/// Entries written between two steps aside for other tasks; about 100 us of work.
const SLICE_COUNT: usize = 64;
/// A run ends with the entry that reaches one of these; copying it takes about 20 us.
const RUN_COUNT: usize = 512;
const RUN_LEN: usize = 32 << 10;
/// Runs that wait for the writer.
const WAITING_COUNT: usize = 2;

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
    /// The sequences of these pointers; `None`: they lie too far from each other.
    pub pointed: Map<u32, Option<SeqSet>>,
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
    let (feed, runs) = runs();
    futures::join!(feed.all(memtable), write_runs(disk, path, number, options, runs)).1
}

/// Both ends of the way that entries of a memtable take to whoever writes them.
#[must_use]
pub fn runs() -> (Feed, Runs) {
    let (sender, receiver) = mpsc::channel(WAITING_COUNT);
    (Feed(sender), Runs(Some(receiver)))
}

/// Takes entries out of a memtable.
#[derive(Debug)]
pub struct Feed(mpsc::Sender<Run>);

/// Gives them to [`write_runs`], on this thread or another.
#[derive(Debug)]
pub struct Runs(Option<mpsc::Receiver<Run>>);

impl Runs {
    async fn next(&mut self) -> Option<Run> {
        self.0.as_mut()?.next().await
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        // compio ends the process when a thread that panics wakes a task of another one.
        if std::thread::panicking() {
            std::mem::forget(self.0.take());
        }
    }
}

/// Entries in their order; without any, the end.
#[derive(Debug)]
struct Run {
    entries: Vec<RunEntry>,
    /// Their keys and values, one after the other.
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct RunEntry {
    key_len: u32,
    value_len: u32,
    seq: SeqNo,
    kind: Kind,
}

impl Feed {
    /// Sends all entries, stepping aside after each run; ends early when nobody takes them.
    pub async fn all(mut self, memtable: &Rc<Memtable>) {
        let mut cursor = memtable.cursor();
        cursor.seek_first();
        loop {
            let mut run = Run { entries: Vec::with_capacity(RUN_COUNT), bytes: Vec::with_capacity(RUN_LEN) };
            while run.entries.len() < RUN_COUNT
                && run.bytes.len() < RUN_LEN
                && let Some(entry) = cursor.entry()
            {
                let (key_len, value_len) = (entry.key.len() as u32, entry.value.len() as u32);
                run.entries.push(RunEntry { key_len, value_len, seq: entry.seq, kind: entry.kind });
                run.bytes.extend_from_slice(entry.key);
                run.bytes.extend_from_slice(entry.value);
                cursor.next();
            }
            let is_end = run.entries.is_empty();
            if self.0.send(run).await.is_err() || is_end {
                return;
            }
            task::yield_now().await;
        }
    }
}

/// As [`write_table`], of the entries that come out of `runs`.
///
/// # Errors
/// As [`write_table`]; [`Error::Lost`] when the feed ended before the memtable did.
pub async fn write_runs(
    disk: &Disk,
    path: &Path,
    number: u32,
    options: FlushOptions,
    mut runs: Runs,
) -> Result<Option<Flushed>> {
    let mut flush = Flush {
        visibility: Visibility::new(options.keeper, options.last_seq),
        writer: None,
        record_len: options.record_len,
        live: Map::default(),
        pointed: Map::default(),
        sample: Sample::default(),
        held: Held::default(),
        key: None,
        tombstones: 0,
    };
    let mut count = 0usize;
    loop {
        let run = runs.next().await.ok_or(Error::Lost)?;
        if run.entries.is_empty() {
            return flush.finish(number).await;
        }
        let mut rest = run.bytes.as_slice();
        for entry in run.entries {
            let lost = || Error::Lost;
            let (key, value_on) = rest.split_at_checked(entry.key_len as usize).ok_or_else(lost)?;
            let (value, next) = value_on.split_at_checked(entry.value_len as usize).ok_or_else(lost)?;
            rest = next;
            if flush.sees(key, entry.seq, entry.kind, value) {
                let writer = match &mut flush.writer {
                    Some(writer) => writer,
                    None => flush.writer.insert(SstWriter::create(disk, path, options.writer.clone()).await?),
                };
                writer.append(key, entry.seq, entry.kind, value).await?;
            }
            count += 1;
            if count.is_multiple_of(SLICE_COUNT) {
                task::yield_now().await;
            }
        }
    }
}

/// A table that is being written.
struct Flush {
    visibility: Visibility,
    /// None before the first entry.
    writer: Option<SstWriter>,
    record_len: fn(usize, usize) -> u64,
    live: Map<u32, Live>,
    pointed: Map<u32, Option<SeqSet>>,
    sample: Sample,
    held: Held,
    /// The key whose versions are coming.
    key: Option<Vec<u8>>,
    tombstones: u64,
}

impl Flush {
    /// Whether somebody sees the next entry; counts it then.
    fn sees(&mut self, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) -> bool {
        if self.key.as_deref() != Some(key) {
            self.visibility.begin_key(key);
            let buffer = self.key.get_or_insert_default();
            buffer.clear();
            buffer.extend_from_slice(key);
        }
        let seen = self.visibility.sees(seq);
        if seen == Seen::Never {
            return false;
        }
        if let Some(ptr) = (kind == Kind::Pointer).then(|| ValuePtr::decode(value)).flatten() {
            if let Seen::ByPoints { oldest, newest } = seen {
                self.held.add(oldest, newest, u64::from(ptr.len));
            }
            let origin = self.live.entry(ptr.segment).or_default();
            origin.len += (self.record_len)(key.len(), ptr.len as usize);
            origin.count += 1;
            SeqSet::insert_into(self.pointed.entry(ptr.segment).or_insert_with(SeqSet::none), seq);
        }
        self.tombstones += u64::from(kind == Kind::Tombstone);
        self.sample.add(key);
        true
    }

    async fn finish(self, number: u32) -> Result<Option<Flushed>> {
        let Self { writer: Some(writer), live, pointed, sample, held, tombstones, .. } = self else {
            return Ok(None);
        };
        let meta = TableMeta { tombstones, held, ..TableMeta::of(number, writer.finish().await?) };
        Ok(Some(Flushed { meta, sample, live, pointed, tombstones }))
    }
}
