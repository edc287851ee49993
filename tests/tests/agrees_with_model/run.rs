//! One run: options, operations and checks drawn from a seed.

use crate::model::{ModelScan, Rows};
use jdb::{Db, Driver, Durability, NsId, Options, Scan, Snapshot, Tuning};
use jdb_io::Disk;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tests::rng::Rng;

mod draw;
mod reads;
mod writes;

use draw::{id, key, show, show_row, value};

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

    /// Long enough for open scans to go over to another Version.
    async fn nap(&mut self) {
        self.note(|| "nap".into());
        if let Some(disk) = self.options.disk.clone() {
            disk.sleep(Duration::from_millis(1500)).await;
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
