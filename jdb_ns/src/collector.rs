//! The collector of a shard: takes what is live out of files that are mostly garbage, and removes them.
//!
//! ```text
//! victims chosen -> Version pinned -> job: each record: does the index hold exactly it? -> survivors by (key, sequence)
//!   -> pack synced -> directory synced -> one MANIFEST record: pack added, victims removed -> homes moved
//!   -> files removed when no Version from before is held
//! ```
//!
//! The index is never written: pointers stay as they are, and a collection can lose no race with a write.
//!
//! Invariants
//! - A victim lies below the segment of the replay position: all that its records may be wanted for is in durable tables, which
//!   are asked (`survivors`), never memtables.
//! - The record is only written when the survivors of each origin come to exactly the live bytes that the MANIFEST counted when the
//!   victims were chosen, which is the step in which the Version was pinned.
//! - A file that holds a live record which cannot be read is not collected.

use crate::error::{Error, Result};
use crate::filename::FileName;
use crate::live_sets::Known;
use crate::manifest::{Edit, PackEntry, State};
use crate::pace::{self, Pressure};
use crate::pack::Pack;
use crate::packing::{PackJob, PackReport, Packed, pack_options};
use crate::shard::Shard;
use crate::victims::{Balance, Files, Limits, Victims};
use futures::future::select;
use jdb_io::Gauge;
use jdb_io::plant::{Plant, planted};
use jdb_lsm::Version;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Time between two attempts after one failed, doubled from failure to failure.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(16);
/// How often it is looked whether files that readers hold may go.
const LOOK: Duration = Duration::from_secs(1);
/// Collecting begins at this part of what may be garbage, so that the bound is kept while it runs.
const AIM: f64 = 0.75;
/// The garbage that is left when somebody asks for a collection.
const GARBAGE_ASKED: f64 = 0.02;

/// What the collector shares with the shard's other tasks.
#[derive(Default, Debug)]
pub(crate) struct Collection {
    /// Nothing is due, nothing runs.
    pub(crate) idle: Cell<bool>,
    /// Somebody asked for a collection.
    asked: Cell<Option<Asked>>,
    /// Why the last attempt failed.
    pub(crate) error: RefCell<Option<Error>>,
    /// What writers have to do because of garbage.
    pressure: Cell<Pressure>,
    /// A thousandth of the collection's share of the thread, for jobs.
    share: Gauge,
    /// The last attempt found no room: the next one moves little.
    tight: Cell<bool>,
    /// Files with a live record that cannot be read, and why.
    left_out: RefCell<BTreeMap<u32, Error>>,
    /// Collected files that a reader may still want, each group with the Versions that must be gone first.
    retired: RefCell<VecDeque<Retired>>,
    pub(crate) counts: Cell<CollectCounts>,
}

/// What somebody asked for and what is left of it.
#[derive(Clone, Copy, Debug)]
struct Asked {
    stage: Stage,
    /// Only files below this number: those that were there when the stage began.
    below: u32,
}

/// What is done when a collection is asked for, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// All garbage goes.
    Garbage,
    /// What is live in segments goes into packs.
    Segments,
    /// Packs are merged.
    Packs,
}

/// What was collected since the database was opened.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct CollectCounts {
    pub(crate) collections: u64,
    /// Bytes of packs written.
    pub(crate) written_len: u64,
    /// Bytes of files given up.
    pub(crate) freed_len: u64,
}

impl Collection {
    /// Takes note of a file that has to stay because it is damaged; an error of another kind changes nothing.
    fn note_damage(&self, number: u32, why: &Error) {
        if is_damage(why) {
            self.left_out.borrow_mut().entry(number).or_insert_with(|| why.again());
        }
    }

    /// All garbage that somebody asked about is gone.
    fn is_gathering(&self) -> bool {
        self.asked.get().is_some_and(|asked| asked.stage != Stage::Garbage)
    }

    /// What writers have to do because of garbage.
    pub(crate) fn pressure(&self) -> Pressure {
        self.pressure.get()
    }

    fn set_pressure(&self, pressure: Pressure) {
        self.pressure.set(pressure);
        self.share.set((pace::collection_share(pressure) * 1000.0) as usize);
    }

    /// Why the last attempt failed, or why a file has to stay.
    pub(crate) fn why_not(&self) -> Option<Error> {
        let left_out = self.left_out.borrow();
        self.error.borrow().as_ref().or_else(|| left_out.values().next()).map(Error::again)
    }

    pub(crate) fn retired_count(&self) -> usize {
        self.retired.borrow().iter().map(|retired| retired.segments.len() + retired.packs.len()).sum()
    }
}

