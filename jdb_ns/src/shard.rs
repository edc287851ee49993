//! A shard: one tree, one value log and one MANIFEST for all namespaces that hash to it.
//!
//! ```text
//! commit -> queue -> writer: one write to the log -> memtable -> answered (Os)
//!                      |-> syncer: one sync for all that wait ------> answered (Sync)
//!                      |-> flusher: closed memtable -> table -> MANIFEST -> published
//!                            compactor: tables -> fewer tables -> MANIFEST -> published
//!                            collector: segments -> a pack of what is live -> MANIFEST -> published
//! ```
//!
//! Invariants
//! - The shard owns every mutation and every file; a caller's future owns nothing but its wait for the answer.
//! - Records enter the memtable in log order, whole batches at once, and only after their write.
//! - One edit of the MANIFEST at a time, built under its lock. It is the only commit point.
//! - A read takes its sequence, its Version and what drops hide from it in one step ([`Shard::view_at`]).
//! - After a failed sync nothing is written any more until the database is opened again; reads go on.

use crate::account::Account;
use crate::catalog::NameNumbers;
use crate::collector::Collection;
use crate::commit::{Committed, Condition, Durability, Pending, Reply, Unsynced};
use crate::drops::DropMap;
use crate::error::{Error, Result};
use crate::flusher::position;
use crate::gate::Gate;
use crate::inline::Inline;
use crate::live_sets::LiveSets;
use crate::manifest::{Edit, FooterPlace, ManifestFile, State};
use crate::pack::Packs;
use crate::points::ReadPoints;
use crate::queue::Queue;
use crate::reserve::Reserve;
use futures::future::select;
use jdb_base::{NsId, SeqNo};
use jdb_io::task::Event;
use jdb_io::{BlockCache, Disk, Gauge, Handles, Names};
use jdb_lsm::{Hidden, PickerOptions, Tree, Version};
use jdb_mem::Memtable;
use jdb_sst::WriterOptions;
use jdb_val::{LogPos, Op, ValueLog};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What a shard is run with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Values up to this length also stay in the index.
    pub(crate) inline_max: usize,
    /// Longest time in which an acknowledged commit is not yet synced.
    pub(crate) sync_interval: Duration,
    /// Longest time in which a commit is only in the log.
    pub(crate) flush_interval: Duration,
    /// Target length of a data block in bytes.
    pub(crate) block_len: usize,
    /// Length in bytes from which on a table of a compaction ends with its key.
    pub(crate) table_len: u64,
    /// When tables are merged.
    pub(crate) picker: PickerOptions,
    /// Drops that a table must lack to be written anew because of them.
    pub(crate) drops_min: u64,
    /// Length in bytes at which a segment is full when little is garbage.
    pub(crate) segment_len: u64,
    /// The part of the log's bytes that may be garbage.
    pub(crate) max_garbage: f64,
    /// Packs are written with lz4.
    pub(crate) compress_packs: bool,
    /// Target length of a pack's blocks in bytes, when it is not the usual one.
    pub(crate) pack_block_len: Option<usize>,
    /// How far a life starts above all sequences before it; also the bound of operations that are ever unsynced.
    pub(crate) life_jump: u64,
    /// Nothing may be changed.
    pub(crate) read_only: bool,
}

/// A shard of an open database.
pub(crate) struct Shard {
    pub(crate) dir: PathBuf,
    /// Its syncs, which the log, the tables and the MANIFEST share.
    pub(crate) names: Names,
    pub(crate) disk: Disk,
    pub(crate) settings: Settings,
    pub(crate) account: Rc<Account>,
    pub(crate) reserve: Rc<Reserve>,
    pub(crate) cache: Rc<BlockCache>,
    pub(crate) handles: Rc<Handles>,
    pub(crate) log: ValueLog,
    pub(crate) tree: Tree,
    pub(crate) drops: RefCell<DropMap>,
    /// Drops since the active memtable began.
    pub(crate) drops_unflushed: Cell<usize>,
    /// The drop of the MANIFEST at which the next look for those that nobody needs begins.
    pub(crate) retire_from: Cell<SeqNo>,
    /// How many drops of the MANIFEST at most have not been looked at since tables or drops changed.
    pub(crate) retire_due: Cell<usize>,
    /// The oldest and the newest read point for which a table holds versions that no other read sees.
    pub(crate) held_points: Cell<Option<(SeqNo, SeqNo)>>,
    /// Somebody waits for room in the drop map.
    pub(crate) drops_pressed: Cell<bool>,
    /// What snapshots and scans still read.
    pub(crate) points: RefCell<ReadPoints>,
    pub(crate) manifest: futures::lock::Mutex<Manifest>,
    /// Of files; jobs take theirs from it too.
    pub(crate) numbers: Gauge,
    /// Tables in level 0, for jobs.
    pub(crate) backlog: Gauge,
    /// Ids that it may give to names.
    pub(crate) name_numbers: NameNumbers,

