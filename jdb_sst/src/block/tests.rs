use super::*;
use crate::block_builder::BlockBuilder;
use crate::block_cursor::BlockCursor;
use crate::testing::{Rng, Row, lower_bound, random_rows};
use bytes::Bytes;
use jdb_base::Kind;

fn block_of(rows: &[Row]) -> Vec<u8> {
    let mut builder = BlockBuilder::new();
    for row in rows {
        builder.append(&row.key, row.seq, row.kind, &row.value).unwrap();
    }
    let bound = builder.len();
    let mut out = Vec::new();
    builder.finish(&mut out);
    assert!(out.len() + crate::layout::TRAILER_LEN <= bound, "{} is over the bound {bound}", out.len());
    out
}

fn keys(keys: &[&str]) -> Vec<Row> {
    keys.iter().map(|key| Row::new(key.as_bytes(), 0, b"")).collect()
}

#[test]
fn find_lands_on_first_key_not_below_target() {
    let rows = keys(&["apple", "lemon"]);
    let bytes = block_of(&rows);
    let block = Block::parse(&bytes).unwrap();
    for (target, want) in [("", 0), ("apple", 0), ("kiwi", 1), ("lemon", 1), ("lemons", 2), ("pear", 2)] {
        assert_eq!(block.find(target.as_bytes(), SeqNo::MAX), Ok(want), "target {target:?}");
    }
}

#[test]
fn find_lands_on_newest_version_not_newer_than_the_sequence() {
    let rows: Vec<Row> = [9u64, 5, 2].map(|seq| Row::new(b"k", seq, b"")).to_vec();
    let bytes = block_of(&rows);
    let block = Block::parse(&bytes).unwrap();
    assert_eq!(block.base(), SeqNo::new(2));
    for (seq, want) in [(u64::MAX, 0), (9, 0), (8, 1), (5, 1), (4, 2), (2, 2), (1, 3), (0, 3)] {
        assert_eq!(block.find(b"k", SeqNo::new(seq)), Ok(want), "sequence {seq}");
    }
}

#[test]
fn bytes_of_a_small_block_are_pinned() {
    let rows = [Row::new(b"apple", 7, b"red"), Row::new(b"apricot", 5, b"")];
    let want = [
        &[5][..], // base
        &[0, 5, 2 << 3 | 2],
        b"apple",
        b"red", // shared, suffix length, sequence and kind
        &[2, 5, 2],
        b"ricot",
        &[1, 0, 12, 0], // offsets
        &[2, 0],        // number of entries
    ]
    .concat();
    assert_eq!(block_of(&rows), want);
}

#[test]
fn cursor_agrees_with_model_in_any_mix_of_steps() {
    for seed in 0..200 {
        let mut rng = Rng(seed);
        let count = 1 + rng.below(120);
        let rows = random_rows(&mut rng, count);
        let mut cursor = BlockCursor::new(Bytes::from(block_of(&rows))).unwrap();
        // 0 before the first, n + 1 after the last.
        let mut at = 0;
        for step in 0..300 {
            let moved = match rng.below(8) {
                0 => {
                    at = 1;
                    cursor.seek_first()
                }
                1 => {
                    at = rows.len();
                    cursor.seek_last()
                }
                2 => {
                    let row = &rows[rng.below(rows.len())];
                    let mut key = row.key.clone();
                    if rng.below(2) == 0 {
                        key.push(rng.next() as u8);
                    }
                    let seq = SeqNo::new(row.seq.get().saturating_add(rng.below(3) as u64).saturating_sub(1));
                    at = lower_bound(&rows, &key, seq) + 1;
                    cursor.seek(&key, seq)
                }
                3..=5 => {
                    at = (at + 1).min(rows.len() + 1);
                    cursor.next()
                }
                _ => {
                    at = at.saturating_sub(1);
                    cursor.prev()
                }
            };
            let want = at.checked_sub(1).and_then(|at| rows.get(at));
            assert_eq!(moved, Ok(want.is_some()), "seed {seed} step {step}");
            match (want, cursor.entry()) {
                (Some(row), Some(entry)) => {
                    assert!(row.is(entry), "seed {seed} step {step}: {row:?} {entry:?}")
                }
                (None, None) => {}
                other => panic!("seed {seed} step {step}: {other:?}"),
            }
        }
    }
}