#[derive(Debug)]
struct Retired {
    until: Weak<()>,
    segments: Vec<u32>,
    packs: Vec<u32>,
}

/// A finished collection whose record is not written yet.
#[derive(Debug)]
struct Collected {
    victims: Victims,
    /// `None`: nothing was live.
    pack: Option<PackEntry>,
    /// Bytes of survivors by origin.
    live: BTreeMap<u32, u64>,
}

/// Runs until the shard stops or must not write any more.
pub(crate) async fn run(shard: Rc<Shard>) {
    let mut finished = None;
    let mut retry = RETRY;
    while !shard.is_over() {
        shard.remove_collected().await;
        if finished.is_none() && shard.next_victims().await.is_none() {
            // It may have stopped while the MANIFEST's lock was waited for: nobody wakes a second time.
            if !shard.is_over() {
                shard.wait_for_collection().await;
            }
            continue;
        }
        let left_out = shard.collection.left_out.borrow().len();
        let result = shard.collect_one(&mut finished).await;
        let no_space = result.as_ref().is_err_and(Error::is_no_space);
        shard.collection.tight.set(no_space);
        if no_space && shard.make_room().await {
            continue;
        }
        if result.is_ok() {
            shard.reserve.restore().await;
        }
        // What is damaged is left out from now on; the others can be collected at once.
        let failed = result.is_err() && shard.collection.left_out.borrow().len() == left_out;
        *shard.collection.error.borrow_mut() = result.err().filter(|_| failed);
        shard.collected.notify();
        retry = if failed { (retry * 2).min(RETRY_MAX) } else { RETRY };
        if failed {
            shard.rest(retry).await;
        }
    }
    shard.collection.set_pressure(Pressure::None);
    shard.collected.notify();
}

impl Shard {
    /// Lets the collector look whether anything is due.
    pub(crate) fn want_collection(&self) {
        self.collection.idle.set(false);
        self.collection_due.notify();
    }

    /// What is most urgent at this moment.
    async fn next_victims(&self) -> Option<Victims> {
        let manifest = self.manifest.lock().await;
        let files = self.files_of(&manifest.state);
        let (max_garbage, tight) = (self.settings.max_garbage, self.collection.tight.get());
        let due = || files.choose(Limits { max_garbage: max_garbage * AIM, below: u32::MAX, tight });
        let victims = self.asked_victims(&files, tight, due).or_else(due);
        let victims = victims.map(|victims| victims.counted(&manifest.state));
        let moves = victims.as_ref().is_some_and(|victims| victims.live_len > 0);
        let pressure = if moves || !self.compaction_idle.get() {
            self.garbage_pressure(&manifest.state, &files)
        } else {
            Pressure::None
        };
        // Who waits because of the one before looks again, and who asked.
        self.collection.set_pressure(pressure);
        self.collected.notify();
        victims
    }

    fn files_of(&self, state: &State) -> Files {
        let replay_from = state.replay_from.segment.saturating_add(planted(Plant::VictimAtReplay).into());
        let left_out = self.collection.left_out.borrow();
        Files::of(state, replay_from, |number| left_out.contains_key(&number))
    }

    /// What writers have to do because of garbage, when something is done about it: also because of values that upper tables probably
    /// hide, which are garbage once these are merged.
    fn garbage_pressure(&self, state: &State, files: &Files) -> Pressure {
        let deepest = state.tables.values().map(|table| table.level).max().unwrap_or(0);
        let upper = state.tables.values().filter(|table| table.level < deepest);
        let hidden_len: u64 = upper.map(|table| table.hidden_len).sum();
        let balance = files.balance();
        let live_len = balance.live_len - hidden_len.min(balance.live_len / 2);
        pace::garbage_pressure(Balance { live_len, ..balance }, self.settings.max_garbage)
    }

    /// Takes note of a new state of the files while they are collected; the collector looks at it when it comes round.
    pub(crate) fn note_garbage(&self, state: &State) {
        let pressure = self.garbage_pressure(state, &self.files_of(state));
        self.collection.set_pressure(pressure);
    }

    /// What is to be done next of what somebody asked for; `None` when all is done.
    fn asked_victims(
        &self,
        files: &Files,
        tight: bool,
        due: impl Fn() -> Option<Victims>,
    ) -> Option<Victims> {
        // Every second time what is due goes before what is gathered: under sustained writes something always is.
        let due_first = self.collection.counts.get().collections.is_multiple_of(2);
        let due = || due_first.then(&due).flatten();
        while let Some(Asked { stage, below }) = self.collection.asked.get() {
            let limits = Limits { max_garbage: GARBAGE_ASKED, below, tight };
            // Where there is hardly room nothing is gathered.
            let (victims, next) = match stage {
                Stage::Garbage => {
                    (files.choose(limits), (!tight).then_some(Asked { stage: Stage::Segments, below }))
                }
                _ if tight => (None, None),
                Stage::Segments => {
                    let below_next = self.next_number();
                    let next = Asked { stage: Stage::Packs, below: below_next };
                    (due().or_else(|| files.to_pack(below)), Some(next))
                }
                Stage::Packs => (due().or_else(|| files.to_merge(below)), None),
            };
            if victims.is_some() {
                return victims;
            }
            self.collection.asked.set(next);
        }
        None
    }

