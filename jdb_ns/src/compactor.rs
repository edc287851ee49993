//! The compactor of a shard: merges tables while anything is due, and takes the old ones away.
//!
//! ```text
//! plan, drops, read points and log position of one moment -> job: steps -> tables synced -> directory synced -> log synced through its start
//!   -> one MANIFEST record -> published -> files removed that no Version holds
//! ```
//!
//! Invariants
//! - Nothing is awaited between the choice of a plan and the start of its compaction, nor between the record and its
//!   publication.
//! - The record waits until the log is durable through everything that was visible at the start: else the effect of a drop
//!   would be durable before the drop.
//! - Only the flusher adds to level 0 and only the compactor takes anything away, so that a plan stays right while it runs.

use crate::error::{Error, Result};
use crate::filename::FileName;
use crate::flusher::position;
use crate::job::next_number;
use crate::keeper::{Moment, drop_range};
use crate::manifest::{Edit, LiveDelta, State, TableEntry, TableMove};
use crate::pace::{self, Pressure};
use crate::shard::Shard;
use futures::future::select;
use jdb_io::plant::{Plant, planted};
use jdb_io::{Abort, Disk, Gauge, Handles, task};
use jdb_lsm::{
    Compacted, Compaction, CompactionOptions, Plan, Table, TableMeta, TableSet, pick, pick_all, waiting,
};
use jdb_val::LogPos;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Time between two attempts after one failed.
const RETRY: Duration = Duration::from_secs(1);
/// The longest such time: it doubles from failure to failure.
const RETRY_MAX: Duration = Duration::from_secs(16);
/// How often it is looked whether tables that readers hold may go.
const LOOK: Duration = Duration::from_secs(1);
/// Drops counted for one table: more make it no more urgent.
const WAITING_MAX: usize = 256;
/// Drops that the map holds at most; the next one waits.
pub(crate) const DROP_COUNT_MAX: usize = 16 << 10;
/// From this part of [`DROP_COUNT_MAX`] on every table that lacks a drop is written anew.
const DROP_PRESSURE_PART: usize = 4;
/// After so many flush intervals without other work, a table that lacks a single drop is written anew.
const DROP_PATIENCE: u32 = 10;

/// Tables that a job keeps open beside its inputs, to look keys up, and the bytes that they may weigh.
const JOB_HANDLE_COUNT: usize = 8;
const JOB_HANDLES_LEN: usize = 1 << 20;

/// What is to be done next.
struct Due {
    plan: Plan,
    /// Somebody asked for it: where merging everything stands before and after it.
    asked: Option<(usize, Option<usize>)>,
}

/// A finished compaction whose record could not be written yet.
struct Finished {
    result: Compacted,
    /// As [`Due::asked`].
    asked: Option<(usize, Option<usize>)>,
    /// The log must be durable through here.
    needed: LogPos,
}

/// A compaction with all that it needs.
struct MergeJob {
    plan: Plan,
    tables: TableSet,
    moment: Moment,
    options: CompactionOptions,
    dir: PathBuf,
    numbers: Gauge,
    /// Tables of level 0 now, and of how many a compaction is due: the pace where there is no worker.
    backlog: Gauge,
    newest_count: usize,
}

impl MergeJob {
    /// Merges; `None` when it is to end before. What it has written is removed then, and after an error.
    async fn run(self, disk: Disk, abort: Abort) -> Result<Option<Compacted>> {
        let handles = Rc::new(Handles::new(JOB_HANDLE_COUNT, JOB_HANDLES_LEN));
        let version = self.tables.on(&disk, None, &handles);
        let mut compaction = Compaction::new(&disk, &version, self.plan, self.moment.keeper(), self.options)?;
        let mut next_file = || {
            let number = next_number(&self.numbers);
            (number, FileName::Table(number).path(&self.dir))
        };
        while !abort.is_set() {
            let start = disk.now();
            match compaction.step(&mut next_file).await {
                Ok(true) if disk.is_worker() => task::yield_now().await,
                Ok(true) => {
                    let took = disk.now().saturating_sub(start);
                    pace::step_aside(&disk, took, pace::share(self.backlog.get(), self.newest_count)).await;
                }
                Ok(false) => return Ok(Some(compaction.finish()?)),
                Err(error) => {
                    compaction.discard().await;
                    return Err(error.into());
                }
            }
        }
        compaction.discard().await;
        Ok(None)
    }
}

