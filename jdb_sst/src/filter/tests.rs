use super::*;
use crate::FilterBuilder;
use crate::layout::FILTER_KEYS_MAX;

fn key(number: u64) -> [u8; 8] {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

fn filter_of(count: u64, salt: u64) -> Vec<u8> {
    let mut builder = FilterBuilder::new(salt);
    (0..count).for_each(|i| builder.add(&key(i)));
    let mut out = Vec::new();
    assert_eq!(builder.finish(&mut out), !out.is_empty());
    out
}

#[test]
fn every_key_is_in_and_few_others_are() {
    let (mut wrong, mut asked) = (0, 0);
    for count in [64, 65, 100, 333, 1000, 2048, 3960, 8192] {
        for salt in 0..8 {
            let bytes = filter_of(count, salt);
            let filter = FilterBlock::parse(&bytes).unwrap().unwrap();
            assert_eq!(u64::from(filter.count()), count);
            for i in 0..count {
                assert!(filter.may_contain(filter_hash(&key(i), salt)), "{count} keys, salt {salt}: key {i}");
            }
            wrong +=
                (count..count + 4000).filter(|&i| filter.may_contain(filter_hash(&key(i), salt))).count();
            asked += 4000;
        }
    }
    let rate = wrong as f64 / asked as f64;
    assert!(rate > 0.003 && rate < 0.0045, "{rate}");
}

#[test]
fn too_few_or_too_many_keys_give_no_filter() {
    for (count, built) in [(0, false), (63, false), (64, true), (FILTER_KEYS_MAX as u64 + 1, false)] {
        assert_eq!(!filter_of(count, 1).is_empty(), built, "{count} keys");
    }
}

#[test]
fn keys_given_twice_count_once_and_any_order_gives_the_same_bytes() {
    let want = filter_of(500, 3);
    let mut builder = FilterBuilder::new(3);
    (0..500).rev().chain(100..300).for_each(|i| builder.add(&key(i)));
    let mut out = Vec::new();
    assert!(builder.finish(&mut out));
    assert_eq!(out, want);
}

#[test]
fn bytes_are_pinned() {
    let bytes = filter_of(64, 7);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("golden.hex").trim(), "filters of this version changed");
}

#[test]
fn later_versions_flags_and_salts_say_maybe() {
    let good = filter_of(100, 1);
    for (at, byte) in [(0, 0), (0, 2), (0, 255), (1, 2), (1, 0x81), (2, 1)] {
        let mut bytes = good.clone();
        bytes[at] = byte;
        assert!(FilterBlock::parse(&bytes).unwrap().is_none(), "byte {at} is {byte}");
    }
    let mut bytes = good;
    bytes[1] = GROUPS_HASHED;
    assert!(FilterBlock::parse(&bytes).unwrap().unwrap().has_groups());
    assert!(FilterBlock::parse(&[2]).unwrap().is_none());
}

#[test]
fn bad_shapes_and_cuts_are_corrupt() {
    let good = filter_of(100, 1);
    for len in (0..good.len()).chain([good.len() + 1]) {
        let mut bytes = good.clone();
        bytes.resize(len, 0);
        assert!(matches!(FilterBlock::parse(&bytes), Err(Damage::Corrupt { .. })), "cut to {len}");
    }
    for (at, word) in [(16, 0), (16, 3), (16, u32::MAX), (16, 1 << 31), (20, 0), (20, 1), (20, u32::MAX)] {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
        assert!(matches!(FilterBlock::parse(&bytes), Err(Damage::Corrupt { .. })), "{word:#x} at {at}");
    }
}

#[test]
fn any_shape_that_parses_can_be_asked() {
    for segment_len in [1u32, 2, 4, 64] {
        for spread_len in (1..50).map(|count| count * segment_len) {
            let mut out = Vec::new();
            let shape = Shape { seed: 9, segment_len, spread_len };
            encode(&mut out, 0, 1, shape, &vec![0; (spread_len + 2 * segment_len) as usize]);
            let filter = FilterBlock::parse(&out).unwrap().unwrap();
            for hash in (0..100u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).chain([0, u64::MAX]) {
                let _ = filter.may_contain(hash);
            }
        }
    }
}

#[test]
fn meta_block_gives_the_salt() {
    let bytes = encode_meta(GROUPS_HASHED, 0x1234);
    assert_eq!(decode_meta(&bytes), Ok(Some(0x1234)));
    assert_eq!(decode_meta(&[2]), Ok(None));
    for cut in 0..FILTERS_META_LEN {
        assert!(decode_meta(&bytes[..cut]).is_err(), "cut to {cut}");
    }
}

#[test]
fn keys_that_come_twice_have_a_filter() {
    let build = || {
        let mut builder = FilterBuilder::new(7);
        for key in 0..3000u32 {
            (0..1 + key % 3).for_each(|_| builder.add(&key.to_be_bytes()));
        }
        let mut bytes = Vec::new();
        builder.finish(&mut bytes).then_some(bytes)
    };
    let bytes = build().expect("a filter");
    let filter = FilterBlock::parse(&bytes).unwrap().unwrap();
    assert!((0..3000u32).all(|key| filter.may_contain(filter_hash(&key.to_be_bytes(), 7))));
    jdb_io::plant::plant(&[jdb_io::plant::Plant::FilterBeforeDedup]);
    let planted = build();
    jdb_io::plant::plant(&[]);
    assert_eq!(planted, None, "the planted bug is not noticed");
}