    /// Waits until something may be due.
    async fn wait_for_collection(&self) {
        self.collection.idle.set(true);
        self.collected.notify();
        if self.collection.retired_count() > 0 {
            let (due, timer) = (pin!(self.collection_due.wait()), pin!(self.disk.sleep(LOOK)));
            select(due, timer).await;
        } else {
            self.collection_due.wait().await;
        }
        self.collection.idle.set(false);
    }

    /// One collection, or the record of one that was finished before.
    async fn collect_one(&self, finished: &mut Option<Collected>) -> Result<()> {
        let gate = Rc::clone(&self.gate);
        let Some(_place) = gate.pass(|| self.is_over()).await else { return Ok(()) };
        let _closed = (!self.disk.has_worker()).then(|| self.writer.close_here());
        if finished.is_none() {
            // The moment may have come later than the wish.
            let Some(victims) = self.next_victims().await else { return Ok(()) };
            *finished = match self.pack(victims).await {
                // Gathering is not worth the reserve: it ends. What has to be collected is tried again.
                Err(error) if error.is_no_space() && self.collection.is_gathering() => {
                    self.collection.asked.set(None);
                    return Ok(());
                }
                packed => packed?,
            };
        }
        let Some(done) = finished else { return Ok(()) };
        if let Err(error) = self.commit_collection(done).await {
            if is_damage(&error) {
                // It would be refused again and again. The next one is without the files that are to blame. Its pack stays until
                // the next open: an earlier record may name it.
                *finished = None;
            }
            return Err(error);
        }
        *finished = None;
        self.remove_collected().await;
        Ok(())
    }

    /// Finds what is live in the victims and writes it to a pack; `None` when the shard stopped meanwhile.
    async fn pack(&self, victims: Victims) -> Result<Option<Collected>> {
        if victims.live_len == 0 {
            return Ok(Some(Collected { victims, pack: None, live: BTreeMap::new() }));
        }
        // Its tables are not to be removed meanwhile; its memtables are not asked, nor to be kept from being freed.
        let mut pinned = Version::clone(&self.tree.version());
        pinned.memtables.clear();
        let known = self.known_of(&victims);
        let entry = |&number: &u32| (number, self.packs.get(number).map(|pack| pack.entry().clone()));
        let job = PackJob {
            dir: self.dir.clone(),
            number: self.take_number(),
            options: pack_options(self.settings.pack_block_len, self.settings.compress_packs),
            segments: victims.segments.clone(),
            log: self.log.excerpt(&victims.segments),
            packs: victims.packs.iter().map(entry).collect(),
            tables: pinned.table_set(),
            known,
            share: self.collection.share.clone(),
        };
        let PackReport { packed, damage } = self.job(|disk, abort| job.run(disk, abort)).await?;
        drop(pinned);
        damage.iter().for_each(|(number, why)| self.collection.note_damage(*number, why));
        match packed {
            Ok(packed) => Ok(packed.map(|Packed { pack, live }| Collected { victims, pack, live })),
            Err(error) => {
                if error.is_failed_sync() {
                    self.poison(&error);
                }
                Err(error)
            }
        }
    }

    /// What is known of the victims' origins, as of the newest Version.
    fn known_of(&self, victims: &Victims) -> Known {
        if planted(Plant::TrustNewest) {
            return Known::nothing();
        }
        let packs = victims.packs.iter().filter_map(|&number| self.packs.get(number));
        let of_packs = packs.flat_map(|pack| pack.entry().origins.clone());
        self.live_sets.borrow().of(victims.segments.iter().copied().chain(of_packs))
    }

