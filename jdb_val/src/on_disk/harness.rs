//! What the tests share: a disk with one shard directory, and short ways to say what is done to its log.

use crate::{Checkpoint, LogConfig, LogPos, Op, Placed, RecordKind, Recovered, Result, ValueLog};
use bytes::Bytes;
use jdb_base::{NsId, SeqNo, key::engine_key};
use jdb_io::Disk;
use jdb_io::sim::{SimConfig, SimDisk};
use std::path::{Path, PathBuf};

pub(crate) const DIR: &str = "/shard";
pub(crate) const SECRET: [u8; 16] = *b"a secret of test";

/// A record that recovery delivered: batches end where the last number is 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) seq: u64,
    pub(crate) kind: RecordKind,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) left: u32,
    pub(crate) pos: LogPos,
    pub(crate) end: LogPos,
}

pub(crate) fn config() -> LogConfig {
    LogConfig { dir: PathBuf::from(DIR), secret: SECRET, shard: 2, segment_len: 4096, ..LogConfig::default() }
}

pub(crate) fn sim(seed: u64) -> SimDisk {
    let sim = SimDisk::new(SimConfig { seed, ..SimConfig::default() });
    assert!(sim.create_dir_raw(Path::new(DIR)));
    sim
}

/// Runs `future` on the disk's executor.
pub(crate) fn run<T: 'static>(sim: &SimDisk, future: impl Future<Output = T> + 'static) -> T {
    sim.executor().block_on(future).expect("the test came to a halt")
}

pub(crate) fn path(number: u32) -> PathBuf {
    crate::segment::segment_path(Path::new(DIR), number)
}

pub(crate) fn key(ns: u64, key: &str) -> Vec<u8> {
    engine_key(NsId::from(ns), key.as_bytes())
}

pub(crate) fn put(ns: u64, name: &str, value: impl Into<Vec<u8>>) -> Op {
    Op { kind: RecordKind::Put, key: key(ns, name), value: Bytes::from(value.into()) }
}

pub(crate) async fn open(
    disk: &Disk,
    config: LogConfig,
    checkpoint: &Checkpoint,
) -> Result<(ValueLog, Recovered, Vec<Seen>)> {
    let mut seen = Vec::new();
    let (log, recovered) = ValueLog::open(disk, config, checkpoint, &mut |record| {
        seen.push(Seen {
            seq: record.seq.get(),
            kind: record.kind,
            key: record.key.to_vec(),
            value: record.value.to_vec(),
            left: record.ops_left,
            pos: record.pos,
            end: record.end,
        });
    })
    .await?;
    log.start_life(recovered.last_seq.plus(1000));
    Ok((log, recovered, seen))
}

/// Appends batches, beginning segments from `next` on.
pub(crate) async fn append(log: &ValueLog, next: &mut u32, batches: &[Vec<Op>]) -> Result<Vec<Placed>> {
    let mut placed = Vec::new();
    let mut rest: Vec<&[Op]> = batches.iter().map(Vec::as_slice).collect();
    while !rest.is_empty() {
        let appended = log
            .append(&rest, &mut || {
                *next += 1;
                *next - 1
            })
            .await?;
        rest.drain(..appended.batches);
        placed.extend(appended.placed);
    }
    Ok(placed)
}

/// A disk whose log holds `count` synced single puts, begun with segment 1.
pub(crate) fn written(count: u32, value_len: usize) -> SimDisk {
    let sim = sim(1);
    let disk = Disk::sim(&sim);
    run(&sim, async move {
        let (log, _, _) = open(&disk, config(), &Checkpoint::default()).await.unwrap();
        let mut next = 1;
        for i in 0..count {
            append(&log, &mut next, &[vec![put(7, &format!("key {i}"), vec![i as u8; value_len])]])
                .await
                .unwrap();
            log.sync().await.unwrap();
        }
    });
    sim
}

/// Opens the log of `sim` from the start.
pub(crate) fn reopen(sim: &SimDisk, config: LogConfig) -> Result<(Recovered, Vec<Seen>)> {
    reopen_from(sim, config, Checkpoint::default())
}

pub(crate) fn reopen_from(
    sim: &SimDisk,
    config: LogConfig,
    checkpoint: Checkpoint,
) -> Result<(Recovered, Vec<Seen>)> {
    let disk = Disk::sim(sim);
    run(sim, async move {
        let (_, recovered, seen) = open(&disk, config, &checkpoint).await?;
        Ok((recovered, seen))
    })
}

pub(crate) fn seq(number: u64) -> SeqNo {
    SeqNo::new(number)
}

/// A small generator: the same numbers from the same seed.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % n.max(1)
    }
}
