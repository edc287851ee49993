//! One run: options, operations and checks drawn from a seed.

use crate::model::{ModelScan, Rows, Version};
use bytes::Bytes;
use jdb::{Db, Driver, Durability, ErrorKind, Expected, Item, NsId, Options, Scan, SeqNo, Snapshot, Tuning};
use jdb_io::Disk;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::time::Duration;
use tests::rng::Rng;

/// Steps of a run.
pub(crate) const STEPS: u32 = 400;
/// Scans that are open at once.
const SCANS_MAX: usize = 4;
/// Snapshots that are held at once.
const SNAPSHOTS_MAX: usize = 3;

/// The database, its model, and what the seed says.
pub(crate) struct Run {
    seed: u64,
    step: u32,
    /// What the last steps did, for the message of a failure.
    done: Vec<String>,
    rng: Rng,
    options: Options,
    db: Option<Db>,
    ids: Vec<NsId>,
    /// Keys that are drawn again and again.
    keys: Vec<Vec<u8>>,
    model: BTreeMap<NsId, Rows>,
    /// The last sequence, in a database of one shard.
    last_seq: u64,
    scans: Vec<(NsId, Scan, ModelScan)>,
    snapshots: Vec<(NsId, Snapshot, Rows)>,
}

impl Run {
    pub(crate) fn new(seed: u64, path: PathBuf, disk: Option<Disk>) -> Self {
        let mut rng = Rng::new(seed);
        let tuning = Tuning {
            segment_len: Some(rng.pick(&[256, 1000, 4096, 65_536])),
            memtable_len: Some(rng.pick(&[1, 4 << 10, 32 << 10, 1 << 20])),
            unflushed_len: Some(rng.pick(&[1, 4 << 10, 32 << 10, 1 << 20])),
            block_len: Some(rng.pick(&[1, 64, 300, 4096])),
            life_jump: Some(rng.pick(&[1, 10, 1000, 1 << 24])),
            reserve_len: Some(rng.pick(&[0, 8 << 10])),
            table_len: Some(rng.pick(&[1, 500, 4000, 1 << 20])),
            newest_count: Some(rng.pick(&[1, 2, 4])),
            level_len: Some(rng.pick(&[1, 2000, 20_000])),
            level_ratio: Some(rng.pick(&[1, 2, 10])),
            hidden_len_min: Some(rng.pick(&[1, 1000, 1 << 20])),
            drops_min: Some(rng.pick(&[1, 2, 32])),
            pack_block_len: Some(rng.pick(&[1, 300, 16 << 10])),
        };
        let options = Options {
            shards: rng.pick(&[1, 4]),
            memory: rng.pick(&[0, 16 << 10, 1 << 20]),
            descriptors: rng.pick(&[1, 2, 256]),
            inline_max: rng.pick(&[0, 16, 128]),
            durability: rng.pick(&[Durability::Os, Durability::Sync]),
            sync_interval: Duration::from_millis(rng.pick(&[0, 1, 500])),
            flush_interval: Duration::from_millis(rng.pick(&[1, 60_000])),
            max_garbage: rng.pick(&[0.01, 0.1, 0.3, 0.95]),
            tuning,
            disk,
            ..Options::at(path)
        };
        let ids = (0..1 + rng.below(6)).map(|i| id(&mut rng, i)).collect();
        let keys = (0..40).map(|_| key(&mut rng)).collect();
        Self {
            seed,
            step: 0,
            done: Vec::new(),
            rng,
            options,
            db: None,
            ids,
            keys,
            model: BTreeMap::new(),
            last_seq: 0,
            scans: Vec::new(),
            snapshots: Vec::new(),
        }
    }

    /// Runs to the end; gives the driver that did the I/O.
    pub(crate) async fn go(mut self, steps: u32) -> Driver {
        self.open().await;
        for step in 0..steps {
            self.step = step;
            self.step().await;
        }
        self.step = steps;
        let driver = self.db().stats().driver;
        self.close().await;
        self.open().await;
        self.check_all().await;
        self.close().await;
        driver
    }

