//! What one run does, drawn from its seed: small and hot.

use crate::rng::Rng;
use bytes::Bytes;
use jdb::{Options, Tuning};
use jdb_base::NsId;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The parameters of a run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The seed that all of it comes from.
    pub seed: u64,
    /// Where the database lies.
    pub path: PathBuf,
    /// Namespaces; the last is never written.
    pub ns: Vec<NsId>,
    /// Keys that are written.
    pub keys: Vec<Bytes>,
    /// Number of shards.
    pub shards: u16,
    /// Longest inlined value in bytes.
    pub inline_max: usize,
    /// A memtable closes at this many bytes.
    pub memtable_len: usize,
    /// Target length of a segment in bytes.
    pub segment_len: u64,
    /// Target length of a block in bytes.
    pub block_len: usize,
    /// A table of a compaction ends at this many bytes.
    pub table_len: u64,
    /// Tables of level 0 that are merged.
    pub newest_count: usize,
    /// Bytes that level 1 may hold.
    pub level_len: u64,
    /// How many times more the next one.
    pub level_ratio: u64,
    /// Hidden bytes that make a compaction due.
    pub hidden_len_min: u64,
    /// Drops that make a compaction due.
    pub drops_min: u64,
    /// The part of the log that may be garbage.
    pub max_garbage: f64,
    /// Target length of a pack's block in bytes.
    pub pack_block_len: usize,
    /// Of 100 operations, this many take or read a snapshot.
    pub snapshot_percent: u64,
    /// Room kept for a full disk, in bytes.
    pub reserve_len: u64,
    /// How far the sequences of a life start above those before.
    pub life_jump: u64,
    /// The engine syncs within this time.
    pub sync_interval: Duration,
    /// Tasks that write and read at the same time.
    pub clients: usize,
    /// Of 100 commits, this many ask for `Sync`.
    pub sync_percent: u64,
    /// Of 100 operations, this many drop a namespace.
    pub drop_percent: u64,
    /// Of 100 values, this many are longer than a block.
    pub big_percent: u64,
    /// All records are of one length, so that bytes of another life fit where a new record ends.
    pub uniform: bool,
    /// Of 100 operations, this many read.
    pub read_percent: u64,
    /// Naps that clients take between operations, in milliseconds.
    pub naps_ms: [u64; 4],
    /// Of 100 futures, this many are dropped before they are ready.
    pub abandon_percent: u64,
    /// It works with names, whose ids are the engine's: the oracle follows nothing.
    pub names: bool,
}

impl Spec {
    /// The parameters of run `seed` in directory `path`.
    #[must_use]
    pub fn new(seed: u64, path: &Path) -> Self {
        let mut rng = Rng::new(seed);
        let mut ns = vec![
            NsId::from(0u64),
            NsId::from(7u64),
            NsId::from((1u64, 2u64)),
            NsId::from(u128::MAX),
            NsId::from(255u64),
            NsId::from(256u64),
        ];
        ns.rotate_left(rng.index(6));
        ns.truncate(rng.within(3..6) as usize + 1);
        let uniform = rng.one_in(5);
        let keys =
            if uniform { (0..16).map(|i| format!("k{i:02}").into()).collect() } else { keys(&mut rng) };
        Self {
            uniform,
            seed,
            path: path.to_owned(),
            ns,
            keys,
            shards: if rng.one_in(5) { 2 } else { 1 },
            inline_max: rng.pick(&[0, 16, 64, 200]),
            memtable_len: rng.pick(&[600, 1024, 1024, 2048, 1 << 16]),
            segment_len: rng.pick(&[4096, 4096, 4096, 8192]),
            block_len: rng.pick(&[128, 256, 512, 4096]),
            sync_interval: Duration::from_millis(rng.pick(&[5, 50, 500])),
            clients: rng.within(2..6) as usize,
            sync_percent: rng.pick(&[5, 20, 50]),
            drop_percent: rng.pick(&[1, 3, 8, 25]),
            big_percent: rng.pick(&[0, 2, 5]),
            read_percent: 6,
            naps_ms: [1, 3, 20, 700],
            abandon_percent: 0,
            names: false,
            reserve_len: rng.pick(&[0, 0, 4096]),
            life_jump: rng.pick(&[1 << 24, 64, 16]),
            table_len: rng.pick(&[1, 600, 600, 2000, 1 << 20]),
            newest_count: rng.pick(&[1, 2, 2, 3]),
            level_len: rng.pick(&[1, 1000, 4000]),
            level_ratio: rng.pick(&[1, 2, 4]),
            hidden_len_min: rng.pick(&[1, 300, 1 << 20]),
            drops_min: rng.pick(&[1, 1, 4]),
            snapshot_percent: rng.pick(&[0, 3, 10]),
            max_garbage: [0.01, 0.05, 0.3, 0.95][rng.index(4)],
            pack_block_len: rng.pick(&[64, 300, 4096]),
        }
    }