#[test]
fn entry_by_number_agrees_with_model() {
    let rows = random_rows(&mut Rng(1), 100);
    let bytes = block_of(&rows);
    let block = Block::parse(&bytes).unwrap();
    let mut scratch = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        assert!(row.is(block.entry(i, &mut scratch).unwrap().unwrap()), "entry {i}");
    }
    assert_eq!(block.entry(rows.len(), &mut scratch), Ok(None));
}

#[test]
fn offsets_are_wide_when_an_entry_starts_beyond_64_kib() {
    let long = vec![b'k'; 65_517];
    let rows = [Row::new(&long[..65_516], 0, &[1; 30]), Row::new(&long, 0, b"end")];
    let bytes = block_of(&rows);
    let block = Block::parse(&bytes).unwrap();
    assert!(block.shape().wide);
    let mut cursor = BlockCursor::new(Bytes::from(bytes.clone())).unwrap();
    assert!(cursor.seek(&long, SeqNo::MAX).unwrap());
    assert!(rows[1].is(cursor.entry().unwrap()));
    assert!(cursor.prev().unwrap());
    assert!(rows[0].is(cursor.entry().unwrap()));
    assert!(!Block::parse(&block_of(&rows[..1])).unwrap().shape().wide);
}

#[test]
fn builder_refuses_what_is_over_a_limit_and_goes_on() {
    let mut builder = BlockBuilder::new();
    let max = jdb_base::key::ENGINE_KEY_LEN_MAX;
    let seq_max = crate::layout::SEQ_MAX;
    builder.append(b"a", seq_max, Kind::Inline, b"").unwrap();
    for (what, key_len, seq) in
        [("key length", max + 1, SeqNo::ZERO), ("sequence", 1, seq_max.plus(1)), ("sequence", 1, SeqNo::MAX)]
    {
        match builder.append(&vec![b'b'; key_len], seq, Kind::Inline, b"") {
            Err(crate::Error::TooLarge { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{what}: {other:?}"),
        }
    }
    builder.append(&vec![b'b'; max], SeqNo::ZERO, Kind::Inline, b"").unwrap();
    assert_eq!(builder.count(), 2);
}

#[test]
fn forged_blocks_give_an_error_or_entries_never_a_panic() {
    let mut touched = 0;
    for seed in 0..40 {
        let mut rng = Rng(seed);
        let count = 1 + rng.below(40);
        let rows = random_rows(&mut rng, count);
        let good = block_of(&rows);
        for _ in 0..400 {
            let mut bytes = good.clone();
            for _ in 0..1 + rng.below(3) {
                match rng.below(6) {
                    0 => bytes.truncate(rng.below(bytes.len() + 1)),
                    // The ends are where the shape is.
                    1 if !bytes.is_empty() => {
                        let at = bytes.len() - 1 - rng.below(bytes.len().min(8));
                        bytes[at] = rng.next() as u8;
                    }
                    _ if !bytes.is_empty() => {
                        let at = rng.below(bytes.len());
                        bytes[at] = [0, 1, 0x7f, 0x80, 0xff, rng.next() as u8][rng.below(6)];
                    }
                    _ => {}
                }
            }
            let Ok(mut cursor) = BlockCursor::new(Bytes::from(bytes)) else { continue };
            let row = &rows[rng.below(rows.len())];
            touched += usize::from(cursor.seek(&row.key, row.seq).is_ok());
            for back in [false, true] {
                let mut moved = if back { cursor.seek_last() } else { cursor.seek_first() };
                while moved == Ok(true) {
                    cursor.entry().unwrap();
                    moved = if back { cursor.prev() } else { cursor.next() };
                }
                assert!(moved.is_ok() || cursor.entry().is_none());
            }
        }
    }
    assert!(touched > 1000, "only {touched} forged blocks opened");
}