/// Runs until the shard stops or must not write any more.
pub(crate) async fn run(shard: Rc<Shard>) {
    let mut finished = None;
    let mut patient = true;
    let mut retry = RETRY;
    while !shard.is_over() {
        shard.remove_retired().await;
        if shard.is_over() {
            break;
        }
        let nothing_due = finished.is_none() && shard.due(patient).is_none();
        if nothing_due && shard.retire_due.get() == 0 {
            patient = shard.wait_for_compaction().await;
            continue;
        }
        let result = if nothing_due {
            shard.retire_waiting_drops().await
        } else {
            shard.compact_one(&mut finished, patient).await
        };
        patient = true;
        *shard.compaction_error.borrow_mut() = result.err();
        shard.compacted.notify();
        // Who waits for less garbage does not wait for a compaction that fails.
        shard.collected.notify();
        let failed = shard.compaction_error.borrow().as_ref().map(Error::is_no_space);
        retry = match failed {
            // Space may come back at any time; a damaged table is read in vain again and again.
            Some(false) => (retry * 2).min(RETRY_MAX),
            Some(true) | None => RETRY,
        };
        if failed.is_some() {
            shard.rest(retry).await;
        }
    }
    shard.compacted.notify();
}

impl Shard {
    /// Lets the compactor look whether anything is due.
    pub(crate) fn want_compaction(&self) {
        self.compaction_idle.set(false);
        self.compaction_due.notify();
    }

    /// Waits until something may be due. `false`: nothing came for long; what is hardly worth it may be done now.
    async fn wait_for_compaction(&self) -> bool {
        self.compaction_idle.set(true);
        self.compacted.notify();
        if self.collection.pressure() != Pressure::None {
            // Writers wait for garbage that no compaction of ours makes any less.
            self.want_collection();
        }
        let patience = self.settings.flush_interval * DROP_PATIENCE;
        let time = if self.tree.retired_count() > 0 { LOOK } else { patience };
        let drops = self.drops.borrow().count() > 0;
        if self.tree.retired_count() > 0 || drops {
            let start = self.disk.now();
            let (due, timer) = (pin!(self.compaction_due.wait()), pin!(self.disk.sleep(time)));
            select(due, timer).await;
            self.compaction_idle.set(false);
            return !drops || self.disk.now().saturating_sub(start) < patience;
        }
        self.compaction_due.wait().await;
        self.compaction_idle.set(false);
        true
    }

    /// What is most urgent at this moment. Only looks: merging everything goes on when its plan has been carried out.
    fn due(&self, patient: bool) -> Option<Due> {
        let version = self.tree.version();
        let points = self.points.borrow();
        let wanted = |oldest, newest| points.any_of(oldest, newest);
        let levels = version.candidates(|meta| self.waiting_drops(meta, patient), wanted);
        if let Some(level) = self.compact_level.get() {
            let (next, plan) = pick_all(&levels, level);
            if let Some(plan) = plan {
                return Some(Due { plan, asked: Some((level, next)) });
            }
            self.compact_level.set(None);
            self.compacted.notify();
        }
        let plan = pick(&levels, self.live_len.get(), &[], &self.settings.picker)?;
        Some(Due { plan, asked: None })
    }

