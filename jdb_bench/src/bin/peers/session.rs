//! A workload, done to an open database: every answer is compared with what was put, a wrong one ends the run.

use crate::engine::{Change, Engine, Walk};
use crate::measure::{Laps, Times, disk_len};
use crate::rows::{Draw, Key, Rows, Zipf, digest, shuffled};
use crate::workload::{IN_FLIGHT, Workload};
use jdb_bench::Result;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often it is looked how much the files take.
const LOOKS: usize = 100;
/// Rows of a commit in the workloads of batches.
const BATCH_COUNT: usize = 100;
/// Rows behind a seek.
const SEEK_COUNT: usize = 50;
/// Rows of a scan whose time is taken together.
const STRETCH: u64 = 100;
/// Most rows of a scan of YCSB.
const SCAN_COUNT_MAX: u64 = 100;
/// In place of a version: the row is not there.
const ABSENT: u32 = u32::MAX;

/// A database and what must be in it.
pub(crate) struct Session<'a, E> {
    db: &'a E,
    rows: &'a Rows,
    /// Of each row, how many times it was overwritten.
    versions: Vec<u32>,
    bytes_put: u64,
    /// Where the database lies, and the most that its files took at any look.
    dir: &'a Path,
    disk_peak: u64,
}

/// What a workload has done.
pub(crate) struct Done {
    pub(crate) ops: u64,
    pub(crate) time: Duration,
    pub(crate) times: Times,
    pub(crate) bytes_put: u64,
    /// The most that the files took while it ran, as far as it was looked.
    pub(crate) disk_peak: u64,
}

impl<'a, E: Engine> Session<'a, E> {
    /// A database that has all rows, or none.
    pub(crate) fn new(db: &'a E, rows: &'a Rows, filled: bool, dir: &'a Path) -> Self {
        let version = if filled { 0 } else { ABSENT };
        Self { db, rows, versions: vec![version; rows.count as usize], bytes_put: 0, dir, disk_peak: 0 }
    }

    /// Brings into memory what can be: all rows are walked over, and a tenth is read by key.
    pub(crate) async fn warm_up(&self) -> Result<()> {
        self.walk_all(false, true).await?;
        let mut draw = Draw::new(1);
        for _ in 0..self.rows.count / 10 {
            self.read(draw.below(self.rows.count)).await?;
        }
        Ok(())
    }

    /// Does a workload.
    pub(crate) async fn run(&mut self, workload: Workload) -> Result<Done> {
        use Workload::*;
        let count = self.rows.count;
        let ops = workload.ops(count);
        let times = match workload {
            FillSeq => self.put(&(0..count as u32).collect::<Vec<_>>(), 1).await,
            FillRandom | FillSync => self.put(first(ops, &shuffled(count, 2)), 1).await,
            FillBatch | FillSyncBatch => self.put(first(ops, &shuffled(count, 2)), BATCH_COUNT).await,
            Overwrite => {
                let mut draw = Draw::new(3);
                let picks: Vec<u32> = (0..ops).map(|_| draw.below(count) as u32).collect();
                self.put(&picks, 1).await
            }
            Overwrite5 => {
                let mut draw = Draw::new(11);
                let picks: Vec<u32> = (0..ops).map(|_| draw.below(count) as u32).collect();
                self.put(&picks, 1).await
            }
            Overwrite5Zipf => {
                let (zipf, mut draw) = (Zipf::new(count), Draw::new(12));
                let picks: Vec<u32> = (0..ops).map(|_| zipf.row(&mut draw) as u32).collect();
                self.put(&picks, 1).await
            }
            DeleteRandom => self.delete(first(ops, &shuffled(count, 4))).await,
            ReadRandom | ColdRead => self.get(ops).await,
            ReadMissing => self.get_missing(ops).await,
            ColdRead32 => self.get_at_once(ops).await,
            MultiGet32 => self.get_many(ops).await,
            ScanFwd | ColdScan => self.walk_all(false, true).await,
            ScanRev => self.walk_all(true, true).await,
            KeysFwd => self.walk_all(false, false).await,
            KeysRev => self.walk_all(true, false).await,
            SeekNext50 => self.seek(ops, false).await,
            SeekPrev50 => self.seek(ops, true).await,
            YcsbA | YcsbB | YcsbC | YcsbD | YcsbE | YcsbF => self.ycsb(workload, ops).await,
        };
        let (time, times) = times?;
        Ok(Done { ops, time, times, bytes_put: self.bytes_put, disk_peak: self.disk_peak })
    }

