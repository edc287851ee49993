//! Resident memory of a process that fills a database with random rows, then reads them.
//!
//! `cargo run --release -p jdb_bench --example memory -- --help` (Linux)
//!
//! Anonymous memory is what the engine holds; pages of files are the system's to take back. Both are sampled while the work goes
//! on, and the peak of each stage is printed beside what the database accounts for at that moment.

use clap::Parser;
use futures::TryStreamExt;
use futures::stream::FuturesUnordered;
use jdb::{Db, Options, Stats};
use jdb_bench::keys::mix;
use jdb_bench::{Result, Rows, Usage, block_on};
use std::fs;
use std::path::PathBuf;

#[derive(Parser, Clone)]
struct Args {
    /// Rows to put.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Bytes of each value.
    #[arg(long, default_value_t = 1024)]
    value_len: usize,
    /// Namespaces.
    #[arg(long, default_value_t = 1000)]
    namespaces: u64,
    /// Commits that wait at the same time.
    #[arg(long, default_value_t = 32)]
    in_flight: usize,
    /// Rows looked up in random order after the fill.
    #[arg(long, default_value_t = 300_000)]
    gets: u64,
    /// Rows between two samples.
    #[arg(long, default_value_t = 10_000)]
    step: u64,
    /// Shards.
    #[arg(long, default_value_t = 8)]
    shards: u16,
    /// Memory of the database in MiB.
    #[arg(long, default_value_t = 64)]
    memory: usize,
    /// Where the temporary directory is made.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print every sample.
    #[arg(long)]
    verbose: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir_in(args.dir.clone().unwrap_or_else(std::env::temp_dir))?;
    let rows = Rows { count: args.rows, ns_count: args.namespaces, value_len: args.value_len };
    let options =
        Options { shards: args.shards, memory: args.memory << 20, ..Options::at(dir.path().join("db")) };
    block_on(async {
        let start = Memory::here()?;
        println!(
            "before the opening: anonymous {:.1} MiB, files {:.1} MiB",
            mib(start.anon),
            mib(start.file)
        );
        let db = jdb::open(options).await?;
        let mut stage = Stage::new("fill", args.verbose);
        let usage = Usage::start(dir.path());
        for from in (0..rows.count).step_by(args.step.max(1) as usize) {
            fill(&db, rows, from..rows.count.min(from + args.step.max(1)), args.in_flight).await?;
            stage.sample(&db)?;
        }
        let (time, cpu) = (usage.time().as_secs_f64(), usage.cpu().as_secs_f64());
        println!(
            "fill: {:.1} k/s, CPU {:.2} us a row",
            rows.count as f64 / time / 1e3,
            cpu * 1e6 / rows.count as f64
        );
        stage.print();
        let mut stage = Stage::new("flush", args.verbose);
        db.flush().await?;
        stage.sample(&db)?;
        stage.print();
        let mut stage = Stage::new("get", args.verbose);
        for from in (0..args.gets).step_by(args.step.max(1) as usize) {
            for n in from..args.gets.min(from + args.step.max(1)) {
                let i = rows.pick(n);
                let value = db.ns(ns(rows, i)).get(rows.key(i)).await?;
                if value.is_none_or(|value| value.len() != rows.value_len) {
                    return Err(format!("row {i} is not what was put").into());
                }
            }
            stage.sample(&db)?;
        }
        stage.print();
        Ok(db.close().await?)
    })
}

/// The namespace of a row: neighbours lie in different ones, so that every shard is written to all the time.
fn ns(rows: Rows, i: u64) -> u64 {
    mix(!i) % rows.ns_count.max(1)
}

async fn fill(db: &Db, rows: Rows, which: std::ops::Range<u64>, in_flight_max: usize) -> Result<()> {
    let mut in_flight = FuturesUnordered::new();
    let mut which = which;
    loop {
        let room = in_flight_max.max(1).saturating_sub(in_flight.len());
        in_flight.extend(
            which.by_ref().take(room).map(|i| async move {
                db.ns(ns(rows, i)).put_bytes(rows.key(i), rows.value(i).into()).await
            }),
        );
        if in_flight.try_next().await?.is_none() {
            return Ok(());
        }
    }
}

/// Resident memory in bytes.
#[derive(Clone, Copy)]
struct Memory {
    anon: u64,
    file: u64,
}

impl Memory {
    fn here() -> Result<Self> {
        let text = fs::read_to_string("/proc/self/status")?;
        let field = |name: &str| -> Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let number = line.and_then(|line| line.split_whitespace().next()).ok_or("no such line")?;
            Ok(number.parse::<u64>()? << 10)
        };
        Ok(Self { anon: field("RssAnon")?, file: field("RssFile")? })
    }
}

/// The peaks of a stage.
struct Stage {
    name: &'static str,
    verbose: bool,
    samples: u64,
    anon: u64,
    file: u64,
    descriptors: usize,
    at_peak: Option<Stats>,
}

impl Stage {
    fn new(name: &'static str, verbose: bool) -> Self {
        Self { name, verbose, samples: 0, anon: 0, file: 0, descriptors: 0, at_peak: None }
    }

    fn sample(&mut self, db: &Db) -> Result<()> {
        let now = Memory::here()?;
        self.samples += 1;
        self.file = self.file.max(now.file);
        self.descriptors = self.descriptors.max(fs::read_dir("/proc/self/fd")?.count());
        if now.anon > self.anon {
            self.anon = now.anon;
            self.at_peak = Some(db.stats());
        }
        if self.verbose {
            println!(
                "  {} {}: anonymous {:.1} MiB; {}",
                self.name,
                self.samples,
                mib(now.anon),
                parts(&db.stats())
            );
        }
        Ok(())
    }

    fn print(&self) {
        let (anon, file) = (mib(self.anon), mib(self.file));
        println!(
            "{}: peak of {} samples: anonymous {anon:.1} MiB, files {file:.1} MiB, {} descriptors",
            self.name, self.samples, self.descriptors
        );
        if let Some(stats) = &self.at_peak {
            println!("  at the peak of anonymous memory: {}", parts(stats));
        }
    }
}

/// What the database accounts for.
fn parts(stats: &Stats) -> String {
    let parts = [
        ("memtables", stats.memtable_len as u64),
        ("closed ones", stats.closed_memtable_len as u64),
        ("blocks", stats.cache_len),
        ("handles", stats.handles_len as u64),
    ];
    let sum = parts.iter().map(|(_, len)| len).sum();
    let parts: Vec<_> = parts.iter().map(|(name, len)| format!("{name} {:.1}", mib(*len))).collect();
    format!("{} of {:.1} MiB accounted for; {} handles", parts.join(" + "), mib(sum), stats.handle_count)
}

fn mib(len: u64) -> f64 {
    len as f64 / f64::from(1 << 20)
}
