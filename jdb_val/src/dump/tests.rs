use super::*;
use crate::footer_builder::FooterBuilder;
use crate::record::{Fields, RecordKind, encode};
use jdb_base::NsId;

const PAGE: &str = include_str!("../../../docs/format/value_log.md");
const SECRET: [u8; 16] = *b"golden secret 01";
const SHARD: u32 = 3;
const NUMBER: u32 = 7;

/// A segment with a put, a batch of a put and a delete, a drop and a mark, and its footer's place.
fn golden() -> (Vec<u8>, usize, (u64, u32)) {
    let seed = segment_seed(&SECRET, SHARD, NUMBER);
    let header = SegmentHeader {
        shard: SHARD,
        number: NUMBER,
        pred: LogPos::new(5, 4711),
        pred_last_seq: SeqNo::new(99),
        features_compatible: 0,
    };
    let mut bytes = header.encode(seed).to_vec();
    let key = |id: u64, key: &[u8]| jdb_base::key::engine_key(NsId::from(id), key);
    for (kind, ops_left, seq, synced_back, key, value) in [
        (RecordKind::Put, 0, 100, 1208, key(42, b"lemon"), &b"yellow"[..]),
        (RecordKind::Put, 1, 101, 14, key(42, b"plum"), b"a value of more than sixteen bytes"),
        (RecordKind::Delete, 0, 102, u32::MAX, key(300, b"apple"), b""),
        (RecordKind::Drop, 0, 103, 31, key(42, b""), &[0, 103]),
        (RecordKind::Mark, 0, 104, 0, Vec::new(), b""),
    ] {
        let at = bytes.len() as u64;
        encode(
            &mut bytes,
            seed,
            at,
            Fields { kind, ops_left, seq: SeqNo::new(seq), synced_back },
            &key,
            value,
        );
    }
    let end = bytes.len();
    let mut builder = FooterBuilder::new((end / 8) as u32);
    let mut at = SEGMENT_HEADER_LEN;
    while at < end {
        let head = Head::peek(&bytes[at..], seed, at as u64).unwrap();
        builder.add(&head.record(&bytes[at..], LogPos::new(NUMBER, (at / 8) as u32)).unwrap()).unwrap();
        at += head.record_len() as usize;
    }
    let footer = builder.finish(seed);
    bytes.resize(footer.offset as usize, 0);
    bytes.extend_from_slice(&footer.bytes);
    (bytes, end, footer.place)
}

fn golden_block(name: &str) -> String {
    let begin = format!("```golden {name}\n");
    let block = PAGE.split(&begin).nth(1).unwrap_or_default();
    block.split("```").next().unwrap_or_default().to_owned()
}

#[test]
fn format_page_shows_what_is_written() {
    let (bytes, end, place) = golden();
    for (name, dump) in [
        ("value_log_v1_segment", dump_segment(&bytes[..end], &SECRET, SHARD, NUMBER)),
        ("value_log_v1_footer", dump_footer(&bytes, &SECRET, SHARD, NUMBER, place)),
    ] {
        assert_eq!(golden_block(name), dump, "{name} is now:\n{dump}");
    }
}

#[test]
fn dump_of_damaged_bytes_says_where() {
    let (bytes, end, place) = golden();
    let dump = dump_segment(&bytes[..end - 3], &SECRET, SHARD, NUMBER);
    assert!(dump.contains("29 bytes behind the last whole record"), "{dump}");
    assert!(dump_segment(&bytes, &SECRET, SHARD, 8).contains("000060 checksum of the segment header"));
    assert!(dump_segment(&[], &SECRET, SHARD, 8).contains("length of the segment header"));
    let mut bad = bytes.clone();
    bad[place.0 as usize + 9] ^= 1;
    assert!(dump_footer(&bad, &SECRET, SHARD, NUMBER, place).contains("checksum of a footer page"));
    assert!(dump_footer(&[], &SECRET, SHARD, NUMBER, place).contains("length of a footer page"));
}