    /// Newest sequence that reads see.
    pub(crate) visible: Cell<SeqNo>,
    /// Where the first record lies that is not in a memtable yet.
    pub(crate) inserted: Cell<LogPos>,
    /// Newest sequence that a published flush covers: what is newer is in memtables.
    pub(crate) flushed_seq: Cell<SeqNo>,
    /// Sequence that this life starts at, once it is durable.
    pub(crate) life: Cell<Life>,

    pub(crate) queue: RefCell<Queue>,
    /// Something is in the queue, or the shard stops.
    pub(crate) queued: Event,
    /// The writer's future, for commits that find it idle.
    pub(crate) writer: Inline,
    /// It waits for the queue.
    pub(crate) writer_idle: Cell<bool>,
    /// Commits of the last group.
    pub(crate) group_count: Cell<usize>,
    pub(crate) unsynced: RefCell<Vec<Unsynced>>,
    /// When the oldest unsynced record was written, on the disk's clock.
    pub(crate) dirty_since: Cell<Option<Duration>>,
    pub(crate) sync_wanted: Cell<bool>,
    /// When the newest segment was begun, on the disk's clock.
    pub(crate) segment_begun: Cell<Duration>,
    /// Why the last sync did not happen although nothing is in doubt: a full disk.
    pub(crate) sync_error: RefCell<Option<Error>>,
    /// The last sync is not followed by a mark yet.
    pub(crate) mark_due: Cell<bool>,
    /// Somebody waited for a sync since files were last collected: syncs are worth a file to be written over.
    pub(crate) sync_commits: Cell<bool>,
    /// A sync is wanted, a segment was closed, or there is something to sync.
    pub(crate) sync_due: Event,
    /// A sync is over, or the shard stopped writing.
    pub(crate) synced: Event,

    pub(crate) active: Cell<ActiveMemtable>,
    /// Bytes of log at which it is closed.
    pub(crate) unflushed_len: Cell<u64>,
    pub(crate) closed: RefCell<VecDeque<ClosedMemtable>>,
    /// A memtable was closed, or the shard stops.
    pub(crate) flush_due: Event,
    /// The open segment has become too long for what is live, or somebody wants it closed.
    pub(crate) turn_over_due: Cell<bool>,
    /// Where the log ended when that was done last.
    pub(crate) turned_over_at: Cell<LogPos>,
    /// An attempt to flush is over, in this shard or another.
    pub(crate) flushed: Event,
    /// Why the last attempt to flush failed.
    pub(crate) flush_error: RefCell<Option<Error>>,

    /// Limits how many compactions run at once in the database.
    pub(crate) gate: Rc<Gate>,
    /// Something may be due to be merged, or the shard stops.
    pub(crate) compaction_due: Event,
    /// A compaction is over, or failed, or nothing is due any more.
    pub(crate) compacted: Event,
    /// Nothing is due, nothing runs.
    pub(crate) compaction_idle: Cell<bool>,
    /// Why the last compaction failed.
    pub(crate) compaction_error: RefCell<Option<Error>>,
    /// Where merging everything has come to, while somebody wants that.
    pub(crate) compact_level: Cell<Option<usize>>,
    /// Drops up to here are applied on the way.
    pub(crate) compact_seq: Cell<SeqNo>,
    /// Bytes of live records by the MANIFEST.
    pub(crate) live_len: Cell<u64>,
    /// Bytes of a live record in the mean, by the MANIFEST.
    pub(crate) live_mean: Cell<u64>,
    /// Bytes written since writers were slowed down last.
    pub(crate) slowed_len: Cell<u64>,

    /// Which records are live, as far as it is known without the index.
    pub(crate) live_sets: RefCell<LiveSets>,
    /// Where the values of collected segments are.
    pub(crate) packs: Packs,
    pub(crate) collection: Collection,
    /// Something may be due to be collected, or the shard stops.
    pub(crate) collection_due: Event,
    /// A collection is over, or failed, or nothing is due any more.
    pub(crate) collected: Event,

