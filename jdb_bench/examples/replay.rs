//! Replay of short records: what opening costs for each record of the log, alone.
//!
//! `cargo run --release -p jdb_bench --example replay -- [--records 840000] [--value-len 32] [--synced] [--against PROGRAM]`
//!
//! A child process puts one row into each of `--records` namespaces, drawn in random order from `--namespaces`, and is killed
//! with all of it in the log alone. Then a child opens what is left, tells what that took, and is killed in its turn: opening
//! changes nothing, so that each round replays the same log, from the page cache. `--against` names another build of this
//! program, which opens the same files in the same rounds, by turns.

use clap::Parser;
use jdb::{Durability, NsId, Options};
use jdb_bench::child::{run_and_kill, say_and_wait};
use jdb_bench::{Result, Usage, block_on, median};
use jdb_tenants::mix;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Parser)]
struct Args {
    /// Records in the log, each a row of another namespace.
    #[arg(long, default_value_t = 840_000)]
    records: u64,
    /// Namespaces that they are drawn from.
    #[arg(long, default_value_t = 10_000_000)]
    namespaces: u64,
    /// Bytes of each value.
    #[arg(long, default_value_t = 32)]
    value_len: usize,
    /// Shards.
    #[arg(long, default_value_t = 8)]
    shards: u16,
    /// MiB of memory.
    #[arg(long, default_value_t = 256)]
    memory_mib: usize,
    /// The log is synced before the kill, so that little of it is written again; else nothing proves that any of it was.
    #[arg(long)]
    synced: bool,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Another build of this program.
    #[arg(long)]
    against: Option<PathBuf>,
    /// Where the temporary directory is made.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Fills a database here and waits for its end.
    #[arg(long, hide = true)]
    fill: Option<PathBuf>,
    /// Opens the database here, tells what it took and waits for its end. For a profiler.
    #[arg(long)]
    open: Option<PathBuf>,
}

/// What an opening took: milliseconds of wall clock and of CPU, bytes of log.
type Took = [f64; 3];

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(path) = &args.fill {
        return block_on(fill(path, &args));
    }
    if let Some(path) = &args.open {
        return block_on(open(path, &args));
    }
    let dir = tempfile::tempdir_in(args.dir.clone().unwrap_or_else(std::env::temp_dir))?;
    let path = dir.path().join("db");
    let this = std::env::current_exe()?;
    run_and_kill(&this, "--fill", &path)?;
    let mut programs = vec![("this", this, vec![])];
    programs.extend(args.against.clone().map(|program| ("against", program, vec![])));
    for _ in 0..args.rounds.max(1) {
        for (_, program, all) in &mut programs {
            let line = run_and_kill(program, "--open", &path)?;
            let figures = line.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<f64>>();
            all.push(<Took>::try_from(figures).map_err(|_| format!("the child said {line:?}"))?);
        }
    }
    for (name, _, all) in &programs {
        let of = |figure: fn(&Took) -> f64| median(all.iter().map(figure).collect());
        let (ms, cpu_ms, len) = (of(|took| took[0]), of(|took| took[1]), of(|took| took[2]));
        println!(
            "{name:>8}: {:.1} MB in {ms:.0} ms, {:.0} MB/s; CPU {cpu_ms:.0} ms, {:.0} ns a record; medians of {}",
            len / 1e6,
            len / 1e3 / ms,
            cpu_ms * 1e6 / args.records as f64,
            all.len()
        );
    }
    Ok(())
}

fn options(path: &Path, args: &Args) -> Options {
    let mut options = Options {
        shards: args.shards,
        memory: args.memory_mib << 20,
        sync_interval: Duration::from_secs(3600),
        flush_interval: Duration::from_secs(3600),
        ..Options::at(path)
    };
    options.tuning.unflushed_len = Some(1 << 40);
    options
}

async fn fill(path: &Path, args: &Args) -> Result<()> {
    let db = jdb::open(options(path, args)).await?;
    let mut drawn: Vec<u32> = (0..u32::try_from(args.namespaces)?).collect();
    for i in 0..drawn.len() {
        let left = (drawn.len() - i) as u64;
        drawn.swap(i, i + (mix(i as u64) % left) as usize);
    }
    let value: Vec<u8> = (0..args.value_len).map(|i| mix(i as u64) as u8).collect();
    let rows = drawn.iter().take(usize::try_from(args.records)?);
    let rows = rows.map(|&ns| (NsId::from(u64::from(ns)), *b"r0000000", value.clone()));
    let rows: Vec<_> = rows.collect();
    for rows in rows.chunks(100) {
        let puts = rows.iter().map(|(ns, key, value)| db.ns(*ns).put(key, value).durability(Durability::Os));
        futures::future::try_join_all(puts.map(IntoFuture::into_future)).await?;
    }
    if args.synced {
        db.sync().await?;
        // The next record of a shard says that what lies before it was synced.
        for (ns, key, value) in rows.iter().take(100) {
            db.ns(*ns).put(key, value).durability(Durability::Os).await?;
        }
    }
    say_and_wait("filled")
}

async fn open(path: &Path, args: &Args) -> Result<()> {
    let usage = Usage::start(path);
    let db = jdb::open(options(path, args)).await?;
    let (ms, cpu_ms) = (usage.time().as_secs_f64() * 1e3, usage.cpu().as_secs_f64() * 1e3);
    let len: u64 = db.stats().shards.iter().map(|shard| shard.unflushed_len).sum();
    say_and_wait(&format!("{ms} {cpu_ms} {len}"))
}
