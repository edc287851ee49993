use super::*;
use crate::testing::{Rng, Row, Table, build, lower_bound, options, random_rows};

/// Block, index and top target lengths: from one entry a block and a high index to what tables have.
const SHAPES: [(usize, usize, usize); 6] =
    [(1, 1, 1), (1, 4096, 65_536), (200, 100, 100), (700, 200, 400), (4096, 4096, 65_536), (65_536, 1, 1)];

fn rows_of(count: usize) -> Vec<Row> {
    (0..count)
        .map(|i| Row::new(format!("key{i:06}").as_bytes(), 5, format!("value {i}").as_bytes()))
        .collect()
}

#[test]
fn full_scans_give_all_rows_in_both_directions() {
    for shape in SHAPES {
        for count in [0, 1, 2, 3, 15, 16, 17, 33, 1000] {
            let rows = rows_of(count);
            let table = Table::of(&rows, options(shape.0, shape.1, shape.2));
            for back in [false, true] {
                assert!(table.scan(back).unwrap() == rows, "{count} rows in {shape:?}, back {back}");
            }
        }
    }
}

#[test]
fn walk_agrees_with_model_in_any_mix_of_steps() {
    for seed in 0..120 {
        let mut rng = Rng(seed);
        let count = 1 + rng.below(400);
        let rows = random_rows(&mut rng, count);
        let shape = SHAPES[rng.below(SHAPES.len())];
        let table = Table::of(&rows, options(shape.0, shape.1, shape.2));
        assert_eq!(table.footer.count, rows.len() as u64);
        let mut walk = table.walk();
        let mut at = 0;
        for step in 0..400 {
            let want = match rng.below(12) {
                0 => {
                    at = 1;
                    walk.seek_first()
                }
                1 => {
                    at = rows.len();
                    walk.seek_last()
                }
                2..=4 => {
                    let row = &rows[rng.below(rows.len())];
                    let mut key = row.key.clone();
                    match rng.below(4) {
                        0 => key.push(rng.next() as u8),
                        1 => key.truncate(rng.below(key.len() + 1)),
                        _ => {}
                    }
                    let seq = SeqNo::new(row.seq.get().saturating_add(rng.below(3) as u64).saturating_sub(1));
                    at = lower_bound(&rows, &key, seq) + 1;
                    let found = rows.get(at - 1).filter(|row| row.key == key);
                    let got = table.get(&key, seq).unwrap();
                    assert_eq!(got.as_ref(), found, "seed {seed} step {step}: get {key:x?} {seq}");
                    walk.seek(&key, seq)
                }
                5..=8 => {
                    at = (at + 1).min(rows.len() + 1);
                    walk.next()
                }
                _ => {
                    at = at.saturating_sub(1);
                    walk.prev()
                }
            };
            table.follow(&mut walk, want).unwrap();
            match (at.checked_sub(1).and_then(|at| rows.get(at)), walk.entry()) {
                (Some(row), Some(entry)) => {
                    assert!(row.is(entry), "seed {seed} step {step}: {row:?} {entry:?}");
                }
                (None, None) => {}
                other => panic!("seed {seed} step {step} shape {shape:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn many_versions_of_one_key_span_blocks_and_partitions() {
    for shape in SHAPES {
        let mut rows = vec![Row::new(b"a", 1, b"first")];
        rows.extend((0..500u64).rev().map(|i| Row::new(b"hot", 10 + i * 3, &[i as u8; 20])));
        rows.push(Row::new(b"z", 1, b"last"));
        let table = Table::of(&rows, options(shape.0, shape.1, shape.2));
        for seq in 0..1520 {
            let want = rows.iter().find(|row| row.key == b"hot" && row.seq <= SeqNo::new(seq));
            assert_eq!(table.get(b"hot", SeqNo::new(seq)).unwrap().as_ref(), want, "{shape:?} at {seq}");
        }
        assert!(table.scan(true).unwrap() == rows);
    }
}

#[test]
fn get_loads_one_block_a_level_and_none_beyond_the_last_key() {
    let rows = rows_of(5000);
    let table = Table::of(&rows, options(4096, 4096, 65_536));
    assert_eq!(table.footer.height, 2);
    for (key, loads) in [("key000000", 3), ("key004999", 3), ("a", 3), ("key004999x", 1), ("z", 1)] {
        let mut walk = table.walk();
        let want = walk.seek(key.as_bytes(), SeqNo::MAX);
        assert_eq!(table.follow(&mut walk, want), Ok(loads), "{key}");
    }
}

#[test]
fn a_step_to_the_neighbour_block_loads_only_what_is_new() {
    let rows = rows_of(5000);
    let table = Table::of(&rows, options(4096, 4096, 65_536));
    let mut walk = table.walk();
    let want = walk.seek_first();
    let mut loads = table.follow(&mut walk, want).unwrap();
    while walk.entry().is_some() {
        let want = walk.next();
        loads += table.follow(&mut walk, want).unwrap();
    }
    let info = build(&rows, options(4096, 4096, 65_536)).1;
    let partitions = info.index_len.div_ceil(4096).max(info.count.div_ceil(3000)) as usize;
    assert!(loads <= info.block_count as usize + partitions + 1, "{loads} loads, {info:?}");
    // Turning round at the end and seeking in a block that is held load nothing.
    for want in [walk.prev(), walk.seek_last(), walk.seek(b"key004990", SeqNo::MAX)] {
        assert_eq!(want, Ok(None));
    }
}

#[test]
fn index_grows_in_height_and_stays_exact() {
    let rows = rows_of(3000);
    let mut heights = Vec::new();
    for shape in [(4096, 4096, 65_536), (64, 64, 64), (1, 1, 1)] {
        let table = Table::of(&rows, options(shape.0, shape.1, shape.2));
        heights.push(table.footer.height);
        for row in rows.iter().step_by(37) {
            assert_eq!(table.get(&row.key, SeqNo::MAX).unwrap().as_ref(), Some(row));
        }
    }
    assert_eq!(heights, [2, 6, 12]);
}

#[test]
fn long_keys_and_large_values_come_back() {
    let mut rows = Vec::new();
    for i in 0..40u8 {
        let mut key = vec![b'k'; 65_517];
        // Half differ at the front, half at the very end.
        let at = if i < 20 { 0 } else { 65_516 };
        key[at] = if i < 20 { i } else { b'l' + i };
        rows.push(Row::new(&key, u64::from(i), &[i; 50]));
        rows.push(Row::new(&key, 100 + u64::from(i), b""));
    }
    rows.push(Row::new(b"big", 1, &vec![3; 1 << 20]));
    rows.push(Row::new(b"big2", 1, &vec![4; (1 << 20) + 1]));
    rows.push(Row::new(b"big3", 1, b"small"));
    crate::testing::sort(&mut rows);
    for shape in SHAPES {
        let table = Table::of(&rows, options(shape.0, shape.1, shape.2));
        for back in [false, true] {
            assert!(table.scan(back).unwrap() == rows, "{shape:?}");
        }
        for row in &rows {
            assert!(table.get(&row.key, row.seq).unwrap().as_ref() == Some(row));
        }
    }
}

#[test]
fn empty_table_has_no_entry_anywhere() {
    let table = Table::of(&[], options(4096, 4096, 65_536));
    assert_eq!(table.bytes.len(), crate::layout::FOOTER_LEN);
    assert_eq!(table.get(b"", SeqNo::MAX), Ok(None));
    let mut walk = table.walk();
    for _ in 0..2 {
        for want in
            [walk.next(), walk.prev(), walk.seek(b"k", SeqNo::MAX), walk.seek_last(), walk.seek_first()]
        {
            assert_eq!(want, Ok(None));
        }
        assert_eq!(walk.entry(), None);
    }
}

#[test]
fn every_flipped_bit_is_an_error_or_changes_nothing() {
    let rows = random_rows(&mut Rng(3), 60);
    let (good, info) = build(&rows, crate::WriterOptions { properties: false, ..options(300, 100, 100) });
    assert!(info.padding_len > 0, "{info:?}");
    let mut harmless = 0;
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(table) = Table::open(bytes) else { continue };
        let scans = [table.scan(false), table.scan(true)];
        let intact = scans.iter().filter(|scan| scan.as_ref().is_ok_and(|scan| *scan == rows)).count();
        let refused = scans.iter().filter(|scan| scan.is_err()).count();
        assert!(intact == 2 || refused == 2, "bit {bit}");
        harmless += usize::from(intact == 2);
        for row in [&rows[bit % rows.len()], &rows[bit / 7 % rows.len()]] {
            if let Ok(got) = table.get(&row.key, row.seq) {
                assert_eq!(got.as_ref(), Some(row), "bit {bit}");
            }
        }
    }
    assert_eq!(harmless as u64, info.padding_len * 8, "only padding may change unseen");
}

#[test]
fn every_truncation_is_an_error() {
    let (good, _) = build(&random_rows(&mut Rng(4), 60), options(300, 100, 100));
    for len in 0..good.len() {
        assert!(Table::open(good[..len].to_vec()).is_err(), "cut to {len}");
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert!(Table::open(longer).is_err());
}

#[test]
fn a_lost_walk_stays_lost_until_a_seek() {
    let rows = rows_of(1000);
    let (mut bytes, _) = build(&rows, options(512, 512, 65_536));
    let clean = Table::open(bytes.clone()).unwrap();
    bytes[700] ^= 1;
    let table = Table::open(bytes).unwrap();
    let mut walk = table.walk();
    let start = walk.seek_first();
    table.follow(&mut walk, start).unwrap();
    let mut steps = 0;
    let damage = loop {
        let want = walk.next();
        if let Err(damage) = table.follow(&mut walk, want) {
            break damage;
        }
        steps += 1;
        assert!(steps < 1000, "the end was reached over a bad block");
    };
    assert!(matches!(damage, Damage::Corrupt { what: "block checksum", offset: 1..700, .. }), "{damage:?}");
    assert!(walk.is_lost() && walk.entry().is_none());
    assert_eq!((walk.next(), walk.prev()), (Ok(None), Ok(None)));
    assert!(walk.is_lost());
    let want = walk.seek(&rows[900].key, SeqNo::MAX);
    table.follow(&mut walk, want).unwrap();
    assert!(rows[900].is(walk.entry().unwrap()));
    // A move that was given up in the middle is lost, too.
    let mut walk = clean.walk();
    let want = walk.seek_first().unwrap();
    assert!(want.is_some() && walk.is_lost() && walk.entry().is_none());
}
