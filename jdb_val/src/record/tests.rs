use super::*;

const OFFSET: u64 = 64;

fn seed() -> Seed {
    Seed::of(b"segment")
}

fn fields(kind: RecordKind) -> Fields {
    Fields { kind, ops_left: 2, seq: SeqNo::new(77), synced_back: 3 }
}

fn bytes_of(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, seed(), OFFSET, fields(RecordKind::Put), key, value);
    out
}

/// Puts fitting checksums onto changed bytes.
fn seal(bytes: &mut [u8], len: usize) {
    let start = seed().at(OFFSET);
    let check = crc32(start ^ HEAD_CHECK_MIX, &[&bytes[4..29]]);
    bytes[29..32].copy_from_slice(&check.to_le_bytes()[..3]);
    let crc = crc32(start, &[&bytes[4..len]]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
}

/// The definition of both checksums, each summed for itself.
#[test]
fn checksums_are_what_the_format_says() {
    for len in [0, 1, 3, 44, 91, 96, 97, 98, 99, 100, 101, 127, 128, 129, 1000] {
        let bytes = bytes_of(b"key", &vec![7; len]);
        let mut sealed = bytes.clone();
        sealed[..4].fill(0);
        sealed[29..32].fill(0);
        seal(&mut sealed, RECORD_HEADER_LEN + 3 + len);
        assert_eq!(bytes, sealed, "value of {len} bytes");
    }
}

#[test]
fn a_record_whose_checksum_fits_and_whose_head_check_does_not_is_none() {
    for len in [0, 40, 96, 97, 1000] {
        let mut bytes = bytes_of(b"key", &vec![7; len]);
        for byte in 29..32 {
            bytes[byte] ^= 1;
            let sum = crc32(seed().at(OFFSET), &[&bytes[4..RECORD_HEADER_LEN + 3 + len]]);
            bytes[..4].copy_from_slice(&sum.to_le_bytes());
            assert!(
                Head::of_whole(&bytes[..RECORD_HEADER_LEN + 3 + len], seed(), OFFSET).is_some(),
                "the checksum fits"
            );
            assert!(Head::peek(&bytes, seed(), OFFSET).is_none(), "byte {byte}, value of {len} bytes");
            bytes[byte] ^= 1;
        }
    }
}

#[test]
fn record_comes_back_padded_to_units() {
    for (key, value) in
        [(&b""[..], &b""[..]), (b"k", b""), (b"", b"v"), (b"key", b"value"), (&[7; 999], &[8; 5001])]
    {
        for kind in (1..=6).filter_map(RecordKind::from_u8) {
            let mut out = vec![1, 2, 3];
            encode(&mut out, seed(), OFFSET, fields(kind), key, value);
            let bytes = &out[3..];
            assert_eq!(bytes.len() as u64, record_len(key.len(), value.len()));
            let head = Head::peek(bytes, seed(), OFFSET).unwrap();
            assert_eq!(head.record_len(), bytes.len() as u64);
            assert!(head.verifies(bytes));
            let record = head.record(bytes, LogPos::new(4, 8)).unwrap();
            let end = LogPos::new(4, 8 + bytes.len() as u32 / 8);
            let pos = LogPos::new(4, 8);
            assert_eq!(record, Record { pos, end, seq: SeqNo::new(77), kind, ops_left: 2, key, value });
            assert_eq!(head.synced_back(), 3);
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = bytes_of(b"key", b"value");
    let summed = RECORD_HEADER_LEN + 8;
    for bit in 0..summed * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let good = Head::peek(&bad, seed(), OFFSET).is_some_and(|head| head.verifies(&bad));
        assert!(!good, "bit {bit}");
    }
}

#[test]
fn every_cut_is_noticed() {
    let bytes = bytes_of(b"key", b"value");
    for len in 0..RECORD_HEADER_LEN + 8 {
        let good = Head::peek(&bytes[..len], seed(), OFFSET).is_some_and(|head| head.verifies(&bytes[..len]));
        assert!(!good, "length {len}");
    }
}

#[test]
fn record_of_another_place_does_not_verify() {
    let bytes = bytes_of(b"key", b"value");
    for (what, other, offset) in
        [("offset", seed(), OFFSET + 8), ("segment", Seed::of(b"other"), OFFSET), ("start", seed(), 0)]
    {
        assert!(Head::peek(&bytes, other, offset).is_none(), "{what}");
        let raw = RawRecordHeader::read_from_prefix(&bytes).unwrap().0;
        let head = Head { raw, sums: Sums::of_head(&raw, other.at(offset)) };
        assert!(!head.verifies(&bytes), "{what}");
    }
}

#[test]
fn whole_records_of_a_later_version_are_unsupported() {
    for (at, value, what) in
        [(6, 7, "record kind"), (6, 255, "record kind"), (7, 1, "record flags"), (28, 3, "record extension")]
    {
        let mut bytes = bytes_of(b"key", b"value");
        bytes[at] = value;
        let len = RECORD_HEADER_LEN + 8 + usize::from(if at == 28 { value } else { 0 });
        bytes.resize(len.next_multiple_of(8), 0);
        seal(&mut bytes, len);
        let head = Head::peek(&bytes, seed(), OFFSET).unwrap();
        assert!(head.verifies(&bytes), "{what}");
        let want = Fault::Unsupported { what, offset: OFFSET + at as u64, found: u64::from(value) };
        assert_eq!(head.record(&bytes, LogPos::new(1, 8)), Err(want));
    }
}

#[test]
fn zeros_are_no_record() {
    assert!(Head::peek(&[0; 64], seed(), OFFSET).is_none());
}

#[test]
fn lengths_from_disk_allocate_nothing_and_do_not_overflow() {
    let mut bytes = bytes_of(b"key", b"value");
    bytes[4..6].fill(0xff);
    bytes[8..12].fill(0xff);
    seal(&mut bytes, 40);
    let head = Head::peek(&bytes, seed(), OFFSET).unwrap();
    assert_eq!(head.record_len() % 8, 0);
    assert!(head.record_len() > u64::from(u32::MAX));
    assert_eq!(head.sums(&bytes), None);
}

#[test]
fn a_value_may_be_summed_in_steps() {
    let value = vec![9; 1000];
    let whole = bytes_of(b"key", &value);
    let header = encode_header(seed(), OFFSET, fields(RecordKind::Put), b"key", value.len());
    let (sum, rest) = header.split_first_chunk().unwrap();
    let sum = value.chunks(256).fold(u32::from_le_bytes(*sum), |sum, chunk| crc32(sum, &[chunk]));
    assert_eq!((sum.to_le_bytes(), rest), (whole[..4].try_into().unwrap(), &whole[4..RECORD_HEADER_LEN]));
}

#[test]
fn a_whole_record_is_one_of_exactly_its_length_in_its_place() {
    let value = vec![9; 1000];
    let bytes = bytes_of(b"key", &value);
    let len = RECORD_HEADER_LEN + 3 + 1000;
    assert_eq!(Head::of_whole(&bytes[..len], seed(), OFFSET).unwrap().val_len(), 1000);
    for (from, to, offset) in
        [(0, len - 1, OFFSET), (0, len + 1, OFFSET), (0, 31, OFFSET), (0, len, OFFSET + 8)]
    {
        assert!(Head::of_whole(&bytes[from..to], seed(), offset).is_none(), "{from}..{to} at {offset}");
    }
    for bit in 0..len * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Head::of_whole(&bytes[..len], seed(), OFFSET).is_none(), "bit {bit}");
    }
}
