//! Time to open a database after a clean close, and after the process that filled it was killed.
//!
//! `cargo run --release -p jdb_bench --example reopen -- [--rows 1000000] [--value-len 1024] [--rounds 5]`
//!
//! A child process fills the database and is then killed with whatever log it had not flushed; the parent opens what is
//! left, in the page cache as after any kill. Opening a clean database is repeated; each opening is a fresh runtime.

use clap::Parser;
use jdb::{Durability, Options};
use jdb_bench::child::{run_and_kill, say_and_wait};
use jdb_bench::{Load, Result, Rows, block_on, fill, median};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Parser)]
struct Args {
    /// Rows in the database.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Bytes of each value.
    #[arg(long, default_value_t = 1024)]
    value_len: usize,
    /// Namespaces.
    #[arg(long, default_value_t = 1000)]
    namespaces: u64,
    /// Of these rows, how many are put after the last flush and are only in the log when the process is killed.
    #[arg(long, default_value_t = 100_000)]
    unflushed: u64,
    /// Shards.
    #[arg(long, default_value_t = 8)]
    shards: u16,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where the temporary directory is made.
    #[arg(long)]
    dir: Option<PathBuf>,
    #[arg(long, hide = true)]
    child: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let rows = Rows { count: args.rows, ns_count: args.namespaces, value_len: args.value_len };
    if let Some(path) = &args.child {
        return block_on(child(path, rows, args.rows.saturating_sub(args.unflushed), args.shards));
    }
    let dir = tempfile::tempdir_in(args.dir.clone().unwrap_or_else(std::env::temp_dir))?;
    let (mut kill_ms, mut kill_rate, mut clean_ms) = (vec![], vec![], vec![]);
    for round in 0..args.rounds.max(1) {
        let path = dir.path().join(round.to_string());
        run_and_kill(&std::env::current_exe()?, "--child", &path)?;
        let (ms, unflushed_len) = open_and_close(&path)?;
        kill_ms.push(ms);
        kill_rate.push(unflushed_len as f64 / 1e3 / ms);
        println!(
            "round {round}: after the kill {ms:.1} ms, {:.1} MB of log unflushed",
            unflushed_len as f64 / 1e6
        );
        for _ in 0..5 {
            let (ms, unflushed_len) = open_and_close(&path)?;
            clean_ms.push(ms);
            if unflushed_len > 0 {
                println!("  a clean open found {unflushed_len} bytes of unflushed log");
            }
        }
        std::fs::remove_dir_all(&path)?;
    }
    println!("{} rows, {:.0} MB; medians", rows.count, rows.len() as f64 / 1e6);
    println!(
        "  open after a kill     {:>8.1} ms, {:.0} MB of log a second",
        median(kill_ms),
        median(kill_rate)
    );
    println!("  open after a close    {:>8.1} ms", median(clean_ms));
    Ok(())
}

/// Opens, notes what was replayed, closes. Time of the opening in milliseconds, bytes of log that were in no table.
fn open_and_close(path: &Path) -> Result<(f64, u64)> {
    block_on(async {
        let start = Instant::now();
        let db = jdb::open(path).await?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let unflushed_len = db.stats().shards.iter().map(|shard| shard.unflushed_len).sum();
        db.close().await?;
        Ok((ms, unflushed_len))
    })
}

/// Fills, flushes after `flushed` rows, puts the rest, says so and waits for its end.
async fn child(path: &Path, rows: Rows, flushed: u64, shards: u16) -> Result<()> {
    let db = jdb::open(Options { shards, ..Options::at(path) }).await?;
    let load = Load { batch_count: 1, in_flight: 64, durability: Durability::Os };
    fill(&db, rows, 0..flushed, load).await?;
    db.flush().await?;
    fill(&db, rows, flushed..rows.count, load).await?;
    say_and_wait("filled")
}