    /// Compares what is there after writes: the number and order of keys, and a thousand rows.
    pub(crate) async fn verify(&self) -> Result<()> {
        let mut seen = Seen::new(false);
        let walk = Walk { from: None, backward: false, values: false, limit: usize::MAX };
        self.db.walk(walk, |key, value| seen.add(key, value)).await?;
        let live = self.versions.iter().filter(|version| **version != ABSENT).count() as u64;
        seen.check(live, None)?;
        let mut draw = Draw::new(5);
        for _ in 0..1000 {
            self.read(draw.below(self.versions.len() as u64)).await?;
        }
        Ok(())
    }

    /// What row `i` must have.
    fn want(&self, i: u64) -> Option<&'a [u8]> {
        let version = self.versions.get(i as usize).copied().unwrap_or(ABSENT);
        (version != ABSENT).then(|| self.rows.value(i, version))
    }

    /// Gives row `i` its next value.
    fn next_value(&mut self, i: u64) -> &'a [u8] {
        self.bytes_put += self.rows.row_len();
        if i as usize >= self.versions.len() {
            self.versions.push(ABSENT);
        }
        let version = self.versions.get_mut(i as usize).map_or(0, |version| {
            *version = version.wrapping_add(1);
            *version
        });
        self.rows.value(i, version)
    }

    async fn put(&mut self, order: &[u32], at_once: usize) -> Result<(Duration, Times)> {
        let (start, mut laps) = (Instant::now(), Laps::start()?);
        let mut changes: Vec<Change<'_>> = Vec::with_capacity(at_once);
        let look_every = (order.len() / at_once / LOOKS).max(1);
        for (i, some) in order.chunks(at_once).enumerate() {
            // A walk over some hundred names, so few times that it does not count.
            if i % look_every == 0 {
                self.disk_peak = self.disk_peak.max(disk_len(self.dir).unwrap_or(0));
            }
            changes.clear();
            changes.extend(some.iter().map(|i| {
                let i = u64::from(*i);
                (self.rows.key(i), Some(self.next_value(i)))
            }));
            self.db.commit(&changes).await?;
            laps.lap();
        }
        Ok((start.elapsed(), laps.times))
    }

    async fn delete(&mut self, order: &[u32]) -> Result<(Duration, Times)> {
        let (start, mut laps) = (Instant::now(), Laps::start()?);
        for i in order {
            let key = self.rows.key(u64::from(*i));
            self.bytes_put += key.len() as u64;
            if let Some(version) = self.versions.get_mut(*i as usize) {
                *version = ABSENT;
            }
            self.db.commit(&[(key, None)]).await?;
            laps.lap();
        }
        Ok((start.elapsed(), laps.times))
    }

    async fn get(&self, ops: u64) -> Result<(Duration, Times)> {
        let mut draw = Draw::new(6);
        let (start, mut laps) = (Instant::now(), Laps::start()?);
        for _ in 0..ops {
            self.read(draw.below(self.rows.count)).await?;
            laps.lap();
        }
        Ok((start.elapsed(), laps.times))
    }

    async fn get_missing(&self, ops: u64) -> Result<(Duration, Times)> {
        let (start, mut laps) = (Instant::now(), Laps::start()?);
        for n in 0..ops {
            self.expect(&self.rows.absent_key(n), None).await?;
            laps.lap();
        }
        Ok((start.elapsed(), laps.times))
    }

    async fn get_many(&self, ops: u64) -> Result<(Duration, Times)> {
        let mut draw = Draw::new(7);
        let (start, mut laps) = (Instant::now(), Laps::start()?);
        let mut left = ops;
        while left > 0 {
            let picks: Vec<u64> =
                (0..left.min(IN_FLIGHT as u64)).map(|_| draw.below(self.rows.count)).collect();
            let keys: Vec<Key> = picks.iter().map(|i| self.rows.key(*i)).collect();
            let mut right = 0;
            let show = |at, value: Option<&[u8]>| right += usize::from(self.is_row(&picks, at, value));
            self.db.get_many(&keys, show).await?;
            if right != keys.len() {
                return Err(format!("{right} of {} keys have the values that were put", keys.len()).into());
            }
            left -= picks.len() as u64;
            laps.lap();
        }
        Ok((start.elapsed(), laps.times))
    }

    async fn get_at_once(&self, ops: u64) -> Result<(Duration, Times)> {
        let mut draw = Draw::new(8);
        let picks: Vec<u64> = (0..ops).map(|_| draw.below(self.rows.count)).collect();
        let keys: Vec<Key> = picks.iter().map(|i| self.rows.key(*i)).collect();
        let right = AtomicUsize::new(0);
        let (rows, count) = (self.rows, &right);
        let start = Instant::now();
        let show = |at: usize, value: Option<&[u8]>| {
            let want = picks.get(at).map(|i| rows.value(*i, 0));
            count.fetch_add(usize::from(value == want), Ordering::Relaxed);
        };
        let times = self.db.get_at_once(&keys, &show).await?;
        let time = start.elapsed();
        let right = right.into_inner();
        if right != keys.len() {
            return Err(format!("{right} of {} keys have the values that were put", keys.len()).into());
        }
        Ok((time, times))
    }

    fn is_row(&self, picks: &[u64], at: usize, value: Option<&[u8]>) -> bool {
        picks.get(at).is_some_and(|i| value == self.want(*i))
    }

    async fn walk_all(&self, backward: bool, values: bool) -> Result<(Duration, Times)> {
        let walk = Walk { from: None, backward, values, limit: usize::MAX };
        let mut seen = Seen::new(backward);
        let (start, mut laps) = (Instant::now(), Laps::start()?);
        let show = |key: &[u8], value: &[u8]| {
            seen.add(key, value);
            if seen.count.is_multiple_of(STRETCH) {
                laps.lap();
            }
        };
        self.db.walk(walk, show).await?;
        let time = start.elapsed();
        let value = |i| if values { self.rows.value(i, 0) } else { &[] };
        let digests = (0..self.rows.count).map(|i| digest(&self.rows.key(i), value(i)));
        seen.check(self.rows.count, Some(digests.fold(0, u64::wrapping_add)))?;
        Ok((time, laps.times))
    }

    async fn seek(&self, ops: u64, backward: bool) -> Result<(Duration, Times)> {
        let mut draw = Draw::new(9);
        let (start, mut laps) = (Instant::now(), Laps::start()?);
        for _ in 0..ops {
            let from = draw.below(self.rows.count);
            let walk = Walk { from: Some(self.rows.key(from)), backward, values: true, limit: SEEK_COUNT };
            let (mut met, mut right) = (0, 0);
            // Keys ascend with their row's number, so that it is known what must come.
            let show = |key: &[u8], value: &[u8]| {
                let i = if backward { from.wrapping_sub(met) } else { from + met };
                met += 1;
                right += u64::from(Some(value) == self.want(i) && *key == self.rows.key(i));
            };
            self.db.walk(walk, show).await?;
            let there = if backward { from + 1 } else { self.rows.count - from };
            if met != there.min(SEEK_COUNT as u64) || right != met {
                return Err(
                    format!("{met} rows after a seek to row {from}, {right} of them are right").into()
                );
            }
            laps.lap();
        }
        Ok((start.elapsed(), laps.times))
    }

    async fn ycsb(&mut self, workload: Workload, ops: u64) -> Result<(Duration, Times)> {
        use Workload::*;
        let (zipf, mut draw) = (Zipf::new(self.rows.count), Draw::new(10));
        // The rest of a hundred writes.
        let reads = match workload {
            YcsbA | YcsbF => 50,
            YcsbC => 100,
            _ => 95,
        };
        let (start, mut laps) = (Instant::now(), Laps::start()?);
        for _ in 0..ops {
            let newest = self.versions.len() as u64 - 1;
            let read = draw.below(100) < reads;
            let i = match workload {
                YcsbD | YcsbE if !read => newest + 1,
                YcsbD => newest - zipf.rank(&mut draw),
                _ => zipf.row(&mut draw),
            };
            if read && workload == YcsbE {
                self.short_scan(i, 1 + draw.below(SCAN_COUNT_MAX)).await?;
            } else if read {
                self.read(i).await?;
            } else {
                if workload == YcsbF {
                    self.read(i).await?;
                }
                let value = self.next_value(i);
                self.db.commit(&[(self.rows.key(i), Some(value))]).await?;
            }
            laps.lap();
        }
        Ok((start.elapsed(), laps.times))
    }

    /// Walks from row `i` on, between rows that were inserted meanwhile.
    async fn short_scan(&self, i: u64, limit: u64) -> Result<()> {
        let from = self.rows.key(i);
        let walk = Walk { from: Some(from), backward: false, values: true, limit: limit as usize };
        let (mut seen, mut first_is_right) = (Seen::new(false), false);
        let show = |key: &[u8], value: &[u8]| {
            if seen.count == 0 {
                first_is_right = *key == from && Some(value) == self.want(i);
            }
            seen.add(key, value);
        };
        self.db.walk(walk, show).await?;
        let at_least = limit.min(self.rows.count - i);
        if !first_is_right || !seen.ordered || !(at_least..=limit).contains(&seen.count) {
            return Err(
                format!("a scan of {limit} rows from row {i} met {} or wrong ones", seen.count).into()
            );
        }
        Ok(())
    }

    async fn read(&self, i: u64) -> Result<()> {
        self.expect(&self.rows.key(i), self.want(i)).await
    }

    async fn expect(&self, key: &Key, want: Option<&[u8]>) -> Result<()> {
        let mut right = false;
        self.db.get(key, |value| right = value == want).await?;
        if right {
            return Ok(());
        }
        let what = if want.is_some() { "the value that was put" } else { "absent" };
        Err(format!("{}: not {what}", String::from_utf8_lossy(key)).into())
    }
}

fn first(count: u64, of: &[u32]) -> &[u32] {
    of.get(..count as usize).unwrap_or(of)
}

/// What a walk has met.
struct Seen {
    count: u64,
    digest: u64,
    ordered: bool,
    backward: bool,
    last: Vec<u8>,
}

impl Seen {
    fn new(backward: bool) -> Self {
        Self { count: 0, digest: 0, ordered: true, backward, last: Vec::new() }
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        let last = self.last.as_slice();
        self.ordered &= self.count == 0 || if self.backward { key < last } else { key > last };
        self.last.clear();
        self.last.extend_from_slice(key);
        self.digest = self.digest.wrapping_add(digest(key, value));
        self.count += 1;
    }

    fn check(&self, count: u64, digest: Option<u64>) -> Result<()> {
        if self.count != count {
            return Err(format!("a walk met {} rows of {count}", self.count).into());
        }
        if !self.ordered {
            return Err("a walk met keys out of order".into());
        }
        if digest.is_some_and(|digest| digest != self.digest) {
            return Err("a walk met other rows than were put".into());
        }
        Ok(())
    }
}
