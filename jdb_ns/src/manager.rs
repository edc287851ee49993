//! The manager: opens a database, spreads namespaces over its shards, closes it.

use crate::account::Account;
use crate::budget::{Budget, Shared};
use crate::catalog::Catalog;
use crate::commit::{Committed, Durability};
use crate::create;
use crate::error::{Error, Result};
use crate::filename;
use crate::gate::Gate;
use crate::handle::by_id;
use crate::inline::Allowance;
use crate::listing::Namespaces;
use crate::live_sets::Room;
use crate::names::Names;
use crate::points::HeldPoint;
use crate::read::{Key, Snapshot};
use crate::recovery::{Place, open_shard};
use crate::reserve::Reserve;
use crate::scan::Scan;
use crate::shard::{Settings, Shard};
use crate::shards::{Shards, check_batch, check_ops};
use crate::stats::{ShardStats, Stats, StepStats};
use crate::superblock::Superblock;
use crate::{collector, compactor, flusher, syncer, writer};
use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use jdb_base::{Class, NsId, key};
use jdb_io::{BlockCache, Disk, Handles, Lock, Steps};
use jdb_lsm::PickerOptions;
use jdb_val::{Op, Recovery};
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// What a database is opened with; the facade documents each field.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented where a user sets them, in the facade's Options")]
pub struct Options {
    pub dir: PathBuf,
    pub shards: u16,
    pub memory: usize,
    pub descriptors: usize,
    pub inline_max: usize,
    pub sync_interval: Duration,
    pub flush_interval: Duration,
    pub create: bool,
    pub read_only: bool,
    pub recovery: Recovery,
    pub segment_len: u64,
    pub memtable_len: Option<usize>,
    pub unflushed_len: u64,
    pub block_len: usize,
    pub table_len: u64,
    pub picker: PickerOptions,
    pub drops_min: u64,
    pub max_garbage: f64,
    pub compress_packs: bool,
    pub pack_block_len: Option<usize>,
    pub life_jump: u64,
    pub reserve_len: u64,
}

/// Shortest segments: header and a record.
pub(crate) const SEGMENT_LEN_MIN: u64 = 256;
/// A shard whose unflushed log is longer than this is flushed when the database is closed, so that it opens at once.
const CLOSE_FLUSH_LEN: u64 = 64 << 10;
/// Compactions that run at once: while one waits for the disk another one works.
const COMPACTION_COUNT_MAX: usize = 2;

/// What [`Manager::collect`] has done. Bytes of files; what other work did meanwhile is in it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct CollectReport {
    /// Log and packs before.
    pub before_len: u64,
    /// And after; files that a reader still holds count until they are removed.
    pub after_len: u64,
    /// Packs written.
    pub moved_len: u64,
    /// Files given up.
    pub freed_len: u64,
}

/// An open database.
#[derive(Debug)]
pub struct Manager {
    disk: Disk,
    dir: PathBuf,
    superblock: Superblock,
    shards: Rc<Shards>,
    catalog: Rc<Catalog>,
    account: Rc<Account>,
    cache: Rc<BlockCache>,
    handles: Rc<Handles>,
    /// Of flushes and compactions.
    steps: Rc<Steps>,
}

