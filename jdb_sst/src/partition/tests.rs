use crate::layout::{FILTER_KEYS_MAX, FILTER_KEYS_MIN, FILTER_KEYS_TARGET};
use crate::testing::{Rng, Row, Table, build, options, random_rows};
use crate::walk::Want;
use crate::{FilterBlock, TableBuilder, WriterOptions, dump};
use std::collections::BTreeSet;

fn numbered(count: usize, value_len: usize) -> Vec<Row> {
    (0..count).map(|i| Row::new(format!("user{i:08}").as_bytes(), 5, &vec![7; value_len])).collect()
}

/// Number of hashes in each filter of a table; 0 for a partition without one.
fn filters(table: &Table) -> Vec<u32> {
    let mut counts = Vec::new();
    let mut walk = table.walk();
    let mut want = walk.seek_first().unwrap();
    loop {
        while let Some(next) = want {
            if next.level + 1 == usize::from(table.footer.height) {
                counts.push(next.filter().map_or(0, |handle| {
                    assert_eq!(handle.end(), Some(next.handle.offset), "directly before its partition");
                    let body = table.load(Want { handle, ..next }).unwrap();
                    FilterBlock::parse(&body).unwrap().unwrap().count()
                }));
            }
            want = walk.supply(next, table.load(next).unwrap()).unwrap();
        }
        if walk.entry().is_none() {
            return counts;
        }
        want = walk.next().unwrap();
    }
}

#[test]
fn filters_are_of_the_size_that_is_cheap_and_quick_to_build() {
    for value_len in [0, 12, 60] {
        let rows = numbered(30_000, value_len);
        let (bytes, info) = build(&rows, WriterOptions::default());
        let counts = filters(&Table::open(bytes).unwrap());
        let (last, full) = counts.split_last().unwrap();
        for &count in full {
            let count = count as usize;
            assert!(count <= FILTER_KEYS_TARGET && count > FILTER_KEYS_TARGET - 1200, "{counts:?}");
        }
        assert_eq!(counts.iter().sum::<u32>() as usize, rows.len(), "last {last}");
        let bits = info.filter_len as f64 * 8.0 / rows.len() as f64;
        assert!(bits <= 11.2, "values of {value_len}: {bits:.2} bits a key in {counts:?}");
    }
}

#[test]
fn absent_keys_are_turned_away_and_present_ones_never() {
    let rows = numbered(10_000, 12);
    let table = Table::of(&rows, WriterOptions::default());
    let (mut passed, mut asked) = (0, 0);
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(table.get(&row.key, row.seq).unwrap().as_ref(), Some(row));
        let absent = [row.key.as_slice(), b"x"].concat();
        let mut walk = table.walk();
        let mut want = walk.seek(&absent, row.seq).unwrap();
        while let Some(next) = want {
            if let Some(answer) = table.ask(next, &absent).unwrap() {
                asked += 1;
                passed += usize::from(answer);
                break;
            }
            want = walk.supply(next, table.load(next).unwrap()).unwrap();
        }
        assert_eq!(table.get(&absent, row.seq), Ok(None), "row {i}");
    }
    assert!(asked > 9_900 && passed < asked / 150, "{passed} of {asked}");
}

#[test]
fn no_row_is_ever_turned_away_whatever_the_shape() {
    for seed in 0..60 {
        let mut rng = Rng(seed);
        let count = 200 + rng.below(1500);
        let rows = random_rows(&mut rng, count);
        for shape in [(200, 4096), (1, 4096), (4096, 4096), (700, 1000), (65_536, 4096)] {
            let table = Table::of(&rows, options(shape.0, shape.1, 65_536));
            for row in &rows {
                let got = table.get(&row.key, row.seq).unwrap();
                assert_eq!(got.as_ref(), Some(row), "seed {seed} shape {shape:?}");
            }
        }
    }
}

#[test]
fn versions_of_one_key_count_once() {
    let mut rows = Vec::new();
    for i in 0..300 {
        let versions = 1 + i % 7;
        rows.extend((0..versions).rev().map(|v| Row::new(format!("key{i:05}").as_bytes(), v, &[1; 40])));
    }
    let distinct = rows.iter().map(|row| &row.key).collect::<BTreeSet<_>>().len();
    let table = Table::of(&rows, WriterOptions::default());
    assert_eq!(filters(&table), [distinct as u32]);
}

