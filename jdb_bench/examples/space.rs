//! What collection gives back and what it does to reading.
//!
//! `cargo run --release -p jdb_bench --example space -- --namespaces 1000 --rows 300 --big 20000`
//!
//! Three parts, each with a database of its own:
//! - big values: `--big` values of 64 KiB are put, nine of ten deleted, then nothing is done: bytes of the files second by second.
//! - one namespace among many: rows of 1 KiB are put in rounds over all namespaces, then twice as many overwrites at random; a walk over
//!   one cold namespace before and after `collect`.
//! - a walk over everything, in memory, before the overwrites and after the collection.

use clap::Parser;
use jdb::{Db, Options};
use jdb_bench::keys::mix;
use jdb_bench::report::{evict, sync_all};
use jdb_bench::{Result, Rows, block_on, median};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Parser, Clone)]
struct Args {
    /// Namespaces of the second part.
    #[arg(long, default_value_t = 1000)]
    namespaces: u64,
    /// Rows of each.
    #[arg(long, default_value_t = 300)]
    rows: u64,
    /// Values of 64 KiB of the first part.
    #[arg(long, default_value_t = 20_000)]
    big: u64,
    /// Where the temporary directory is made.
    #[arg(long)]
    dir: Option<PathBuf>,
}

const BIG_LEN: usize = 64 << 10;
const VALUE_LEN: usize = 1024;
/// Namespaces that are walked over cold.
const WALKS: u64 = 15;

fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir_in(args.dir.clone().unwrap_or_else(std::env::temp_dir))?;
    block_on(big(&dir.path().join("big"), args.big))?;
    many(&dir.path().join("many"), &args)
}

fn files_len(db: &Db) -> u64 {
    let stats = db.stats();
    stats.log_len() + stats.table_len()
}

async fn big(path: &Path, count: u64) -> Result<()> {
    let db = jdb::open(path).await?;
    let ns = db.ns(1u64);
    let values = Rows { count, ns_count: 1, value_len: BIG_LEN };
    for i in 0..count {
        ns.put_bytes(i.to_be_bytes(), values.value(i).into()).await?;
    }
    db.flush().await?;
    println!("{count} values of 64 KiB: {} MiB of files", files_len(&db) >> 20);
    for i in (0..count).filter(|i| i % 10 != 0) {
        ns.delete(i.to_be_bytes()).await?;
    }
    let live = count.div_ceil(10) * (BIG_LEN as u64 + 8);
    let start = Instant::now();
    for second in [0, 1, 2, 5, 10, 20, 30, 61, 75, 90] {
        let left = Duration::from_secs(second).saturating_sub(start.elapsed());
        jdb::compio::time::sleep(left).await;
        let len = files_len(&db);
        println!(
            "{second:>4} s after the deletes: {:>6} MiB, {:.2}x live",
            len >> 20,
            len as f64 / live as f64
        );
    }
    Ok(db.close().await?)
}

fn many(path: &Path, args: &Args) -> Result<()> {
    let (namespaces, rows) = (args.namespaces, args.rows);
    let all = namespaces * rows;
    let values = Rows { count: all, ns_count: 1, value_len: VALUE_LEN };
    let warm = |db: Db| async move {
        walk_all(&db, namespaces).await?;
        let mut times = Vec::new();
        for _ in 0..3 {
            let start = Instant::now();
            let seen = walk_all(&db, namespaces).await?;
            times.push(start.elapsed().as_secs_f64());
            if seen != all {
                return Err(format!("{seen} rows of {all}").into());
            }
        }
        Ok::<f64, Box<dyn std::error::Error>>(median(times))
    };
    let before_s = block_on(async {
        let db = jdb::open(path).await?;
        for row in 0..rows {
            for ns in 0..namespaces {
                db.ns(ns).put_bytes(row.to_be_bytes(), values.value(ns * rows + row).into()).await?;
            }
        }
        db.flush().await?;
        db.settle().await?;
        let time = warm(db.clone()).await?;
        for n in 0..2 * all {
            let pick = mix(n) % all;
            let (ns, row) = (pick / rows, pick % rows);
            db.ns(ns).put_bytes(row.to_be_bytes(), values.value(pick + (n + 1) * all).into()).await?;
        }
        db.flush().await?;
        db.settle().await?;
        db.close().await?;
        Ok(time)
    })?;
    let (cold_before_us, reads_before) = cold(path, args)?;
    let after_s = block_on(async {
        let db = jdb::open(path).await?;
        let report = db.collect().await?;
        println!("collect: {} MiB before, {} MiB after", report.before_len >> 20, report.after_len >> 20);
        let time = warm(db.clone()).await?;
        db.close().await?;
        Ok(time)
    })?;
    let (cold_after_us, reads_after) = cold(path, args)?;
    println!(
        "walk over {all} rows in memory: {before_s:.3} s before the overwrites, {after_s:.3} s after the collection, {:.2}x",
        after_s / before_s
    );
    println!(
        "walk over one cold namespace of {rows} rows: {cold_before_us:.0} us and {reads_before} reads before, \
         {cold_after_us:.0} us and {reads_after} reads after, {:.2}x",
        cold_after_us / cold_before_us
    );
    Ok(())
}

async fn walk_all(db: &Db, namespaces: u64) -> Result<u64> {
    let mut seen = 0;
    for ns in 0..namespaces {
        seen += walk(db, ns).await?;
    }
    Ok(seen)
}

async fn walk(db: &Db, ns: u64) -> Result<u64> {
    let mut scan = db.ns(ns).iter();
    let mut seen = 0;
    while let Some(item) = scan.next().await? {
        seen += u64::from(item.value().await?.len() == VALUE_LEN);
    }
    Ok(seen)
}

/// Medians over some namespaces, each with nothing in memory: microseconds of a walk, and its reads.
fn cold(path: &Path, args: &Args) -> Result<(f64, f64)> {
    sync_all();
    let (mut times, mut reads) = (Vec::new(), Vec::new());
    for n in 0..WALKS {
        evict(path)?;
        let ns = mix(n + 77) % args.namespaces;
        let (time, count) = block_on(async {
            let db = jdb::open(Options { read_only: true, ..Options::at(path) }).await?;
            let before = db.stats().io.reads;
            let start = Instant::now();
            let seen = walk(&db, ns).await?;
            let (time, count) = (start.elapsed(), db.stats().io.reads - before);
            db.close().await?;
            if seen != args.rows {
                return Err(format!("{seen} rows in namespace {ns}").into());
            }
            Ok((time, count))
        })?;
        times.push(time.as_secs_f64() * 1e6);
        reads.push(count as f64);
    }
    Ok((median(times), median(reads)))
}
