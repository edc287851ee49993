//! The memtable against `BTreeMap<Vec<u8>, (u64, Vec<u8>)>`, in one run, in alternating rounds.
//!
//! `cargo run --release -p jdb_bench --example memtable_vs_btreemap [entries] [rounds]`
//!
//! Each round fills both from nothing with the same entries (24-byte keys, the first 8 bytes common, in random order;
//! values of 12 bytes) and reads all of them in another random order; which of the two goes first alternates. Printed are
//! medians over the rounds in nanoseconds an entry, and their ratios.

use jdb_base::{Kind, SeqNo};
use jdb_mem::Memtable;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::rc::Rc;

type Map = BTreeMap<Vec<u8>, (u64, Vec<u8>)>;
const VALUE: [u8; 12] = *b"twelve bytes";

/// Nanoseconds an entry of one round.
#[derive(Default, Clone, Copy)]
struct Round {
    insert: f64,
    get: f64,
    forward: f64,
    backward: f64,
    ascending: f64,
    drop: f64,
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>().expect("a number"));
    let count = args.next().unwrap_or(1_000_000);
    let round_count = args.next().unwrap_or(7).max(1);
    let (keys, lookups) = (random_keys(count, 1), shuffled(random_keys(count, 1)));
    let mut sorted = keys.clone();
    sorted.sort_unstable();

    let (mut tables, mut maps) = (vec![], vec![]);
    let mut bytes_per_entry = 0.0;
    for round in 0..round_count {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                let (figures, bytes) = run_table(&keys, &lookups, &sorted);
                tables.push(figures);
                bytes_per_entry = bytes;
            } else {
                maps.push(run_map(&keys, &lookups, &sorted));
            }
        }
    }

    println!("{count} entries, {round_count} rounds; medians in ns an entry");
    println!("{:<18} {:>9} {:>9} {:>7}", "", "memtable", "BTreeMap", "ratio");
    let rows: [(&str, fn(&Round) -> f64); 6] = [
        ("insert", |round| round.insert),
        ("get", |round| round.get),
        ("walk forward", |round| round.forward),
        ("walk backward", |round| round.backward),
        ("insert ascending", |round| round.ascending),
        ("drop", |round| round.drop),
    ];
    for (name, figure) in rows {
        let (table, map) = (median(&tables, figure), median(&maps, figure));
        println!("{name:<18} {table:>9.1} {map:>9.1} {:>6.2}x", map / table);
    }
    let (forward, backward) =
        (median(&tables, |round| round.forward), median(&tables, |round| round.backward));
    println!("backward / forward {:>9.2}", backward / forward);
    println!("bytes an entry     {bytes_per_entry:>9.1}   (key 24, value 12)");
}

fn run_table(keys: &[[u8; 24]], lookups: &[[u8; 24]], sorted: &[[u8; 24]]) -> (Round, f64) {
    let mut round = Round::default();
    let table = Rc::new(Memtable::new());
    round.insert = ns_each(keys.len(), || {
        for (key, seq) in keys.iter().zip(1..) {
            table.insert(key, SeqNo::new(seq), Kind::Pointer, &VALUE);
        }
    });
    round.get = ns_each(keys.len(), || {
        for key in lookups {
            let entry = table.get(key, SeqNo::MAX).expect("every key was inserted");
            black_box((entry.seq, entry.value));
        }
    });
    let mut cursor = table.cursor();
    round.forward = ns_each(keys.len(), || {
        cursor.seek_first();
        while let Some(entry) = cursor.entry() {
            black_box((entry.key, entry.seq, entry.value[0]));
            cursor.next();
        }
    });
    round.backward = ns_each(keys.len(), || {
        cursor.seek_last();
        while let Some(entry) = cursor.entry() {
            black_box((entry.key, entry.seq, entry.value[0]));
            cursor.prev();
        }
    });
    let bytes_per_entry = table.arena_len() as f64 / keys.len() as f64;
    drop(cursor);
    round.drop = ns_each(keys.len(), || drop(table));
    let table = Memtable::new();
    round.ascending = ns_each(keys.len(), || {
        for (key, seq) in sorted.iter().zip(1..) {
            table.insert(key, SeqNo::new(seq), Kind::Pointer, &VALUE);
        }
    });
    (round, bytes_per_entry)
}

fn run_map(keys: &[[u8; 24]], lookups: &[[u8; 24]], sorted: &[[u8; 24]]) -> Round {
    let mut round = Round::default();
    let mut map = Map::new();
    round.insert = ns_each(keys.len(), || {
        for (key, seq) in keys.iter().zip(1..) {
            map.insert(key.to_vec(), (seq, VALUE.to_vec()));
        }
    });
    round.get = ns_each(keys.len(), || {
        for key in lookups {
            let (seq, value) = map.get(&key[..]).expect("every key was inserted");
            black_box((seq, value));
        }
    });
    round.forward = ns_each(keys.len(), || {
        for (key, (seq, value)) in &map {
            black_box((&key[..], seq, value[0]));
        }
    });
    round.backward = ns_each(keys.len(), || {
        for (key, (seq, value)) in map.iter().rev() {
            black_box((&key[..], seq, value[0]));
        }
    });
    round.drop = ns_each(keys.len(), || drop(map));
    let mut map = Map::new();
    round.ascending = ns_each(keys.len(), || {
        for (key, seq) in sorted.iter().zip(1..) {
            map.insert(key.to_vec(), (seq, VALUE.to_vec()));
        }
    });
    round
}

#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a stopwatch outside of the engine")]
fn ns_each(count: usize, work: impl FnOnce()) -> f64 {
    let start = std::time::Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / count.max(1) as f64
}

fn median(rounds: &[Round], figure: fn(&Round) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Different keys of 24 bytes with their first 8 bytes in common.
fn random_keys(count: usize, seed: u64) -> Vec<[u8; 24]> {
    let mut chance = Chance(seed);
    let make = |_| {
        let mut key = *b"\x07ns77777................";
        key[8..16].copy_from_slice(&chance.next().to_be_bytes());
        key[16..].copy_from_slice(&chance.next().to_be_bytes());
        key
    };
    (0..count).map(make).collect()
}

fn shuffled(mut keys: Vec<[u8; 24]>) -> Vec<[u8; 24]> {
    let mut chance = Chance(99);
    for last in (1..keys.len()).rev() {
        keys.swap(last, (chance.next() % (last as u64 + 1)) as usize);
    }
    keys
}

/// splitmix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
