//! Measures the filters: false positives, bits a key, false negatives, and how long a step of building takes.
//!
//! `cargo run --release -p jdb_sst --example filter_figures -- 100000000`
//!
//! The argument is the number of probes of keys that are in a filter, and as many of keys that are not.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot run is to stop")]

use jdb_base::{Kind, SeqNo};
use jdb_io::{BlockCache, Disk, Mode, RuntimeConfig};
use jdb_sst::layout::TRAILER_LEN;
use jdb_sst::{FilterBlock, FilterBuilder, SstReader, SstWriter, TableBuilder, WriterOptions, filter_hash};
use std::hint::black_box;
use std::rc::Rc;

/// Keys in a full partition of a table.
const KEYS: u64 = 3900;

fn main() {
    let probes: u64 = std::env::args().nth(1).map_or(1_000_000, |arg| arg.parse().unwrap());
    false_answers(probes);
    // The clock is the disk's, and the disk wants a runtime.
    jdb_io::runtime(&RuntimeConfig::default()).unwrap().block_on(async {
        let disk = Disk::real();
        lookups(&disk).await;
        step_lengths(&disk);
    });
}

fn key(number: u64) -> [u8; 16] {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut key = *b"user....--------";
    key.split_last_chunk_mut::<8>().unwrap().1.copy_from_slice(&mixed.to_be_bytes());
    key
}

fn false_answers(probes: u64) {
    let (mut asked, mut negatives, mut positives, mut bits, mut filters) = (0u64, 0u64, 0u64, 0u64, 0u64);
    let mut bytes = Vec::new();
    while asked < probes {
        let salt = filters;
        let first = filters * 2 * KEYS;
        let mut builder = FilterBuilder::new(salt);
        (first..first + KEYS).for_each(|i| builder.add(&key(i)));
        bytes.clear();
        assert!(builder.finish(&mut bytes), "no filter of {KEYS} keys with salt {salt}");
        let filter = FilterBlock::parse(&bytes).unwrap().unwrap();
        for i in first..first + KEYS {
            negatives += u64::from(!filter.may_contain(filter_hash(&key(i), salt)));
            positives += u64::from(filter.may_contain(filter_hash(&key(i + KEYS), salt)));
        }
        asked += KEYS;
        filters += 1;
        bits += 8 * (bytes.len() + TRAILER_LEN) as u64;
    }
    println!("{filters} filters of {KEYS} keys, {asked} probes of keys inside, {asked} of others");
    println!("false negatives      {negatives}");
    println!("false positives      {:.4} %", positives as f64 * 100.0 / asked as f64);
    println!("bits a key           {:.3}", bits as f64 / asked as f64);
}

/// Builds tables in memory with a step between entries, as the async writer does; no call may hold the thread for long.
/// Look-ups in a cached table: the quickest of many rounds, which is what they take when nothing else runs.
async fn lookups(disk: &Disk) {
    const COUNT: u64 = 100_000;
    let dir = tempfile::tempdir().unwrap();
    let mut sorted: Vec<[u8; 16]> = (0..COUNT).map(key).collect();
    sorted.sort_unstable();
    for filter in [true, false] {
        let path = dir.path().join(format!("{filter}.sst"));
        let options = WriterOptions { filter, ..WriterOptions::default() };
        let mut writer = SstWriter::create(disk, &path, options).await.unwrap();
        for key in &sorted {
            writer.append(key, SeqNo::ZERO, Kind::Inline, b"twelve bytes").await.unwrap();
        }
        writer.finish().await.unwrap();
        let cache = Rc::new(BlockCache::new(64 << 20));
        let id = cache.next_file_id();
        let file = disk.open(&path, Mode::Read).await.unwrap();
        let reader = SstReader::open(file, Some((cache, id))).await.unwrap();
        for (name, first) in [("present", 0), ("absent", COUNT)] {
            let keys: Vec<[u8; 16]> = (0..COUNT).map(|i| key(first + i * 7919 % COUNT)).collect();
            let mut rounds = Vec::new();
            for _ in 0..20 {
                for some in keys.chunks(100) {
                    let before = disk.now();
                    for key in some {
                        black_box(reader.get(key, SeqNo::MAX).await.unwrap());
                    }
                    rounds.push((disk.now().saturating_sub(before)).as_nanos() / some.len() as u128);
                }
            }
            rounds.sort_unstable();
            let at = |percent: usize| rounds.get(rounds.len() * percent / 100).copied().unwrap_or_default();
            println!("get, cached, {name}, filter {filter}: p5 {} ns, p50 {} ns", at(5), at(50));
        }
    }
    disk.drain().await;
}

fn step_lengths(disk: &Disk) {
    let mut sorted: Vec<[u8; 16]> = (0..400_000).map(key).collect();
    sorted.sort_unstable();
    let mut lengths = Vec::new();
    let mut filter_len = 0;
    for round in 0..10u8 {
        let mut builder = TableBuilder::new([round; 16], WriterOptions::default()).unwrap();
        let mut out = Vec::new();
        for key in &sorted {
            let before = disk.now();
            builder.append(key, SeqNo::ZERO, Kind::Inline, b"twelve bytes").unwrap();
            let mut more = builder.step();
            lengths.push(disk.now().saturating_sub(before));
            while more {
                let before = disk.now();
                more = builder.step();
                lengths.push(disk.now().saturating_sub(before));
            }
            if builder.ready_len() > 256 << 10 {
                out = builder.take(out);
            }
        }
        filter_len = black_box(builder.finish()).1.filter_len;
    }
    lengths.sort_unstable();
    let at = |share: f64| lengths.get((lengths.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!("bits a key in tables {:.3}", filter_len as f64 * 8.0 / sorted.len() as f64);
    println!("{} steps: p50 {:?}, p99.9 {:?}, p99.99 {:?}", lengths.len(), at(0.5), at(0.999), at(0.9999));
    let slow = lengths.partition_point(|length| length.as_micros() < 20);
    let slow = lengths.get(slow..).unwrap_or_default();
    println!("{} steps of 20 us or more, their median {:?}", slow.len(), slow.get(slow.len() / 2));
    let over = slow.iter().filter(|length| length.as_micros() > 500).count();
    println!("{over} over 500 us (on a busy machine: where the thread was not running)");
    println!("the longest {:?}", lengths.iter().rev().take(5).collect::<Vec<_>>());
}
