//! A tree and the map it must agree with: every version ever written, every drop, every read point.

use crate::testing::{Rng, TINY};
use crate::{
    Candidate, Compacted, Compaction, CompactionOptions, DropRange, FlushOptions, Flushed, Group, Hidden,
    Keeper, LiveChange, Payload, PickerOptions, Plan, ReadPoint, Reason, Scan, SeqRange, SeqSet, Table,
    TableMeta, Tree, Version, pick, waiting, write_table,
};
use jdb_base::{Kind, SeqNo, ValuePtr};
use jdb_io::sim::{At, Fault, FaultKind, OpKind, Repeat, SimDisk};
use jdb_io::{BlockCache, Disk};
use jdb_mem::Memtable;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Why a run failed.
type Outcome<T = ()> = Result<T, String>;
type Versions = Vec<(u64, Kind, Vec<u8>)>;

const NAMESPACES: [u8; 3] = [b'A', b'B', b'C'];

pub(super) fn record_len(key_len: usize, value_len: usize) -> u64 {
    (32 + key_len + value_len) as u64
}

/// What has happened so far, and the tree to which it happened.
pub(super) struct World {
    /// The simulated disk, where there are faults; `None` on a real one.
    sim: Option<SimDisk>,
    disk: Disk,
    dir: PathBuf,
    rng: Rng,
    /// Keys of a namespace: few of them have many versions, many of them fall into disjoint tables.
    letters: std::ops::RangeInclusive<u8>,
    /// Bytes that level 1 may hold.
    base_len: u64,
    tree: Tree,
    /// Of every other table.
    cache: Rc<BlockCache>,
    /// Every version of every key, from old to new.
    history: BTreeMap<Vec<u8>, Versions>,
    /// Every drop there was, by namespace.
    dropped: Vec<(u8, DropRange)>,
    /// Drops that some table or memtable may still need.
    drop_map: Vec<(u8, DropRange)>,
    snapshots: Vec<u64>,
    /// Open import windows: namespace and the sequence before it.
    windows: Vec<(u8, u64)>,
    seq: Rc<Cell<u64>>,
    number: u32,
    /// Memtables from old to new with their lowest sequence.
    memtables: Vec<(Rc<Memtable>, u64)>,
    running: Vec<(Compaction, Rc<Moment>)>,
    live: BTreeMap<u32, LiveChange>,
    /// What was added and taken back by origin, record by record.
    pointed: BTreeMap<u32, SeqSet>,
    pinned: Option<Pinned>,
    pub(super) counts: Counts,
}

/// How often what is to be tested came about.
#[derive(Default, Debug)]
pub(super) struct Counts {
    pub(super) flushes: u64,
    pub(super) merges: u64,
    pub(super) moves: u64,
    pub(super) rewrites: u64,
    pub(super) failed: u64,
    pub(super) read_errors: u64,
    pub(super) deepest: usize,
    pub(super) drops_left: u64,
    pub(super) tombstones_dropped: u64,
    /// Versions of memtables that no table got.
    pub(super) left_out: u64,
    /// Tables written anew because read points were gone.
    pub(super) released: u64,
}

/// A read that holds its Version.
struct Pinned {
    version: Rc<Version>,
    seq: u64,
    drop_map: Vec<(u8, DropRange)>,
    dropped: Vec<(u8, DropRange)>,
}

/// The answers of one moment.
struct Moment {
    /// Of one namespace or of all.
    points: Vec<(Option<u8>, ReadPoint)>,
    drops: Vec<(u8, DropRange)>,
    seq: Rc<Cell<u64>>,
}

impl Moment {
    /// Drops that wait for a table at this moment.
    fn waiting(&self, meta: &TableMeta) -> u64 {
        let covers = |ns: u8| meta.first_key[0] <= ns && ns <= meta.last_key[0];
        let drops = self.drops.iter().filter(|(ns, _)| covers(*ns)).map(|(ns, drop)| {
            let of = self.points.iter().filter(|(of, _)| of.is_none_or(|of| of == *ns));
            (*drop, of.map(|(_, point)| point).any(|point| point.holds(drop)))
        });
        waiting(meta, drops)
    }