    /// The newest segment that the MANIFEST names as sealed.
    pub(crate) sealed_below: Cell<u32>,
    /// Footers written and not yet in the MANIFEST; `None`: could not be written.
    pub(crate) footers: RefCell<BTreeMap<u32, Option<FooterPlace>>>,

    /// What recovery passed over, by request.
    pub(crate) damage: RefCell<Vec<Error>>,
    pub(crate) poison: RefCell<Option<Poison>>,
    /// No new commit is taken any more.
    pub(crate) closing: Cell<bool>,
    pub(crate) stopping: Cell<bool>,
    /// The shard stops, or stopped writing.
    pub(crate) stopped: Event,
    pub(crate) writer_over: Cell<bool>,
    pub(crate) tasks: Cell<usize>,
    pub(crate) task_over: Event,
    pub(crate) counts: Cell<Counts>,
}

/// Where this life's sequences begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Life {
    /// Nothing was written in this life yet; the last sequence that recovery found.
    Unstarted { found: SeqNo },
    /// The start is in the MANIFEST.
    Started,
}

/// The memtable that takes entries now.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct ActiveMemtable {
    /// Bytes that it counted for at the last look.
    pub(crate) memory_len: usize,
    /// Bytes of log that only it covers.
    pub(crate) log_len: u64,
    /// Deletes among its entries.
    pub(crate) deletes: u64,
    /// When its first entry came, on the disk's clock.
    pub(crate) since: Option<Duration>,
}

/// A memtable that waits for its flush.
#[derive(Clone, Debug)]
pub(crate) struct ClosedMemtable {
    pub(crate) memtable: Rc<Memtable>,
    /// Bytes that it holds.
    pub(crate) memory_len: usize,
    /// Replay starts here once it is flushed.
    pub(crate) end: LogPos,
    /// The newest sequence in it and before it that reads see.
    pub(crate) last_seq: SeqNo,
    /// The newest sequence of the log before `end`, which may be a mark's.
    pub(crate) log_seq: SeqNo,
}

/// Why nothing is written any more.
#[derive(Clone, Debug)]
pub(crate) struct Poison {
    path: PathBuf,
    why: Arc<str>,
}

/// What the shard has done since it was opened.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) commits: u64,
    pub(crate) groups: u64,
    pub(crate) put_len: u64,
    pub(crate) flushes: u64,
    pub(crate) flushed_len: u64,
    pub(crate) syncs: u64,
    pub(crate) compactions: u64,
    pub(crate) moves: u64,
    pub(crate) compacted_len: u64,
    pub(crate) tombstones_dropped: u64,
    pub(crate) stalled: Duration,
}

/// The MANIFEST and the state that it adds up to: together the only commit point.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// `None` when it was lost and the shard was put together from its files: then nothing is written.
    pub(crate) file: Option<ManifestFile>,
    pub(crate) state: State,
}

/// What one read sees: a sequence, and everything needed to answer as of it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) seq: SeqNo,
    pub(crate) version: Rc<Version>,
    pub(crate) hidden: Hidden,
}

impl Shard {
    /// What a read of `ns` sees as of `seq`, which is visible now or held as a read point.
    pub(crate) fn view_at(&self, ns: NsId, seq: SeqNo) -> View {
        View { seq, version: self.tree.version(), hidden: self.drops.borrow().hidden(ns, seq) }
    }

    /// How tables are written.
    pub(crate) fn writer_options(&self) -> WriterOptions {
        WriterOptions {
            block_len: self.settings.block_len,
            group_prefix_len: Some(ns_prefix_len),
            ..WriterOptions::default()
        }
    }

    /// Takes note of what the MANIFEST says is live.
    pub(crate) fn note_live(&self, state: &State) {
        let live_len: u64 = state.live.values().sum();
        let count: u64 = state.tables.values().map(|table| table.count).sum();
        self.live_len.set(live_len);
        self.live_sets.borrow_mut().fit(state);
        self.live_mean.set(live_len / count.max(1));
        self.held_points.set(held_points(&self.tree.version()));
        self.backlog.set(self.newest_count());
        self.fit_segments(state);
        self.note_garbage(state);
        self.want_collection();
    }

