//! Fuzz targets: every decoder fed with any bytes, and with bytes whose checksums are right.
//!
//! A fuzzer cannot guess a checksum, so what lies under one is made by the crate's own writer, changed at places that the
//! input names, and signed again. Asserted everywhere: no panic, and no memory beyond what the input can hold (the fuzzer's own
//! limit). Where there is an encoder, what was decoded and encoded again is the same; where there are two directions, both
//! see the same.
//!
//! `fuzz/` runs these under libFuzzer, `tests/fuzz_corpus.rs` over a small corpus on each change.

use bytes::Bytes;
use jdb_base::checksum::{Seed, crc32};
use jdb_base::pages::PAGE_LEN;
use jdb_base::{Kind, NsId, SeqNo, ValuePtr, key, varint};
use jdb_ns::filename::{FileName, parse_shard_dir};
use jdb_ns::manifest::{Edit, State};
use jdb_ns::superblock::Superblock;
use jdb_sst::layout::{Codec, FOOTER_LEN, TRAILER_LEN};
use jdb_sst::{Block, BlockCursor, FilterBlock, Footer, Lookup, TableBuilder, Walk, Want, WriterOptions};
use jdb_val::footer::{FooterTop, find_in_pages};
use jdb_val::record::{Fields, Head, encode};
use jdb_val::{LogPos, RecordKind, SegmentHeader, segment};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A target: any bytes go in.
pub type Target = fn(&[u8]);

/// All of them by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("words", words),
    ("block", block),
    ("filter", filter),
    ("table", table),
    ("table_raw", table_raw),
    ("record", record),
    ("segment", segment_file),
    ("segment_footer", segment_footer),
    ("manifest_edit", manifest_edit),
    ("manifest", manifest),
    ("superblock", superblock),
    ("filename", filename),
];

const SECRET: [u8; 16] = *b"the fuzz's own .";

/// Varints, namespace ids, value pointers.
pub fn words(data: &[u8]) {
    let mut rest = data;
    if let Some(number) = varint::take_u64(&mut rest) {
        let mut out = Vec::new();
        varint::put_u64(&mut out, number);
        assert_eq!(varint::take_u64(&mut out.as_slice()), Some(number));
    }
    let mut rest = data;
    if let Some(ns) = NsId::take(&mut rest) {
        let mut out = Vec::new();
        ns.encode(&mut out);
        assert_eq!(out, data[..data.len() - rest.len()], "one encoding for each id");
    }
    if let Some(ptr) = ValuePtr::decode(data) {
        let mut out = Vec::new();
        ptr.encode(&mut out);
        assert_eq!(ValuePtr::decode(&out), Some(ptr));
    }
}

/// A block, walked in both directions and sought.
pub fn block(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let Ok(parsed) = Block::parse(&bytes) else { return };
    let Ok(mut cursor) = BlockCursor::new(bytes.clone()) else { return };
    let mut forward = Vec::new();
    let whole = loop {
        match cursor.next() {
            Ok(true) => {
                forward.extend(cursor.entry().map(|e| (e.key.to_vec(), e.seq, e.kind, e.value.to_vec())))
            }
            Ok(false) => break true,
            Err(_) => break false,
        }
    };
    if whole {
        assert_eq!(forward.len(), parsed.count());
        for entry in forward.iter().rev() {
            assert!(cursor.prev().expect("was read before"));
            let back = cursor.entry().expect("sits on an entry");
            assert_eq!((back.key, back.seq), (&entry.0[..], entry.1));
        }
    }
    for (key, seq, ..) in forward.iter().take(20) {
        let _ = parsed.find(key, *seq);
        let _ = cursor.seek(key, *seq);
    }
}

/// A filter, asked.
pub fn filter(data: &[u8]) {
    let (hash, body) = data.split_at(data.len().min(8));
    let hash = hash.iter().fold(7u64, |hash, &byte| hash << 8 | u64::from(byte));
    if let Ok(Some(filter)) = FilterBlock::parse(body) {
        (0..64).for_each(|turn| _ = filter.may_contain(hash.rotate_left(turn)));
    }
}