impl Manager {
    /// Opens, or makes, the database in `options.dir`: takes its lock, reads the superblock, recovers all shards at once.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::NotADatabase`], [`Error::Unsupported`], damage to what was durable, the disk's.
    pub async fn open(disk: Disk, options: Options) -> Result<Self> {
        check_options(&options)?;
        let (lock, superblock) = create::open_or_create(&disk, &options).await?;
        let lock = Rc::new(lock);
        let budget = Budget::of(options.memory);
        let memtable_len = options.memtable_len.unwrap_or(budget.memtable_len);
        let shared = Shared::of(budget);
        let cache = shared.cache().clone();
        let account = Account::new(memtable_len, options.unflushed_len, budget.flush_count_max, shared);
        let account = Rc::new(account);
        let reserve = Rc::new(Reserve::open(&disk, &options.dir, options.reserve_len).await?);
        // Segments that are written to hold descriptors, too.
        let written = usize::from(superblock.shard_count) * writer::HELD_SEGMENTS_MAX;
        let read = options.descriptors.saturating_sub(written).max(options.descriptors / 2).max(1);
        let handles = Rc::new(Handles::new(read, budget.handles_len));
        let log_buffer = Rc::<RefCell<Vec<u8>>>::default();
        let live_room = Rc::new(Room::new(budget.live_sets_len, superblock.shard_count));
        let gate = Rc::new(Gate::new(COMPACTION_COUNT_MAX));
        let allowance = Rc::<Allowance>::default();
        let settings = Settings {
            inline_max: options.inline_max,
            sync_interval: options.sync_interval,
            flush_interval: options.flush_interval,
            block_len: options.block_len,
            table_len: options.table_len,
            picker: options.picker,
            drops_min: options.drops_min,
            segment_len: options.segment_len,
            max_garbage: options.max_garbage,
            compress_packs: options.compress_packs,
            pack_block_len: options.pack_block_len,
            life_jump: options.life_jump.max(2),
            read_only: options.read_only,
        };
        let opened = try_join_all((0..superblock.shard_count).map(|index| {
            let place = Place {
                index,
                dir: options.dir.join(filename::shard_dir(index)),
                disk: disk.clone(),
                secret: superblock.secret,
                segment_len: options.segment_len,
                recovery: options.recovery,
                account: account.clone(),
                reserve: reserve.clone(),
                cache: cache.clone(),
                handles: handles.clone(),
                log_buffer: log_buffer.clone(),
                live_room: live_room.clone(),
                gate: gate.clone(),
                allowance: allowance.clone(),
            };
            open_shard(place, settings.clone())
        }))
        .await;
        let shards = match opened {
            Ok(shards) => shards,
            Err(error) => {
                // What the other shards had begun: the lock is free when the caller has the error.
                disk.drain().await;
                return Err(error);
            }
        };
        let steps = Rc::new(Steps::default());
        if !options.read_only {
            for shard in &shards {
                spawn_tasks(&disk, shard, &lock, &steps);
            }
        }
        let shards = Rc::new(Shards::new(shards, superblock.hash_seed));
        let catalog = Rc::new(Catalog::new(&disk, &shards));
        Ok(Self { disk, dir: options.dir, superblock, shards, catalog, account, cache, handles, steps })
    }

    /// Commits `ops`, which all belong to `ns`, as one batch.
    ///
    /// The shard owns the commit once this future was polled; dropping it later drops only the answer.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Closed`], [`Error::ReadOnly`], [`Error::Poisoned`], a full disk, the disk's.
    pub async fn commit(&self, ns: NsId, ops: Vec<Op>, durability: Durability) -> Result<Committed> {
        self.shards.commit(ns, ops, durability, Vec::new()).await
    }

    /// Commits operations of many namespaces: one commit in each shard that they touch, all at once.
    ///
    /// A shard's part happens whole or not at all; the parts are independent of each other.
    ///
    /// # Errors
    /// Those of [`Manager::commit`]; the first part's that failed, when others may have happened.
    pub async fn commit_many(&self, ops: Vec<(NsId, Op)>, durability: Durability) -> Result<Vec<Committed>> {
        match ops.iter().find(|(ns, _)| ns.class() != Class::User) {
            Some((ns, _)) => Err(by_id(*ns)),
            None => self.commit_parts(ops, durability).await,
        }
    }

    /// As [`Manager::commit_many`], of any classes.
    pub(crate) async fn commit_parts(
        &self,
        ops: Vec<(NsId, Op)>,
        durability: Durability,
    ) -> Result<Vec<Committed>> {
        let mut parts: Vec<Vec<Op>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (ns, op) in ops {
            check_ops(ns, std::slice::from_ref(&op))?;
            if let Some(part) = parts.get_mut(self.shards.index_of(ns)) {
                part.push(op);
            }
        }
        for part in &parts {
            check_batch(part)?;
        }
        let mut replies = Vec::new();
        for (shard, part) in self.shards.iter().zip(parts) {
            if !part.is_empty() {
                replies.push(shard.commit(part, durability, Vec::new())?.wait());
            }
        }
        join_all(replies).await.into_iter().collect()
    }

    /// The newest value of `key` in `ns`.
    ///
    /// # Errors
    /// What cannot be read or is damaged; never a wrong answer.
    pub fn get<'a>(&'a self, ns: NsId, key: &'a [u8]) -> impl Future<Output = Result<Option<Bytes>>> + 'a {
        self.shard(ns).get(ns, key)
    }

