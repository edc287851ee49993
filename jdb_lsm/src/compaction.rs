//! Executes a [`Plan`]: merges its inputs and writes what some read still sees into new tables.
//!
//! ```text
//! merge of the inputs -> batch -> keeper's verdicts -> drops removed -> shadowed versions removed
//!                     -> tombstones over nothing removed -> tables, cut between keys
//! ```
//!
//! Invariants
//! - Every live read point reads the same from the outputs as from the inputs.
//! - A tombstone goes only when no table outside the inputs can hold anything older of its key.
//! - All versions of a key go into one table.
//! - `drop_seq` of an output: every drop at or below it was applied to every entry of the output.
//!
//! A compaction changes nothing that is visible: its result is one MANIFEST edit and one
//! [`Tree::compacted`](crate::Tree::compacted), both the caller's. It goes on in steps of one batch, so that the caller
//! can let others run, slow down or give up between two of them.
//!
//! # The caller's part
//! 1. Without an await: take the [`Version`], the drop map and the read points of one moment, [`pick`](crate::pick) a
//!    plan, [`Compaction::new`].
//! 2. [`Compaction::run`], or [`Compaction::step`] until it says `false`, then [`Compaction::finish`].
//! 3. Sync the directory of the new tables, and wait until the log is durable through [`Compacted::log_needed`]. (A plan
//!    that only moves tables needs neither.)
//! 4. Under the MANIFEST's lock write one record: tables added, removed and moved, live bytes by origin.
//! 5. Without an await after that: [`Tree::compacted`](crate::Tree::compacted).
//! 6. Remove the files of [`Tree::take_unpinned`](crate::Tree::take_unpinned), now and whenever a reader has let go.

mod batch;
mod below;
mod output;

use crate::error::{Error, Result};
use crate::keeper::{Keeper, Verdict};
use crate::level::{LevelCursor, Reading};
use crate::merge::{EntryRef, Merge, Source};
use crate::picker::Plan;
use crate::seq_set::SeqSet;
use crate::shadow::Seen;
use crate::table::{Table, TableMeta};
use crate::version::Version;
use crate::visibility::Visibility;
use batch::Batch;
use below::Below;
use jdb_base::{Kind, Map, SeqNo, ValuePtr};
use jdb_io::plant::{Plant, planted};
use jdb_io::{Disk, task};
use jdb_sst::WriterOptions;
use output::Output;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// How a compaction writes.
#[derive(Clone, Debug)]
pub struct CompactionOptions {
    /// Of the tables.
    pub writer: WriterOptions,
    /// File length in bytes from which on a table ends with its key.
    pub table_len: u64,
    /// Length in the value log of a record with this key and value length.
    pub record_len: fn(usize, usize) -> u64,
    /// Origins, rising, of which it is to say which records its outputs do not point to any more.
    pub tracked: Vec<u32>,
}

/// Gives each new table its number and its file.
pub type NextFile<'a> = &'a mut dyn FnMut() -> (u32, PathBuf);

/// A compaction under way.
///
/// Memory: one batch (64 entries, or 64 KiB and one entry), the writer of one table, and one data block a source.
pub struct Compaction {
    disk: Disk,
    plan: Plan,
    keeper: Rc<dyn Keeper>,
    options: CompactionOptions,
    /// [`Keeper::now`] at the start.
    start: SeqNo,
    stage: Stage,
    merge: Merge,
    batch: Batch,
    verdicts: Vec<Verdict>,
    below: Below,
    visibility: Visibility,
    /// The key whose versions are coming.
    key: Option<Vec<u8>>,
    /// Sequences of tombstones of `key` that stay only if something older stays too.
    tombstones: Vec<SeqNo>,
    output: Option<Output>,
    created: Vec<PathBuf>,
    added: Vec<TableMeta>,
    changes: Map<u32, Change>,
    progress: Progress,
    /// A step failed or was dropped.
    failed: bool,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was opened yet.
    Planned {
        /// Inputs of level 0.
        newest: Vec<Rc<Table>>,
        /// Inputs of a deeper level, and those of the level below.
        levels: [Vec<Rc<Table>>; 2],
    },
    Merging,
    Done,
}

/// How far a compaction has come.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Progress {
    /// Entries read from the inputs.
    pub read_count: u64,
    /// Entries written.
    pub written_count: u64,
    /// Tombstones that had nothing left to hide.
    pub tombstones_dropped: u64,
    /// Bytes of finished tables.
    pub written_len: u64,
}