/// A sound table with bytes of one block changed and signed again: footer, index, data, filters, statistics.
pub fn table(data: &[u8]) {
    let Some((&[block, shape, count, ..], changes)) = data.split_at_checked(3) else { return };
    let sound = sound_table(shape, count);
    let mut bytes = sound.bytes.clone();
    let limit = bytes.len() - FOOTER_LEN;
    let footer = footer_of(&bytes, limit).expect("the writer's own footer");
    let (start, len) = sound.blocks[usize::from(block) % sound.blocks.len()];
    let body_len = len - TRAILER_LEN;
    for change in changes.chunks_exact(3).take(8) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % body_len.max(1);
        if let Some(byte) = bytes.get_mut(start + at).filter(|_| body_len > 0) {
            *byte ^= change[2];
        }
    }
    let sum = crc32(footer.seed().at(start as u64), &[&bytes[start..start + body_len + 1]]);
    bytes[start + body_len + 1..start + len].copy_from_slice(&sum.to_le_bytes());
    read_table(&bytes, false);
}

/// Any bytes as a table; the same with its footer signed, and each block as it is read.
pub fn table_raw(data: &[u8]) {
    read_table(data, false);
    let Some(limit) = data.len().checked_sub(FOOTER_LEN) else { return };
    let mut bytes = data.to_vec();
    let start = Seed::of(&bytes[limit + 32..limit + 48]).at(limit as u64);
    put_sum(&mut bytes, limit + FOOTER_LEN - 4, start, limit..limit + FOOTER_LEN - 4);
    read_table(&bytes, true);
}

/// Records: any bytes, and one of ours with its header changed.
pub fn record(data: &[u8]) {
    let seed = segment::segment_seed(&SECRET, 1, 2);
    let read = |bytes: &[u8]| {
        let _ = Head::may_begin(bytes, bytes.len() as u64);
        if let Some(head) = Head::peek(bytes, seed, 64)
            && head.record_len() <= bytes.len() as u64
            && head.verifies(bytes)
        {
            let _ = head.record(bytes, LogPos::new(2, 8));
        }
    };
    read(data);
    let Some((head, rest)) = data.split_at_checked(8) else { return };
    let fields = Fields {
        kind: RecordKind::from_u8(head[0]).unwrap_or(RecordKind::Put),
        ops_left: u32::from(head[1]),
        seq: SeqNo::new(u64::from(head[2]) + 1),
        synced_back: u32::from(head[3]),
    };
    let (key, value) = rest.split_at(rest.len().min(usize::from(head[4])));
    let mut bytes = Vec::new();
    encode(&mut bytes, seed, 64, fields, key, value);
    let peeked = Head::peek(&bytes, seed, 64).expect("our own record");
    assert!(peeked.verifies(&bytes));
    let record = peeked.record(&bytes, LogPos::new(2, 8)).expect("our own record");
    assert_eq!((record.key, record.value), (key, value));
    let at = usize::from(head[5]) % bytes.len();
    bytes[at] ^= head[6];
    read(&bytes);
}

/// Segments: any bytes behind a sound header; the same with every record signed.
pub fn segment_file(data: &[u8]) {
    let _ = jdb_val::dump::dump_segment(data, &SECRET, 1, 2);
    let seed = segment::segment_seed(&SECRET, 1, 2);
    let header = SegmentHeader {
        shard: 1,
        number: 2,
        pred: LogPos::START,
        pred_last_seq: SeqNo::ZERO,
        features_compatible: 0,
    };
    let mut bytes = header.encode(seed).to_vec();
    assert_eq!(SegmentHeader::decode(&bytes, seed, 1, 2).ok(), Some(header));
    bytes.extend_from_slice(data);
    let _ = jdb_val::dump::dump_segment(&bytes, &SECRET, 1, 2);
    sign_records(&mut bytes, seed);
    let _ = jdb_val::dump::dump_segment(&bytes, &SECRET, 1, 2);
}