    /// Hands a commit over. From here on it belongs to the shard. With a condition that does not hold any more when the commit's
    /// turn comes the answer is [`Error::Stale`], and nothing was written.
    ///
    /// # Errors
    /// The shard is closed, read-only or stopped writing.
    pub(crate) fn commit(
        self: &Rc<Self>,
        ops: Vec<Op>,
        durability: Durability,
        conditions: Vec<Condition>,
    ) -> Result<Rc<Reply>> {
        self.check_writable()?;
        if self.closing.get() {
            return Err(Error::Closed);
        }
        let len = ops.iter().map(|op| op.key.len() + op.value.len()).sum();
        let reply = Rc::new(Reply::default());
        self.queue.borrow_mut().push(Pending { ops, len, durability, conditions, reply: reply.clone() });
        // Commits that came together go on to be written together.
        if self.writer_idle.get() && self.group_count.get() <= 1 {
            self.queued.notify_quietly();
            if self.writer.poll_here(len) {
                return Ok(reply);
            }
        }
        self.queued.notify();
        Ok(reply)
    }

    /// Waits until the log is durable through `end`.
    ///
    /// # Errors
    /// The shard stopped writing before.
    pub(crate) async fn wait_synced(&self, end: LogPos) -> Result<()> {
        loop {
            if self.log.synced() >= end {
                return Ok(());
            }
            self.check_poison()?;
            if self.stopping.get() {
                return Err(Error::Closed);
            }
            self.want_sync();
            self.synced.wait().await;
            if self.log.synced() < end
                && let Some(error) = &*self.sync_error.borrow()
            {
                return Err(error.again());
            }
        }
    }

    /// Makes durable what is visible now.
    pub(crate) async fn sync(&self) -> Result<()> {
        let end = self.inserted.get();
        self.wait_synced(end).await
    }

    /// Finishes what is queued, makes it durable (in tables, when more than `flush_len` bytes of log are in none) and ends
    /// the tasks.
    pub(crate) async fn close(&self, flush_len: u64) -> Result<()> {
        let mut result = Ok(());
        if self.tasks.get() > 0 && !self.stopping.get() {
            self.closing.set(true);
            self.queued.notify();
            while !self.writer_over.get() {
                self.task_over.wait().await;
            }
            let unflushed = !self.closed.borrow().is_empty() || self.active.get().log_len > flush_len;
            result = if unflushed { self.flush().await } else { self.sync().await };
            if let Err(error) = &result {
                let synced = self.sync().await;
                if error.is_no_space() {
                    // No room for a table: the log holds everything, and the next open replays it.
                    result = synced;
                }
            }
            // Best effort, both: they only let later damage be told from a torn tail.
            drop(self.note_synced().await);
            drop(self.log.mark().await);
            self.log.seal_now().await;
        }
        self.stop();
        while self.tasks.get() > 0 {
            self.task_over.wait().await;
        }
        // Nobody collects any more.
        self.log.drop_spare().await;
        result
    }

    /// Notes in the MANIFEST how far the log is durable, when this life has written anything: a log of which later only a
    /// beginning is left, or nothing, is then known to be damaged.
    async fn note_synced(&self) -> Result<()> {
        if !matches!(self.life.get(), Life::Started) {
            return Ok(());
        }
        let mut manifest = self.manifest.lock().await;
        let synced = position(self.log.synced());
        if manifest.state.log_synced == synced {
            return Ok(());
        }
        let edit = Edit { log_synced: Some(synced), ..Edit::default() };
        self.commit_edit(&mut manifest, &edit).await
    }

    /// Asks the syncer for a sync.
    pub(crate) fn want_sync(&self) {
        self.sync_wanted.set(true);
        self.sync_due.notify();
    }

    /// Closes the active memtable when it covers any record. Must not run between a write and its insertion.
    pub(crate) fn close_memtable(&self) {
        let end = self.inserted.get();
        let covered = self.closed.borrow().back().map(|closed| closed.end);
        if self.active.get().log_len == 0 || covered == Some(end) {
            return;
        }
        self.close_at(end, self.visible.get());
    }

    /// Closes the active memtable, whatever it holds; replay starts at `end`, behind the sequence `log_seq`, once it is flushed.
    pub(crate) fn close_at(&self, end: LogPos, log_seq: SeqNo) {
        let memtable = self.tree.active();
        self.tree.rotate();
        self.drops_unflushed.set(0);
        let active = self.active.replace(ActiveMemtable::default());
        self.account.closed(active);
        let (memory_len, last_seq) = (active.memory_len, self.visible.get());
        let closed = ClosedMemtable { memtable, memory_len, end, last_seq, log_seq };
        self.closed.borrow_mut().push_back(closed);
        self.flush_due.notify();
    }

