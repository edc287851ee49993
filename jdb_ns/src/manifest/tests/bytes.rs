use super::super::layout::{BODY_LEN_MAX, HEADER_LEN, Header, RECORD_HEADER_LEN, encode_record};
use super::super::reader::{self, Content};
use super::*;
use crate::superblock::Features;
use jdb_base::checksum::{Seed, crc32};

const ID: [u8; 16] = *b"the id of a file";

/// A file of a whole state and then these edits; the ends of its records.
fn file_of(edits: &[Edit]) -> (Vec<u8>, Vec<u64>) {
    let header = Header { features: Features::default(), shard: SHARD, id: ID };
    let mut bytes = header.encode(&SECRET);
    let mut ends = Vec::new();
    let first = State::default().to_edit();
    for edit in std::iter::once(&first).chain(edits) {
        bytes.extend(encode_record(header.seed(), bytes.len() as u64, &edit.encode()).unwrap());
        ends.push(bytes.len() as u64);
    }
    (bytes, ends)
}

fn read(bytes: &[u8]) -> Result<Content, Fault> {
    reader::read(bytes, &SECRET, SHARD)
}

fn small_file() -> (Vec<u8>, Vec<u64>, Vec<State>) {
    let mut r = Rng(4);
    let mut states = vec![State::default()];
    let mut edits = Vec::new();
    for _ in 0..4 {
        let mut state = states.last().unwrap().clone();
        let edit = if edits.is_empty() { small_edit() } else { fitting_edit(&mut r, &state) };
        state.apply(&edit).unwrap();
        states.push(state);
        edits.push(edit);
    }
    let (bytes, ends) = file_of(&edits);
    (bytes, ends, states)
}

#[test]
fn a_cut_file_is_a_prefix_or_an_error() {
    let (bytes, ends, states) = small_file();
    for cut in 0..=bytes.len() {
        let got = read(&bytes[..cut]);
        match ends.iter().rposition(|&end| end <= cut as u64) {
            None => assert!(matches!(got, Err(Fault::Corrupt { .. })), "cut {cut}: {got:?}"),
            Some(last) => {
                let got = got.unwrap();
                assert_eq!(got.state, states[last], "cut {cut}");
                assert_eq!((got.len, got.torn), (ends[last], ends[last] < cut as u64), "cut {cut}");
            }
        }
    }
}

