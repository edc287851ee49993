//! The memtable against `BTreeMap<Vec<u8>, (u64, Vec<u8>)>`, in one run, in alternating rounds.
//!
//! `cargo run --release -p jdb_bench --example memtable_vs_btreemap [entries] [rounds]`
//!
//! Each round fills both from nothing with the same entries (24-byte keys, the first 8 bytes common, in random order;
//! values of 12 bytes), reads all of them in another random order and walks over them. The two take turns after every
//! 500 entries, and of 20 turns the median counts, so that a turn in which another process got the processor does not.
//! Printed are medians over the rounds in nanoseconds an entry, and their ratios.

use jdb_base::{Kind, SeqNo};
use jdb_mem::{Cursor, Memtable};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::rc::Rc;

/// One of a round's figures.
type Figure = fn(&Round) -> f64;
type Map = BTreeMap<Vec<u8>, (u64, Vec<u8>)>;
const VALUE: [u8; 12] = *b"twelve bytes";

const TURN_COUNT: usize = 500;
const TURNS: usize = 20;

/// Nanoseconds an entry of one round.
#[derive(Default, Clone, Copy)]
struct Round {
    insert: f64,
    get: f64,
    get_absent: f64,
    forward: f64,
    backward: f64,
    ascending: f64,
    drop: f64,
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>().expect("a number"));
    let count = args.next().unwrap_or(1_000_000);
    let round_count = args.next().unwrap_or(7).max(1);
    let keys = random_keys(count, 1);
    let lookups = shuffled(keys.clone());
    let mut sorted = keys.clone();
    sorted.sort_unstable();

    let (mut tables, mut maps) = (vec![], vec![]);
    let mut bytes_per_entry = 0.0;
    for _ in 0..round_count {
        let (table, map);
        (table, map, bytes_per_entry) = run(&keys, &lookups, &sorted);
        tables.push(table);
        maps.push(map);
    }

    println!("{count} entries, {round_count} rounds; medians in ns an entry");
    println!("{:<18} {:>9} {:>9} {:>7}", "", "memtable", "BTreeMap", "ratio");
    let rows: [(&str, Figure); 7] = [
        ("insert", |round| round.insert),
        ("get", |round| round.get),
        ("get, absent", |round| round.get_absent),
        ("walk forward", |round| round.forward),
        ("walk backward", |round| round.backward),
        ("insert ascending", |round| round.ascending),
        ("drop", |round| round.drop),
    ];
    for (name, figure) in rows {
        let (table, map) = (median(&tables, figure), median(&maps, figure));
        println!("{name:<18} {table:>9.1} {map:>9.1} {:>6.2}x", map / table);
    }
    let ratio = median(&tables, |round| round.backward / round.forward);
    println!("backward / forward {ratio:>9.2}");
    println!("bytes an entry     {bytes_per_entry:>9.1}   (key 24, value 12)");
}