    /// Length in bytes of the newest value of `key` in `ns`; no value is read.
    ///
    /// # Errors
    /// What cannot be read or is damaged; never a wrong answer.
    pub async fn value_len(&self, ns: NsId, key: &[u8]) -> Result<Option<u64>> {
        let shard = self.shard(ns);
        shard.len_in(shard.view_at(ns, shard.visible.get()), ns, key).await
    }

    /// The newest values of many keys, in their order, with up to 64 reads under way at once. Those of one shard are of one
    /// moment.
    ///
    /// # Errors
    /// What cannot be read or is damaged, of the first key that fails.
    pub async fn multi_get(&self, keys: &[(NsId, &[u8])]) -> Result<Vec<Option<Bytes>>> {
        let mut values = vec![None; keys.len()];
        let mut parts: Vec<Vec<Key<'_>>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (slot, &(ns, key)) in keys.iter().enumerate() {
            if let Some(part) =
                parts.get_mut(self.shards.index_of(ns)).filter(|_| key.len() <= key::KEY_LEN_MAX)
            {
                part.push(Key { slot, ns, key });
            }
        }
        let parts = self.shards.iter().zip(&parts).filter(|(_, part)| !part.is_empty());
        let read = parts.map(async |(shard, part)| shard.get_many(part, shard.visible.get()).await);
        for found in join_all(read).await {
            for (slot, value) in found? {
                if let Some(place) = values.get_mut(slot) {
                    *place = Some(value);
                }
            }
        }
        Ok(values)
    }

    /// The names that begin with `prefix`, in their order, from the first one behind `after` on.
    #[must_use]
    pub fn names(&self, prefix: &[u8], after: Option<&[u8]>) -> Names {
        Names::new(&self.shards, &self.catalog, prefix, after)
    }

    /// The namespaces that have rows, by class and id, beginning behind `after`.
    #[must_use]
    pub fn namespaces(&self, after: Option<NsId>) -> Namespaces {
        Namespaces::new(&self.shards, after)
    }

    /// A walk over the rows of `ns` with `lower <= key`, and `key < upper` when there is one, as of now.
    #[must_use]
    pub fn scan(&self, ns: NsId, lower: &[u8], upper: Option<&[u8]>) -> Scan {
        Scan::new(HeldPoint::now(self.shard(ns), ns), lower, upper)
    }

    /// The namespace as of now, for as long as the snapshot is held. Cost: an entry in a map.
    #[must_use]
    pub fn snapshot(&self, ns: NsId) -> Snapshot {
        Snapshot::new(self.shard(ns), ns)
    }

    /// Makes everything durable that is visible now, in all shards.
    ///
    /// # Errors
    /// The first shard's that could not.
    pub async fn sync(&self) -> Result<()> {
        join_all(self.shards.iter().map(|shard| shard.sync())).await.into_iter().collect()
    }

    /// Brings everything that is visible now into tables, in all shards.
    ///
    /// # Errors
    /// The first shard's that could not.
    pub async fn flush(&self) -> Result<()> {
        join_all(self.shards.iter().map(|shard| shard.flush())).await.into_iter().collect()
    }

    /// Flushes, and merges all tables of each shard into one level.
    ///
    /// # Errors
    /// The first shard's that could not.
    pub async fn compact(&self) -> Result<()> {
        join_all(self.shards.iter().map(|shard| shard.compact())).await.into_iter().collect()
    }

    /// Merges all tables of each shard, then collects the garbage of its log.
    ///
    /// # Errors
    /// The first shard's that could not.
    pub async fn collect(&self) -> Result<CollectReport> {
        let numbers = || {
            let stats = self.stats();
            let shards = stats.shards.iter();
            shards.fold((0, 0, 0), |(len, written, freed), shard| {
                (len + shard.log_len, written + shard.collected_len, freed + shard.freed_len)
            })
        };
        let (before_len, written, freed) = numbers();
        join_all(self.shards.iter().map(|shard| shard.collect()))
            .await
            .into_iter()
            .collect::<Result<()>>()?;
        let (after_len, written_now, freed_now) = numbers();
        let (moved_len, freed_len) = (written_now - written, freed_now - freed);
        Ok(CollectReport { before_len, after_len, moved_len, freed_len })
    }

    /// Waits until no shard has anything left to flush, to merge or to collect.
    ///
    /// # Errors
    /// The first shard's that could not.
    pub async fn settle(&self) -> Result<()> {
        join_all(self.shards.iter().map(|shard| shard.settle())).await.into_iter().collect()
    }

    /// Finishes what was handed over, makes it durable, ends all tasks and waits until no I/O is in flight.
    ///
    /// # Errors
    /// The first that kept something from being durable; the database is closed all the same.
    pub async fn close(&self) -> Result<()> {
        let closed = join_all(self.shards.iter().map(|shard| shard.close(CLOSE_FLUSH_LEN))).await;
        self.disk.drain().await;
        closed.into_iter().collect()
    }

    /// Ends all tasks at their next step, without any I/O.
    pub fn stop(&self) {
        for shard in self.shards.iter() {
            shard.stop();
        }
    }

    /// Numbers about the database; costs a walk over its shards.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            driver: self.disk.driver(),
            io: self.disk.counters(),
            memtable_len: self.account.active_len(),
            closed_memtable_len: self.account.closed_len(),
            cache_len: self.cache.memory_len(),
            cache_hits: self.cache.hits(),
            cache_misses: self.cache.misses(),
            handles_len: self.handles.len(),
            handle_count: self.handles.count(),
            steps: StepStats::of(&self.steps),
            shards: self.shards.iter().map(|shard| ShardStats::of(shard)).collect(),
        }
    }

    /// Public id of the database's history.
    #[must_use]
    pub fn history_id(&self) -> [u8; 16] {
        self.superblock.history
    }

    /// Directory of the database.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(crate) fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    pub(crate) fn shards(&self) -> &[Rc<Shard>] {
        &self.shards
    }

    pub(crate) fn shards_of(&self) -> &Shards {
        &self.shards
    }

    pub(crate) fn catalog(&self) -> &Rc<Catalog> {
        &self.catalog
    }

    pub(crate) fn shard(&self, ns: NsId) -> &Rc<Shard> {
        self.shards.of(ns)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The five tasks of a shard. They hold the database's lock: it is free once the last of them has ended.
fn spawn_tasks(disk: &Disk, shard: &Rc<Shard>, lock: &Rc<Lock>, steps: &Rc<Steps>) {
    let spawn = |task: std::pin::Pin<Box<dyn Future<Output = ()>>>| {
        let (shard, lock) = (shard.clone(), lock.clone());
        shard.tasks.set(shard.tasks.get() + 1);
        disk.spawn(async move {
            task.await;
            drop(lock);
            shard.tasks.set(shard.tasks.get() - 1);
            shard.task_over.notify();
        });
    };
    let writer = shard.clone();
    spawn(Box::pin(async move { writer.writer.run(writer::run(writer.clone())).await }));
    spawn(Box::pin(syncer::run(shard.clone())));
    spawn(Box::pin(steps.measure(disk, flusher::run(shard.clone()))));
    spawn(Box::pin(steps.measure(disk, compactor::run(shard.clone()))));
    spawn(Box::pin(steps.measure(disk, collector::run(shard.clone()))));
}

fn check_options(options: &Options) -> Result<()> {
    if !options.shards.is_power_of_two() || options.shards > filename::SHARD_COUNT_MAX {
        return Err(Error::InvalidArgument { what: "shards: not a power of two from 1 to 256" });
    }
    if options.recovery == Recovery::Salvage && !options.read_only {
        return Err(Error::InvalidArgument { what: "recovery: Salvage is for reading only" });
    }
    if options.compress_packs && cfg!(not(feature = "lz4")) {
        return Err(Error::InvalidArgument { what: "compress_packs: built without the feature lz4" });
    }
    if !(0.01..=0.95).contains(&options.max_garbage) {
        return Err(Error::InvalidArgument { what: "max_garbage: not from 0.01 to 0.95" });
    }
    if options.segment_len < SEGMENT_LEN_MIN {
        return Err(Error::InvalidArgument { what: "segment_len: below 256" });
    }
    if options.picker.newest_count == 0 || options.table_len == 0 {
        return Err(Error::InvalidArgument { what: "a number of tables or a table's length of 0" });
    }
    Ok(())
}
