//! One client of a database: writes, reads, syncs, flushes, each answer told to the oracle at once.

use crate::abandon::within_polls;
use crate::broken;
use crate::oracle::{Ns, Op};
use crate::rng::Rng;
use crate::snapshots::Snapshots;
use crate::violation::Check;
use crate::world::World;
use bytes::Bytes;
use jdb::{Commit, Db, Durability};
use jdb_base::NsId;
use jdb_io::Disk;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// After this many errors a client stops: a disk that fails for ever gives nothing new.
const ERRORS_MAX: u32 = 2;

/// A client of a database.
#[derive(Debug)]
pub struct Client {
    world: Rc<World>,
    disk: Disk,
    rng: Rng,
    errors: u32,
    snapshots: Snapshots,
}

/// An error of the engine while errors are allowed.
type Answer<T> = Result<T, Refused>;
struct Refused;

impl Client {
    /// A client that draws from `rng`.
    #[must_use]
    pub fn new(world: &Rc<World>, disk: &Disk, rng: Rng) -> Self {
        Self { world: Rc::clone(world), disk: disk.clone(), rng, errors: 0, snapshots: Snapshots::default() }
    }

    /// Does one operation after the other while `left` lasts, which all clients share.
    pub async fn run(mut self, db: Db, left: Rc<Cell<u32>>) {
        while left.get() > 0 && !self.world.is_broken() && self.errors < ERRORS_MAX {
            left.set(left.get() - 1);
            self.world.counts.borrow_mut().operations += 1;
            let check = self.one(&db).await;
            self.world.note(check);
        }
        self.snapshots.clear();
    }

    /// Commits one random change, on its own.
    ///
    /// # Errors
    /// A broken promise.
    pub async fn write(&mut self, db: &Db) -> Check {
        let ops = self.draw_ops();
        let sync = self.rng.percent(self.world.spec.sync_percent);
        self.commit(db, ops, sync).await
    }

    /// Waits until everything that was handed in has its answer, the commits of dropped futures included: a shard takes
    /// what it is given in turn.
    ///
    /// # Errors
    /// A broken promise.
    pub async fn catch_up(&mut self, db: &Db) -> Check {
        if self.world.spec.abandon_percent > 0 {
            for ns in 0..self.world.spec.ns.len() as Ns - 1 {
                let key = self.world.spec.pick_key(&mut self.rng);
                self.commit_patiently(db, vec![Op::Delete { ns, key }], false, u32::MAX).await?;
            }
        }
        Ok(())
    }

    async fn one(&mut self, db: &Db) -> Check {
        if self.rng.percent(self.world.spec.snapshot_percent) {
            return self.snapshot(db).await;
        }
        let reads = self.world.spec.read_percent;
        if self.rng.percent(reads) {
            let ns = self.rng.index(self.world.spec.ns.len()) as Ns;
            return if self.rng.percent(60) { self.get(db, ns).await } else { self.scan(db, ns).await };
        }
        match self.rng.below(100) {
            0..4 => self.sync(db).await,
            4..7 => self.flush(db).await,
            7 => self.compact(db).await,
            8..12 => {
                let ms = self.rng.pick(&self.world.spec.naps_ms);
                self.disk.sleep(Duration::from_millis(ms)).await;
                Ok(())
            }
            12.. if self.rng.percent(self.world.spec.drop_percent) => {
                self.world.counts.borrow_mut().drops += 1;
                let ns = self.world.spec.pick_ns(&mut self.rng);
                let sync = self.rng.percent(self.world.spec.sync_percent);
                self.commit(db, vec![Op::Drop { ns }], sync).await
            }
            _ => self.write(db).await,
        }
    }

    fn draw_ops(&mut self) -> Vec<Op> {
        let spec = Rc::clone(&self.world.spec);
        let ns = spec.pick_ns(&mut self.rng);
        let count = if self.rng.percent(14) { self.rng.within(2..7) } else { 1 };
        (0..count)
            .map(|_| {
                let key = spec.pick_key(&mut self.rng);
                if self.rng.percent(14) {
                    Op::Delete { ns, key }
                } else {
                    let value = spec.value(&mut self.rng, self.world.next_version());
                    Op::Put { ns, key, value }
                }
            })
            .collect()
    }

    async fn commit(&mut self, db: &Db, ops: Vec<Op>, sync: bool) -> Check {
        let polls = self.draw_polls();
        self.commit_patiently(db, ops, sync, polls).await
    }

