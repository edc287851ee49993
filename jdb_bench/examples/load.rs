//! One workload with chosen options: what it costs in time, CPU time and bytes.
//!
//! `cargo run --release -p jdb_bench --example load -- --help`
//!
//! Prints one line of `name=figure` a stage; several values of `--shards` or `--inline-max` are run in alternating rounds,
//! and the medians of the rounds are printed. The device's counter sees every process: read it on a quiet machine.

use clap::Parser;
use jdb::{Durability, Options};
use jdb_bench::report::sync_all;
use jdb_bench::{Load, Result, Rows, Usage, block_on, fill, median, read_random, walk};
use std::path::PathBuf;

#[derive(Parser, Clone)]
struct Args {
    /// Rows to put.
    #[arg(long, default_value_t = 200_000)]
    rows: u64,
    /// Bytes of each value.
    #[arg(long, default_value_t = 1024)]
    value_len: usize,
    /// Namespaces.
    #[arg(long, default_value_t = 1000)]
    namespaces: u64,
    /// Rows in a commit.
    #[arg(long, default_value_t = 1)]
    batch: u64,
    /// Commits that wait at the same time.
    #[arg(long, default_value_t = 32)]
    in_flight: usize,
    /// Commits survive a power cut when they are answered.
    #[arg(long)]
    sync: bool,
    /// Rows looked up in random order.
    #[arg(long, default_value_t = 200_000)]
    gets: u64,
    /// Shards; several with commas.
    #[arg(long, value_delimiter = ',', default_value = "8")]
    shards: Vec<u16>,
    /// Longest value kept in the index; several with commas.
    #[arg(long, value_delimiter = ',', default_value = "128")]
    inline_max: Vec<usize>,
    /// Memory of the database in MiB.
    #[arg(long, default_value_t = 64)]
    memory: usize,
    /// Rounds.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Where the temporary directory is made.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Name and figure, in the order they are printed.
type Figures = Vec<(&'static str, f64)>;

fn main() -> Result<()> {
    let args = Args::parse();
    let choices: Vec<_> = args
        .shards
        .iter()
        .flat_map(|&shards| args.inline_max.iter().map(move |&inline| (shards, inline)))
        .collect();
    let mut runs: Vec<Vec<Figures>> = choices.iter().map(|_| vec![]).collect();
    for _ in 0..args.rounds.max(1) {
        for (&(shards, inline_max), runs) in choices.iter().zip(&mut runs) {
            runs.push(run(&args, shards, inline_max)?);
        }
    }
    for ((shards, inline_max), runs) in choices.into_iter().zip(runs) {
        println!("shards={shards} inline_max={inline_max}");
        for (row, (name, _)) in runs.first().into_iter().flatten().enumerate() {
            let values = runs.iter().filter_map(|run| run.get(row)).map(|(_, figure)| *figure);
            println!("  {name:<34} {:>12.3}", median(values.collect()));
        }
    }
    Ok(())
}

fn run(args: &Args, shards: u16, inline_max: usize) -> Result<Figures> {
    let dir = tempfile::tempdir_in(args.dir.clone().unwrap_or_else(std::env::temp_dir))?;
    let rows = Rows { count: args.rows, ns_count: args.namespaces, value_len: args.value_len };
    let durability = if args.sync { Durability::Sync } else { Durability::Os };
    let load = Load { batch_count: args.batch, in_flight: args.in_flight, durability };
    let options =
        || Options { shards, inline_max, memory: args.memory << 20, ..Options::at(dir.path().join("db")) };
    let mut figures = Figures::new();
    sync_all();
    let device = Usage::start(dir.path());
    let written = block_on(async {
        let db = jdb::open(options()).await?;
        let usage = Usage::start(dir.path());
        fill(&db, rows, 0..rows.count, load).await?;
        figures.push(("put, k/s", per_second(rows.count, &usage)));
        figures.push(("put, CPU us a row", per_row(rows.count, &usage)));
        let usage = Usage::start(dir.path());
        db.flush().await?;
        figures.push(("flush, ms", usage.time().as_secs_f64() * 1e3));
        db.sync().await?;
        db.settle().await?;
        figures.push(("flushed and settled, ms", usage.time().as_secs_f64() * 1e3));
        let stats = db.stats();
        let sum = |figure: fn(&jdb::ShardStats) -> u64| stats.shards.iter().map(figure).sum::<u64>() as f64;
        figures.push(("compactions", sum(|shard| shard.compactions)));
        figures.push(("table bytes flushed a row", sum(|shard| shard.flushed_len) / rows.count as f64));
        figures.push(("table bytes compacted a row", sum(|shard| shard.compacted_len) / rows.count as f64));
        figures.push(("writer waited, ms", sum(|shard| shard.stalled.as_millis() as u64)));
        figures.push(("steps of background work", stats.steps.count as f64));
        figures.push(("step p99, us", stats.steps.p99.as_secs_f64() * 1e6));
        figures.push(("step p99.9, us", stats.steps.p999.as_secs_f64() * 1e6));
        figures.push(("longest step, us", stats.steps.longest.as_secs_f64() * 1e6));
        let table_len: u64 = stats.shards.iter().map(|shard| shard.table_len).sum();
        let table_count: usize = stats.shards.iter().flat_map(|shard| &shard.tables).sum();
        figures.push(("tables", table_count as f64));
        figures.push(("table bytes a row", table_len as f64 / rows.count as f64));
        figures.push(("file syncs", stats.io.syncs as f64));
        db.close().await?;
        Ok(stats.io.write_len)
    })?;
    sync_all();
    figures.push(("bytes written per byte put, jdb", written as f64 / rows.len() as f64));
    if let Some(len) = device.device_len() {
        figures.push(("bytes written per byte put, device", len as f64 / rows.len() as f64));
    }
    block_on(async {
        let db = jdb::open(options()).await?;
        read_random(&db, rows, args.gets / 4).await?;
        let usage = Usage::start(dir.path());
        read_random(&db, rows, args.gets).await?;
        figures.push(("get, k/s", per_second(args.gets, &usage)));
        figures.push(("get, CPU us a row", per_row(args.gets, &usage)));
        for (name, backward, values) in [
            ("walk of keys forward, k/s", false, false),
            ("walk of keys backward, k/s", true, false),
            ("walk with values forward, k/s", false, true),
            ("walk with values backward, k/s", true, true),
        ] {
            let usage = Usage::start(dir.path());
            let count = walk(&db, rows, backward, values).await?;
            if count != rows.count {
                return Err(format!("a walk met {count} of {} rows", rows.count).into());
            }
            figures.push((name, per_second(count, &usage)));
        }
        Ok(db.close().await?)
    })?;
    Ok(figures)
}

fn per_second(count: u64, usage: &Usage) -> f64 {
    count as f64 / usage.time().as_secs_f64() / 1e3
}

fn per_row(count: u64, usage: &Usage) -> f64 {
    usage.cpu().as_secs_f64() * 1e6 / count.max(1) as f64
}
