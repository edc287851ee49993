//! What collection gives back by itself: values of 64 KiB are put, nine of ten deleted, then nothing is done. Bytes of the files
//! second by second. What collection does to reading is in `packs`.
//!
//! `cargo run --release -p jdb_bench --example space -- --big 20000`

use clap::Parser;
use jdb::Db;
use jdb_bench::{Result, Rows, block_on};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Parser, Clone)]
struct Args {
    /// Values of 64 KiB.
    #[arg(long, default_value_t = 20_000)]
    big: u64,
    /// Where the temporary directory is made.
    #[arg(long)]
    dir: Option<PathBuf>,
}

const BIG_LEN: usize = 64 << 10;

fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir_in(args.dir.unwrap_or_else(std::env::temp_dir))?;
    block_on(big(&dir.path().join("big"), args.big))
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