/// How the live values of one origin change.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LiveChange {
    /// Bytes of their records.
    pub len: i64,
    /// How many.
    pub count: i64,
}

/// How the records of one origin change.
#[derive(Default, Debug)]
struct Change {
    live: LiveChange,
    /// Of a tracked one: those that went, unless that cannot be said.
    left_out: Option<Option<SeqSet>>,
}

/// What a compaction did: one MANIFEST edit.
#[derive(Clone, Debug)]
pub struct Compacted {
    /// What was planned.
    pub plan: Plan,
    /// The level of added and moved tables.
    pub level: usize,
    /// New tables by key, written and synced; their directory is not.
    pub added: Vec<TableMeta>,
    /// Numbers of tables that leave the tree.
    pub removed: Vec<u32>,
    /// Numbers of tables that go to `level` as they are.
    pub moved: Vec<u32>,
    /// Live values by origin.
    pub live: BTreeMap<u32, LiveChange>,
    /// The sequences of pointers that went, of [`CompactionOptions::tracked`] origins; `None`: it cannot be said.
    pub left_out: BTreeMap<u32, Option<SeqSet>>,
    /// The newest sequence at the start: the log must be durable through it before the MANIFEST names the result, else
    /// the effect of a drop is durable before the drop.
    pub log_needed: SeqNo,
    /// Entries and bytes.
    pub progress: Progress,
}

impl Compaction {
    /// Prepares the execution of `plan`, which was made for `version`. Nothing is read or written yet.
    ///
    /// # Errors
    /// [`Error::Unplanned`] when `version` does not hold the plan's tables.
    pub fn new(
        disk: &Disk,
        version: &Version,
        plan: Plan,
        keeper: Rc<dyn Keeper>,
        options: CompactionOptions,
    ) -> Result<Self> {
        let from = tables(version, plan.from, &plan.inputs)?;
        let to = tables(version, plan.to, &plan.below)?;
        let below = Below::new(version, &plan);
        let stage = match (plan.is_trivial, plan.from) {
            (true, _) => Stage::Done,
            (false, 0) => Stage::Planned { newest: from, levels: [Vec::new(), to] },
            (false, _) => Stage::Planned { newest: Vec::new(), levels: [from, to] },
        };
        let start = keeper.now();
        Ok(Self {
            disk: disk.clone(),
            start,
            plan,
            visibility: Visibility::new(Rc::clone(&keeper), start),
            keeper,
            options,
            stage,
            merge: Merge::new(Vec::new()),
            batch: Batch::default(),
            verdicts: Vec::new(),
            below,
            key: None,
            tombstones: Vec::new(),
            output: None,
            created: Vec::new(),
            added: Vec::new(),
            changes: Map::default(),
            progress: Progress::default(),
            failed: false,
        })
    }

    /// What it executes.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Does the whole of it, stepping aside for other tasks between batches. After an error the files are removed.
    ///
    /// # Errors
    /// An input that cannot be read, an output that cannot be written.
    pub async fn run(mut self, next_file: NextFile<'_>) -> Result<Compacted> {
        loop {
            match self.step(next_file).await {
                Ok(true) => task::yield_now().await,
                Ok(false) => return self.finish(),
                Err(error) => {
                    self.discard().await;
                    return Err(error);
                }
            }
        }
    }

    /// One batch of entries: about 100 us of work, and the I/O. `false`: everything is written and synced.
    ///
    /// # Errors
    /// As [`Compaction::run`]; [`Error::Lost`] after an error or a dropped step. It can only be discarded then.
    pub async fn step(&mut self, next_file: NextFile<'_>) -> Result<bool> {
        if self.failed {
            return Err(Error::Lost);
        }
        // Whoever drops this future in the middle finds the compaction failed.
        self.failed = true;
        let more = self.step_inner(next_file).await?;
        self.failed = false;
        Ok(more)
    }

