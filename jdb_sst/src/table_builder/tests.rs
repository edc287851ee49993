use super::*;
use crate::Error;
use crate::block::Block;
use crate::layout::{ENTRY_HEAD_LEN_MAX, TRAILER_LEN};
use crate::testing::{Rng, Row, Table, build, options, random_rows};

#[test]
fn block_of_a_page_never_straddles_and_longer_ones_waste_little() {
    for (offset, len, want) in [
        (0, 4096, 0),
        (1, 4096, 4095),
        (4000, 96, 0),
        (4000, 97, 96),
        (8192, 4097, 0),
        (8192 + 3999, 4097, 0),
        (8192 + 3999, 4200, 97),
        (2104, 6200, 0),
        (8092, 65_536, 100),
        (8092, 61_500, 0),
    ] {
        assert_eq!(padding(offset, len), want, "{len} bytes at {offset}");
    }
}

/// Places of all data blocks.
fn blocks(table: &Table) -> Vec<Handle> {
    let mut walk = table.walk();
    let mut handles = Vec::new();
    let mut want = walk.seek_first().unwrap();
    loop {
        while let Some(next) = want {
            if next.level == usize::from(table.footer.height) {
                handles.push(next.handle);
            }
            want = walk.supply(next, table.load(next).unwrap()).unwrap();
        }
        if walk.entry().is_none() {
            return handles;
        }
        want = walk.next().unwrap();
    }
}

#[test]
fn every_entry_starts_below_the_target_and_short_entries_fill_a_page() {
    for (value_len, least) in [(12, 3840), (100, 3840), (1000, 3840), (5000, 5000)] {
        let rows: Vec<Row> =
            (0..2000).map(|i| Row::new(format!("{i:024}").as_bytes(), i, &vec![1; value_len])).collect();
        let (bytes, info) = build(&rows, options(4096, 4096, 65_536));
        let table = Table::open(bytes).unwrap();
        let handles = blocks(&table);
        assert_eq!(handles.len() as u64, info.block_count);
        let (_, full) = handles.split_last().unwrap();
        for handle in full {
            let len = handle.len as usize;
            assert!(len >= least && len < 4096 + value_len + ENTRY_HEAD_LEN_MAX + 24, "{handle:?}");
            if len <= 4096 {
                assert_eq!(handle.offset / 4096, (handle.end().unwrap() - 1) / 4096, "{handle:?} straddles");
            }
            let start = handle.offset as usize;
            let block = Block::parse(&table.bytes[start..start + len - TRAILER_LEN]).unwrap();
            let last = block.offset(block.count() - 1).unwrap();
            assert!(last < 4096, "an entry starts at {last}");
        }
        let waste = info.padding_len as f64 / info.len as f64;
        assert!(waste < 0.07, "values of {value_len}: {waste:.3} is padding");
    }
}

#[test]
fn the_page_behind_an_index_partition_is_filled() {
    for value_len in [0, 12, 60] {
        let rows: Vec<Row> =
            (0..30_000).map(|i| Row::new(format!("{i:024}").as_bytes(), i, &vec![1; value_len])).collect();
        let (bytes, info) = build(&rows, WriterOptions::default());
        assert!(info.filter_len > 7 * 5000, "there are partitions");
        let waste = info.padding_len as f64 / info.len as f64;
        assert!(waste < 0.015, "values of {value_len}: {waste:.4} is padding");
        let table = Table::open(bytes).unwrap();
        for handle in blocks(&table) {
            assert!(handle.len <= 4096, "{handle:?}");
            assert_eq!(handle.offset / 4096, (handle.end().unwrap() - 1) / 4096, "{handle:?} straddles");
        }
        assert!(table.scan(false).unwrap() == rows, "values of {value_len}");
    }
}

#[test]
fn filters_built_early_or_late_give_the_same_bytes() {
    let rows: Vec<Row> = (0..20_000).map(|i| Row::new(format!("{i:024}").as_bytes(), i, b"value")).collect();
    let (whole, info) = build(&rows, WriterOptions::default());
    for seed in 0..6 {
        let mut rng = Rng(seed);
        let mut builder = TableBuilder::new([7; 16], WriterOptions::default()).unwrap();
        for row in &rows {
            builder.append(&row.key, row.seq, row.kind, &row.value).unwrap();
            if seed == 0 || rng.below(4 << seed) == 0 {
                let _ = builder.step();
            }
        }
        assert!(builder.finish() == (whole.clone(), info.clone()), "seed {seed}");
    }
}

#[test]
fn entry_out_of_order_is_refused_and_the_table_goes_on() {
    for block_len in [1, 4096] {
        let mut builder = TableBuilder::new([7; 16], options(block_len, 4096, 65_536)).unwrap();
        let row = Row::new(b"m", 5, b"");
        builder.append(&row.key, row.seq, row.kind, b"").unwrap();
        for (key, seq) in [("m", 5), ("m", 6), ("l", 1), ("", 9)] {
            match builder.append(key.as_bytes(), SeqNo::new(seq), Kind::Inline, b"") {
                Err(Error::OutOfOrder { index: 1, before, .. }) => assert_eq!(before, SeqNo::new(5)),
                other => panic!("{key} {seq}: {other:?}"),
            }
        }
        builder.append(b"m", SeqNo::new(4), Kind::Inline, b"").unwrap();
        let (bytes, info) = builder.finish();
        assert_eq!((info.count, info.seq_min, info.seq_max), (2, SeqNo::new(4), SeqNo::new(5)));
        assert_eq!(Table::open(bytes).unwrap().scan(false).unwrap().len(), 2);
    }
}

#[test]
fn options_outside_their_range_are_refused() {
    for (what, options) in [
        ("block_len", options(0, 1, 1)),
        ("block_len", options(65_537, 1, 1)),
        ("index_len", options(1, 0, 1)),
        ("index_len", options(1, 65_537, 1)),
        ("top_len", options(1, 1, 0)),
        ("top_len", options(1, 1, 65_537)),
    ] {
        match TableBuilder::new([0; 16], options) {
            Err(Error::Option { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn taking_pieces_early_gives_the_same_bytes() {
    let rows = random_rows(&mut Rng(9), 500);
    let (whole, info) = build(&rows, options(300, 100, 100));
    let mut builder = TableBuilder::new([7; 16], options(300, 100, 100)).unwrap();
    let mut pieces = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        builder.append(&row.key, row.seq, row.kind, &row.value).unwrap();
        if i % 3 == 0 {
            pieces.extend(builder.take(Vec::new()));
        }
        assert!(builder.len_so_far() >= pieces.len() as u64);
    }
    let (rest, taken_info) = builder.finish();
    pieces.extend(rest);
    assert!(pieces == whole);
    assert_eq!(taken_info, info);
}

#[test]
fn info_says_what_the_table_holds() {
    let rows = random_rows(&mut Rng(10), 500);
    let (bytes, info) = build(&rows, options(300, 100, 100));
    assert_eq!(info.len, bytes.len() as u64);
    assert_eq!(info.count, rows.len() as u64);
    assert_eq!((&info.first_key, &info.last_key), (&rows[0].key, &rows[rows.len() - 1].key));
    assert_eq!(Some(info.seq_min), rows.iter().map(|row| row.seq).min());
    assert_eq!(Some(info.seq_max), rows.iter().map(|row| row.seq).max());
    let footer = Table::open(bytes).unwrap().footer;
    assert_eq!((footer.seq_min, footer.seq_max, footer.id), (info.seq_min, info.seq_max, info.id));
}