/// Signs what lies where records of a segment lie when each is as long as it says.
fn sign_records(bytes: &mut [u8], seed: Seed) {
    const MIX: u32 = 0x6a64_6268;
    let mut at = 64;
    while let Some(head) = bytes.get(at..at + 32) {
        let key_len = usize::from(u16::from_le_bytes([head[4], head[5]]));
        let val_len = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let end = at + 32 + usize::from(head[28]) + key_len + val_len;
        let start = seed.at(at as u64);
        let check = crc32(start ^ MIX, &[&head[4..29]]).to_le_bytes();
        bytes[at + 29..at + 32].copy_from_slice(&check[..3]);
        if end > bytes.len() {
            break;
        }
        put_sum(bytes, at, start, at + 4..end);
        at = end.next_multiple_of(8);
    }
}

/// Puts the checksum of `summed` at `at`.
fn put_sum(bytes: &mut [u8], at: usize, start: u32, summed: std::ops::Range<usize>) {
    let sum = crc32(start, &[&bytes[summed]]);
    bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}

/// Pages of a segment's footer, signed.
pub fn segment_footer(data: &[u8]) {
    let seed = segment::segment_seed(&SECRET, 1, 2);
    let mut page = vec![0; PAGE_LEN];
    let len = data.len().min(PAGE_LEN - 4);
    page[4..4 + len].copy_from_slice(&data[..len]);
    let sum = crc32(seed.at(0), &[&page[4..]]);
    page[..4].copy_from_slice(&sum.to_le_bytes());
    let mut ns = Vec::new();
    NsId::from(7u64).encode(&mut ns);
    if let Ok(top) = FooterTop::parse(&page, seed, 0) {
        let _ = (top.summary(), top.pages_of(&ns));
    }
    let _ = find_in_pages(&page, seed, 0, &ns);
    let _ = jdb_val::dump::dump_footer(data, &SECRET, 1, 2, (0, data.len() as u32));
    whole_footer(data, seed);
}

/// A footer of up to three data pages and up to three top pages behind a segment of the length that the input says: `data pages`,
/// `top pages`, `end: u16`, then for each page the length of what it holds and that.
fn whole_footer(data: &[u8], seed: Seed) {
    let Some((&[data_pages, top_pages, end @ ..], mut rest)) = data.split_first_chunk::<4>() else { return };
    let (data_pages, top_pages) = (usize::from(data_pages % 4), usize::from(top_pages % 3) + 1);
    let end = u16::from_le_bytes(end);
    let first = (usize::from(end) * 8).next_multiple_of(PAGE_LEN);
    let top = first + data_pages * PAGE_LEN;
    let mut file = vec![0; top + top_pages * PAGE_LEN];
    for at in (first..file.len()).step_by(PAGE_LEN) {
        let Some((&len, tail)) = rest.split_first_chunk::<2>() else { break };
        let len = (usize::from(u16::from_le_bytes(len)) % (PAGE_LEN - 8)).min(tail.len());
        file[at + 4] = if at < top { 1 } else { 2 };
        file[at + 6..at + 8].copy_from_slice(&((len + 8) as u16).to_le_bytes());
        file[at + 8..at + 8 + len].copy_from_slice(&tail[..len]);
        rest = &tail[len..];
    }
    for (at, number) in [(20, data_pages as u32), (24, top_pages as u32), (56, u32::from(end))] {
        file[top + at..top + at + 4].copy_from_slice(&number.to_le_bytes());
    }
    for at in (first..file.len()).step_by(PAGE_LEN) {
        put_sum(&mut file, at, seed.at(at as u64), at + 4..at + PAGE_LEN);
    }
    if let Ok(parsed) = FooterTop::parse(&file[top..], seed, top as u64) {
        for id in [1, 7, 300] {
            let mut ns = Vec::new();
            NsId::from(id as u64).encode(&mut ns);
            if let Some((at, len)) = parsed.pages_of(&ns) {
                let _ = find_in_pages(&file[at as usize..at as usize + len], seed, at, &ns);
            }
        }
    }
    let len = (file.len() - top) as u32;
    let _ = jdb_val::dump::dump_footer(&file, &SECRET, 1, 2, (top as u64, len));
}