    async fn commit_patiently(&mut self, db: &Db, ops: Vec<Op>, sync: bool, polls: u32) -> Check {
        let world = Rc::clone(&self.world);
        let ns = ops[0].ns();
        let id = world.spec.ns[usize::from(ns)];
        let before = world.oracle.borrow().submitted_count();
        let after = world.oracle.borrow().answered_seq(ns);
        let durability = if sync { Durability::Sync } else { Durability::Os };
        match within_polls(polls, submit(db, id, &ops, durability)).await {
            Some(Ok(commit)) => {
                world.acknowledged(&ops, commit.seq().get(), sync, after);
                if !sync && self.rng.percent(8) {
                    self.durable(ns, &commit).await;
                }
            }
            Some(Err(error)) => {
                self.errors += 1;
                world.failed(&ops, &error);
            }
            None => {
                world.trace(|| format!("   dropped after {polls} polls"));
                world.counts.borrow_mut().abandoned += 1;
                if polls == 0 && world.oracle.borrow().submitted_count() != before {
                    broken!("a future that was never polled has written {ops:?}");
                }
            }
        }
        Ok(())
    }

    async fn durable(&mut self, ns: Ns, commit: &Commit) {
        match commit.durable().await {
            Ok(()) => self.world.durable(ns, commit.seq().get()),
            Err(error) => {
                self.errors += 1;
                self.world.refused("durable", &error);
            }
        }
    }

    async fn sync(&mut self, db: &Db) -> Check {
        let polls = self.draw_polls();
        let marks = self.world.oracle.borrow().acknowledged_marks();
        match within_polls(polls, db.sync()).await {
            Some(Ok(())) => self.world.made_durable(&marks),
            Some(Err(error)) => {
                self.errors += 1;
                self.world.refused("sync", &error);
            }
            None => self.world.counts.borrow_mut().abandoned += 1,
        }
        Ok(())
    }

    async fn flush(&mut self, db: &Db) -> Check {
        let polls = self.draw_polls();
        let marks = self.world.oracle.borrow().acknowledged_marks();
        match within_polls(polls, db.flush()).await {
            Some(Ok(())) => self.world.made_durable(&marks),
            Some(Err(error)) => {
                self.errors += 1;
                self.world.refused("flush", &error);
            }
            None => self.world.counts.borrow_mut().abandoned += 1,
        }
        Ok(())
    }

