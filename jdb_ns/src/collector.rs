//! The collector of a shard: takes what is live out of files that are mostly garbage, and removes them.
//!
//! ```text
//! victims chosen -> Version pinned -> each record: does the index hold exactly it? -> survivors by (key, sequence)
//!   -> pack synced -> directory synced -> one MANIFEST record: pack added, victims removed -> homes moved
//!   -> files removed when no Version from before is held
//! ```
//!
//! The index is never written: pointers stay as they are, and a collection can lose no race with a write.
//!
//! Invariants
//! - A victim lies below the segment of the replay position: all that its records may be wanted for is in durable tables, and
//!   those of one pinned Version are asked, never memtables. Entries only leave the index, so that what is live later was
//!   live then.
//! - The record is only written when the survivors of each origin come to at least the live bytes that the MANIFEST counts.
//! - A file that holds a live record which cannot be read is not collected.

use crate::error::{Error, Result};
use crate::filename::FileName;
use crate::manifest::{Edit, PackEntry, State};
use crate::pace::{self, Pressure};
use crate::pack::Pack;
use crate::read::DEPTH;
use crate::shard::Shard;
use crate::victims::{self, Victims};
use futures::future::select;
use jdb_base::{Kind, SeqNo, ValuePtr};
use jdb_io::plant::{Plant, planted};
use jdb_lsm::{Hidden, Payload, Version};
use jdb_sst::{SstWriter, WriterOptions};
use jdb_val::{RecordKind, Wanted, record_len};
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Time between two attempts after one failed, doubled from failure to failure.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(16);
/// How often it is looked whether files that readers hold may go.
const LOOK: Duration = Duration::from_secs(1);
/// Collecting begins at this part of what may be garbage, so that the bound is kept while it runs.
const AIM: f64 = 0.85;
/// The garbage that is left when somebody asks for a collection.
const GARBAGE_ASKED: f64 = 0.02;
/// Target length of a pack's blocks in bytes: a value and some neighbours.
const BLOCK_LEN: usize = 16 << 10;
/// Values and their bytes that are read together.
const PART_COUNT: usize = 64;
const PART_LEN: u64 = 1 << 20;
/// Look-ups between two looks at the clock.
const LOOK_COUNT: u32 = 16;
/// Time at a stretch.
const STEP: Duration = Duration::from_micros(200);

/// What the collector shares with the shard's other tasks.
#[derive(Default, Debug)]
pub(crate) struct Collection {
    /// Nothing is due, nothing runs.
    pub(crate) idle: Cell<bool>,
    /// Somebody wants all garbage to go.
    pub(crate) asked: Cell<bool>,
    /// Why the last attempt failed.
    pub(crate) error: RefCell<Option<Error>>,
    /// What writers have to do because of garbage.
    pub(crate) pressure: Cell<Option<Pressure>>,
    /// The last attempt found no room: the next one moves little.
    tight: Cell<bool>,
    /// Files with a live record that cannot be read, and why.
    left_out: RefCell<BTreeMap<u32, Error>>,
    /// Collected files that a reader may still want, each group with the Versions that must be gone first.
    retired: RefCell<VecDeque<Retired>>,
    pub(crate) counts: Cell<CollectCounts>,
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
    /// Takes note of a file that has to stay.
    fn leave_out(&self, number: u32, why: &Error) {
        self.left_out.borrow_mut().entry(number).or_insert_with(|| why.again());
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

/// Records that are asked about together: in the order of their keys, so that a block of the index is read once for many.
const ASKED_COUNT: usize = 64 << 10;

/// Records in the order of a table: where their values are, as the index says it.
type Records = BTreeMap<(Vec<u8>, Reverse<SeqNo>), ValuePtr>;

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
        if no_space && shard.reserve.give_up().await {
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
        if failed && !shard.is_over() {
            let (stopped, timer) = (pin!(shard.stopped.wait()), pin!(shard.disk.sleep(retry)));
            select(stopped, timer).await;
        }
    }
    shard.collection.pressure.set(None);
    shard.collected.notify();
}

impl Shard {
    /// Lets the collector look whether anything is due.
    pub(crate) fn want_collection(&self) {
        self.collection.idle.set(false);
        self.collection_due.notify();
    }