    /// Drops for which a table is worth being written anew, see [`waiting`]; a few are not worth it, unless somebody asks for
    /// everything to be merged: then all are that there were at that moment.
    fn waiting_drops(&self, meta: &TableMeta, patient: bool) -> u64 {
        let drops = self.drops.borrow();
        if drops.count() == 0 {
            return 0;
        }
        let points = self.points.borrow();
        let asked = self.compact_level.get().map(|_| self.compact_seq.get());
        let touching = || {
            let touching = drops.touching(&meta.first_key, &meta.last_key);
            touching.filter(move |drop| asked.is_none_or(|seq| drop.at <= seq))
        };
        let count = if points.is_empty() {
            touching().filter(|drop| meta.drop_seq < drop.at).take(WAITING_MAX).count() as u64
        } else {
            let held = |drop: &crate::manifest::DropEntry| {
                let range = drop_range(drop);
                let holds = |seq| jdb_lsm::ReadPoint::snapshot(seq).holds(&range);
                (range, points.of(drop.ns).any(holds))
            };
            let all: Vec<_> = touching().filter(|drop| meta.drop_seq < drop.at).map(held).collect();
            waiting(meta, all.into_iter())
        };
        if asked.is_some() {
            return count;
        }
        let pressed = drops.count() >= DROP_COUNT_MAX / DROP_PRESSURE_PART || self.drops_pressed.get();
        // A table that lies within one namespace goes as a whole.
        let whole = drops.touching(&meta.first_key, &meta.first_key).any(|drop| {
            meta.drop_seq < drop.at
                && drops.touching(&meta.last_key, &meta.last_key).any(|other| other.at == drop.at)
        });
        if pressed || whole || !patient || count >= self.settings.drops_min { count } else { 0 }
    }

    /// One compaction, from its plan to the removal of its inputs; or the record of one that was finished before.
    async fn compact_one(self: &Rc<Self>, finished: &mut Option<Finished>, patient: bool) -> Result<()> {
        let gate = Rc::clone(&self.gate);
        let Some(_place) = gate.pass(|| self.is_over()).await else { return Ok(()) };
        let _closed = (!self.disk.has_worker()).then(|| self.writer.close_here());
        if finished.is_none() {
            // The moment may have come later than the wish.
            let Some(due) = self.due(patient) else { return Ok(()) };
            *finished = self.merge(due).await?;
        }
        let Some(done) = finished else { return Ok(()) };
        self.commit_compaction(done).await?;
        *finished = None;
        self.remove_retired().await;
        Ok(())
    }

    /// Executes a plan; `None` when the shard stopped meanwhile.
    async fn merge(self: &Rc<Self>, Due { plan, asked }: Due) -> Result<Option<Finished>> {
        let needed = self.inserted.get();
        self.backlog.set(self.newest_count());
        let options = CompactionOptions {
            writer: self.writer_options(),
            table_len: self.settings.table_len,
            record_len: jdb_val::record_len,
            tracked: self.live_sets.borrow().origins(),
        };
        let job = MergeJob {
            tables: self.tree.version().table_set_for(&plan),
            plan,
            moment: Moment::of(self),
            options,
            dir: self.dir.clone(),
            numbers: self.numbers.clone(),
            backlog: self.backlog.clone(),
            newest_count: self.settings.picker.newest_count,
        };
        match self.job(|disk, abort| job.run(disk, abort)).await? {
            Ok(result) => Ok(result.map(|result| self.finished(result, asked, needed))),
            Err(error) => {
                if error.is_failed_sync() {
                    self.poison(&error);
                }
                Err(error)
            }
        }
    }

    fn finished(&self, result: Compacted, asked: Option<(usize, Option<usize>)>, needed: LogPos) -> Finished {
        let mut result = result;
        if planted(Plant::DropSeqAtEnd) {
            result.added.iter_mut().for_each(|meta| meta.drop_seq = self.visible.get());
        }
        Finished { result, asked, needed }
    }