    async fn compact(&mut self, db: &Db) -> Check {
        let polls = self.draw_polls();
        let collects = self.rng.one_in(2);
        let work = async { if collects { db.collect().await.map(drop) } else { db.compact().await } };
        match within_polls(polls, work).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                self.errors += 1;
                self.world.refused("compact", &error);
            }
            None => self.world.counts.borrow_mut().abandoned += 1,
        }
        Ok(())
    }

    async fn snapshot(&mut self, db: &Db) -> Check {
        let world = Rc::clone(&self.world);
        let polls = if self.draw_polls() == u32::MAX { u32::MAX } else { self.rng.below(60) as u32 };
        let answer = if self.rng.percent(40) {
            let ns = world.spec.pick_ns(&mut self.rng);
            within_polls(polls, self.snapshots.take(db, &world, ns)).await
        } else {
            let (index, backward) = (self.rng.index(8), self.rng.one_in(2));
            within_polls(polls, self.snapshots.read_again(index, backward)).await
        };
        match answer {
            Some(Ok(Ok(()))) => world.counts.borrow_mut().snapshots += 1,
            Some(Ok(Err(error))) => {
                self.errors += 1;
                world.refused("snapshot", &error);
            }
            Some(Err(violation)) => return Err(violation),
            None => world.counts.borrow_mut().abandoned += 1,
        }
        Ok(())
    }

    async fn get(&mut self, db: &Db, ns: Ns) -> Check {
        let world = Rc::clone(&self.world);
        let key = world.spec.pick_key(&mut self.rng);
        let polls = self.draw_polls();
        let from = *world.oracle.borrow().visible(ns).start();
        let handle = db.ns(world.spec.ns[usize::from(ns)]);
        match within_polls(polls, handle.get(&key)).await {
            Some(Ok(got)) => {
                world.counts.borrow_mut().reads += 1;
                if world.tolerant.get() {
                    return Ok(());
                }
                let oracle = world.oracle.borrow();
                let range = from..=*oracle.visible(ns).end();
                oracle.check_get(ns, &key, &range, got.as_ref())
            }
            Some(Err(error)) => {
                self.errors += 1;
                world.refused("get", &error);
                Ok(())
            }
            None => {
                world.counts.borrow_mut().abandoned += 1;
                Ok(())
            }
        }
    }

    async fn scan(&mut self, db: &Db, ns: Ns) -> Check {
        let polls = if self.draw_polls() == u32::MAX { u32::MAX } else { self.rng.below(60) as u32 };
        let world = Rc::clone(&self.world);
        match within_polls(polls, self.walk(db, ns)).await {
            Some(Ok(Ok(()))) => world.counts.borrow_mut().reads += 1,
            Some(Ok(Err(Refused))) => {}
            Some(Err(violation)) => return Err(violation),
            None => world.counts.borrow_mut().abandoned += 1,
        }
        Ok(())
    }

    /// A scan: one way through, then to and fro and by seeks; all of it as of one moment.
    async fn walk(&mut self, db: &Db, ns: Ns) -> Check<Answer<()>> {
        let world = Rc::clone(&self.world);
        let from = *world.oracle.borrow().visible(ns).start();
        let mut to = None;
        let backward = self.rng.one_in(2);
        let mut scan = db.ns(world.spec.ns[usize::from(ns)]).iter();
        if backward {
            scan = scan.rev();
        }
        let mut rows = Vec::new();
        loop {
            let row = match row_of(scan.next().await).await {
                Ok(row) => row,
                Err(error) => return Ok(self.read_error(&error)),
            };
            to.get_or_insert_with(|| *world.oracle.borrow().visible(ns).end());
            let Some(row) = row else { break };
            rows.push(row);
            if rows.len() > 10_000 {
                broken!("namespace {ns}: a scan does not end");
            }
        }
        // Wandering: `at` is the place behind which `next` goes on.
        let mut at = rows.len();
        for _ in 0..self.rng.below(12) {
            let (got, want) = match self.rng.below(5) {
                0 | 1 => {
                    // Sits on rows[at] afterwards; from the end `prev` gives the last.
                    let want = at.checked_sub(1);
                    at = want.unwrap_or(usize::MAX);
                    (scan.prev().await, want)
                }
                2 | 3 => {
                    let next = at.wrapping_add(1).min(rows.len());
                    at = next;
                    (scan.next().await, Some(next))
                }
                _ => {
                    let key = world.spec.pick_key(&mut self.rng);
                    if let Err(error) = scan.seek(&key).await {
                        return Ok(self.read_error(&error));
                    }
                    let below = |row: &(Bytes, Bytes)| if backward { row.0 > key } else { row.0 < key };
                    at = rows.partition_point(below);
                    (scan.next().await, Some(at))
                }
            };
            let want = want.and_then(|i| rows.get(i));
            match row_of(got).await {
                Ok(got) if got.as_ref() == want => {}
                Ok(got) => {
                    broken!("namespace {ns}: a scan walked to {got:?}, want {want:?} (backward: {backward})")
                }
                Err(error) => return Ok(self.read_error(&error)),
            }
            if at == usize::MAX {
                break;
            }
        }
        if world.tolerant.get() {
            return Ok(Ok(()));
        }
        if backward {
            rows.reverse();
        }
        world.oracle.borrow().check_scan(ns, &(from..=to.unwrap_or(from)), &rows)?;
        Ok(Ok(()))
    }

    fn read_error(&mut self, error: &jdb::Error) -> Answer<()> {
        self.errors += 1;
        self.world.refused("scan", error);
        Err(Refused)
    }

    /// How often the next future is polled before it is dropped.
    fn draw_polls(&mut self) -> u32 {
        if self.rng.percent(self.world.spec.abandon_percent) { self.rng.below(9) as u32 } else { u32::MAX }
    }
}

/// Commits `ops`, all of one namespace, in the plainest way there is.
///
/// # Errors
/// The engine's.
pub async fn submit(db: &Db, id: NsId, ops: &[Op], durability: Durability) -> jdb::Result<Commit> {
    let ns = db.ns(id);
    match ops {
        [Op::Put { key, value, .. }] => ns.put_bytes(key, value.clone()).durability(durability).await,
        [Op::Delete { key, .. }] => ns.delete(key).durability(durability).await,
        [Op::Drop { .. }] => db.drop_ns(id).durability(durability).await,
        _ => {
            let mut batch = ns.batch();
            batch.durability(durability);
            for op in ops {
                match op {
                    Op::Put { key, value, .. } => drop(batch.put_bytes(key, value.clone())),
                    Op::Delete { key, .. } => drop(batch.delete(key)),
                    Op::Drop { .. } => {}
                }
            }
            batch.commit().await
        }
    }
}

async fn row_of(item: jdb::Result<Option<jdb::Item<'_>>>) -> jdb::Result<Option<(Bytes, Bytes)>> {
    match item? {
        Some(item) => Ok(Some((Bytes::copy_from_slice(item.key()), item.value().await?))),
        None => Ok(None),
    }
}
