//! Dropping namespaces: one again and again, and very many in a row.
//!
//! `cargo run --release -p jdb_bench --example drops -- --again 100000 --many 1000000`
//!
//! - one namespace is filled and dropped `--again` times; then everything settles: what is left of it.
//! - `--many` namespaces of one row are made and all dropped, 64 at once: drops a second, and what memory, tables, log and
//!   map of drops come to meanwhile.

use clap::Parser;
use futures::StreamExt;
use futures::stream;
use jdb::{Db, Options};
use jdb_bench::report::each_file;
use jdb_bench::{Result, block_on};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Parser)]
struct Args {
    /// How often one namespace is filled and dropped.
    #[arg(long, default_value_t = 100_000)]
    again: u64,
    /// Namespaces that are dropped in a row.
    #[arg(long, default_value_t = 1_000_000)]
    many: u64,
    /// Where the temporary directory is made.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Drops under way at once.
const DEPTH: usize = 64;

fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir_in(args.dir.unwrap_or_else(std::env::temp_dir))?;
    block_on(again(&dir.path().join("again"), args.again))?;
    block_on(many(&dir.path().join("many"), args.many))
}

async fn again(path: &Path, count: u64) -> Result<()> {
    let db = jdb::open(path).await?;
    let ns = db.ns(7u64);
    let start = Instant::now();
    for i in 0..count {
        ns.put("key", i.to_be_bytes()).await?;
        db.drop_ns(7u64).await?;
        if i % (count / 4).max(1) == 0 {
            report(&db, path, &format!("{i} times filled and dropped"))?;
        }
    }
    println!("{:.0} times a second", count as f64 / start.elapsed().as_secs_f64());
    settle(&db).await?;
    report(&db, path, "settled")?;
    let seq = ns.put("key", "value").await?.seq();
    println!("the row after all of them: sequence {}, {:?}", seq.get(), ns.stats().await?);
    Ok(db.close().await?)
}

async fn many(path: &Path, count: u64) -> Result<()> {
    let db = jdb::open(Options { memory: 256 << 20, ..Options::at(path) }).await?;
    for first in (0..count).step_by(1000) {
        db.put_many((first..count.min(first + 1000)).map(|ns| (ns, "key", [7u8; 32]))).await?;
    }
    db.settle().await?;
    report(&db, path, "made")?;
    let start = Instant::now();
    let mut done = 0;
    let drops = stream::iter(0..count).map(|ns| std::future::IntoFuture::into_future(db.drop_ns(ns)));
    let mut waiting = drops.buffer_unordered(DEPTH);
    while let Some(dropped) = waiting.next().await {
        dropped?;
        done += 1;
        if done % (count / 8).max(1) == 0 {
            report(&db, path, &format!("{done} dropped"))?;
        }
    }
    drop(waiting);
    println!("{:.0} drops a second", count as f64 / start.elapsed().as_secs_f64());
    settle(&db).await?;
    report(&db, path, "settled")?;
    assert_eq!(db.namespaces().next().await?, None);
    Ok(db.close().await?)
}

async fn settle(db: &Db) -> Result<()> {
    db.flush().await?;
    db.compact().await?;
    db.collect().await?;
    Ok(db.settle().await?)
}

fn report(db: &Db, path: &Path, when: &str) -> Result<()> {
    let stats = db.stats();
    let drops: usize = stats.shards.iter().map(|shard| shard.drops).sum();
    let mut manifest = 0;
    each_file(path, &mut |file| -> Result<()> {
        if file.ends_with("MANIFEST") {
            manifest += file.metadata()?.len();
        }
        Ok(())
    })?;
    println!(
        "{when}: {} MiB resident, {drops} drops wait, tables {} KiB, log {} KiB, MANIFEST {} KiB",
        jdb_tenants::system::anonymous_len().unwrap_or(0) >> 20,
        stats.table_len() >> 10,
        stats.log_len() >> 10,
        manifest >> 10,
    );
    Ok(())
}
