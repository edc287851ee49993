use super::*;
use crate::LogPos;
use crate::footer_builder::{BuiltFooter, FooterBuilder};
use crate::record::Record;
use jdb_base::NsId;
use std::collections::BTreeMap;

fn seed() -> Seed {
    Seed::of(b"segment")
}

fn encoded(id: u64) -> Vec<u8> {
    let mut out = Vec::new();
    NsId::from(id).encode(&mut out);
    out
}

/// A footer over `count` records; record `i` belongs to the namespace that `ns` gives.
fn built(count: u32, ns: impl Fn(u32) -> u64) -> (BuiltFooter, BTreeMap<u64, Vec<FooterRecord>>) {
    let mut model: BTreeMap<u64, Vec<FooterRecord>> = BTreeMap::new();
    let mut builder = FooterBuilder::new(8 + count * 6);
    for i in 0..count {
        let kind = if i % 7 == 3 { RecordKind::Drop } else { RecordKind::Put };
        let (pos, end) = (LogPos::new(1, 8 + i * 6), LogPos::new(1, 14 + i * 6));
        let mut key = encoded(ns(i));
        key.extend_from_slice(b"key");
        let seq = SeqNo::new(u64::from(i) + 100);
        builder.add(&Record { pos, end, seq, kind, ops_left: 0, key: &key, value: b"" }).unwrap();
        model.entry(ns(i)).or_default().push(FooterRecord { offset: pos.offset, kind: Some(kind) });
    }
    (builder.finish(seed()), model)
}

fn top_of(footer: &BuiltFooter) -> (&[u8], u64) {
    let at = (footer.place.0 - footer.offset) as usize;
    assert_eq!(footer.bytes.len() - at, footer.place.1 as usize);
    (&footer.bytes[at..], footer.place.0)
}

fn find(footer: &BuiltFooter, ns: u64) -> Vec<FooterRecord> {
    let (bytes, offset) = top_of(footer);
    let top = FooterTop::parse(bytes, seed(), offset).unwrap();
    let Some((at, len)) = top.pages_of(&encoded(ns)) else { return Vec::new() };
    let skip = (at - footer.offset) as usize;
    find_in_pages(&footer.bytes[skip..skip + len], seed(), at, &encoded(ns)).unwrap()
}

#[test]
fn every_namespace_is_found_with_all_its_records() {
    type Shape = (&'static str, u32, fn(u32) -> u64);
    let shapes: [Shape; 6] = [
        ("none", 0, |_| 0),
        ("one", 1, |_| 5),
        ("one over many pages", 20_000, |_| 5),
        ("each its own", 20_000, |i| u64::from(i) * 3 + 1),
        ("a few of many", 10_000, |i| u64::from(i % 300) * 2),
        ("one large among small", 10_000, |i| if i % 2 == 0 { 1000 } else { u64::from(i) * 2 }),
    ];
    for (what, count, ns) in shapes {
        let (footer, model) = built(count, ns);
        assert_eq!(footer.bytes.len() % PAGE_LEN, 0);
        for (&ns, records) in &model {
            assert_eq!(&find(&footer, ns), records, "{what}: {ns}");
        }
        for absent in [999_999, 3] {
            assert_eq!(find(&footer, absent), *model.get(&absent).unwrap_or(&vec![]), "{what}: {absent}");
        }
        let (bytes, offset) = top_of(&footer);
        let summary = FooterTop::parse(bytes, seed(), offset).unwrap().summary();
        assert_eq!(summary.records, count, "{what}");
        assert_eq!(summary.namespaces as usize, model.len(), "{what}");
        assert_eq!(summary.drops, (0..count).filter(|i| i % 7 == 3).count() as u32);
        if count > 0 {
            assert_eq!((summary.seq_min.get(), summary.seq_max.get()), (100, u64::from(count) + 99));
        }
    }
}

#[test]
fn a_namespace_is_found_in_one_page_beside_the_top() {
    let (footer, model) = built(20_000, |i| u64::from(i / 4));
    let (bytes, offset) = top_of(&footer);
    let top = FooterTop::parse(bytes, seed(), offset).unwrap();
    let pages: Vec<usize> =
        model.keys().map(|&ns| top.pages_of(&encoded(ns)).unwrap().1 / PAGE_LEN).collect();
    assert!(pages.iter().all(|&count| count <= 2));
    assert!(pages.iter().filter(|&&count| count == 1).count() * 100 > pages.len() * 95);
}

#[test]
fn every_flipped_bit_of_a_footer_is_noticed() {
    let (footer, _) = built(900, |i| u64::from(i) * 1000);
    for at in (0..footer.bytes.len()).step_by(5) {
        let mut bad = footer.clone();
        bad.bytes[at] ^= 1 << (at % 8);
        let (bytes, offset) = top_of(&bad);
        let data = &bad.bytes[..(offset - bad.offset) as usize];
        let noticed = FooterTop::parse(bytes, seed(), offset).is_err()
            || find_in_pages(data, seed(), bad.offset, &encoded(1)).is_err();
        assert!(noticed, "byte {at}");
    }
}

#[test]
fn footer_of_another_place_is_refused() {
    let (footer, _) = built(10, u64::from);
    let (bytes, offset) = top_of(&footer);
    assert!(FooterTop::parse(bytes, Seed::of(b"other"), offset).is_err());
    assert!(FooterTop::parse(bytes, seed(), offset + 4096).is_err());
    for cut in [0, 7, 100, 4095] {
        assert!(FooterTop::parse(&bytes[..cut], seed(), offset).is_err());
    }
}

#[test]
fn keys_of_any_class_have_their_namespace() {
    for (key, want) in [
        (&[0][..], Some(&[0][..])),
        (&[0x42, 1, 2, 3], Some(&[0x42, 1, 2])),
        (&[0x9f; 40], None),
        (&[0x10; 17], Some(&[0x10; 17])),
        (&[2, 1], None),
        (&[], None),
    ] {
        assert_eq!(namespace_of(key), want, "{key:x?}");
    }
    let mut builder = FooterBuilder::new(20);
    let pos = LogPos::new(1, 8);
    let bad = Record {
        pos,
        end: pos,
        seq: SeqNo::new(1),
        kind: RecordKind::Put,
        ops_left: 0,
        key: &[],
        value: &[],
    };
    assert!(builder.add(&bad).is_err());
    assert!(builder.add(&Record { kind: RecordKind::Mark, ..bad }).is_ok());
}