    async fn step(&mut self) {
        match self.rng.below(100) {
            0..22 => self.put().await,
            22..26 => self.put_if().await,
            26..30 => self.update().await,
            30..35 => self.delete().await,
            35..46 => self.batch().await,
            46..50 => self.put_many().await,
            50..52 => self.drop_ns().await,
            52..60 => self.get().await,
            60..66 => self.multi_get().await,
            66..72 => self.begin_scan(),
            72..85 => self.step_scan().await,
            85..87 => self.take_snapshot(),
            87..90 => self.read_snapshot().await,
            90..93 => {
                self.note(|| "flush".into());
                self.db().flush().await.unwrap();
            }
            93 => {
                if self.rng.below(2) == 0 {
                    self.note(|| "compact".into());
                    self.db().compact().await.unwrap();
                } else {
                    self.note(|| "collect".into());
                    self.db().collect().await.unwrap();
                }
            }
            94 => {
                self.note(|| "settle".into());
                self.db().settle().await.unwrap();
            }
            95 => {
                self.note(|| "sync".into());
                self.db().sync().await.unwrap();
            }
            96 => self.nap().await,
            97 => self.check_all().await,
            _ => {
                self.close().await;
                self.open().await;
                if self.rng.one_in(2) {
                    self.check_all().await;
                }
            }
        }
    }

    async fn put(&mut self) {
        let (ns, key, value) = (self.ns(), self.key(), value(&mut self.rng));
        self.note(|| format!("put {} {} bytes in {ns}", show(&key), value.len()));
        let write = self.db().ns(ns).put(&key, &value);
        let write = self.with_durability(write);
        let seq = write.await.unwrap().seq().get();
        self.rises(seq, 1);
        self.model.entry(ns).or_default().insert(key, Version { value, seq });
    }

    async fn put_if(&mut self) {
        let (ns, key, value) = (self.ns(), self.key(), value(&mut self.rng));
        let old = self.model.get(&ns).and_then(|rows| rows.get(&key)).cloned();
        let choice = self.rng.below(4);
        let (other, wrong) = (old.clone().map(|old| old.value).unwrap_or_default(), vec![7; 3]);
        let expected = match (choice, &old) {
            (0, _) => Expected::Absent,
            (1, Some(old)) => Expected::Seq(SeqNo::new(old.seq)),
            (2, Some(_)) => Expected::Value(&other),
            (3, _) => Expected::Value(&wrong),
            _ => Expected::Seq(SeqNo::new(self.last_seq + 1)),
        };
        self.note(|| format!("put {} in {ns} if {expected:?}", show(&key)));
        let holds = match expected {
            Expected::Absent => old.is_none(),
            Expected::Seq(seq) => old.as_ref().is_some_and(|old| old.seq == seq.get()),
            Expected::Value(value) => old.as_ref().is_some_and(|old| old.value == value),
        };
        match self.db().ns(ns).put_if(&key, expected, &value).await {
            Ok(commit) => {
                self.check(holds, || {
                    format!("put_if of {} went through, found {:?}", show(&key), old.is_some())
                });
                let seq = commit.seq().get();
                self.rises(seq, 1);
                self.model.entry(ns).or_default().insert(key, Version { value, seq });
            }
            Err(error) => {
                self.check(!holds && error.kind() == ErrorKind::Conflict, || format!("put_if: {error}"));
            }
        }
    }

    async fn update(&mut self) {
        let (ns, key, more) = (self.ns(), self.key(), value(&mut self.rng));
        let delete = self.rng.one_in(4);
        self.note(|| format!("update {} in {ns}", show(&key)));
        let old = self.model.get(&ns).and_then(|rows| rows.get(&key)).map(|old| old.value.clone());
        let mut seen = None;
        let change = |old: Option<Bytes>| {
            seen = Some(old.as_deref().map(<[u8]>::to_vec));
            let grown = [old.as_deref().unwrap_or_default(), &more].concat();
            (!delete).then(|| grown.into())
        };
        let seq = self.db().ns(ns).update(&key, change).await.unwrap().seq().get();
        self.check(seen == Some(old.clone()), || format!("update of {} saw {seen:?}", show(&key)));
        let rows = self.model.entry(ns).or_default();
        if delete {
            rows.remove(&key);
        } else {
            rows.insert(key, Version { value: [old.clone().unwrap_or_default(), more].concat(), seq });
        }
        self.rises(seq, u64::from(!delete || old.is_some()));
    }

