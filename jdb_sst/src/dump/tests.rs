use super::*;
use crate::WriterOptions;
use crate::testing::{Rng, Row, build, options, random_rows};
use jdb_base::{Kind, SeqNo, ValuePtr};

const PAGE: &str = include_str!("../../../docs/format/sst.md");

/// The worked table of the format page, of base version 1.0.
fn worked() -> Vec<u8> {
    worked_with(WriterOptions { filter: false, properties: false, ..options(40, 4096, 65_536) })
}

fn worked_with(options: WriterOptions) -> Vec<u8> {
    let mut pointer = Vec::new();
    ValuePtr { segment: 1, offset: 8, len: 1000 }.encode(&mut pointer);
    let mut rows = vec![
        Row::new(b"apple", 7, b"red"),
        Row::new(b"apple", 4, b""),
        Row::new(b"apricot", 5, b""),
        Row::new(b"lemon", 6, b"yellow"),
    ];
    rows[1].kind = Kind::Tombstone;
    rows[2].kind = Kind::Pointer;
    rows[2].value = pointer;
    assert_eq!(rows[0].seq, SeqNo::new(7));
    built(&rows, options)
}

fn built(rows: &[Row], options: WriterOptions) -> Vec<u8> {
    let mut builder = crate::TableBuilder::new(*b"0123456789abcdef", options).unwrap();
    for row in rows {
        builder.append(&row.key, row.seq, row.kind, &row.value).unwrap();
    }
    builder.finish().0
}

/// Compares sections of a table with the blocks of the format page.
fn compare(bytes: &[u8], goldens: &[(&str, &str)]) {
    let dump = dump(bytes).unwrap();
    for (golden, name) in goldens {
        let section = dump.sections.iter().find(|section| section.name == *name).unwrap();
        let start = format!("```golden {golden}\n");
        let block = PAGE.split(&start).nth(1).and_then(|rest| rest.split("```").next());
        assert_eq!(block, Some(section.lines.as_str()), "{golden} should be\n{}", section.lines);
    }
}

#[test]
fn golden_blocks_of_the_format_page_are_what_dump_prints() {
    let goldens = [
        ("sst_v1_data", "data"),
        ("sst_v1_index", "index"),
        ("sst_v1_top", "top"),
        ("sst_v1_footer", "footer"),
    ];
    compare(&worked(), &goldens);
}

#[test]
fn golden_meta_blocks_of_the_format_page_are_what_dump_prints() {
    let group_prefix_len = Some((|_| 1) as fn(&[u8]) -> usize);
    let bytes = worked_with(WriterOptions { group_prefix_len, ..options(40, 4096, 65_536) });
    let goldens = [
        ("sst_v1_meta_groups", "meta groups"),
        ("sst_v1_meta_properties", "meta properties"),
        ("sst_v1_meta_list", "meta list"),
    ];
    compare(&bytes, &goldens);
    let rows: Vec<Row> = (0..200).map(|i| Row::new(format!("{i:04}").as_bytes(), 1, b"v")).collect();
    let group_prefix_len = Some((|_| 2) as fn(&[u8]) -> usize);
    let options = WriterOptions { group_prefix_len, filter_groups: true, ..options(200, 4096, 65_536) };
    let goldens = [
        ("sst_v1_filter", "filter"),
        ("sst_v1_groups", "meta groups"),
        ("sst_v1_meta_filters", "meta filters"),
    ];
    compare(&built(&rows, options), &goldens);
}

#[test]
fn sections_cover_every_byte_of_any_table() {
    for seed in 0..30 {
        let rows = random_rows(&mut Rng(seed), 200);
        for shape in [(1, 1, 1), (300, 100, 100), (4096, 4096, 65_536)] {
            let (bytes, info) = build(&rows, options(shape.0, shape.1, shape.2));
            let dump = dump(&bytes).unwrap();
            let mut end = 0;
            for section in &dump.sections {
                assert_eq!(section.offset, end, "seed {seed} {shape:?}");
                end += section.len;
            }
            assert_eq!(end, info.len);
            let padding = dump.sections.iter().filter(|s| s.name == "unknown").map(|s| s.len).sum::<u64>();
            assert_eq!(padding, info.padding_len);
            let data = dump.sections.iter().filter(|section| section.name == "data").count();
            assert_eq!(data as u64, info.block_count);
        }
    }
}

#[test]
fn dump_of_damaged_bytes_is_an_error_or_a_dump() {
    let (good, _) = build(&random_rows(&mut Rng(5), 30), options(300, 100, 100));
    for byte in 0..good.len() {
        let mut bytes = good.clone();
        bytes[byte] ^= 0x10;
        let _ = dump(&bytes);
        assert!(dump(&good[..byte]).is_err(), "cut to {byte}");
    }
}
