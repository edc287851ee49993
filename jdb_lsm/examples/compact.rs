//! How fast tables are merged: four level-0 tables over a level of as many entries, pointer values, on the real disk.
//!
//! `cargo run --release -p jdb_lsm --example compact [entries of a level-0 table]`

use jdb_base::{Kind, SeqNo, ValuePtr};
use jdb_io::{Disk, RuntimeConfig};
use jdb_lsm::{
    Compaction, CompactionOptions, FlushOptions, Hidden, Newest, PickerOptions, Scan, Table, Tree, pick,
    write_table,
};
use jdb_mem::Memtable;
use std::error::Error;
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

fn record_len(key_len: usize, value_len: usize) -> u64 {
    (32 + key_len + value_len) as u64
}

fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args().nth(1).map_or(Ok(250_000), |count| count.parse::<u64>())?;
    let dir = tempfile::tempdir()?;
    jdb_io::runtime(&RuntimeConfig::default())?.block_on(async {
        let disk = Disk::real();
        let result = run(&disk, dir.path(), count).await;
        disk.drain().await;
        result
    })
}

async fn run(disk: &Disk, dir: &Path, count: u64) -> Result<(), Box<dyn Error>> {
    let tree = Tree::new(Vec::new());
    let (mut seq, mut number) = (0u64, 0u32);
    for round in 0..2 {
        for _ in 0..4 {
            number += 1;
            fill(disk, dir, &tree, number, &mut seq, count).await?;
        }
        let version = tree.version();
        let before = version.candidates(|_| 0, |_, _| false);
        let Some(plan) = pick(&before, u64::MAX, &[], &PickerOptions::default()) else { break };
        let options = CompactionOptions {
            writer: jdb_sst::WriterOptions::default(),
            table_len: 16 << 20,
            record_len,
            tracked: Vec::new(),
        };
        let compaction = Compaction::new(disk, &version, plan, Rc::new(Newest), options)?;
        let start = disk.now();
        let mut next_file = || {
            number += 1;
            (number, dir.join(format!("{number}.sst")))
        };
        let (result, mut polls) = timed(disk, compaction.run(&mut next_file)).await;
        let (result, time) = (result?, disk.now() - start);
        polls.sort_unstable();
        let percentile =
            |part: f64| polls.get((polls.len() as f64 * part) as usize).copied().unwrap_or_default();
        let busy: Duration = polls.iter().sum();
        let per_second = result.progress.read_count as f64 / time.as_secs_f64();
        println!(
            "round {round}: {} entries read, {} written into {} tables of {} bytes in all, {time:.2?} \
             (on the thread {busy:.2?}): {:.2} M entries/s; {} steps, p50 {:?} p99.9 {:?} longest {:?}",
            result.progress.read_count,
            result.progress.written_count,
            result.added.len(),
            result.progress.written_len,
            per_second / 1e6,
            polls.len(),
            percentile(0.5),
            percentile(0.999),
            polls.last().copied().unwrap_or_default(),
        );
        let added = result.added.iter().map(|meta| {
            Rc::new(Table::new(
                disk,
                dir.join(format!("{}.sst", meta.number)),
                meta.clone(),
                None,
                &Rc::default(),
            ))
        });
        tree.compacted(&result, added.collect());
    }
    scan(disk, &tree, SeqNo::new(seq)).await
}

/// A table of `count` random keys of twice as many, 24 bytes each.
async fn fill(
    disk: &Disk,
    dir: &Path,
    tree: &Tree,
    number: u32,
    seq: &mut u64,
    count: u64,
) -> Result<(), Box<dyn Error>> {
    let memtable: Rc<Memtable> = tree.active();
    for _ in 0..count {
        *seq += 1;
        let key = format!("{:024}", seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (count * 8));
        let mut value = Vec::new();
        ValuePtr { segment: number, offset: *seq as u32, len: 1000 }.encode(&mut value);
        memtable.insert(key.as_bytes(), SeqNo::new(*seq), Kind::Pointer, &value);
    }
    tree.rotate();
    let path = dir.join(format!("{number}.sst"));
    let options = FlushOptions::newest(jdb_sst::WriterOptions::default(), record_len);
    let flushed = write_table(disk, &path, number, options, &memtable).await?;
    let table = flushed.map(|flushed| Rc::new(Table::new(disk, path, flushed.meta, None, &Rc::default())));
    tree.flushed(&memtable, table);
    Ok(())
}

/// Walks over all rows in both directions.
async fn scan(disk: &Disk, tree: &Tree, seq: SeqNo) -> Result<(), Box<dyn Error>> {
    let mut scan = Scan::new(tree.version(), seq, Hidden::NONE, Vec::new(), vec![0xff]);
    for (what, forward) in [("forward", true), ("backward", false)] {
        let (start, mut count) = (disk.now(), 0u32);
        while if forward { scan.next().await? } else { scan.prev().await? } {
            count += 1;
        }
        let nanos = (disk.now() - start).as_nanos() / u128::from(count.max(1));
        println!("scan {what}: {count} rows, {nanos} ns each");
    }
    Ok(())
}

/// The result of a future, and how long each of its polls held the thread.
async fn timed<T>(disk: &Disk, future: impl Future<Output = T>) -> (T, Vec<Duration>) {
    let mut future = pin!(future);
    let mut polls = Vec::new();
    let output = poll_fn(|context| {
        let start = disk.now();
        let polled = future.as_mut().poll(context);
        polls.push(disk.now() - start);
        polled
    })
    .await;
    (output, polls)
}