    async fn put_many(&mut self) {
        let mut rows = Vec::new();
        for _ in 0..self.rng.below(12) {
            rows.push((self.ns(), self.key(), value(&mut self.rng)));
        }
        self.note(|| format!("put many: {}", rows.len()));
        let commits = self.db().put_many(rows.iter().map(|(ns, k, v)| (*ns, k, v))).await.unwrap();
        self.last_seq = commits.iter().map(|commit| commit.seq().get()).max().unwrap_or(self.last_seq);
        for (ns, key, value) in rows {
            // Its sequence is in one of the commits: the row is asked.
            let seq = self.seq_of(ns, &key).await;
            self.model.entry(ns).or_default().insert(key, Version { value, seq });
        }
    }

    async fn seq_of(&self, ns: NsId, key: &[u8]) -> u64 {
        let mut scan = self.db().ns(ns).range(key..).limit(1);
        let item = scan.next().await.unwrap().expect("the row is there");
        self.check(item.key() == key, || format!("{} is not where it was put", show(key)));
        item.seq().get()
    }

    async fn multi_get(&mut self) {
        let keys: Vec<(NsId, Vec<u8>)> = (0..self.rng.below(30)).map(|_| (self.ns(), self.key())).collect();
        self.note(|| format!("multi_get of {}", keys.len()));
        let got = self.db().multi_get(keys.iter().map(|(ns, key)| (*ns, key))).await.unwrap();
        self.check(got.len() == keys.len(), || format!("{} answers to {} keys", got.len(), keys.len()));
        for ((ns, key), got) in keys.iter().zip(got) {
            let want = self.model.get(ns).and_then(|rows| rows.get(key)).map(|version| &version.value[..]);
            self.check(got.as_deref() == want, || format!("multi_get {} in {ns}: {got:?}", show(key)));
            let len = self.db().ns(*ns).value_len(key).await.unwrap();
            self.check(len == want.map(|value| value.len() as u64), || format!("length of {}", show(key)));
        }
    }

    async fn delete(&mut self) {
        let (ns, key) = (self.ns(), self.key());
        self.note(|| format!("delete {} in {ns}", show(&key)));
        let write = self.db().ns(ns).delete(&key);
        let write = self.with_durability(write);
        let seq = write.await.unwrap().seq().get();
        self.rises(seq, 1);
        self.model.entry(ns).or_default().remove(&key);
    }

    async fn batch(&mut self) {
        let ns = self.ns();
        let mut batch = self.db().ns(ns).batch();
        let mut ops: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        for _ in 0..self.rng.below(12) {
            let repeated = self.rng.one_in(4) && !ops.is_empty();
            let key = if repeated { ops[self.rng.index(ops.len())].0.clone() } else { self.key() };
            let value = (!self.rng.one_in(4)).then(|| value(&mut self.rng));
            match &value {
                Some(value) => batch.put(&key, value),
                None => batch.delete(&key),
            };
            ops.push((key, value));
        }
        self.note(|| format!("batch of {} in {ns}", ops.len()));
        let commit = batch.commit().await.unwrap();
        let count = ops.len() as u64;
        let first = commit.seq().get() + 1 - count;
        if count > 0 {
            self.rises(commit.seq().get(), count);
        }
        let rows = self.model.entry(ns).or_default();
        for ((key, value), seq) in ops.into_iter().zip(first..) {
            match value {
                Some(value) => rows.insert(key, Version { value, seq }),
                None => rows.remove(&key),
            };
        }
        if self.rng.one_in(4) {
            commit.durable().await.unwrap();
        }
    }

    async fn drop_ns(&mut self) {
        let ns = self.ns();
        self.note(|| format!("drop {ns}"));
        let seq = self.db().drop_ns(ns).await.unwrap().seq().get();
        self.rises(seq, 1);
        self.model.remove(&ns);
    }

    async fn get(&mut self) {
        let (ns, key) = (self.ns(), self.key());
        self.note(|| format!("get {} in {ns}", show(&key)));
        let got = self.db().ns(ns).get(&key).await.unwrap();
        let want = self.model.get(&ns).and_then(|rows| rows.get(&key)).map(|version| &version.value[..]);
        self.check(got.as_deref() == want, || format!("get {} in {ns}: {got:?}, not {want:?}", show(&key)));
    }

