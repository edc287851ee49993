//! The memtable with its real run length, at sizes where it has several lanes, against a `BTreeMap`.

use jdb_base::{Kind, SeqNo};
use jdb_mem::{Entry, Memtable};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;

type Model = BTreeMap<(Vec<u8>, Reverse<SeqNo>), Vec<u8>>;

/// splitmix64 of a number.
fn mixed(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

fn key_of(shape: &str, number: u64) -> Vec<u8> {
    match shape {
        "random" => [&b"namespac"[..], &mixed(number).to_be_bytes()].concat(),
        "ascending" => [&b"namespac"[..], &number.to_be_bytes()].concat(),
        "descending" => [&b"namespac"[..], &(!number).to_be_bytes()].concat(),
        // Many streams that each ascend, as when many namespaces are written in turns.
        "streams" => [&(number % 97).to_be_bytes()[..], &number.to_be_bytes()].concat(),
        // A tree of paths: long common prefixes that end anywhere.
        "paths" => {
            let word = mixed(number % 5000);
            format!("src/{}/{}/file_{}.rs", "deep/".repeat((word % 7) as usize), word % 31, word % 1009)
                .into_bytes()
        }
        _ => panic!("{shape}"),
    }
}

fn id<'a>(entry: &Entry<'a>) -> (&'a [u8], SeqNo, &'a [u8]) {
    (entry.key, entry.seq, entry.value)
}

#[test]
fn thirty_thousand_entries_agree_with_a_map_in_both_directions() {
    for shape in ["random", "ascending", "descending", "streams", "paths"] {
        let (table, mut model) = (Rc::new(Memtable::new()), Model::new());
        let mut cursor = table.cursor();
        for number in 0..30_000 {
            let (key, seq, value) = (key_of(shape, number), SeqNo::new(number), number.to_le_bytes());
            table.insert(&key, seq, Kind::Inline, &value);
            model.insert((key, Reverse(seq)), value.to_vec());
            // A cursor that stands in the table while it grows, and steps now and then.
            if number % 50 == 0 {
                match (mixed(number) % 4, cursor.entry().is_some()) {
                    (0, _) | (_, false) => {
                        cursor.seek(&key_of(shape, mixed(number) % (number + 1)), SeqNo::MAX)
                    }
                    (1, true) => {
                        let at =
                            cursor.entry().map(|entry| (entry.key.to_vec(), Reverse(entry.seq))).unwrap();
                        cursor.prev();
                        let want = model.range(..at).next_back();
                        let want = want.map(|(id, value)| (&id.0[..], id.1.0, &value[..]));
                        assert_eq!(cursor.entry().as_ref().map(id), want, "{shape} {number}");
                    }
                    _ => {
                        let at =
                            cursor.entry().map(|entry| (entry.key.to_vec(), Reverse(entry.seq))).unwrap();
                        cursor.next();
                        let want = model.range(at..).nth(1);
                        let want = want.map(|(id, value)| (&id.0[..], id.1.0, &value[..]));
                        assert_eq!(cursor.entry().as_ref().map(id), want, "{shape} {number}");
                    }
                }
            }
        }
        let (mut up, mut down) = (table.cursor(), table.cursor());
        down.seek_last();
        for (((key, Reverse(seq)), value), back) in model.iter().zip(model.iter().rev()) {
            up.next();
            assert_eq!(up.entry().as_ref().map(id), Some((&key[..], *seq, &value[..])), "{shape}");
            let ((back_key, Reverse(back_seq)), back_value) = back;
            assert_eq!(
                down.entry().as_ref().map(id),
                Some((&back_key[..], *back_seq, &back_value[..])),
                "{shape}"
            );
            down.prev();
            assert_eq!(table.get(key, *seq).as_ref().map(id), Some((&key[..], *seq, &value[..])), "{shape}");
        }
        up.next();
        assert!(up.entry().is_none() && down.entry().is_none(), "{shape}: both ends were reached");
        assert_eq!(table.count(), model.len(), "{shape}");
    }
}