    /// Whether a read point lies between these, both included.
    fn wants(&self, oldest: SeqNo, newest: SeqNo) -> bool {
        self.points.iter().any(|(_, point)| oldest <= point.seq && point.seq <= newest)
    }
}

impl Keeper for Moment {
    fn now(&self) -> SeqNo {
        SeqNo::new(self.seq.get())
    }

    fn group(&self, key: &[u8]) -> Group {
        let ns = key[0];
        let points = self.points.iter().filter(|(of, _)| of.is_none_or(|of| of == ns));
        Group {
            end: Some(vec![ns + 1]),
            points: points.map(|&(_, point)| point).collect(),
            drops: self.drops.iter().filter(|(of, _)| *of == ns).map(|&(_, drop)| drop).collect(),
        }
    }
}

impl World {
    pub(super) fn new(sim: Option<SimDisk>, disk: Disk, dir: PathBuf, seed: u64) -> Self {
        let tree = Tree::new(Vec::new());
        let memtables = vec![(tree.active(), u64::MAX)];
        Self {
            sim,
            disk,
            dir,
            rng: Rng(seed),
            letters: b'a'..=b'c' + (seed % 12) as u8,
            base_len: [100, 300, 600][seed as usize % 3],
            tree,
            cache: Rc::new(BlockCache::new(1 << 20)),
            history: BTreeMap::new(),
            dropped: Vec::new(),
            drop_map: Vec::new(),
            snapshots: Vec::new(),
            windows: Vec::new(),
            seq: Rc::new(Cell::new(0)),
            number: 0,
            memtables,
            running: Vec::new(),
            live: BTreeMap::new(),
            pointed: BTreeMap::new(),
            pinned: None,
            counts: Counts::default(),
        }
    }

    /// Does `steps` things and looks at everything every now and then, and at the end.
    pub(super) async fn run(&mut self, steps: usize) -> Outcome {
        for step in 0..steps {
            self.act().await.map_err(|why| format!("step {step}: {why}"))?;
            if step % 25 == 24 {
                self.check().await.map_err(|why| format!("after step {step}: {why}"))?;
            }
        }
        while !self.running.is_empty() {
            self.step_compaction(false).await?;
        }
        self.check().await.map_err(|why| format!("at the end: {why}"))?;
        self.pinned = None;
        self.check_live().await?;
        self.check_files().await
    }

    async fn act(&mut self) -> Outcome {
        match self.rng.below(40) {
            0..=13 => self.put(),
            14..=16 => self.flush().await?,
            17 => {
                let at = self.next_seq();
                let ns = NAMESPACES[self.rng.below(3)];
                self.add_drop(ns, DropRange { from: SeqNo::ZERO, to: at, at });
            }
            18 => self.windows.push((NAMESPACES[self.rng.below(3)], self.seq.get())),
            19 | 20 if !self.windows.is_empty() => {
                let at = self.rng.below(self.windows.len());
                let (ns, s0) = self.windows.swap_remove(at);
                if self.rng.below(3) > 0 {
                    let at = self.next_seq();
                    self.add_drop(ns, DropRange { from: SeqNo::new(s0), to: at, at });
                }
            }
            21 | 22 if self.snapshots.len() < 4 => self.snapshots.push(self.seq.get()),
            23 | 24 if !self.snapshots.is_empty() => {
                let at = self.rng.below(self.snapshots.len());
                self.snapshots.swap_remove(at);
            }
            25 => {
                let (version, seq) = (self.tree.version(), self.seq.get());
                let (drop_map, dropped) = (self.drop_map.clone(), self.dropped.clone());
                self.pinned = Some(Pinned { version, seq, drop_map, dropped });
            }
            26 => self.pinned = None,
            27..=30 if self.running.len() < 2 => self.start_compaction()?,
            _ if !self.running.is_empty() => self.step_compaction(true).await?,
            _ => self.put(),
        }
        Ok(())
    }

    fn next_seq(&mut self) -> SeqNo {
        self.seq.set(self.seq.get() + 1 + self.rng.next() % 2);
        SeqNo::new(self.seq.get())
    }

