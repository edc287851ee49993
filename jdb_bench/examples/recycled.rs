//! Commits with a sync each, into a segment of its own file against one that is written over the file of a collected segment.
//!
//! `cargo run --release -p jdb_bench --example recycled -- [--commits 2000] [--rounds 7] [--dir DIR]`
//!
//! Contestants take turns within a round: a file that grows with its records, one that has a length ahead of them, and one that
//! is recycled. Printed are medians over the rounds: microseconds a commit (the median and the 99th percentile of a round) and
//! bytes that the device wrote per byte put, whoever wrote them.

use bytes::Bytes;
use clap::Parser;
use comfy_table::Table;
use jdb_base::{NsId, key::engine_key};
use jdb_bench::{Result, Usage, block_on, median};
use jdb_io::Disk;
use jdb_val::{Checkpoint, LogConfig, Op, RecordKind, ValueLog};
use std::path::{Path, PathBuf};
use std::time::Instant;

const SEGMENT_LEN: u64 = 16 << 20;
const KEY: &[u8] = b"a key of 24 bytes, about";
const FILES: [(&str, File); 3] =
    [("grows", File::Grows), ("length ahead", File::Ahead), ("recycled", File::Recycled)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum File {
    Grows,
    Ahead,
    Recycled,
}

#[derive(Parser)]
struct Args {
    /// Commits a turn, each with its sync.
    #[arg(long, default_value_t = 2000)]
    commits: usize,
    /// Bytes of each value.
    #[arg(long, value_delimiter = ',', default_value = "100,1024,4096")]
    value_len: Vec<usize>,
    /// Rounds.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Where the temporary directory is made.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir_in(args.dir.clone().unwrap_or_else(std::env::temp_dir))?;
    let mut table = Table::new();
    table.set_header(["value", "file", "median us", "p99 us", "device bytes per byte put"]);
    for &value_len in &args.value_len {
        let commits = args.commits.min(SEGMENT_LEN as usize / (value_len + 64) - 1);
        let mut turns: [Vec<Turn>; 3] = Default::default();
        for round in 0..args.rounds.max(1) {
            for (i, (_, file)) in FILES.iter().enumerate() {
                let path = dir.path().join(format!("{round}-{i}"));
                std::fs::create_dir(&path)?;
                let turn = block_on(commit_all(&path, *file, commits, value_len))?;
                turns.get_mut(i).expect("one a file").push(turn);
                std::fs::remove_dir_all(&path)?;
            }
        }
        for ((name, _), turns) in FILES.iter().zip(&turns) {
            let of = |figure: fn(&Turn) -> f64| median(turns.iter().map(figure).collect());
            let (us, p99, device) = (of(|t| t.median_us), of(|t| t.p99_us), of(|t| t.device));
            table.add_row([
                value_len.to_string(),
                (*name).to_owned(),
                format!("{us:.1}"),
                format!("{p99:.1}"),
                format!("{device:.2}"),
            ]);
        }
    }
    println!("{table}");
    Ok(())
}

/// What one turn gave.
struct Turn {
    median_us: f64,
    p99_us: f64,
    device: f64,
}

async fn commit_all(dir: &Path, file: File, commits: usize, value_len: usize) -> Result<Turn> {
    let disk = Disk::real();
    let config = LogConfig {
        dir: dir.to_owned(),
        segment_len: SEGMENT_LEN,
        lengthen: file != File::Grows,
        ..LogConfig::default()
    };
    let (log, recovered) = ValueLog::open(&disk, config, &Checkpoint::default(), &mut |_| ()).await?;
    log.start_life(recovered.last_seq.plus(1));
    let mut number = 0;
    let mut next = move || {
        number += 1;
        number
    };
    // A segment that is full, and one behind it: the first may be collected.
    while log.written().segment < 2 {
        log.append(&[&[put(1 << 20)]], &mut next).await?;
    }
    log.sync().await?;
    log.forget(1);
    if file != File::Recycled || !log.recycle(1).await {
        disk.remove(&log.path(1)).await?;
    }
    log.seal_now().await;
    log.append(&[&[put(value_len)]], &mut next).await?;
    log.sync().await?;
    let usage = Usage::start(dir);
    let mut took = Vec::with_capacity(commits);
    for _ in 0..commits {
        let begin = Instant::now();
        log.append(&[&[put(value_len)]], &mut next).await?;
        log.sync().await?;
        took.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    let device_len = usage.device_len().unwrap_or(0);
    if log.stats().segments_recycled != u64::from(file == File::Recycled) || log.written().segment != 3 {
        return Err("not what was to be measured".into());
    }
    took.sort_by(f64::total_cmp);
    let at = |part: f64| took.get((took.len() as f64 * part) as usize).copied().unwrap_or_default();
    let put_len = (commits * (KEY.len() + value_len)) as f64;
    Ok(Turn { median_us: at(0.5), p99_us: at(0.99), device: device_len as f64 / put_len })
}

fn put(value_len: usize) -> Op {
    let value = Bytes::from(vec![7; value_len]);
    Op { kind: RecordKind::Put, key: engine_key(NsId::from(1u64), KEY), value }
}