    /// Commits an edit. When it is in doubt what is durable afterwards, the shard stops writing.
    ///
    /// After an error the edit may all the same be found at the next open: files that it adds must stay.
    pub(crate) async fn commit_edit(&self, manifest: &mut Manifest, edit: &Edit) -> Result<()> {
        self.check_poison()?;
        let Manifest { file: Some(file), state } = manifest else { return Err(Error::ReadOnly) };
        let committed = file.commit(state, edit).await;
        if let Err(error) = &committed
            && (file.check_healthy().is_err() || error.is_failed_sync())
        {
            self.poison(error);
        }
        committed
    }

    /// Makes the names of new files durable. When that fails the shard stops writing.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) async fn sync_names(&self) -> Result<()> {
        let synced = self.names.sync(&self.disk, &self.dir).await.map_err(Error::from);
        if let Err(error) = &synced
            && error.is_failed_sync()
        {
            self.poison(error);
        }
        synced
    }

    /// A background task's time between two attempts; ends at once when the shard stops.
    pub(crate) async fn rest(&self, time: Duration) {
        if !self.is_over() {
            let (stopped, timer) = (pin!(self.stopped.wait()), pin!(self.disk.sleep(time)));
            select(stopped, timer).await;
        }
    }

    /// Whether the tasks are to end.
    pub(crate) fn is_over(&self) -> bool {
        self.stopping.get() || self.poison.borrow().is_some()
    }

    /// Stops all writing for good and fails everyone who waits for it.
    pub(crate) fn poison(&self, error: &Error) {
        if self.poison.borrow().is_none() {
            let path = error.path().unwrap_or(&self.dir).to_owned();
            *self.poison.borrow_mut() = Some(Poison { path, why: error.chain().into() });
        }
        let Err(error) = self.check_poison() else { return };
        let unsynced = std::mem::take(&mut *self.unsynced.borrow_mut());
        crate::commit::fail_all(unsynced.iter().map(|u| &u.reply), &error);
        self.queue.borrow_mut().fail_all(&error);
        self.wake_all();
    }

    /// Whether anything may be written.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.stopping.get() {
            return Err(Error::Closed);
        }
        if self.settings.read_only {
            return Err(Error::ReadOnly);
        }
        self.check_poison()
    }

    /// Whether writing has stopped for good.
    pub(crate) fn check_poison(&self) -> Result<()> {
        match &*self.poison.borrow() {
            Some(poison) => Err(Error::Poisoned { path: poison.path.clone(), why: poison.why.clone() }),
            None => Ok(()),
        }
    }

    /// Ends the background tasks at their next step and fails what waits in the queue.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
        self.queue.borrow_mut().fail_all(&Error::Closed);
        let unsynced = std::mem::take(&mut *self.unsynced.borrow_mut());
        crate::commit::fail_all(unsynced.iter().map(|u| &u.reply), &Error::Closed);
        self.wake_all();
    }

    pub(crate) fn wake_all(&self) {
        for event in [
            &self.queued,
            &self.sync_due,
            &self.synced,
            &self.flush_due,
            &self.flushed,
            &self.compaction_due,
            &self.compacted,
            &self.collection_due,
            &self.collected,
            &self.stopped,
        ] {
            event.notify();
        }
        self.gate.wake();
        self.account.flushes.wake();
    }

    /// Counts something.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    pub(crate) fn committed(self: &Rc<Self>, seq: SeqNo, end: LogPos) -> Committed {
        Committed { seq, end, shard: self.clone() }
    }
}

/// From the oldest to the newest read point for which any table holds versions.
fn held_points(version: &Version) -> Option<(SeqNo, SeqNo)> {
    let points = version.tables().filter_map(|table| table.meta().held.points());
    points.reduce(|(oldest, newest), (from, to)| (oldest.min(from), newest.max(to)))
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("dir", &self.dir)
            .field("visible", &self.visible.get())
            .finish_non_exhaustive()
    }
}

/// Length of the namespace in front of an engine key.
fn ns_prefix_len(key: &[u8]) -> usize {
    let mut rest = key;
    NsId::take(&mut rest).map_or(0, |_| key.len() - rest.len())
}