    fn begin_scan(&mut self) {
        if self.scans.len() >= SCANS_MAX {
            let oldest = self.rng.index(self.scans.len());
            self.scans.swap_remove(oldest);
        }
        let ns = self.ns();
        let (a, b) = (self.key(), self.key());
        let space = self.db().ns(ns);
        let choice = self.rng.below(7);
        let prefix = &a[..self.rng.index(a.len() + 1)];
        self.note(|| format!("scan {choice} of {ns}, {} {}", show(&a), show(&b)));
        let bounds = match choice {
            0 | 1 => (Bound::Unbounded, Bound::Unbounded),
            2 => (Bound::Included(a.clone()), Bound::Excluded(b)),
            3 => (Bound::Excluded(a.clone()), Bound::Included(b)),
            4 => (Bound::Included(a.clone()), Bound::Unbounded),
            5 => (Bound::Unbounded, Bound::Excluded(b)),
            _ => (Bound::Unbounded, Bound::Unbounded),
        };
        let mut scan = match choice {
            0 | 1 => space.iter(),
            6 => space.prefix(prefix),
            _ => space.range(bounds.clone()),
        };
        let rows = self.model.get(&ns).into_iter().flatten().filter(|(key, _)| {
            let inside = match &bounds.0 {
                Bound::Included(from) => *key >= from,
                Bound::Excluded(from) => *key > from,
                Bound::Unbounded => true,
            } && match &bounds.1 {
                Bound::Included(to) => *key <= to,
                Bound::Excluded(to) => *key < to,
                Bound::Unbounded => true,
            };
            inside && (choice != 6 || key.starts_with(prefix))
        });
        let mut model = ModelScan::new(rows.map(|(key, version)| (key.clone(), version.clone())));
        if self.rng.one_in(2) {
            scan = scan.rev();
            model.rev();
        }
        if self.rng.one_in(4) {
            let limit = self.rng.index(6);
            scan = scan.limit(limit);
            model.limit(limit);
        }
        scan = match self.rng.below(6) {
            0 => scan.keys_only(),
            1 => scan.prefetch(1),
            2 => scan.prefetch(3),
            3 => scan.prefetch(64),
            _ => scan,
        };
        self.scans.push((ns, scan, model));
    }

    fn take_snapshot(&mut self) {
        if self.snapshots.len() == SNAPSHOTS_MAX {
            let oldest = self.rng.index(self.snapshots.len());
            self.snapshots.swap_remove(oldest);
        }
        let ns = self.ns();
        self.note(|| format!("snapshot of {ns}"));
        let rows = self.model.get(&ns).cloned().unwrap_or_default();
        self.snapshots.push((ns, self.db().ns(ns).snapshot(), rows));
    }

    /// A snapshot reads the same, whatever happened since.
    async fn read_snapshot(&mut self) {
        let Some(chosen) = self.snapshots.len().checked_sub(1) else { return };
        let chosen = self.rng.index(chosen + 1);
        let key = self.key();
        let (ns, snapshot, rows) = &self.snapshots[chosen];
        let got = snapshot.get(&key).await.unwrap();
        let want = rows.get(&key).map(|version| &version.value[..]);
        self.check(got.as_deref() == want, || {
            format!("get {} in a snapshot of {ns}: {got:?}, not {want:?}", show(&key))
        });
        let many = snapshot.multi_get(rows.keys().chain([&key])).await.unwrap();
        let wanted = rows.values().map(|version| Some(&version.value[..])).chain([want]);
        self.check(many.iter().map(Option::as_deref).eq(wanted), || {
            format!("multi_get in a snapshot of {ns}")
        });
        let mut scan = snapshot.iter();
        let mut model = ModelScan::new(rows.iter().map(|(key, version)| (key.clone(), version.clone())));
        for _ in 0..=rows.len() {
            model.next();
            self.check_item(scan.next().await.unwrap(), &model, true).await;
        }
        if self.rng.one_in(2) {
            let (ns, snapshot, rows) = &self.snapshots[chosen];
            let model = ModelScan::new(rows.iter().map(|(key, version)| (key.clone(), version.clone())));
            self.scans.push((*ns, snapshot.iter(), model));
        }
    }

    /// Long enough for open scans to go over to another Version.
    async fn nap(&mut self) {
        self.note(|| "nap".into());
        if let Some(disk) = self.options.disk.clone() {
            disk.sleep(Duration::from_millis(1500)).await;
        }
    }