    /// Makes a result the shard's own. After an error it may be tried again: the tables stay, for a record that failed may
    /// be found at the next open all the same.
    async fn commit_compaction(&self, done: &Finished) -> Result<()> {
        let result = &done.result;
        if !result.added.is_empty() && !planted(Plant::NoTableDirSync) {
            self.sync_names().await?;
        }
        if !result.plan.is_trivial && !planted(Plant::CompactBeforeLogSync) {
            self.wait_synced(done.needed).await?;
        }
        let stale = self.stale_state().await;
        let mut manifest = self.manifest.lock().await;
        let state = stale.as_ref().unwrap_or(&manifest.state);
        let mut edit = compaction_edit(result);
        edit.next_number = Some(self.next_number().max(state.next_number));
        // It may hold the effect of drops that only the log holds: a log that ends before them is damaged, not torn.
        edit.log_synced = Some(position(self.log.synced()));
        let gone = self.retire_drops(state, state.last_seq, &mut edit);
        if planted(Plant::RemoveBeforeManifest) {
            for &number in &result.removed {
                drop(self.disk.remove(&FileName::Table(number).path(&self.dir)).await);
            }
        }
        self.commit_edit(&mut manifest, &edit).await?;
        let added = result.added.iter().map(|meta| {
            let path = FileName::Table(meta.number).path(&self.dir);
            Rc::new(Table::new(&self.disk, path, meta.clone(), Some(self.cache.clone()), &self.handles))
        });
        self.tree.compacted(result, added.collect());
        self.live_sets.borrow_mut().left_out(&result.left_out);
        self.drops.borrow_mut().remove(&gone);
        self.retire_due.set(usize::MAX);
        self.note_live(&manifest.state);
        if let Some((level, next)) = done.asked
            && self.compact_level.get() == Some(level)
        {
            self.compact_level.set(next);
        }
        self.count(|counts| {
            counts.compactions += 1;
            counts.moves += u64::from(result.plan.is_trivial);
            counts.compacted_len += result.progress.written_len;
            counts.tombstones_dropped += result.progress.tombstones_dropped;
        });
        Ok(())
    }

    /// Removes the files of tables that left the tree and that nobody reads any more. What cannot be removed goes at the
    /// next open.
    pub(crate) async fn remove_retired(&self) {
        for table in self.tree.take_unpinned() {
            let path = table.path().to_owned();
            drop(table);
            drop(self.disk.remove(&path).await);
        }
    }

    /// Tables in level 0.
    pub(crate) fn newest_count(&self) -> usize {
        self.tree.version().levels.first().map_or(0, Vec::len)
    }

    /// With its bug planted, the state that the next edit is built for before it has the lock.
    pub(crate) async fn stale_state(&self) -> Option<State> {
        if !planted(Plant::StaleEdit) {
            return None;
        }
        let state = self.manifest.lock().await.state.clone();
        self.disk.sleep(Duration::from_millis(5)).await;
        Some(state)
    }
}

/// A table as the MANIFEST writes it.
pub(crate) fn table_entry(meta: &TableMeta, level: usize) -> TableEntry {
    TableEntry {
        number: meta.number,
        level: u8::try_from(level).unwrap_or(u8::MAX),
        len: meta.len,
        count: meta.count,
        first_key: meta.first_key.clone().into(),
        last_key: meta.last_key.clone().into(),
        seq_min: meta.seq_min,
        seq_max: meta.seq_max,
        drop_seq: meta.drop_seq,
        id: meta.id,
        tombstones: meta.tombstones,
        hidden_len: meta.hidden_len,
        held_len: meta.held.len(),
    }
}

fn compaction_edit(result: &Compacted) -> Edit {
    let level = u8::try_from(result.level).unwrap_or(u8::MAX);
    let live = result.live.iter().filter(|(_, change)| change.len != 0);
    Edit {
        tables_added: result.added.iter().map(|meta| table_entry(meta, result.level)).collect(),
        tables_removed: result.removed.clone(),
        tables_moved: result.moved.iter().map(|&number| TableMove { number, level }).collect(),
        live_deltas: live.map(|(&origin, change)| LiveDelta { origin, delta: change.len }).collect(),
        ..Edit::default()
    }
}