    /// Makes a collection the shard's own. After an error it may be tried again: the pack stays, for a record that failed may
    /// be found at the next open all the same.
    async fn commit_collection(&self, done: &Collected) -> Result<()> {
        let Collected { victims, pack, live } = done;
        if pack.is_some() {
            self.sync_names().await?;
        }
        if planted(Plant::RemoveCollectedEarly) {
            for &number in &victims.segments {
                drop(self.disk.remove(&FileName::Segment(number).path(&self.dir)).await);
            }
        }
        let mut manifest = self.manifest.lock().await;
        self.check_survivors(&manifest.state, victims, live)?;
        let edit = Edit {
            packs_added: pack.iter().cloned().collect(),
            packs_removed: victims.packs.clone(),
            segments_removed: victims.segments.clone(),
            next_number: Some(self.next_number().max(manifest.state.next_number)),
            ..Edit::default()
        };
        self.commit_edit(&mut manifest, &edit).await?;
        // Nothing is awaited between the commit and its publication.
        if let Some(entry) = pack {
            self.packs.add(Pack::new(&self.disk, &self.dir, entry.clone(), Some(&self.cache), &self.handles));
        }
        let (segments, packs) = (victims.segments.clone(), victims.packs.clone());
        let until = self.tree.begin_epoch();
        self.collection.retired.borrow_mut().push_back(Retired { until, segments, packs });
        let mut counts = self.collection.counts.get();
        counts.collections += 1;
        counts.written_len += pack.as_ref().map_or(0, |pack| pack.len);
        counts.freed_len += victims.len;
        self.collection.counts.set(counts);
        Ok(())
    }

    /// The survivors must hold what the MANIFEST counted when the victims were chosen, to the byte; and all that it counts now, for what
    /// was live then is live or dead since.
    fn check_survivors(&self, state: &State, victims: &Victims, live: &BTreeMap<u32, u64>) -> Result<()> {
        if planted(Plant::TrustNewest) {
            return Ok(());
        }
        let mut checked = Ok(());
        for origin in victims.origins(state) {
            let found = live.get(&origin).copied().unwrap_or(0);
            let (then, now) = (victims.live.get(&origin).copied().unwrap_or(0), state.live_len(origin));
            let expected = now.max(then);
            if found != expected {
                let path = FileName::Segment(origin).path(&self.dir);
                let what = "live bytes of a segment that is collected";
                let error = Error::Corrupt { path, what, offset: 0, expected, found };
                self.collection.note_damage(state.homes.get(&origin).copied().unwrap_or(origin), &error);
                checked = checked.and(Err(error));
            }
        }
        checked
    }

    /// Removes collected files that no Version leads to any more. What cannot be removed goes at the next open.
    pub(crate) async fn remove_collected(&self) {
        loop {
            let free = |retired: &Retired| retired.until.strong_count() == 0 || planted(Plant::RemovePinned);
            let first_is_free = self.collection.retired.borrow().front().is_some_and(free);
            if !first_is_free {
                return;
            }
            let Some(retired) = self.collection.retired.borrow_mut().pop_front() else { return };
            let recycles = self.sync_commits.replace(false);
            for number in retired.segments {
                self.log.forget(number);
                if !(recycles && self.log.recycle(number).await) {
                    drop(self.disk.remove(&self.log.path(number)).await);
                }
            }
            for number in retired.packs {
                let path = FileName::Pack(number).path(&self.dir);
                self.packs.forget(number);
                drop(self.disk.remove(&path).await);
            }
        }
    }

    /// Merges all tables, so that it is known what is dead, then collects whatever holds more than a fiftieth of garbage; then
    /// gathers what is live in few packs.
    ///
    /// # Errors
    /// Why a flush, a compaction or a collection failed; the shard tries again by itself unless it stopped writing.
    pub(crate) async fn collect(&self) -> Result<()> {
        self.compact().await?;
        self.check_writable()?;
        self.turn_over_if_long().await?;
        *self.collection.error.borrow_mut() = None;
        // There may be room now.
        self.collection.tight.set(false);
        self.collection.asked.set(Some(Asked { stage: Stage::Garbage, below: self.next_number() }));
        self.want_collection();
        self.wait_until_collected(|collection| collection.asked.get().is_none()).await?;
        self.collection.why_not().map_or(Ok(()), Err)
    }

    /// Waits until nothing is left to be collected.
    ///
    /// # Errors
    /// As [`Shard::collect`], but for files that have to stay.
    pub(crate) async fn wait_collected(&self) -> Result<()> {
        self.wait_until_collected(|collection| collection.idle.get()).await
    }

    async fn wait_until_collected(&self, is_done: impl Fn(&Collection) -> bool) -> Result<()> {
        while self.tasks.get() > 0 && !is_done(&self.collection) {
            self.check_writable()?;
            if let Some(error) = &*self.collection.error.borrow() {
                return Err(error.again());
            }
            self.collected.wait().await;
        }
        Ok(())
    }
}

/// Whether a file cannot be read as it was written, however often.
fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Corrupt { .. } | Error::Missing { .. } | Error::Unsupported { .. })
}