    /// Some steps of a scan that is open, in any mix.
    async fn step_scan(&mut self) {
        if self.scans.is_empty() {
            self.begin_scan();
        }
        let chosen = self.rng.index(self.scans.len());
        let (ns, mut scan, mut model) = self.scans.swap_remove(chosen);
        // The row that was stepped on before other steps changed and flushed it.
        self.check_item(scan.item(), &model, true).await;
        let mut forward = self.rng.one_in(2);
        for _ in 0..1 + self.rng.below(20) {
            match self.rng.below(20) {
                0 => {
                    let key = self.key();
                    self.note(|| format!("seek {} in a scan of {ns}", show(&key)));
                    scan.seek(&key).await.unwrap();
                    model.seek(&key);
                }
                1 if self.rng.one_in(3) => {
                    self.note(|| format!("rev a scan of {ns}"));
                    scan = scan.rev();
                    model.rev();
                }
                1..4 => forward = !forward,
                _ => {}
            }
            let name = if forward { "next" } else { "prev" };
            self.note(|| format!("{name} in a scan of {ns}"));
            let item = if forward { scan.next().await } else { scan.prev().await }.unwrap();
            if forward {
                model.next()
            } else {
                model.prev()
            };
            let with_value = self.rng.one_in(2);
            self.check_item(item, &model, with_value).await;
        }
        self.scans.push((ns, scan, model));
    }

    async fn check_item(&self, item: Option<Item<'_>>, model: &ModelScan, with_value: bool) {
        let want = model.item();
        let got = item.as_ref().map(|item| (item.key(), item.seq().get()));
        let wanted = want.map(|(key, version)| (&key[..], version.seq));
        self.check(got == wanted, || format!("a scan sits on {}, not {}", show_row(got), show_row(wanted)));
        if with_value && let (Some(item), Some((key, version))) = (item, want) {
            let value: Bytes = item.value().await.unwrap();
            self.check(value == version.value, || format!("value of {} in a scan: {value:?}", show(key)));
        }
    }

    /// Every namespace forward and backward, and all keys.
    async fn check_all(&mut self) {
        self.note(|| "check all".into());
        let empty = Rows::new();
        let mut listed = Vec::new();
        let mut namespaces = self.db().namespaces();
        while let Some(ns) = namespaces.next().await.unwrap() {
            listed.push(ns);
        }
        let there = self.model.iter().filter(|(_, rows)| !rows.is_empty()).map(|(ns, _)| *ns);
        self.check(listed.iter().copied().eq(there), || format!("namespaces: {listed:?}"));
        if let [first, second, ..] = listed[..] {
            let mut page = self.db().namespaces().after(first).limit(1);
            self.check(page.next().await.unwrap() == Some(second), || format!("the one behind {first}"));
            self.check(page.next().await.unwrap().is_none(), || "a page of one".into());
        }
        for ns in &self.ids {
            let space = self.db().ns(*ns);
            let rows = self.model.get(ns).unwrap_or(&empty);
            let mut model = ModelScan::new(rows.iter().map(|(key, version)| (key.clone(), version.clone())));
            let mut scan = space.iter();
            for _ in 0..=rows.len() {
                model.next();
                self.check_item(scan.next().await.unwrap(), &model, true).await;
            }
            for _ in 0..=rows.len() {
                model.prev();
                self.check_item(scan.prev().await.unwrap(), &model, true).await;
            }
            let stats = space.stats().await.unwrap();
            let len = |f: fn((&Vec<u8>, &Version)) -> usize| rows.iter().map(f).sum::<usize>() as u64;
            let want =
                (rows.len() as u64, len(|(key, _)| key.len()), len(|(_, version)| version.value.len()));
            let found = (stats.rows, stats.key_len, stats.value_len);
            let at_least = found.0 >= want.0 && found.1 >= want.1 && found.2 >= want.2;
            self.check(if stats.is_exact { found == want } else { at_least }, || {
                format!("{ns}: {stats:?}, not {want:?}")
            });
            let owned = |row: Option<(&Vec<u8>, &Version)>| {
                row.map(|(key, version)| (Bytes::from(key.clone()), Bytes::from(version.value.clone())))
            };
            self.check(space.first().await.unwrap() == owned(rows.first_key_value()), || {
                format!("first of {ns}")
            });
            self.check(space.last().await.unwrap() == owned(rows.last_key_value()), || {
                format!("last of {ns}")
            });
            for key in self.keys.iter().chain(rows.keys()) {
                let got = space.get(key).await.unwrap();
                let want = rows.get(key).map(|version| &version.value[..]);
                self.check(got.as_deref() == want, || {
                    format!("get {} in {ns}: {got:?}, not {want:?}", show(key))
                });
            }
        }
    }

