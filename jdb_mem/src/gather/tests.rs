use crate::memtable::tests::{ALL_KEYS, Chance, KINDS, Keys, Model, check_whole, insert, row, seen, seq};
use crate::{Cursor, Memtable};
use jdb_base::{Kind, SeqNo};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound::{Excluded, Unbounded};
use std::rc::Rc;

/// Gathers `count` entries in one go, versions of keys that are there already among them.
fn gather(table: &Memtable, model: &mut Model, chance: &mut Chance, keys: Keys, steps: std::ops::Range<u64>) {
    let mut gather = table.gather();
    for step in steps {
        let id = (keys.make(chance, step), Reverse(seq(chance.below(1 << 20))));
        let (kind, value) = (KINDS[chance.below(3) as usize], chance.bytes(30, b"value"));
        if let Entry::Vacant(place) = model.entry(id) {
            let (key, Reverse(at)) = place.key();
            gather.insert(key, *at, kind, &value);
            place.insert((kind, value));
        }
    }
}

#[test]
fn gathered_entries_agree_with_a_map_in_every_key_shape() {
    for keys in ALL_KEYS {
        for seed in 200..212 {
            let context = format!("{keys:?}, seed {seed}");
            let mut chance = Chance::new(seed);
            let (table, mut model) = (Rc::new(Memtable::new()), Model::new());
            let mut step = 0;
            while step < 1500 {
                let count = [1, 5, 50, 300][chance.below(4) as usize];
                gather(&table, &mut model, &mut chance, keys, step..step + count);
                step += count;
                // One by one between the runs: what they remember of the last place must not mislead the next.
                for _ in 0..chance.below(4) {
                    insert(&table, &mut model, &mut chance, keys, step);
                    step += 1;
                }
                check_whole(&table, &model, &format!("{context}, step {step}"));
            }
            for _ in 0..500 {
                let (key, at) = (keys.make(&mut chance, step / 2), chance.below((1 << 20) + step));
                let want = model.range((key.clone(), Reverse(seq(at)))..).next();
                let want = want.filter(|(id, _)| id.0 == key).map(row);
                assert_eq!(seen(table.get(&key, seq(at))), want, "{context}, {key:x?} #{at}");
            }
        }
    }
}

#[test]
fn cursors_stay_on_their_entries_while_runs_are_linked() {
    for keys in ALL_KEYS {
        for seed in 300..306 {
            let mut chance = Chance::new(seed);
            let (table, mut model) = (Rc::new(Memtable::new()), Model::new());
            gather(&table, &mut model, &mut chance, keys, 0..10);
            let mut cursors: Vec<Cursor> = (0..4).map(|_| table.cursor()).collect();
            for round in 1..60 {
                let context = format!("{keys:?}, seed {seed}, round {round}");
                let ids: Vec<_> = model.keys().cloned().collect();
                let places: Vec<_> =
                    cursors.iter().map(|_| &ids[chance.below(ids.len() as u64) as usize]).collect();
                for (cursor, id) in cursors.iter_mut().zip(&places) {
                    cursor.seek(&id.0, id.1.0);
                }
                let count = [1, 5, 50, 100][chance.below(4) as usize];
                gather(&table, &mut model, &mut chance, keys, round * 100..round * 100 + count);
                for (n, (cursor, id)) in cursors.iter_mut().zip(places).enumerate() {
                    assert_eq!(seen(cursor.entry()), model.get_key_value(id).map(row), "{context}");
                    let want = if n % 2 == 0 {
                        cursor.next();
                        model.range((Excluded(id), Unbounded)).next()
                    } else {
                        cursor.prev();
                        model.range(..id).next_back()
                    };
                    assert_eq!(seen(cursor.entry()), want.map(row), "{context}, cursor {n}");
                }
            }
        }
    }
}

#[test]
fn keys_that_agree_ever_further_are_sorted_too() {
    let table = Rc::new(Memtable::new());
    let mut model = BTreeMap::new();
    let mut gather = table.gather();
    // Each key is a prefix of the next; versions of one key and keys padded with zeros stand among them.
    for n in (0..400u64).rev() {
        for (key, at) in [
            (vec![b'a'; 8 * n as usize], n),
            (vec![b'a'; 8 * n as usize], n + 1),
            (vec![0; n as usize], n + 2),
        ] {
            gather.insert(&key, seq(at), Kind::Inline, b"v");
            model.insert((key, Reverse(seq(at))), (Kind::Inline, b"v".to_vec()));
        }
    }
    drop(gather);
    check_whole(&table, &model, "prefixes of each other");
}

#[test]
fn what_is_dropped_unfilled_is_in_the_table_and_nothing_is_nothing() {
    let table = Memtable::new();
    drop(table.gather());
    assert_eq!((table.count(), table.held_len()), (0, 0));
    table.gather().insert(b"k", seq(1), Kind::Inline, b"v");
    assert_eq!(table.get(b"k", SeqNo::MAX).map(|entry| entry.value), Some(&b"v"[..]));
}

#[test]
fn gathered_entries_take_no_more_memory_than_inserted_ones() {
    for keys in [Keys::Ascending, Keys::Descending, Keys::OneNamespace, Keys::Versions] {
        let (one_by_one, gathered) = (Memtable::new(), Memtable::new());
        let (mut chance, mut gather) = (Chance::new(1), gathered.gather());
        for step in 0..20_000 {
            let key = keys.make(&mut chance, step);
            one_by_one.insert(&key, seq(step), Kind::Inline, b"");
            gather.insert(&key, seq(step), Kind::Inline, b"");
        }
        drop(gather);
        let lens = [one_by_one.arena_len() / 20_000, gathered.arena_len() / 20_000];
        // A run may leave its last node half empty, and runs are short here.
        assert!(lens[1] * 8 <= lens[0] * 9, "{keys:?}: {lens:?} bytes per entry");
    }
}