    /// What is most urgent at this moment. What nobody but the garbage asks for waits until files were sealed.
    async fn next_victims(&self) -> Option<Victims> {
        let manifest = self.manifest.lock().await;
        let state = &manifest.state;
        let asked = self.collection.asked.get();
        let max_garbage = if asked { GARBAGE_ASKED } else { self.settings.max_garbage };
        let lowest_unfit = if planted(Plant::VictimAtReplay) {
            state.replay_from.segment.saturating_add(1)
        } else {
            state.replay_from.segment
        };
        let left_out = self.collection.left_out.borrow().keys().copied().collect();
        let aim = if asked { max_garbage } else { max_garbage * AIM };
        let victims = victims::choose(state, lowest_unfit, aim, &left_out, self.collection.tight.get());
        let balance = victims::balance(state);
        let moves = victims.as_ref().is_some_and(|victims| victims.live_len > 0) && !asked;
        self.collection.pressure.set(if moves { pace::garbage_pressure(balance, max_garbage) } else { None });
        if victims.is_none() {
            self.collection.asked.set(false);
        }
        victims
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
        if finished.is_none() {
            // The moment may have come later than the wish.
            let Some(victims) = self.next_victims().await else { return Ok(()) };
            *finished = self.pack(victims).await?;
        }
        let Some(done) = finished else { return Ok(()) };
        if let Err(error) = self.commit_collection(done).await {
            if is_damage(&error) {
                // It would be refused again and again. Its pack stays until the next open: an earlier record may name it.
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
        // What the victims' records are wanted for was published before their segments were sealed in the MANIFEST.
        let mut version = Version::clone(&self.tree.version());
        // Never asked, and not to be kept from being freed.
        version.memtables.clear();
        let (mut asked, mut survivors) = (Records::new(), Records::new());
        let mut clock = Clock::new(self);
        if victims.live_len > 0 {
            for &number in &victims.segments {
                let found = self.ask_segment(number, &version, &mut asked, &mut survivors, &mut clock).await;
                self.leave_out_if_damaged(number, found)?;
            }
            keep_live(&version, &mut asked, &mut survivors, &mut clock).await?;
            for &number in &victims.packs {
                let found = self.live_of_pack(number, &version, &mut survivors, &mut clock).await;
                self.leave_out_if_damaged(number, found)?;
            }
        }
        if self.is_over() {
            return Ok(None);
        }
        let mut live: BTreeMap<u32, u64> = BTreeMap::new();
        for ((key, _), ptr) in &survivors {
            *live.entry(ptr.segment).or_default() += record_len(key.len(), ptr.len as usize);
        }
        if survivors.is_empty() {
            return Ok(Some(Collected { victims, pack: None, live }));
        }
        let number = self.take_number();
        let path = FileName::Pack(number).path(&self.dir);
        let written = self.write_pack(&path, &survivors, &victims, &mut clock).await;
        // Freed step by step, too.
        while survivors.pop_first().is_some() {
            clock.tick().await;
        }
        let info = match written {
            Ok(Some(info)) => info,
            Ok(None) => {
                drop(self.disk.remove(&path).await);
                return Ok(None);
            }
            Err(error) => {
                // No MANIFEST names it: it may go at once, and goes at the next open otherwise.
                drop(self.disk.remove(&path).await);
                if error.is_failed_sync() {
                    self.poison(&error);
                }
                return Err(error);
            }
        };
        let origins = live.keys().copied().collect();
        let pack = PackEntry { number, len: info.len, id: info.id, origins, live_len: live.values().sum() };
        Ok(Some(Collected { victims, pack: Some(pack), live }))
    }

    /// A victim with a record that cannot be read stays, and is not chosen again.
    fn leave_out_if_damaged(&self, number: u32, found: Result<()>) -> Result<()> {
        if let Err(why) = &found
            && is_damage(why)
        {
            self.collection.leave_out(number, why);
        }
        found
    }

    /// Adds the puts of a segment to those that are asked about; what was asked comes to the survivors when it is much.
    async fn ask_segment(
        &self,
        number: u32,
        version: &Version,
        asked: &mut Records,
        survivors: &mut Records,
        clock: &mut Clock<'_>,
    ) -> Result<()> {
        let mut walk = self.log.walk(number).await?;
        while walk.next_batch().await? {
            if asked.len() >= ASKED_COUNT {
                keep_live(version, asked, survivors, clock).await?;
            }
            for record in walk.records().filter(|record| record.kind == RecordKind::Put) {
                let ptr =
                    ValuePtr { segment: number, offset: record.pos.offset, len: record.value.len() as u32 };
                asked.insert((record.key.to_vec(), Reverse(record.seq)), ptr);
                if clock.tick().await {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn live_of_pack(
        &self,
        number: u32,
        version: &Version,
        survivors: &mut Records,
        clock: &mut Clock<'_>,
    ) -> Result<()> {
        let Some(pack) = self.packs.get(number) else {
            return Err(Error::Missing { path: FileName::Pack(number).path(&self.dir), what: "pack" });
        };
        let mut cursor = pack.reader_uncached().await?.cursor();
        cursor.seek_first().await?;
        while let Some(entry) = cursor.entry() {
            // An origin has one home: what the index holds of this key and sequence is in this pack or nowhere.
            if let Some(ptr) = live_pointer(version, entry.key, entry.seq).await?
                && pack.is_home_of(ptr.segment)
            {
                survivors.insert((entry.key.to_vec(), Reverse(entry.seq)), ptr);
            }
            if clock.tick().await {
                return Ok(());
            }
            cursor.next().await?;
        }
        Ok(())
    }

    /// Writes the survivors; `None` when the shard stopped meanwhile.
    async fn write_pack(
        &self,
        path: &Path,
        survivors: &Records,
        victims: &Victims,
        clock: &mut Clock<'_>,
    ) -> Result<Option<jdb_sst::TableInfo>> {
        let options = pack_options(self.settings.pack_block_len);
        let mut writer = SstWriter::create(&self.disk, path, options).await?;
        let mut part: Vec<Wanted<'_>> = Vec::new();
        let mut part_len = 0;
        let mut rest = survivors.iter().peekable();
        while let Some(((key, Reverse(seq)), ptr)) = rest.next() {
            part.push(Wanted { ptr: *ptr, key, seq: *seq });
            part_len += u64::from(ptr.len);
            if part.len() < PART_COUNT && part_len < PART_LEN && rest.peek().is_some() {
                continue;
            }
            let values = self.packs.read_many(&self.log, &part, DEPTH, true).await.values;
            for (one, value) in part.drain(..).zip(values) {
                let value = value.inspect_err(|error| {
                    if is_damage(error) {
                        // The file that holds it: its segment, or the pack that it went to before.
                        let is_home = |number: &&u32| {
                            self.packs.get(**number).is_some_and(|pack| pack.is_home_of(one.ptr.segment))
                        };
                        let pack = victims.packs.iter().find(is_home).copied();
                        self.collection.leave_out(pack.unwrap_or(one.ptr.segment), error);
                    }
                })?;
                writer.append(one.key, one.seq, Kind::Inline, &value).await?;
                if clock.tick().await {
                    return Ok(None);
                }
            }
            part_len = 0;
        }
        Ok(Some(writer.finish().await?))
    }

    /// Makes a collection the shard's own. After an error it may be tried again: the pack stays, for a record that failed may
    /// be found at the next open all the same.
    async fn commit_collection(&self, done: &Collected) -> Result<()> {
        let Collected { victims, pack, live } = done;
        if pack.is_some() {
            let synced = self.names.sync(&self.disk, &self.dir).await.map_err(Error::from);
            if let Err(error) = &synced
                && error.is_failed_sync()
            {
                self.poison(error);
            }
            synced?;
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
            next_number: Some(self.next_number.get().max(manifest.state.next_number)),
            ..Edit::default()
        };
        self.commit_edit(&mut manifest, &edit).await?;
        // Nothing is awaited between the commit and its publication.
        if let Some(entry) = pack {
            self.packs.add(Pack::new(&self.disk, &self.dir, entry.clone(), &self.cache, &self.handles));
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

    /// What was live when the collection began is live or dead now: the survivors must hold all that the MANIFEST counts.
    fn check_survivors(&self, state: &State, victims: &Victims, live: &BTreeMap<u32, u64>) -> Result<()> {
        if planted(Plant::TrustNewest) {
            return Ok(());
        }
        for origin in victims.origins(state) {
            let (expected, found) = (state.live_len(origin), live.get(&origin).copied().unwrap_or(0));
            if found < expected {
                let path = FileName::Segment(origin).path(&self.dir);
                let what = "live bytes of a segment that is collected";
                let error = Error::Corrupt { path, what, offset: 0, expected, found };
                for &number in victims.segments.iter().chain(&victims.packs) {
                    self.collection.leave_out(number, &error);
                }
                return Err(error);
            }
        }
        Ok(())
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
            for number in retired.segments {
                self.log.forget(number);
                drop(self.disk.remove(&self.log.path(number)).await);
            }
            for number in retired.packs {
                let path = FileName::Pack(number).path(&self.dir);
                self.packs.forget(number);
                drop(self.disk.remove(&path).await);
            }
        }
    }

    /// Merges all tables, so that it is known what is dead, then collects whatever holds more than a fiftieth of garbage.
    ///
    /// # Errors
    /// Why a flush, a compaction or a collection failed; the shard tries again by itself unless it stopped writing.
    pub(crate) async fn collect(&self) -> Result<()> {
        self.compact().await?;
        // A segment can be collected when replay starts in a later one.
        self.check_writable()?;
        *self.collection.error.borrow_mut() = None;
        self.collection.asked.set(true);
        self.want_collection();
        self.wait_collected().await?;
        self.collection.why_not().map_or(Ok(()), Err)
    }

    /// Waits until nothing is left to be collected.
    ///
    /// # Errors
    /// As [`Shard::collect`], but for files that have to stay.
    pub(crate) async fn wait_collected(&self) -> Result<()> {
        while self.tasks.get() > 0 && !self.collection.idle.get() {
            self.check_writable()?;
            if let Some(error) = &*self.collection.error.borrow() {
                return Err(error.again());
            }
            self.collected.wait().await;
        }
        Ok(())
    }
}

/// How packs are written. Who looks for a value knows that it is there: no filter.
pub(crate) fn pack_options(block_len: Option<usize>) -> WriterOptions {
    WriterOptions { block_len: block_len.unwrap_or(BLOCK_LEN), filter: false, ..WriterOptions::default() }
}

/// Whether a file cannot be read as it was written, however often.
fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Corrupt { .. } | Error::Missing { .. } | Error::Unsupported { .. })
}

/// Moves those records to the survivors that the index leads to.
async fn keep_live(
    version: &Version,
    asked: &mut Records,
    survivors: &mut Records,
    clock: &mut Clock<'_>,
) -> Result<()> {
    while let Some((record, ptr)) = asked.pop_first() {
        let (key, Reverse(seq)) = &record;
        if live_pointer(version, key, *seq).await? == Some(ptr) {
            survivors.insert(record, ptr);
        }
        if clock.tick().await {
            return Ok(());
        }
    }
    Ok(())
}

/// The pointer that the durable index holds for exactly this key and sequence.
async fn live_pointer(version: &Version, key: &[u8], seq: SeqNo) -> Result<Option<ValuePtr>> {
    let at = if planted(Plant::TrustNewest) { SeqNo::MAX } else { seq };
    let found = version.get_in_tables(key, at, &Hidden::NONE).await?;
    Ok(found.filter(|found| found.seq == seq).and_then(|found| match found.payload {
        Payload::Pointer(ptr) => Some(ptr),
        Payload::Inline(_) | Payload::Tombstone => None,
    }))
}

/// Gives the thread to others in time.
struct Clock<'a> {
    shard: &'a Shard,
    since: Duration,
    count: u32,
}

impl<'a> Clock<'a> {
    fn new(shard: &'a Shard) -> Self {
        Self { shard, since: shard.disk.now(), count: 0 }
    }

    /// After each piece of work; `true` when the shard stops.
    async fn tick(&mut self) -> bool {
        self.count += 1;
        if !self.count.is_multiple_of(LOOK_COUNT) {
            return false;
        }
        let took = self.shard.disk.now().saturating_sub(self.since);
        if took < STEP {
            return false;
        }
        let share = pace::collection_share(self.shard.collection.pressure.get());
        pace::step_aside(&self.shard.disk, took, share).await;
        self.since = self.shard.disk.now();
        self.shard.is_over()
    }
}
