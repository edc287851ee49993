use super::*;

fn sample() -> Superblock {
    Superblock {
        features: Features::default(),
        shard_count: 8,
        hash_seed: 0x0123_4567_89ab_cdef,
        secret: *b"secret secret !!",
        history: *b"public history !",
        created_unix_ms: 1_700_000_000_000,
    }
}

/// `bytes` with the checksum that they should have.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc32(CHECKSUM_START, &[&bytes[..CHECKSUM_OFFSET]]);
    bytes[CHECKSUM_OFFSET..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn superblock_comes_back() {
    let features = Features { compatible: 1, read_only: 2, incompatible: 0 };
    for superblock in [sample(), Superblock { features, shard_count: 256, ..sample() }] {
        let bytes = superblock.encode();
        assert_eq!(bytes.len(), LEN);
        assert_eq!(Superblock::decode(&bytes), Ok(superblock));
        assert_eq!(superblock.features.forbid_writing(), superblock.features.read_only != 0);
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_an_error() {
    let bytes = sample().encode();
    for at in 0..LEN {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let want = match at {
                0..4 => matches!(Superblock::decode(&bad), Err(Fault::NotADatabase)),
                4..6 => Superblock::decode(&bad).is_err(),
                _ => matches!(Superblock::decode(&bad), Err(Fault::Corrupt { .. })),
            };
            assert!(want, "byte {at} bit {bit}: {:?}", Superblock::decode(&bad));
        }
        assert!(Superblock::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(Superblock::decode(&[bytes, vec![0]].concat()).is_err(), "a byte too many");
}

#[test]
fn what_this_version_does_not_know_is_named() {
    for (at, byte, want) in [
        (4, 2, Fault::Unsupported { what: "superblock version", found: 2 }),
        (5, 1, Fault::Unsupported { what: "superblock version", found: 0x101 }),
        (4, 0, Fault::Corrupt { what: "superblock version", offset: 4, expected: 1, found: 0 }),
        (24, 5, Fault::Unsupported { what: "incompatible feature", found: 5 }),
        (6, 0, Fault::Corrupt { what: "number of shards", offset: 6, expected: 1, found: 0 }),
        (6, 7, Fault::Corrupt { what: "number of shards", offset: 6, expected: 8, found: 7 }),
        (7, 2, Fault::Corrupt { what: "number of shards", offset: 6, expected: 256, found: 520 }),
    ] {
        let mut bytes = sample().encode();
        bytes[at] = byte;
        assert_eq!(Superblock::decode(&summed(bytes)), Err(want), "byte {at} = {byte}");
    }
}

#[test]
fn the_page_shows_a_real_file() {
    let dump = dump(&sample().encode()).unwrap();
    let page = include_str!("../../../docs/format/superblock.md");
    let golden = page.split("```golden superblock_v1\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(golden, Some(dump.as_str()), "the page's dump differs from\n{dump}");
}