    async fn open(&mut self) {
        self.note(|| "open".into());
        self.db = Some(jdb::open(self.options.clone()).await.unwrap());
    }

    async fn close(&mut self) {
        self.note(|| "close".into());
        // Scans may outlive their database, but not for this test.
        self.scans.clear();
        self.snapshots.clear();
        self.db.take().unwrap().close().await.unwrap();
    }

    fn db(&self) -> &Db {
        self.db.as_ref().unwrap()
    }

    fn ns(&mut self) -> NsId {
        self.rng.pick(&self.ids)
    }

    /// One of the keys, sometimes a new one.
    fn key(&mut self) -> Vec<u8> {
        if self.rng.one_in(8) {
            key(&mut self.rng)
        } else {
            self.keys[self.rng.index(self.keys.len())].clone()
        }
    }

    fn with_durability(&mut self, write: jdb::Write) -> jdb::Write {
        match self.rng.below(4) {
            0 => write.durability(Durability::Sync),
            1 => write.durability(Durability::Os),
            _ => write,
        }
    }

    /// In one shard sequences rise over all namespaces, one an operation.
    fn rises(&mut self, seq: u64, count: u64) {
        if self.options.shards == 1 {
            let last = self.last_seq;
            self.check(seq >= last + count, || format!("sequence {seq} of {count} operations after {last}"));
            self.last_seq = seq;
        }
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        self.done.push(format!("{:4} {}", self.step, what()));
    }

    #[track_caller]
    fn check(&self, holds: bool, what: impl FnOnce() -> String) {
        assert!(holds, "seed {}, step {}: {}", self.seed, self.step, what());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let last = &self.done[self.done.len().saturating_sub(30)..];
            eprintln!("seed {}, step {}, {:?}\n{}", self.seed, self.step, self.options, last.join("\n"));
        }
    }
}

/// Ids near each other, far from each other, and the extreme ones.
fn id(rng: &mut Rng, index: u64) -> NsId {
    match rng.below(4) {
        0 => NsId::from(index),
        1 => NsId::from(u64::MAX - index),
        2 => NsId::from(u128::MAX - u128::from(index)),
        _ => NsId::from((rng.next(), rng.next())),
    }
}

/// Empty, 0xff, short, with a long common prefix, and long.
fn key(rng: &mut Rng) -> Vec<u8> {
    let len = rng.index(4);
    match rng.below(16) {
        0 => Vec::new(),
        1 => vec![0xff; len],
        2 => vec![0; len],
        3..7 => [&[b'p'; 90][..], &(rng.below(300) as u32).to_be_bytes()].concat(),
        7 => [&[0xff; 20][..], &[rng.below(3) as u8 + 0xfd]].concat(),
        8 if rng.one_in(8) => vec![b'l'; 5000 + rng.index(3)],
        _ => format!("{:x}", rng.below(600)).into_bytes(),
    }
}

/// Empty, inline, at the border, by pointer, and longer than a small segment.
fn value(rng: &mut Rng) -> Vec<u8> {
    let len = match rng.below(12) {
        0 => 0,
        1..6 => rng.index(20),
        6..8 => rng.pick(&[16, 17, 128, 129]),
        8..11 => rng.index(700),
        _ => rng.index(6000),
    };
    let first = rng.next();
    (0..len as u64).map(|at| (first.wrapping_add(at * 7) >> (at % 5)) as u8).collect()
}

fn show(key: &[u8]) -> String {
    if key.len() > 24 {
        let tail = &key[key.len() - 6..];
        return format!("{:?}..{}:{:?}", key[0] as char, key.len(), Bytes::copy_from_slice(tail));
    }
    format!("{:?}", Bytes::copy_from_slice(key))
}

fn show_row(row: Option<(&[u8], u64)>) -> String {
    row.map_or("no row".into(), |(key, seq)| format!("{} at sequence {seq}", show(key)))
}