/// One round of both, and the memtable's bytes an entry.
fn run(keys: &[[u8; 24]], lookups: &[[u8; 24]], sorted: &[[u8; 24]]) -> (Round, Round, f64) {
    let (mut table_ns, mut map_ns) = (Round::default(), Round::default());
    let (table, mut map) = (Rc::new(Memtable::new()), Map::new());
    (table_ns.insert, map_ns.insert) = take_turns(
        keys,
        |first, turn| fill_table(&table, first, turn),
        |first, turn| fill_map(&mut map, first, turn),
    );
    (table_ns.get, map_ns.get) =
        take_turns(lookups, |_, turn| read_table(&table, turn), |_, turn| read_map(&map, turn));
    let absent = random_keys(keys.len(), 2);
    (table_ns.get_absent, map_ns.get_absent) =
        take_turns(&absent, |_, turn| read_table(&table, turn), |_, turn| read_map(&map, turn));
    let (mut up, mut down) = (table.cursor(), table.cursor());
    let (mut map_up, mut map_down) = (map.iter(), map.iter().rev());
    up.seek_first();
    down.seek_last();
    // All four take turns: backward is compared with forward too.
    let mut times = [vec![], vec![], vec![], vec![]];
    for turn in keys.chunks(TURN_COUNT) {
        times[0].push(ns(|| walk_table(&mut up, turn.len(), Cursor::next)));
        times[1].push(ns(|| walk_table(&mut down, turn.len(), Cursor::prev)));
        times[2].push(ns(|| walk_map(map_up.by_ref().take(turn.len()))));
        times[3].push(ns(|| walk_map(map_down.by_ref().take(turn.len()))));
    }
    assert!(up.entry().is_none() && down.entry().is_none(), "walked over all");
    drop((up, down));
    [table_ns.forward, table_ns.backward, map_ns.forward, map_ns.backward] =
        times.map(|times| ns_each(&times));
    let bytes_per_entry = table.arena_len() as f64 / keys.len().max(1) as f64;
    table_ns.drop = ns(|| drop(table)) / keys.len() as f64;
    map_ns.drop = ns(|| drop(map)) / keys.len() as f64;
    let (table, mut map) = (Memtable::new(), Map::new());
    (table_ns.ascending, map_ns.ascending) = take_turns(
        sorted,
        |first, turn| fill_table(&table, first, turn),
        |first, turn| fill_map(&mut map, first, turn),
    );
    (table_ns, map_ns, bytes_per_entry)
}

/// Nanoseconds an entry of the one and the other, in turns.
fn take_turns(
    keys: &[[u8; 24]],
    mut one: impl FnMut(usize, &[[u8; 24]]),
    mut other: impl FnMut(usize, &[[u8; 24]]),
) -> (f64, f64) {
    let (mut one_ns, mut other_ns) = (vec![], vec![]);
    for (turn, keys) in keys.chunks(TURN_COUNT).enumerate() {
        one_ns.push(ns(|| one(turn * TURN_COUNT, keys)));
        other_ns.push(ns(|| other(turn * TURN_COUNT, keys)));
    }
    (ns_each(&one_ns), ns_each(&other_ns))
}

/// Mean over groups of turns of each group's median, for one entry.
fn ns_each(times: &[f64]) -> f64 {
    let medians = times.chunks(TURNS).map(|group| median(group, |time| *time));
    medians.sum::<f64>() / times.len().div_ceil(TURNS) as f64 / TURN_COUNT as f64
}

fn fill_table(table: &Memtable, first: usize, keys: &[[u8; 24]]) {
    for (key, seq) in keys.iter().zip(first as u64..) {
        table.insert(key, SeqNo::new(seq), Kind::Pointer, &VALUE);
    }
}

fn fill_map(map: &mut Map, first: usize, keys: &[[u8; 24]]) {
    for (key, seq) in keys.iter().zip(first as u64..) {
        map.insert(key.to_vec(), (seq, VALUE.to_vec()));
    }
}

fn read_table(table: &Memtable, keys: &[[u8; 24]]) {
    for key in keys {
        black_box(table.get(key, SeqNo::MAX).map(|entry| (entry.seq, entry.value.first().copied())));
    }
}

fn read_map(map: &Map, keys: &[[u8; 24]]) {
    for key in keys {
        black_box(map.get(&key[..]).map(|(seq, value)| (*seq, value.first().copied())));
    }
}

fn walk_table(cursor: &mut Cursor, count: usize, step: fn(&mut Cursor)) {
    for _ in 0..count {
        let Some(entry) = cursor.entry() else { return };
        black_box((entry.key, entry.seq, entry.value.first().copied()));
        step(cursor);
    }
}

fn walk_map<'a>(entries: impl Iterator<Item = (&'a Vec<u8>, &'a (u64, Vec<u8>))>) {
    for (key, (seq, value)) in entries {
        black_box((&key[..], *seq, value.first().copied()));
    }
}

fn ns(work: impl FnOnce()) -> f64 {
    let start = std::time::Instant::now();
    work();
    start.elapsed().as_nanos() as f64
}

fn median<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    jdb_bench::median(rounds.iter().map(figure).collect())
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
