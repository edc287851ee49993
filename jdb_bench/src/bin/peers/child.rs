//! One workload on one engine, in a process of its own, so that memory, CPU time and bytes written are its own.

use crate::engine::{self, Engine, EngineName, Setup};
use crate::measure::{disk_len, peak_rss_len, written_len};
use crate::record::Record;
use crate::rows::Rows;
use crate::session::Session;
use crate::workload::{Needs, Workload};
use futures::FutureExt;
use jdb_bench::report::sync_all;
use jdb_bench::{Result, Usage};
use std::path::Path;
use std::time::Instant;

/// What a child does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) engine: EngineName,
    pub(crate) workload: Workload,
    /// Rows of the database.
    pub(crate) count: u64,
    pub(crate) value_len: usize,
    pub(crate) round: usize,
}

impl Job {
    /// Does it, on the database in a directory.
    pub(crate) fn run(self, dir: &Path) -> Result<Record> {
        match self.engine {
            EngineName::Jdb => jdb_bench::block_on(self.measure::<engine::jdb::Jdb>(dir)),
            EngineName::Fjall => at_once(self.measure::<engine::fjall::Fjall>(dir)),
            EngineName::Redb => at_once(self.measure::<engine::redb::Redb>(dir)),
            EngineName::Lmdb => at_once(self.measure::<engine::lmdb::Lmdb>(dir)),
            #[cfg(feature = "rocksdb")]
            EngineName::Rocksdb => at_once(self.measure::<engine::rocks::Rocks<false>>(dir)),
            #[cfg(feature = "rocksdb")]
            EngineName::RocksdbBlob => at_once(self.measure::<engine::rocks::Rocks<true>>(dir)),
        }
    }

    async fn measure<E: Engine>(self, dir: &Path) -> Result<Record> {
        let workload = self.workload;
        let rows = Rows::new(self.count, self.value_len);
        let setup =
            Setup { sync: workload.syncs(), scattered: workload.cold() && workload != Workload::ColdScan };
        let db = E::open(dir, setup).await?;
        let filled = workload.needs() != Needs::Nothing;
        let mut session = Session::new(&db, &rows, filled, dir);
        if filled && !workload.cold() {
            session.warm_up().await?;
        }
        let (usage, written_before) = (Usage::start(dir), written_len());
        let done = session.run(workload).await?;
        let answered = Instant::now();
        if workload.writes() {
            db.settle().await?;
        }
        let settle_s = if workload.writes() { answered.elapsed().as_secs_f64() } else { 0.0 };
        let (cpu, written, peak_rss_bytes) = (usage.cpu(), written_len(), peak_rss_len());
        if workload.writes() {
            sync_all();
        }
        let dev_bytes_written = usage.device_len();
        if workload.writes() {
            session.verify().await?;
        }
        drop(session);
        db.close().await?;
        Ok(Record {
            engine: self.engine.name(),
            version: self.engine.version(),
            workload: workload.name(),
            n: self.count,
            value_len: self.value_len,
            durability: E::durability(setup).to_owned(),
            in_flight: workload.in_flight(),
            round: self.round,
            ops: done.ops,
            ops_per_s: done.ops as f64 / done.time.as_secs_f64(),
            p50_us: done.times.within_us(0.5),
            p99_us: done.times.within_us(0.99),
            p999_us: done.times.within_us(0.999),
            cpu_s: cpu.as_secs_f64(),
            peak_rss_bytes,
            bytes_put: done.bytes_put,
            bytes_written: written.zip(written_before).map(|(after, before)| after.saturating_sub(before)),
            dev_bytes_written,
            disk_bytes: disk_len(dir)?,
            disk_peak_bytes: done.disk_peak,
            settle_s,
        })
    }
}

/// Runs a task that never waits: the peers' calls answer before they return.
fn at_once<T>(task: impl Future<Output = Result<T>>) -> Result<T> {
    task.now_or_never().unwrap_or_else(|| Err("an engine that cannot wait has waited".into()))
}