/// A change of a MANIFEST.
pub fn manifest_edit(data: &[u8]) {
    let Ok(edit) = Edit::decode(data) else { return };
    assert_eq!(Edit::decode(&edit.encode()).ok().as_ref(), Some(&edit));
    let mut state = State::default();
    if state.apply(&edit).is_ok() {
        let mut again = State::default();
        again.apply(&state.to_edit()).expect("a state is an edit");
        assert_eq!(again, state);
    }
}

/// A MANIFEST; the same with its header and every record signed.
pub fn manifest(data: &[u8]) {
    let _ = jdb_ns::manifest::dump(data, &SECRET, 1);
    if data.len() < 64 {
        return;
    }
    let mut file = data.to_vec();
    let start = Seed::of(&[b"jdb manifest".as_slice(), &SECRET, &1u32.to_le_bytes()].concat()).at(0);
    put_sum(&mut file, 60, start, 0..60);
    let seed = Seed::of(&file[36..52]);
    let mut at = 64;
    while let Some(&[_, _, _, _, l0, l1, l2, l3, ..]) = file.get(at..at + 12) {
        let len = [l0, l1, l2, l3];
        let start = seed.at(at as u64);
        let check = crc32(start, &[b"head", &len]);
        file[at + 8..at + 12].copy_from_slice(&check.to_le_bytes());
        let end = at + 12 + u32::from_le_bytes(len) as usize;
        let Some(body) = file.get(at + 12..end) else { break };
        let sum = crc32(start, &[&len, body]);
        file[at..at + 4].copy_from_slice(&sum.to_le_bytes());
        at = end.next_multiple_of(8);
    }
    let _ = jdb_ns::manifest::dump(&file, &SECRET, 1);
}

/// A superblock; the same at full length and signed.
pub fn superblock(data: &[u8]) {
    let _ = jdb_ns::superblock::dump(data);
    let mut signed = data.to_vec();
    signed.resize(4096, 0);
    put_sum(&mut signed, 4092, 0, 0..4092);
    let _ = jdb_ns::superblock::dump(&signed);
    for bytes in [data, &signed] {
        if let Ok(superblock) = Superblock::decode(bytes) {
            assert_eq!(Superblock::decode(&superblock.encode()).ok(), Some(superblock));
        }
    }
}

/// Names of files.
pub fn filename(data: &[u8]) {
    let Ok(name) = std::str::from_utf8(data) else { return };
    if let Some(parsed) = FileName::parse(name) {
        assert_eq!(parsed.to_string(), name);
    }
    let _ = (parse_shard_dir(name), segment::parse_segment_name(name), segment::parse_any_name(name));
}

/// A table of the writer's, and where its blocks lie.
struct Sound {
    bytes: Vec<u8>,
    blocks: Vec<(usize, usize)>,
}

thread_local! {
    /// Those made before: to make and take apart one takes longer than to read it.
    static SOUND: RefCell<BTreeMap<(u8, u8), Rc<Sound>>> = const { RefCell::new(BTreeMap::new()) };
}

fn sound_table(shape: u8, count: u8) -> Rc<Sound> {
    SOUND.with_borrow_mut(|tables| {
        if tables.len() > 2000 {
            tables.clear();
        }
        let make = || {
            let bytes = table_of(shape, count);
            let Ok(dump) = jdb_sst::dump(&bytes) else { unreachable!("the writer's own table") };
            let blocks = dump.sections.iter().filter(|s| s.name != "footer" && s.name != "unknown");
            let blocks = blocks.map(|s| (s.offset as usize, s.len as usize)).collect();
            Rc::new(Sound { bytes, blocks })
        };
        Rc::clone(tables.entry((shape, count)).or_insert_with(make))
    })
}

