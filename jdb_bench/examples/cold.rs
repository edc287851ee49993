//! Reads of what is not in memory: one at a time, many at once, scans with and without reading ahead.
//!
//! `cargo run --release -p jdb_bench --example cold -- --rows 300000 --value-len 1024 --rounds 3`
//!
//! Before each measurement the database is closed, its files are evicted from the page cache and it is opened
//! again; the host of a virtual disk may still hold them. Rows were put in random order, so that in key order values lie
//! scattered. Every round measures all ways, one after the other; the medians are printed.

use clap::Parser;
use futures::future::try_join_all;
use jdb::{Db, Options};
use jdb_bench::report::{evict, sync_all};
use jdb_bench::{Result, Rows, Usage, block_on, median};
use std::path::{Path, PathBuf};

#[derive(Parser, Clone)]
struct Args {
    /// Rows, all in one namespace.
    #[arg(long, default_value_t = 300_000)]
    rows: u64,
    /// Bytes of each value.
    #[arg(long, default_value_t = 1024)]
    value_len: usize,
    /// Values read by each way.
    #[arg(long, default_value_t = 20_000)]
    reads: u64,
    /// Rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the temporary directory is made.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// A way to read.
#[derive(Clone, Copy)]
enum Way {
    Get,
    Joined(usize),
    MultiGet(usize),
    /// Rows read ahead; `None`: as the scan finds out.
    Scan(Option<usize>),
    ScanBack,
    Keys,
}

const WAYS: [(&str, Way); 12] = [
    ("get, one at a time", Way::Get),
    ("get, 32 joined", Way::Joined(32)),
    ("multi_get of 8", Way::MultiGet(8)),
    ("multi_get of 32", Way::MultiGet(32)),
    ("multi_get of 128", Way::MultiGet(128)),
    ("scan, prefetch 0", Way::Scan(Some(0))),
    ("scan, prefetch 8", Way::Scan(Some(8))),
    ("scan, prefetch 64", Way::Scan(Some(64))),
    ("scan, prefetch 256", Way::Scan(Some(256))),
    ("scan, by itself", Way::Scan(None)),
    ("scan backward, by itself", Way::ScanBack),
    ("scan, keys only", Way::Keys),
];

fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir_in(args.dir.clone().unwrap_or_else(std::env::temp_dir))?;
    let path = dir.path().join("db");
    let rows = Rows { count: args.rows, ns_count: 1, value_len: args.value_len };
    block_on(async {
        let db = jdb::open(&path).await?;
        let ns = db.ns(1u64);
        // The rows' keys in another order than their numbers.
        for i in 0..rows.count {
            ns.put_bytes(rows.key(shuffled(i, rows.count)), rows.value(i).into()).await?;
        }
        db.flush().await?;
        db.settle().await?;
        Ok(db.close().await?)
    })?;
    sync_all();
    println!("{:<28} {:>12} {:>16} {:>14}", "way", "values/s", "CPU us a value", "reads a value");
    let mut runs: Vec<Vec<(f64, f64, f64)>> = WAYS.iter().map(|_| Vec::new()).collect();
    for round in 0..args.rounds.max(1) {
        for ((_, way), runs) in WAYS.iter().zip(&mut runs) {
            evict(&path)?;
            runs.push(block_on(measure(&path, rows, *way, args.reads, round as u64))?);
        }
    }
    for ((name, _), runs) in WAYS.iter().zip(runs) {
        let column = |figure: fn(&(f64, f64, f64)) -> f64| median(runs.iter().map(figure).collect());
        println!("{name:<28} {:>12.0} {:>16.2} {:>14.3}", column(|f| f.0), column(|f| f.1), column(|f| f.2));
    }
    Ok(())
}

/// A number of `0..count` for each, scattered.
fn shuffled(i: u64, count: u64) -> u64 {
    // A multiplication by something without a common factor is a permutation.
    let factor = (0x9e37_79b9u64..).find(|factor| gcd(*factor, count) == 1).unwrap_or(1);
    (u128::from(i) * u128::from(factor) % u128::from(count)) as u64
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

async fn measure(path: &Path, rows: Rows, way: Way, count: u64, round: u64) -> Result<(f64, f64, f64)> {
    let db: Db = jdb::open(Options { read_only: true, ..Options::at(path) }).await?;
    let ns = db.ns(1u64);
    let key = |n: u64| rows.key(rows.pick(n + round * count));
    let before = db.stats().io;
    let usage = Usage::start(path);
    let mut len = 0;
    let values = count.min(rows.count);
    match way {
        Way::Get => {
            for n in 0..count {
                len += ns.get(key(n)).await?.map_or(0, |value| value.len());
            }
        }
        Way::Joined(at_once) => {
            for first in (0..count).step_by(at_once) {
                let some = first..count.min(first + at_once as u64);
                let found = try_join_all(some.map(|n| ns.get(key(n)))).await?;
                len += found.iter().flatten().map(|value| value.len()).sum::<usize>();
            }
        }
        Way::MultiGet(at_once) => {
            for first in (0..count).step_by(at_once) {
                let some = first..count.min(first + at_once as u64);
                let found = ns.multi_get(some.map(key)).await?;
                len += found.iter().flatten().map(|value| value.len()).sum::<usize>();
            }
        }
        Way::Scan(_) | Way::ScanBack | Way::Keys => {
            let mut scan = match way {
                Way::Scan(Some(depth)) => ns.iter().prefetch(depth),
                Way::ScanBack => ns.iter().rev(),
                Way::Keys => ns.iter().keys_only(),
                _ => ns.iter(),
            };
            for _ in 0..values {
                let Some(item) = scan.next().await? else { return Err("the scan is too short".into()) };
                len += if matches!(way, Way::Keys) { rows.value_len } else { item.value().await?.len() };
            }
        }
    }
    if len as u64 != values * rows.value_len as u64 {
        return Err(format!("{len} bytes in {values} values").into());
    }
    let (time, cpu) = (usage.time().as_secs_f64(), usage.cpu().as_secs_f64());
    let reads = (db.stats().io.reads - before.reads) as f64;
    db.close().await?;
    Ok((values as f64 / time, cpu * 1e6 / values as f64, reads / values as f64))
}
