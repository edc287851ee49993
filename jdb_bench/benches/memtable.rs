//! Criterion benchmarks of the memtable: 1 M entries with 24-byte keys that share their first 8 bytes, 12-byte values.
//!
//! `cargo bench -p jdb_bench --bench memtable`
//!
//! For figures against a `BTreeMap` in alternating turns see the example `memtable_vs_btreemap`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jdb_base::{Kind, SeqNo};
use jdb_mem::{Cursor, Memtable};
use std::hint::black_box;
use std::rc::Rc;

const COUNT: u64 = 1_000_000;
const VALUE: [u8; 12] = *b"twelve bytes";

/// The key of `number`; numbers in a row give keys in random order.
fn random_key(number: u64) -> [u8; 24] {
    let mut key = *b"\x07ns77777................";
    let word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    key[8..16].copy_from_slice(&word.to_be_bytes());
    key[16..].copy_from_slice(&number.to_be_bytes());
    key
}

fn ascending_key(number: u64) -> [u8; 24] {
    let mut key = *b"\x07ns77777................";
    key[8..16].copy_from_slice(&number.to_be_bytes());
    key
}

fn filled(key: fn(u64) -> [u8; 24]) -> Memtable {
    let table = Memtable::new();
    for number in 0..COUNT {
        table.insert(&key(number), SeqNo::new(number), Kind::Pointer, &VALUE);
    }
    table
}

fn inserts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("memtable insert");
    group.throughput(Throughput::Elements(COUNT)).sample_size(10);
    group.bench_function("random", |bencher| {
        bencher.iter_batched(|| random_key, filled, BatchSize::PerIteration);
    });
    group.bench_function("ascending", |bencher| {
        bencher.iter_batched(|| ascending_key, filled, BatchSize::PerIteration);
    });
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    let table = Rc::new(filled(random_key));
    let mut group = criterion.benchmark_group("memtable get");
    group.throughput(Throughput::Elements(1));
    // A step that visits every number once, far from the order of insertion.
    let mut number = 0;
    let mut next = move || {
        number = (number + 618_033) % COUNT;
        number
    };
    group.bench_function("present", |bencher| {
        bencher.iter(|| black_box(table.get(&random_key(next()), SeqNo::MAX).is_some()));
    });
    group.bench_function("absent", |bencher| {
        bencher.iter(|| black_box(table.get(&random_key(COUNT + next()), SeqNo::MAX).is_some()));
    });
    group.finish();

    let mut group = criterion.benchmark_group("memtable walk");
    group.throughput(Throughput::Elements(COUNT)).sample_size(10);
    group.bench_function("forward", |bencher| {
        bencher.iter(|| walk(&table, Cursor::seek_first, Cursor::next));
    });
    group.bench_function("backward", |bencher| {
        bencher.iter(|| walk(&table, Cursor::seek_last, Cursor::prev));
    });
    group.finish();
}

fn walk(table: &Rc<Memtable>, start: fn(&mut Cursor), step: fn(&mut Cursor)) {
    let mut cursor = table.cursor();
    start(&mut cursor);
    while let Some(entry) = cursor.entry() {
        black_box((entry.key, entry.seq, entry.value.first().copied()));
        step(&mut cursor);
    }
}

criterion_group!(benches, inserts, reads);
criterion_main!(benches);