#[test]
fn a_flipped_bit_is_a_torn_tail_in_the_last_record_and_damage_elsewhere() {
    let (bytes, ends, states) = small_file();
    let last = ends.len() - 1;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let got = read(&bad);
            if (at as u64) < ends[last - 1] {
                // A header names its field, a record its start.
                let places = match ends.iter().rposition(|&end| end <= at as u64) {
                    Some(before) => ends[before]..=ends[before],
                    None if at < HEADER_LEN => 0..=HEADER_LEN as u64 - 1,
                    None => HEADER_LEN as u64..=HEADER_LEN as u64,
                };
                match got {
                    Err(Fault::Corrupt { offset, .. }) => {
                        assert!(places.contains(&offset), "byte {at} bit {bit}: at {offset}");
                    }
                    Err(Fault::Unsupported { what: "manifest version", .. }) if (4..6).contains(&at) => {}
                    got => panic!("byte {at} bit {bit}: {got:?}"),
                }
            } else {
                let got = got.unwrap_or_else(|fault| panic!("byte {at} bit {bit}: {fault}"));
                assert_eq!((got.state, got.torn), (states[last - 1].clone(), true), "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn zeros_and_rubbish_behind_the_end_are_a_torn_tail() {
    let (bytes, _, states) = small_file();
    let mut r = Rng(9);
    for len in [1, 7, 8, 12, 100, 5000] {
        for tail in [vec![0; len], vec![0xff; len], (0..len).map(|_| r.below(256) as u8).collect()] {
            let got = read(&[bytes.clone(), tail].concat()).unwrap();
            assert_eq!(
                (got.state, got.torn, got.len),
                (states[4].clone(), true, bytes.len() as u64),
                "{len} bytes"
            );
        }
    }
}

#[test]
fn a_record_behind_a_hole_proves_damage() {
    let (bytes, ends, states) = small_file();
    let (from, to) = (ends[1] as usize, ends[2] as usize);
    let mut holed = bytes.clone();
    holed[from..to].fill(0);
    let want = Fault::Corrupt {
        what: "manifest record",
        offset: ends[1],
        expected: bytes.len() as u64 - ends[1],
        found: 0,
    };
    assert_eq!(read(&holed).unwrap_err(), want);
    // With nothing whole behind it, it is the torn tail.
    assert_eq!(read(&holed[..ends[3] as usize - 1]).unwrap().state, states[1]);
}

#[test]
fn a_record_in_another_place_does_not_verify() {
    let (bytes, ends, states) = small_file();
    let last = &bytes[ends[3] as usize..];
    let mut moved = bytes[..ends[2] as usize].to_vec();
    moved.extend_from_slice(last);
    let got = read(&moved).unwrap();
    assert_eq!((got.state, got.torn), (states[2].clone(), true));
}

#[test]
fn a_file_of_another_shard_or_database_is_refused() {
    let (bytes, ..) = small_file();
    for (secret, shard, what) in
        [(SECRET, SHARD + 1, "manifest's shard"), ([7; 16], SHARD, "manifest header checksum")]
    {
        let got = reader::read(&bytes, &secret, shard).unwrap_err();
        assert!(matches!(got, Fault::Corrupt { what: found, .. } if found == what), "{got:?}");
    }
}

#[test]
fn later_versions_and_features_are_refused() {
    let header = |features| Header { features, shard: SHARD, id: ID }.encode(&SECRET);
    let (bytes, ..) = small_file();
    let mut later = bytes.clone();
    later[4] = 2;
    assert_eq!(read(&later).unwrap_err(), Fault::Unsupported { what: "manifest version", found: 2 });
    for (features, want) in [
        (
            Features { incompatible: 4, ..Features::default() },
            Some(Fault::Unsupported { what: "incompatible feature", found: 4 }),
        ),
        (Features { compatible: 4, read_only: 8, incompatible: 0 }, None),
    ] {
        let mut bytes = bytes.clone();
        bytes[..HEADER_LEN].copy_from_slice(&header(features));
        let got = read(&bytes);
        assert_eq!(got.as_ref().err().copied(), want, "{features:?}");
        if let Ok(content) = got {
            assert!(content.header.features.forbid_writing());
        }
    }
}

#[test]
fn a_whole_state_stands_first_and_only_there() {
    let header = Header { features: Features::default(), shard: SHARD, id: ID };
    let mut bytes = header.encode(&SECRET);
    bytes.extend(encode_record(header.seed(), 64, &small_edit().encode()).unwrap());
    assert!(matches!(read(&bytes).unwrap_err(), Fault::Corrupt { offset: 64, .. }));
    let (bytes, ends) = file_of(&[small_edit(), State::default().to_edit()]);
    let got = read(&bytes).unwrap_err();
    assert!(matches!(got, Fault::Corrupt { offset, .. } if offset == ends[1]), "{got:?}");
}

#[test]
fn whole_records_that_make_no_sense_are_damage_wherever_they_stand() {
    let (bytes, ends) = file_of(&[Edit { tables_removed: vec![5], ..Edit::default() }]);
    let want = Fault::Corrupt { what: "table removed", offset: ends[0], expected: 0, found: 5 };
    assert_eq!(read(&bytes).unwrap_err(), want);
}

/// A record whose frame says `len`, with a right check of it.
fn forged(seed: Seed, offset: u64, len: u32) -> Vec<u8> {
    let check = crc32(seed.at(offset), &[b"head", &len.to_le_bytes()]);
    [0xdead_beef, len, check].map(u32::to_le_bytes).concat()
}

#[test]
fn forged_lengths_are_a_torn_tail_or_damage_and_cost_little() {
    let (bytes, _, states) = small_file();
    let seed = Seed::of(&ID);
    let end = bytes.len() as u64;
    for len in [0, 1, 100, BODY_LEN_MAX, BODY_LEN_MAX + 1, u32::MAX - 20, u32::MAX] {
        let got = read(&[bytes.clone(), forged(seed, end, len), vec![0; 64]].concat()).unwrap();
        assert_eq!((got.state, got.torn), (states[4].clone(), true), "length {len}");
    }
    // A frame that fits every 16 bytes, each with a body up to the end: summing all would take 2^18 * 2^21 bytes.
    let mut tail = bytes.clone();
    tail.resize((bytes.len() + 24).next_multiple_of(16), 0);
    let file_len = tail.len() as u64 + (4 << 20);
    while (tail.len() as u64) < file_len {
        let offset = tail.len() as u64;
        let len = file_len.saturating_sub(offset + RECORD_HEADER_LEN as u64 + 4) as u32;
        tail.extend(forged(seed, offset, len));
        tail.extend([0; 4]);
    }
    assert!(matches!(read(&tail).unwrap_err(), Fault::Corrupt { offset, .. } if offset == end));
}

#[test]
fn the_page_shows_a_real_file() {
    let moves = Edit {
        tables_removed: vec![1],
        tables_added: vec![TableEntry { number: 10, level: 1, ..TableEntry::default() }],
        segments_removed: vec![2],
        footers: vec![],
        packs_removed: vec![3],
        packs_added: vec![PackEntry {
            number: 11,
            len: 9000,
            id: *b"id of pack elev.",
            origins: vec![2, 8, 9],
            live_len: 65_000,
        }],
        live_deltas: vec![LiveDelta { origin: 2, delta: -400 }],
        drops_removed: vec![SeqNo::new(31)],
        windows_closed: vec![WindowEntry { ns: NsId::from(7u64), s0: SeqNo::new(45) }],
        gaps_removed: vec![SeqNo::new(5)],
        ..Edit::default()
    };
    let footer = Edit {
        footers: vec![FooterEntry { number: 2, len: 8192, footer: FooterPlace { offset: 4096, len: 1008 } }],
        tables_moved: vec![TableMove { number: 1, level: 2 }],
        ..Edit::default()
    };
    let (bytes, _) = file_of(&[small_edit(), footer, moves]);
    let dump = dump(&bytes, &SECRET, SHARD).unwrap();
    let page = include_str!("../../../../docs/format/manifest.md");
    let golden = page.split("```golden manifest_v1\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(golden, Some(dump.as_str()), "the page's dump differs from\n{dump}");
}