    /// The options to open the database with; the disk is the caller's.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            shards: self.shards,
            descriptors: if self.seed.is_multiple_of(2) { 2 } else { 256 },
            inline_max: self.inline_max,
            sync_interval: self.sync_interval,
            max_garbage: self.max_garbage,
            tuning: Tuning {
                memtable_len: Some(self.memtable_len),
                segment_len: Some(self.segment_len),
                block_len: Some(self.block_len),
                reserve_len: Some(self.reserve_len),
                life_jump: Some(self.life_jump),
                table_len: Some(self.table_len),
                newest_count: Some(self.newest_count),
                level_len: Some(self.level_len),
                level_ratio: Some(self.level_ratio),
                hidden_len_min: Some(self.hidden_len_min),
                drops_min: Some(self.drops_min),
                pack_block_len: Some(self.pack_block_len),
                ..Tuning::default()
            },
            ..Options::at(&self.path)
        }
    }

    /// A namespace that may be written.
    #[must_use]
    pub fn pick_ns(&self, rng: &mut Rng) -> u8 {
        // A few namespaces hotter than the others.
        let n = self.ns.len() - 1;
        rng.index(n).min(rng.index(n)) as u8
    }

    /// A key.
    #[must_use]
    pub fn pick_key(&self, rng: &mut Rng) -> Bytes {
        self.keys[rng.index(self.keys.len())].clone()
    }

    /// A value; `version` makes it differ from every other one that is long enough to hold it.
    #[must_use]
    pub fn value(&self, rng: &mut Rng, version: u64) -> Bytes {
        let len = match rng.below(100) {
            _ if self.uniform => 24,
            n if n < self.big_percent => rng.within(1500..9000),
            0..30 => rng.within(8..24),
            30..60 => rng.within(12..80),
            60..85 => rng.within(60..260),
            85..95 => rng.within(200..900),
            95..98 => 8,
            _ => rng.within(0..3),
        };
        fill(version, len as usize)
    }
}

/// A value of `len` bytes that starts with its version and goes on in a pattern of it.
#[must_use]
pub fn fill(version: u64, len: usize) -> Bytes {
    let mut value = Vec::with_capacity(len);
    value.extend_from_slice(&version.to_le_bytes());
    let mut word = version.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while value.len() < len {
        word = word.rotate_left(7).wrapping_add(version);
        value.extend_from_slice(&word.to_le_bytes());
    }
    value.truncate(len);
    value.into()
}

/// 8 to 64 keys: short, with common prefixes, one empty, one long.
fn keys(rng: &mut Rng) -> Vec<Bytes> {
    let count = rng.pick(&[8, 12, 16, 32, 64]);
    let mut keys: Vec<Bytes> = (0..count - 2)
        .map(|i| match i % 3 {
            0 => format!("k{i:02}").into(),
            1 => format!("user/{:04}/name", i * 37).into(),
            _ => vec![0, i as u8, 255, 0].into(),
        })
        .collect();
    keys.push(Bytes::new());
    keys.push(vec![b'L'; 300].into());
    keys.sort();
    keys
}
