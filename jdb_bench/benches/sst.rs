//! Blocks and tables in memory: what a look-up costs, and a step in either direction.
//!
//! Entries are what an index of jdb holds: keys of 24 bytes, 8 of them common, and encoded value pointers of 12 bytes.
//! `cargo bench -p jdb_bench --bench sst`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run is to stop")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jdb_base::{Kind, SeqNo, ValuePtr};
use jdb_io::{BlockCache, Disk, Mode, RuntimeConfig};
use jdb_sst::{Block, BlockBuilder, BlockCursor, SstReader, SstWriter, TableBuilder, WriterOptions};
use std::hint::black_box;
use std::rc::Rc;

const COUNT: u64 = 100_000;
const GETS: usize = 1000;

fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The keys of a table, sorted.
fn keys() -> Vec<[u8; 24]> {
    let mut keys: Vec<[u8; 24]> = (0..COUNT)
        .map(|i| {
            let mut key = *b"\x03abcuser0000000000000000";
            let hex = format!("{:016x}", mix(i));
            key.split_last_chunk_mut::<16>().unwrap().1.copy_from_slice(hex.as_bytes());
            key
        })
        .collect();
    keys.sort_unstable();
    keys
}

fn pointer(i: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let numbers = (i as u32 | 1 << 28, mix(i) as u32 | 1 << 31, 1000);
    ValuePtr { segment: numbers.0, offset: numbers.1, len: numbers.2 }.encode(&mut out);
    assert_eq!(out.len(), 12);
    out
}

/// Sequences as random as a table's: all of them within its own range.
fn seq(i: u64) -> SeqNo {
    SeqNo::new((1 << 24) + mix(i) % COUNT)
}

fn block(c: &mut Criterion) {
    let keys = keys();
    let mut builder = BlockBuilder::new();
    for (i, key) in (0u64..).zip(&keys) {
        if builder.len() > 4050 {
            break;
        }
        builder.append(key, seq(i), Kind::Pointer, &pointer(i)).unwrap();
    }
    let count = builder.count();
    let mut bytes = Vec::new();
    builder.finish(&mut bytes);
    let mut cursor = BlockCursor::new(bytes.clone().into()).unwrap();

    let mut group = c.benchmark_group(format!("block of {count}"));
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function("next", |b| {
        b.iter(|| {
            let mut sum = 0;
            let mut on = cursor.seek_first().unwrap();
            while on {
                let entry = cursor.entry().unwrap();
                sum += entry.seq.get() + u64::from(*entry.key.last().unwrap()) + entry.value.len() as u64;
                on = cursor.next().unwrap();
            }
            black_box(sum)
        });
    });
    group.bench_function("prev", |b| {
        b.iter(|| {
            let mut sum = 0;
            let mut on = cursor.seek_last().unwrap();
            while on {
                let entry = cursor.entry().unwrap();
                sum += entry.seq.get() + u64::from(*entry.key.last().unwrap()) + entry.value.len() as u64;
                on = cursor.prev().unwrap();
            }
            black_box(sum)
        });
    });
    group.bench_function("seek", |b| {
        b.iter(|| {
            let block = Block::parse(&bytes).unwrap();
            let found = keys.iter().take(count).map(|key| block.find(key, SeqNo::MAX).unwrap());
            black_box(found.sum::<usize>())
        });
    });
    group.finish();
}

fn table(c: &mut Criterion) {
    let keys = keys();
    let dir = tempfile::tempdir().unwrap();
    let runtime = jdb_io::runtime(&RuntimeConfig::default()).unwrap();
    let reader = runtime.block_on(async {
        let (disk, path) = (Disk::real(), dir.path().join("t.sst"));
        let mut writer = SstWriter::create(&disk, &path, WriterOptions::default()).await.unwrap();
        for (i, key) in (0u64..).zip(&keys) {
            writer.append(key, seq(i), Kind::Pointer, &pointer(i)).await.unwrap();
        }
        let info = writer.finish().await.unwrap();
        println!("{:.2} bytes an entry, {info:?}", info.len as f64 / COUNT as f64);
        let cache = Rc::new(BlockCache::new(64 << 20));
        let id = cache.next_file_id();
        let file = disk.open(&path, Mode::Read).await.unwrap();
        SstReader::open(file, Some((cache, id))).await.unwrap()
    });

    let mut group = c.benchmark_group("table, cached");
    group.throughput(Throughput::Elements(GETS as u64));
    let mut round = 0;
    group.bench_function("get", |b| {
        b.iter(|| {
            round += 1;
            runtime.block_on(async {
                for i in 0..GETS as u64 {
                    let key = &keys.get((mix(i + round) % COUNT) as usize).unwrap()[..];
                    assert!(reader.get(key, SeqNo::MAX).await.unwrap().is_some());
                }
            });
        });
    });
    group.throughput(Throughput::Elements(COUNT));
    group.sample_size(30);
    for back in [false, true] {
        group.bench_function(if back { "scan backward" } else { "scan forward" }, |b| {
            b.iter(|| {
                runtime.block_on(async {
                    let mut cursor = reader.cursor();
                    if back {
                        cursor.seek_last().await.unwrap()
                    } else {
                        cursor.seek_first().await.unwrap()
                    }
                    let mut sum = 0;
                    while let Some(entry) = cursor.entry() {
                        sum += entry.seq.get()
                            + u64::from(*entry.key.last().unwrap())
                            + entry.value.len() as u64;
                        if back { cursor.prev().await.unwrap() } else { cursor.next().await.unwrap() }
                    }
                    black_box(sum)
                })
            });
        });
    }
    group.finish();

    let mut group = c.benchmark_group("table, built in memory");
    group.throughput(Throughput::Elements(COUNT));
    group.sample_size(20);
    let values: Vec<Vec<u8>> = (0..COUNT).map(pointer).collect();
    for filter in [true, false] {
        group.bench_function(if filter { "append" } else { "append, without filters" }, |b| {
            b.iter_batched(
                || {
                    let options = WriterOptions { filter, ..WriterOptions::default() };
                    TableBuilder::new([7; 16], options).unwrap()
                },
                |mut builder| {
                    for (i, (key, value)) in (0u64..).zip(keys.iter().zip(&values)) {
                        builder.append(key, seq(i), Kind::Pointer, value).unwrap();
                    }
                    builder.finish()
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, block, table);
criterion_main!(benches);
