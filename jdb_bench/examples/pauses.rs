//! How long a `get` takes beside compactions and collections, against one in an idle database.
//!
//! `cargo run --release -p jdb_bench --example pauses -- [--rows 300000] [--dir DIR]`
//!
//! Each `get` first gives the thread to others, as a request does that comes while they run: what it waits for them is part of its
//! time. Idle: nothing else is done. Background: the rows were overwritten at random, nothing is written any more, and merging and
//! collecting go on until they are done. Writing: another task overwrites as fast as it can.

use clap::Parser;
use comfy_table::Table;
use hdrhistogram::Histogram;
use jdb::{Db, Options};
use jdb_bench::{Load, Result, Rows, block_on, fill};
use jdb_io::task::yield_now;
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Args {
    /// Rows of 1 KiB.
    #[arg(long, default_value_t = 300_000)]
    rows: u64,
    /// Gets in the idle database.
    #[arg(long, default_value_t = 500_000)]
    gets: u64,
    /// Where the temporary directory is made.
    #[arg(long)]
    dir: Option<PathBuf>,
}

const LOAD: Load = Load { batch_count: 1, in_flight: 1, durability: jdb::Durability::Os };

fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir_in(args.dir.clone().unwrap_or_else(std::env::temp_dir))?;
    let rows = Rows { count: args.rows, ns_count: 100, value_len: 1024 };
    block_on(run(&args, rows, Options::at(dir.path().join("db"))))
}

async fn run(args: &Args, rows: Rows, options: Options) -> Result<()> {
    let db = jdb::open(options).await?;
    fill(&db, rows, 0..rows.count, LOAD).await?;
    db.flush().await?;
    db.settle().await?;
    let picks = Cell::new(0);
    gets(&db, rows, &picks, |count| count < args.gets / 10).await?;
    let mut table = Table::new();
    table.set_header(["", "gets", "p50 us", "p99 us", "p99.9 us", "longest us"]);
    let mut row = |what: &str, times: &Histogram<u64>| {
        let us = |nanos: u64| format!("{:.1}", nanos as f64 / 1e3);
        table.add_row([
            what.to_owned(),
            times.len().to_string(),
            us(times.value_at_quantile(0.5)),
            us(times.value_at_quantile(0.99)),
            us(times.value_at_quantile(0.999)),
            us(times.max()),
        ]);
    };
    row("idle", &gets(&db, rows, &picks, |count| count < args.gets).await?);

    let done = Rc::new(Cell::new(false));
    let (writer, over) = (db.clone(), Rc::clone(&done));
    let writing = async {
        overwrite(&writer, rows).await?;
        over.set(true);
        Ok(())
    };
    let reading = gets(&db, rows, &picks, |_| !done.get());
    let (written, read) = futures::join!(writing, reading);
    let written: Result<()> = written;
    written?;
    row("writing", &read?);

    overwrite(&db, rows).await?;
    done.set(false);
    let background = async {
        db.collect().await?;
        db.settle().await?;
        done.set(true);
        Ok(())
    };
    let (worked, read) = futures::join!(background, gets(&db, rows, &picks, |_| !done.get()));
    let worked: Result<()> = worked;
    worked?;
    row("background", &read?);
    println!("{table}");
    let steps = db.stats().steps;
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    println!(
        "{} steps of background work: p99 {:.0} us, p99.9 {:.0} us, longest {:.0} us",
        steps.count,
        us(steps.p99),
        us(steps.p999),
        us(steps.longest)
    );
    db.close().await?;
    Ok(())
}

/// Puts as many rows at random as there are.
async fn overwrite(db: &Db, rows: Rows) -> Result<()> {
    for n in 0..rows.count {
        let i = rows.pick(n ^ 0x5555);
        db.ns(rows.ns(i)).put_bytes(rows.key(i), rows.value(i).into()).await?;
        yield_now().await;
    }
    Ok(())
}

/// Gets random rows while `more` says so of their number.
async fn gets(db: &Db, rows: Rows, picks: &Cell<u64>, more: impl Fn(u64) -> bool) -> Result<Histogram<u64>> {
    let mut times = Histogram::new_with_max(60_000_000_000, 3)?;
    while more(times.len()) {
        picks.set(picks.get() + 1);
        let i = rows.pick(picks.get());
        let start = Instant::now();
        yield_now().await;
        let value = db.ns(rows.ns(i)).get(rows.key(i)).await?;
        times.saturating_record(start.elapsed().as_nanos() as u64);
        if value.is_none() {
            return Err(format!("row {i} is not there").into());
        }
    }
    Ok(times)
}