    /// The result, once [`Compaction::step`] has said `false`.
    ///
    /// # Errors
    /// [`Error::Lost`] before that.
    pub fn finish(mut self) -> Result<Compacted> {
        if self.failed || !matches!(self.stage, Stage::Done) {
            return Err(Error::Lost);
        }
        if planted(Plant::DropSeqAtEnd) {
            let now = self.keeper.now();
            self.added.iter_mut().for_each(|meta| meta.drop_seq = now);
        }
        let (mut removed, mut moved) = (Vec::new(), Vec::new());
        if self.plan.is_trivial {
            moved.clone_from(&self.plan.inputs);
        } else {
            removed.extend(self.plan.inputs.iter().chain(&self.plan.below));
        }
        let (mut live, mut left_out) = (BTreeMap::new(), BTreeMap::new());
        for (origin, change) in self.changes {
            if change.live != LiveChange::default() {
                live.insert(origin, change.live);
            }
            if let Some(of_origin) = change.left_out {
                left_out.insert(origin, of_origin);
            }
        }
        Ok(Compacted {
            level: self.plan.to,
            plan: self.plan,
            added: self.added,
            removed,
            moved,
            live,
            left_out,
            log_needed: self.start,
            progress: self.progress,
        })
    }

    /// Removes the files it has written so far. One that cannot be removed goes when the shard is opened next.
    ///
    /// Not for a result whose MANIFEST record failed: it may be whole on disk all the same.
    pub async fn discard(self) {
        let Self { disk, output, created, .. } = self;
        drop(output);
        for path in created {
            drop(disk.remove(&path).await);
        }
    }

    async fn step_inner(&mut self, next_file: NextFile<'_>) -> Result<bool> {
        match std::mem::replace(&mut self.stage, Stage::Merging) {
            Stage::Planned { newest, levels } => {
                self.merge = open(newest, levels).await?;
                self.merge.seek_forward(&[], SeqNo::MAX).await?;
            }
            Stage::Merging => {}
            Stage::Done => {
                self.stage = Stage::Done;
                return Ok(false);
            }
        }
        let mut batch = std::mem::take(&mut self.batch);
        batch.fill(&mut self.merge).await?;
        self.progress.read_count += batch.len() as u64;
        let mut verdicts = std::mem::take(&mut self.verdicts);
        verdicts.clear();
        verdicts.resize(batch.len(), Verdict::Keep);
        if self.keeper.judges() {
            let run: Vec<_> = batch.iter().collect();
            self.keeper.judge(&run, &mut verdicts);
        }
        for (entry, verdict) in batch.iter().zip(&verdicts) {
            if self.key.as_deref() != Some(entry.key) {
                self.end_key(next_file).await?;
                self.begin_key(entry.key);
            }
            let (kind, value) = match verdict {
                Verdict::Keep => (entry.kind, entry.value),
                Verdict::Drop => {
                    self.count_live(&entry, -1)?;
                    continue;
                }
                Verdict::Replace(kind, value) => (*kind, value.as_slice()),
            };
            let seen = self.visibility.sees(entry.seq);
            if seen == Seen::Never {
                self.count_live(&entry, -1)?;
                continue;
            }
            // What stays as it is changes nothing.
            if let Verdict::Replace(..) = verdict {
                self.count_live(&entry, -1)?;
                self.count_live(&EntryRef { kind, value, ..entry }, 1)?;
            }
            if kind == Kind::Tombstone {
                self.tombstones.push(entry.seq);
                continue;
            }
            self.write_tombstones(next_file).await?;
            self.write(entry.key, entry.seq, kind, value, next_file).await?;
            if let (Seen::ByPoints { oldest, newest }, Some(output)) = (seen, &mut self.output) {
                output.held.add(oldest, newest, value_len(kind, value));
            }
        }
        let more = !batch.is_empty();
        self.batch = batch;
        self.verdicts = verdicts;
        if !more {
            self.end_key(next_file).await?;
            self.end_table().await?;
            self.stage = Stage::Done;
        }
        Ok(more)
    }

    fn begin_key(&mut self, key: &[u8]) {
        self.visibility.begin_key(key);
        let buffer = self.key.get_or_insert_default();
        buffer.clear();
        buffer.extend_from_slice(key);
    }

    /// All versions of the key have come: the tombstones that are left hide nothing of this compaction.
    async fn end_key(&mut self, next_file: NextFile<'_>) -> Result<()> {
        if !self.tombstones.is_empty() {
            let needed = self.key.as_deref().is_some_and(|key| self.below.covers(key));
            if needed && !planted(Plant::TombstoneDroppedEarly) {
                self.write_tombstones(next_file).await?;
            }
            self.progress.tombstones_dropped += self.tombstones.len() as u64;
            self.tombstones.clear();
        }
        Ok(())
    }

