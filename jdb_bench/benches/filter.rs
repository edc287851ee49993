//! Filters: building, asking, and what they make of look-ups in a cached table.
//!
//! `cargo bench -p jdb_bench --bench filter`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run is to stop")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jdb_base::{Kind, SeqNo};
use jdb_io::{BlockCache, Disk, Mode, RuntimeConfig};
use jdb_sst::{FilterBlock, FilterBuilder, SstReader, SstWriter, WriterOptions, filter_hash};
use std::hint::black_box;
use std::rc::Rc;

/// Keys in the table; as many lie between them.
const COUNT: u64 = 100_000;
const GETS: u64 = 1000;

fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn key(number: u64) -> [u8; 24] {
    let mut key = *b"\x03abcuser0000000000000000";
    let hex = format!("{:016x}", mix(number));
    key.split_last_chunk_mut::<16>().unwrap().1.copy_from_slice(hex.as_bytes());
    key
}

fn block(c: &mut Criterion) {
    let mut group = c.benchmark_group("filter");
    for count in [1000u64, 3900, 8000] {
        let keys: Vec<[u8; 24]> = (0..count).map(key).collect();
        let mut bytes = Vec::new();
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("build {count}, hashing and sorting too"), |b| {
            b.iter(|| {
                let mut builder = FilterBuilder::new(7);
                keys.iter().for_each(|key| builder.add(key));
                bytes.clear();
                assert!(builder.finish(&mut bytes));
            });
        });
        group.bench_function(format!("hash and ask {count}"), |b| {
            b.iter(|| {
                let asked = keys.iter().filter(|key| {
                    let filter = FilterBlock::parse(&bytes).unwrap().unwrap();
                    filter.may_contain(filter_hash(&key[..], 7))
                });
                assert_eq!(asked.count() as u64, count);
            });
        });
    }
    group.finish();
}

fn table(c: &mut Criterion) {
    let mut keys: Vec<[u8; 24]> = (0..COUNT).map(key).collect();
    keys.sort_unstable();
    let present: Vec<[u8; 24]> = (0..COUNT).map(|i| key(mix(i) % COUNT)).collect();
    let absent: Vec<[u8; 24]> = (0..COUNT).map(|i| key(COUNT + i)).collect();
    let dir = tempfile::tempdir().unwrap();
    let runtime = jdb_io::runtime(&RuntimeConfig::default()).unwrap();
    for filter in [true, false] {
        let reader = runtime.block_on(async {
            let (disk, path) = (Disk::real(), dir.path().join(format!("{filter}.sst")));
            let options = WriterOptions { filter, ..WriterOptions::default() };
            let mut writer = SstWriter::create(&disk, &path, options).await.unwrap();
            for (i, key) in (0u64..).zip(&keys) {
                writer.append(key, SeqNo::new(mix(i) % COUNT), Kind::Pointer, b"twelve bytes").await.unwrap();
            }
            let info = writer.finish().await.unwrap();
            println!("{:.2} bits a key, {info:?}", info.filter_len as f64 * 8.0 / COUNT as f64);
            let cache = Rc::new(BlockCache::new(64 << 20));
            let id = cache.next_file_id();
            SstReader::open(disk.open(&path, Mode::Read).await.unwrap(), Some((cache, id))).await.unwrap()
        });
        let mut group =
            c.benchmark_group(if filter { "table, cached" } else { "table, cached, without filters" });
        group.throughput(Throughput::Elements(GETS));
        for (name, keys) in [("get present", &present), ("get absent", &absent)] {
            let mut next = keys.iter().cycle();
            group.bench_function(name, |b| {
                b.iter(|| {
                    runtime.block_on(async {
                        let mut found = 0;
                        for key in next.by_ref().take(GETS as usize) {
                            found += u64::from(reader.get(key, SeqNo::MAX).await.unwrap().is_some());
                        }
                        black_box(found)
                    })
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, block, table);
criterion_main!(benches);