/// A small table of the writer's: `shape` says how, `count` how many entries.
fn table_of(shape: u8, count: u8) -> Vec<u8> {
    let options = WriterOptions {
        block_len: 64 << (shape & 3),
        index_len: 64 << (shape >> 2 & 1),
        top_len: if shape & 8 == 0 { 128 } else { 65_536 },
        codec: codec(shape),
        filter: shape & 16 != 0,
        group_prefix_len: (shape & 32 != 0).then_some(|key: &[u8]| key.len().min(2)),
        ..WriterOptions::default()
    };
    let mut builder = TableBuilder::new(SECRET, options).expect("options inside their bounds");
    for number in 0..200 + u32::from(count) {
        let ns = NsId::from(u64::from(number / 30 + 1));
        let key = key::engine_key(ns, format!("{:04}", number / 2).as_bytes());
        let seq = SeqNo::new(u64::from(1000 - number));
        let kind = if number % 7 == 0 { Kind::Tombstone } else { Kind::Inline };
        let value = vec![shape; if kind == Kind::Inline { (number % 40) as usize } else { 0 }];
        builder.append(&key, seq, kind, &value).expect("ascending entries");
        while builder.step() {}
    }
    builder.close_partition();
    while builder.step() {}
    let mut bytes = builder.take(Vec::new());
    bytes.extend(builder.finish().0);
    bytes
}

#[cfg(feature = "lz4")]
fn codec(shape: u8) -> Codec {
    if shape & 64 == 0 { Codec::Plain } else { Codec::Lz4 }
}

#[cfg(not(feature = "lz4"))]
fn codec(_: u8) -> Codec {
    Codec::Plain
}

fn footer_of(bytes: &[u8], limit: usize) -> Option<Footer> {
    Footer::decode(bytes.get(limit..)?.first_chunk()?, limit as u64).ok()
}

/// Reads a table in every way there is; with `sign`, its blocks are signed as they are read.
fn read_table(bytes: &[u8], sign: bool) {
    let _ = jdb_sst::dump(bytes);
    let Some(limit) = bytes.len().checked_sub(FOOTER_LEN) else { return };
    let Some(footer) = footer_of(bytes, limit) else { return };
    let all = Bytes::copy_from_slice(bytes);
    let load = |want: Want| load(&all, footer.seed(), want, sign);
    let mut walk = Walk::new(&footer, limit as u64);
    let mut keys = Vec::new();
    let mut want = walk.seek_first().ok().flatten();
    for _ in 0..4000 {
        while let Some(next) = want {
            want = match load(next) {
                Some(block) => walk.supply(next, block).ok().flatten(),
                None => None,
            };
        }
        let Some(entry) = walk.entry() else { break };
        keys.push((entry.key.to_vec(), entry.seq));
        want = walk.next().ok().flatten();
    }
    for (key, seq) in keys.iter().step_by(9) {
        let (lookup, mut want) = Lookup::new(&footer, limit as u64, key, *seq);
        while let Some(next) = want {
            let found = load(next).and_then(|block| lookup.look(next, &block).ok());
            want = match found {
                Some(jdb_sst::Found::Below(below)) if below.level > next.level => Some(below),
                _ => None,
            };
            if let Some(filter) = want.and_then(Want::filter)
                && let Some(block) = load(Want { level: 0, handle: filter, filter_len: 0 })
                && let Ok(Some(filter)) = FilterBlock::parse(&block)
            {
                let _ = filter.may_contain(jdb_sst::filter_hash(key, 1));
            }
        }
    }
    let mut want = walk.seek_last().ok().flatten();
    for _ in 0..4000 {
        while let Some(next) = want {
            want = load(next).and_then(|block| walk.supply(next, block).ok().flatten());
        }
        if walk.entry().is_none() {
            break;
        }
        want = walk.prev().ok().flatten();
    }
}

fn load(all: &Bytes, seed: Seed, want: Want, sign: bool) -> Option<Bytes> {
    let start = usize::try_from(want.handle.offset).ok()?;
    let end = start.checked_add(want.handle.len as usize).filter(|&end| end <= all.len())?;
    let mut stored = all.slice(start..end);
    if sign && let Some(len) = stored.len().checked_sub(4) {
        let mut signed = stored.to_vec();
        put_sum(&mut signed, len, seed.at(want.handle.offset), 0..len);
        stored = signed.into();
    }
    jdb_sst::verify(&stored, seed, want.handle.offset).ok()
}