    async fn write_tombstones(&mut self, next_file: NextFile<'_>) -> Result<()> {
        if self.tombstones.is_empty() {
            return Ok(());
        }
        let (key, tombstones) = (self.key.take(), std::mem::take(&mut self.tombstones));
        for &seq in &tombstones {
            self.write(key.as_deref().unwrap_or_default(), seq, Kind::Tombstone, &[], next_file).await?;
        }
        (self.key, self.tombstones) = (key, tombstones);
        self.tombstones.clear();
        Ok(())
    }

    async fn write(
        &mut self,
        key: &[u8],
        seq: SeqNo,
        kind: Kind,
        value: &[u8],
        next_file: NextFile<'_>,
    ) -> Result<()> {
        let full = self.output.as_ref().is_some_and(|output| {
            output.len_so_far() >= self.options.table_len
                && (output.last_key() != key || planted(Plant::CutInsideKey))
        });
        if full {
            self.end_table().await?;
        }
        let output = match &mut self.output {
            Some(output) => output,
            None => {
                let (number, path) = next_file();
                // Made or not: removing it does no harm.
                self.created.push(path.clone());
                let output = Output::create(&self.disk, number, &path, self.options.writer.clone()).await?;
                self.output.insert(output)
            }
        };
        let drop_seq_max = self.visibility.drop_seq_max(seq);
        output.append(key, seq, kind, value, drop_seq_max).await?;
        self.progress.written_count += 1;
        Ok(())
    }

    async fn end_table(&mut self) -> Result<()> {
        if let Some(output) = self.output.take() {
            let (mut meta, sample) = output.finish(self.start).await?;
            meta.hidden_len = self.below.older().hidden_len(&sample).await;
            self.progress.written_len += meta.len;
            self.added.push(meta);
        }
        Ok(())
    }

    /// Adds the value that an entry points to, `sign` times, to what its origin holds.
    fn count_live(&mut self, entry: &EntryRef<'_>, sign: i64) -> Result<()> {
        if entry.kind != Kind::Pointer {
            return Ok(());
        }
        let ptr = ValuePtr::decode(entry.value).ok_or_else(|| Error::Entry {
            path: Path::new("compaction").to_owned(),
            what: "malformed value pointer",
            seq: entry.seq.get(),
        })?;
        let len = (self.options.record_len)(entry.key.len(), ptr.len as usize);
        let change = self.changes.entry(ptr.segment).or_insert_with(|| {
            let is_tracked = self.options.tracked.binary_search(&ptr.segment).is_ok();
            Change { left_out: is_tracked.then(SeqSet::none), ..Change::default() }
        });
        change.live.len += sign * i64::try_from(len).unwrap_or(i64::MAX);
        change.live.count += sign;
        match &mut change.left_out {
            Some(left_out) if sign < 0 => SeqSet::insert_into(left_out, entry.seq),
            Some(left_out) => *left_out = None,
            None => {}
        }
        Ok(())
    }
}

impl fmt::Debug for Compaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compaction")
            .field("plan", &self.plan)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

/// Length in the log of the value that an entry points to; what lies in the table is no garbage of the log.
fn value_len(kind: Kind, value: &[u8]) -> u64 {
    let ptr = (kind == Kind::Pointer).then(|| ValuePtr::decode(value)).flatten();
    ptr.map_or(0, |ptr| u64::from(ptr.len))
}

/// The tables of a level with these numbers, in the order of the level.
fn tables(version: &Version, level: usize, numbers: &[u32]) -> Result<Vec<Rc<Table>>> {
    let all = version.levels.get(level).map(Vec::as_slice).unwrap_or_default();
    let found: Vec<_> = all.iter().filter(|t| numbers.contains(&t.meta().number)).cloned().collect();
    if found.len() == numbers.len() { Ok(found) } else { Err(Error::Unplanned { level }) }
}

/// The merge of the inputs.
async fn open(newest: Vec<Rc<Table>>, levels: [Vec<Rc<Table>>; 2]) -> Result<Merge> {
    let mut sources = Vec::new();
    for table in newest {
        sources.push(Source::Table(table.reader_uncached().await?.cursor()));
    }
    for tables in levels.into_iter().filter(|tables| !tables.is_empty()) {
        sources.push(Source::Level(LevelCursor::new(tables, Reading::Once)));
    }
    Ok(Merge::new(sources))
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