    fn next_number(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    /// A few puts and deletes of few keys, so that most have many versions.
    fn put(&mut self) {
        for _ in 0..1 + self.rng.below(6) {
            let key = vec![NAMESPACES[self.rng.below(3)], b'a' + self.rng.below(self.letters.len()) as u8];
            let seq = self.next_seq();
            let (kind, value) = match self.rng.below(6) {
                0 | 1 => (Kind::Tombstone, Vec::new()),
                2 | 3 => (Kind::Inline, format!("value {seq}").into_bytes()),
                _ => {
                    let segment = 1 + self.rng.below(3) as u32;
                    let mut value = Vec::new();
                    ValuePtr { segment, offset: seq.get() as u32, len: self.rng.below(99) as u32 }
                        .encode(&mut value);
                    (Kind::Pointer, value)
                }
            };
            self.tree.active().insert(&key, seq, kind, &value);
            let (_, lowest) = self.memtables.last_mut().expect("an active one");
            *lowest = (*lowest).min(seq.get());
            self.history.entry(key).or_default().push((seq.get(), kind, value));
        }
    }

    fn add_drop(&mut self, ns: u8, drop: DropRange) {
        self.dropped.push((ns, drop));
        self.drop_map.push((ns, drop));
    }

    async fn flush(&mut self) -> Outcome {
        self.tree.rotate();
        self.memtables.push((self.tree.active(), u64::MAX));
        let (memtable, _) = self.memtables.remove(0);
        let number = self.next_number();
        let last_seq = SeqNo::new(self.seq.get());
        let keeper = self.moment();
        let versions = memtable.count();
        let options = FlushOptions { writer: TINY, record_len, keeper, last_seq };
        let path = path_of(&self.dir, number);
        let written = write_table(&self.disk, &path, number, options, &memtable);
        let flushed = written.await.map_err(text)?;
        let kept = flushed.as_ref().map_or(0, |flushed| flushed.meta.count as usize);
        self.counts.left_out += (versions - kept) as u64;
        let table = flushed.map(|Flushed { meta, live, pointed, .. }| {
            for (origin, live) in live {
                let change = self.live.entry(origin).or_default();
                change.len += live.len as i64;
                change.count += live.count as i64;
            }
            for (origin, pointed) in pointed {
                let pointed = pointed.expect("sequences that lie close to each other");
                assert!(self.pointed.entry(origin).or_default().insert_all(&pointed));
            }
            self.table(meta)
        });
        self.tree.flushed(&memtable, table);
        self.counts.flushes += 1;
        self.leave();
        Ok(())
    }

    fn table(&self, meta: TableMeta) -> Rc<Table> {
        let (path, cache) = (path_of(&self.dir, meta.number), meta.number.is_multiple_of(2));
        let cache = cache.then(|| self.cache.clone());
        Rc::new(Table::new(&self.disk, path, meta, cache, &crate::testing::handles()))
    }

    /// Drops that every table and memtable has behind it leave the map.
    fn leave(&mut self) {
        let version = self.tree.version();
        let before = self.drop_map.len();
        self.drop_map.retain(|(ns, drop)| {
            let waits = version
                .tables()
                .any(|table| table.overlaps(&[*ns], Some(&[*ns + 1])) && table.meta().drop_seq < drop.at);
            waits || self.memtables.iter().any(|(_, lowest)| *lowest <= drop.at.get())
        });
        self.counts.drops_left += (before - self.drop_map.len()) as u64;
    }

    fn moment(&self) -> Rc<Moment> {
        let snapshot = |&seq| (None, ReadPoint::snapshot(SeqNo::new(seq)));
        let points: Vec<(Option<u8>, ReadPoint)> = (self.snapshots.iter().map(snapshot))
            .chain(self.windows.iter().map(|&(ns, s0)| (Some(ns), ReadPoint::window(SeqNo::new(s0)))))
            .collect();
        Rc::new(Moment { points, drops: self.drop_map.clone(), seq: self.seq.clone() })
    }

    fn start_compaction(&mut self) -> Outcome {
        let version = self.tree.version();
        let running: Vec<Plan> =
            self.running.iter().map(|(compaction, _)| compaction.plan().clone()).collect();
        let keeper = self.moment();
        let options = PickerOptions {
            newest_count: 1 + self.rng.below(3),
            base_len: self.base_len,
            ratio: 2,
            run_len: self.rng.next() % 2000,
            hidden_part: 10,
            hidden_len_min: 10,
        };
        let mut candidates =
            version.candidates(|meta| keeper.waiting(meta), |oldest, newest| keeper.wants(oldest, newest));
        if self.rng.once_in(3) {
            // Only what waits for drops.
            candidates.iter_mut().flatten().for_each(|table| table.waiting *= 1000);
        }
        let rewrite = self.rng.once_in(6).then(|| any_rewrite(&mut self.rng, &candidates)).flatten();
        let rewrite = rewrite.filter(|plan| !running.iter().any(|other| plan.overlaps(other)));
        let Some(plan) = rewrite.or_else(|| pick(&candidates, 1000, &running, &options)) else {
            return Ok(());
        };
        let table_len = [150, 300, 1000][self.rng.below(3)];
        let tracked = vec![1, 2, 3];
        let options = CompactionOptions { writer: TINY, table_len, record_len, tracked };
        let compaction =
            Compaction::new(&self.disk, &version, plan, keeper.clone(), options).map_err(text)?;
        self.running.push((compaction, keeper));
        Ok(())
    }

    async fn step_compaction(&mut self, with_faults: bool) -> Outcome {
        let at = self.rng.below(self.running.len());
        let (mut compaction, moment) = self.running.swap_remove(at);
        let faulty = with_faults && self.sim.is_some() && self.rng.once_in(8);
        if faulty {
            let kind =
                [OpKind::Read, OpKind::Write, OpKind::Sync, OpKind::Create, OpKind::Open][self.rng.below(5)];
            let at = At::NthOf(kind, self.rng.next() % 12);
            self.inject(at);
        }
        let (number, dir) = (&mut self.number, &self.dir);
        let mut next_file = || {
            *number += 1;
            (*number, path_of(dir, *number))
        };
        let stepped = compaction.step(&mut next_file).await;
        self.clear_faults();
        match stepped {
            Ok(true) => self.running.push((compaction, moment)),
            Ok(false) => {
                let result = compaction.finish().map_err(text)?;
                if let Some(meta) = result.added.iter().find(|meta| moment.waiting(meta) > 0) {
                    return Err(format!("drops still wait for {meta:?}: it would be written again for ever"));
                }
                let wanted = |oldest, newest| moment.wants(oldest, newest);
                if let Some(meta) = result.added.iter().find(|meta| meta.held.released_len(wanted) > 0) {
                    return Err(format!(
                        "{meta:?} holds what it may let go: it would be written again for ever"
                    ));
                }
                self.counts.released += u64::from(result.plan.reason == Reason::Released);
                self.publish(result).await?;
            }
            Err(error) if !faulty => return Err(text(error)),
            Err(_) => {
                compaction.discard().await;
                self.counts.failed += 1;
            }
        }
        Ok(())
    }

    async fn publish(&mut self, result: Compacted) -> Outcome {
        for (&origin, change) in &result.live {
            let live = self.live.entry(origin).or_default();
            live.len += change.len;
            live.count += change.count;
        }
        for (origin, left_out) in &result.left_out {
            let left_out = left_out.as_ref().expect("sequences that lie close to each other");
            self.pointed.entry(*origin).or_default().remove_all(left_out);
        }
        let added = result.added.iter().map(|meta| self.table(meta.clone())).collect();
        self.tree.compacted(&result, added);
        match (result.plan.is_trivial, result.plan.from == result.plan.to) {
            (true, _) => self.counts.moves += 1,
            (_, true) => self.counts.rewrites += 1,
            _ => self.counts.merges += 1,
        }
        self.counts.deepest = self.counts.deepest.max(result.level);
        self.counts.tombstones_dropped += result.progress.tombstones_dropped;
        self.leave();
        for table in self.tree.take_unpinned() {
            self.disk.remove(table.path()).await.map_err(text)?;
        }
        Ok(())
    }

    /// Every read of every live read point gives what the history says.
    async fn check(&mut self) -> Outcome {
        self.check_levels()?;
        let version = self.tree.version();
        let now = self.seq.get();
        let points: BTreeSet<u64> = self.snapshots.iter().copied().chain([now]).collect();
        for seq in points {
            let (drop_map, dropped) = (self.drop_map.clone(), self.dropped.clone());
            self.check_read(&Pinned { version: version.clone(), seq, drop_map, dropped }).await?;
        }
        if let Some(pinned) = self.pinned.take() {
            self.check_read(&pinned).await.map_err(|why| format!("pinned: {why}"))?;
            self.pinned = Some(pinned);
        }
        Ok(())
    }

    async fn check_read(&mut self, read: &Pinned) -> Outcome {
        let seq = SeqNo::new(read.seq);
        for ns in NAMESPACES {
            let hides = |drop: &&(u8, DropRange)| drop.0 == ns && drop.1.at <= seq;
            let ranges = read
                .drop_map
                .iter()
                .filter(hides)
                .map(|(_, d)| SeqRange { from: d.from, to: d.to })
                .collect();
            let hidden = Hidden::new(ranges);
            let dropped: Vec<DropRange> = read.dropped.iter().filter(hides).map(|(_, d)| *d).collect();
            let mut rows = Vec::new();
            for letter in self.letters.clone() {
                let key = vec![ns, letter];
                let versions = self.history.get(&key).map(Vec::as_slice).unwrap_or_default();
                let sees = |v: &&(u64, Kind, Vec<u8>)| {
                    v.0 <= read.seq && !dropped.iter().any(|drop| drop.covers(SeqNo::new(v.0)))
                };
                let want = versions.iter().rev().find(sees).filter(|v| v.1 != Kind::Tombstone);
                let want = want.map(|v| (v.0, payload(v)));
                let faulty = self.maybe_fault();
                let found = read.version.get(&key, seq, &hidden).await;
                self.clear_faults();
                match found {
                    Err(_) if faulty => self.counts.read_errors += 1,
                    found => {
                        let found = found.map_err(text)?.map(|found| (found.seq.get(), found.payload));
                        let found = found.filter(|found| found.1 != Payload::Tombstone);
                        same("get", &key, read.seq, &found, &want)?;
                    }
                }
                rows.extend(want.map(|(seq, payload)| (key, seq, payload)));
            }
            let (lower, upper) = (vec![ns], vec![ns + 1]);
            let mut scan = Scan::new(read.version.clone(), seq, hidden, lower, upper);
            self.check_scan(&mut scan, &rows, read.seq).await?;
        }
        Ok(())
    }

    /// Forward, backward, then any mix of steps.
    async fn check_scan(&mut self, scan: &mut Scan, rows: &[(Vec<u8>, u64, Payload)], seq: u64) -> Outcome {
        let mut at = 0;
        let straight = rows.len() + 2;
        for step in 0..2 * straight + 15 {
            let forward = if step < 2 * straight { step < straight } else { self.rng.once_in(2) };
            let faulty = self.maybe_fault();
            let stepped = if forward { scan.next().await } else { scan.prev().await };
            self.clear_faults();
            let stepped = match stepped {
                Err(_) if faulty => {
                    self.counts.read_errors += 1;
                    if forward { scan.next().await } else { scan.prev().await }
                }
                stepped => stepped,
            };
            let stepped = stepped.map_err(text)?;
            at = if forward { (at + 1).min(rows.len() + 1) } else { at.saturating_sub(1) };
            let want = at.checked_sub(1).and_then(|at| rows.get(at)).cloned();
            let found = match scan.row() {
                Some(row) => Some((row.key.to_vec(), row.seq.get(), row.payload().map_err(text)?)),
                None => None,
            };
            same("scan", &[step as u8], seq, &found, &want)?;
            same("scan's answer", &[step as u8], seq, &stepped, &want.is_some())?;
        }
        Ok(())
    }

    fn maybe_fault(&mut self) -> bool {
        let faulty = self.sim.is_some() && self.rng.once_in(10);
        if faulty {
            let at = At::NthOf(OpKind::Read, self.rng.next() % 4);
            self.inject(at);
        }
        faulty
    }

    fn inject(&self, at: At) {
        if let Some(sim) = &self.sim {
            sim.inject(Fault { at, kind: FaultKind::Eio, repeat: Repeat::Once });
        }
    }

    fn clear_faults(&self) {
        if let Some(sim) = &self.sim {
            sim.clear_faults();
        }
    }

    /// Deeper levels are sorted and do not overlap.
    fn check_levels(&self) -> Outcome {
        for (level, tables) in self.tree.version().levels.iter().enumerate().skip(1) {
            if !tables.is_sorted_by(|a, b| a.meta().last_key < b.meta().first_key) {
                return Err(format!("level {level} overlaps"));
            }
        }
        Ok(())
    }

    /// What was added and taken back by origin is what the tables point to.
    async fn check_live(&mut self) -> Outcome {
        let mut recount = BTreeMap::<u32, LiveChange>::new();
        let mut pointed = BTreeMap::<u32, BTreeSet<u64>>::new();
        for table in self.tree.version().tables() {
            let mut cursor = table.reader_uncached().await.map_err(text)?.cursor();
            cursor.seek_first().await.map_err(text)?;
            while let Some(entry) = cursor.entry() {
                if entry.kind == Kind::Pointer {
                    let ptr = ValuePtr::decode(entry.value).expect("written by us");
                    let live = recount.entry(ptr.segment).or_default();
                    live.len += record_len(entry.key.len(), ptr.len as usize) as i64;
                    live.count += 1;
                    pointed.entry(ptr.segment).or_default().insert(entry.seq.get());
                }
                cursor.next().await.map_err(text)?;
            }
        }
        self.live.retain(|_, live| *live != LiveChange::default());
        same("live bytes", b"", 0, &self.live, &recount)?;
        for (origin, set) in &self.pointed {
            let want = pointed.remove(origin).unwrap_or_default();
            same("records pointed to", b"", 0, &set.count(), &(want.len() as u64))?;
            if let Some(seq) = want.iter().find(|&&seq| !set.contains(SeqNo::new(seq))) {
                return Err(format!("{seq} of {origin} is pointed to"));
            }
        }
        same("origins pointed to", b"", 0, &pointed.len(), &0)
    }

    /// Nothing but the tables of the newest Version is left on disk.
    async fn check_files(&self) -> Outcome {
        for table in self.tree.take_unpinned() {
            self.disk.remove(table.path()).await.map_err(text)?;
        }
        let found: BTreeSet<String> =
            self.disk.list(&self.dir).await.map_err(text)?.into_iter().map(|entry| entry.name).collect();
        let want = self.tree.version().tables().map(|t| format!("{}.sst", t.meta().number)).collect();
        same("files", b"", 0, &found, &want)
    }
}

/// A rewrite of any table of a deeper level.
fn any_rewrite(rng: &mut Rng, levels: &[Vec<Candidate<'_>>]) -> Option<Plan> {
    let all: Vec<_> =
        levels.iter().enumerate().skip(1).flat_map(|(l, ts)| ts.iter().map(move |t| (l, t))).collect();
    let (level, table) = *all.get(rng.below(all.len().max(1)))?;
    Some(Plan {
        reason: Reason::Drops,
        from: level,
        to: level,
        inputs: vec![table.meta.number],
        below: Vec::new(),
        first_key: table.meta.first_key.clone(),
        last_key: table.meta.last_key.clone(),
        is_trivial: false,
    })
}

fn path_of(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number}.sst"))
}

fn payload((_, kind, value): &(u64, Kind, Vec<u8>)) -> Payload {
    match kind {
        Kind::Tombstone => Payload::Tombstone,
        Kind::Inline => Payload::Inline(value.clone().into()),
        Kind::Pointer => Payload::Pointer(ValuePtr::decode(value).expect("written by us")),
    }
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, key: &[u8], seq: u64, found: &T, want: &T) -> Outcome {
    if found == want {
        return Ok(());
    }
    Err(format!("{what} {key:?} at {seq}: found {found:?}, want {want:?}"))
}