#[test]
fn partitions_end_between_keys_unless_one_key_fills_them() {
    let mut rows = numbered(100, 10);
    rows.extend((0..3000u64).rev().map(|i| Row::new(b"user00000099x", i, &[1; 100])));
    rows.extend((0..100).map(|i| Row::new(format!("z{i:04}").as_bytes(), 1, &[1; 100])));
    let table = Table::of(&rows, options(256, 512, 65_536));
    assert!(filters(&table).len() > 10);
    for row in &rows {
        assert_eq!(table.get(&row.key, row.seq).unwrap().as_ref(), Some(row));
    }
    // The hot key ends in a partition that has many keys, and so a filter.
    for versions in (100..1000u64).step_by(7) {
        let mut rows = numbered(100, 10);
        rows.extend((0..versions).rev().map(|i| Row::new(b"user00000099x", i, &[1; 100])));
        rows.extend((0..400).map(|i| Row::new(format!("z{i:04}").as_bytes(), 1, &[1; 2])));
        let table = Table::of(&rows, options(256, 512, 65_536));
        for row in &rows {
            assert_eq!(table.get(&row.key, row.seq).unwrap().as_ref(), Some(row), "{versions} versions");
        }
    }
    // Three versions of each key: every second block ends inside a key, no partition does.
    let rows: Vec<Row> = (0..3040u64)
        .flat_map(|i| (0..3).rev().map(move |v| Row::new(format!("k{i:05}").as_bytes(), v, &[2; 40])))
        .collect();
    let counts = filters(&Table::of(&rows, options(256, 1024, 65_536)));
    assert_eq!(counts.iter().sum::<u32>(), 3040, "a key in two partitions: {counts:?}");
    assert!(counts.len() > 10);
}

#[test]
fn blocks_of_very_short_keys_do_not_make_a_filter_too_large() {
    let rows: Vec<Row> = (0..30_000u32).map(|i| Row::new(&i.to_be_bytes()[1..], 0, b"")).collect();
    let counts = filters(&Table::of(&rows, options(65_536, 4096, 65_536)));
    assert!(counts.iter().all(|&count| count as usize <= FILTER_KEYS_MAX), "{counts:?}");
    assert_eq!(counts.iter().sum::<u32>(), 30_000);
}

#[test]
fn few_keys_get_no_filter() {
    for (count, filter) in [(FILTER_KEYS_MIN - 1, false), (FILTER_KEYS_MIN, true)] {
        let table = Table::of(&numbered(count, 10), WriterOptions::default());
        assert_eq!(filters(&table), [if filter { count as u32 } else { 0 }]);
    }
    let off = WriterOptions { filter: false, ..WriterOptions::default() };
    assert_eq!(filters(&Table::of(&numbered(1000, 10), off)), [0]);
}

#[test]
fn work_done_in_steps_gives_the_same_bytes() {
    for seed in 0..10 {
        let rows = random_rows(&mut Rng(seed), 1500);
        let (want, info) = build(&rows, options(300, 2000, 65_536));
        assert!(info.filter_len > 0);
        let mut rng = Rng(seed + 100);
        let mut builder = TableBuilder::new([7; 16], options(300, 2000, 65_536)).unwrap();
        let mut steps = 0;
        for row in &rows {
            builder.append(&row.key, row.seq, row.kind, &row.value).unwrap();
            while rng.below(2) == 0 && builder.step() {
                steps += 1;
            }
        }
        builder.close_partition();
        while builder.step() {
            steps += 1;
        }
        assert!(builder.finish().0 == want, "seed {seed}");
        assert!(steps >= 2, "{steps} steps");
    }
}

#[test]
fn every_flipped_bit_of_filters_and_meta_blocks_is_seen() {
    let rows = random_rows(&mut Rng(8), 200);
    let (good, info) = build(&rows, options(300, 4096, 65_536));
    assert!(info.filter_len > 0);
    let sections = dump(&good).unwrap().sections;
    for section in sections.iter().filter(|section| section.name != "unknown" && section.name != "data") {
        for bit in section.offset * 8..(section.offset + section.len) * 8 {
            let mut bytes = good.clone();
            bytes[bit as usize / 8] ^= 1 << (bit % 8);
            assert!(dump(&bytes).is_err(), "bit {bit} of {}", section.name);
            let Ok(table) = Table::open(bytes) else { continue };
            let row = &rows[bit as usize % rows.len()];
            if let Ok(got) = table.get(&row.key, row.seq) {
                assert_eq!(got.as_ref(), Some(row), "bit {bit} of {}", section.name);
            }
        }
    }
}
