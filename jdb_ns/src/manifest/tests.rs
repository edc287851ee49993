use super::layout::{BODY_LEN_MAX, HEADER_LEN, Header, RECORD_HEADER_LEN, encode_record};
use super::reader::{self, Content};
use super::*;
use crate::error::Fault;
use crate::superblock::Features;
use bytes::Bytes;
use jdb_base::checksum::{Seed, crc32};
use jdb_base::{Class, NsId, SeqNo, varint};

pub(super) const SECRET: [u8; 16] = *b"0123456789abcdef";
pub(super) const SHARD: u32 = 3;
const ID: [u8; 16] = *b"the id of a file";

/// Numbers by chance, the same for the same seed.
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }

    fn wide(&mut self) -> u64 {
        let bits = self.below(64);
        self.below(u64::MAX) >> bits
    }

    fn wide32(&mut self) -> u32 {
        self.wide() as u32
    }

    fn seq(&mut self) -> SeqNo {
        SeqNo::new(self.wide())
    }

    fn bytes(&mut self) -> Bytes {
        let len = self.below(40);
        (0..len).map(|_| self.below(256) as u8).collect()
    }

    fn ns(&mut self) -> NsId {
        let class = [Class::User, Class::UserHidden, Class::Named, Class::Shard][self.below(4) as usize];
        NsId::new(class, u128::from(self.wide()) << self.below(65))
    }

    fn pick<T: Copy>(&mut self, from: impl Iterator<Item = T>) -> Option<T> {
        let all: Vec<T> = from.collect();
        let at = self.below(all.len() as u64) as usize;
        all.get(at).copied()
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> T) -> Vec<T> {
        let count = if self.below(2) == 0 { 0 } else { self.below(4) };
        (0..count).map(|_| one(self)).collect()
    }

    fn maybe<T>(&mut self, one: impl Fn(&mut Self) -> T) -> Option<T> {
        if self.below(2) == 0 { None } else { Some(one(self)) }
    }
}

fn position(r: &mut Rng) -> Position {
    Position { segment: r.wide32(), offset: r.wide32() }
}

fn footer(r: &mut Rng) -> FooterPlace {
    FooterPlace { offset: r.wide(), len: r.wide32() }
}

/// Any edit that can be written, whether it makes sense or not.
fn any_edit(r: &mut Rng) -> Edit {
    Edit {
        snapshot: r.below(4) == 0,
        tables_added: r.list(|r| TableEntry {
            number: r.wide32(),
            level: r.below(256) as u8,
            len: r.wide(),
            count: r.wide(),
            first_key: r.bytes(),
            last_key: r.bytes(),
            seq_min: r.seq(),
            seq_max: r.seq(),
            drop_seq: r.seq(),
            tombstones: r.maybe(Rng::wide).unwrap_or(0),
            hidden_len: r.maybe(Rng::wide).unwrap_or(0),
        }),
        tables_removed: r.list(Rng::wide32),
        tables_moved: r.list(|r| TableMove { number: r.wide32(), level: r.below(7) as u8 }),
        segments_sealed: r.list(|r| SegmentEntry {
            number: r.wide32(),
            end: r.wide32(),
            pred: position(r),
            pred_last_seq: r.seq(),
            seq_min: r.seq(),
            seq_max: r.seq(),
            len: r.wide(),
            footer: r.maybe(footer),
        }),
        footers: r.list(|r| FooterEntry { number: r.wide32(), len: r.wide(), footer: footer(r) }),
        segments_removed: r.list(Rng::wide32),
        packs_added: r.list(|r| {
            let mut origins = r.list(Rng::wide32);
            origins.sort_unstable();
            origins.dedup();
            PackEntry { number: r.wide32(), len: r.wide(), origins }
        }),
        packs_removed: r.list(Rng::wide32),
        live_deltas: r.list(|r| LiveDelta { origin: r.wide32(), delta: r.wide().cast_signed() }),
        replay_from: r.maybe(position),
        last_seq: r.maybe(Rng::seq),
        unix_ms: r.maybe(Rng::wide),
        next_number: r.maybe(Rng::wide32),
        next_name: r.maybe(Rng::wide),
        drops_added: r.list(|r| DropEntry { ns: r.ns(), from: r.seq(), to: r.seq(), at: r.seq() }),
        drops_removed: r.list(Rng::seq),
        windows_opened: r.list(|r| WindowEntry { ns: r.ns(), s0: r.seq() }),
        windows_closed: r.list(|r| WindowEntry { ns: r.ns(), s0: r.seq() }),
        gaps_added: r.list(|r| Gap { from: r.seq(), to: r.seq() }),
        gaps_removed: r.list(Rng::seq),
        life_start: r.maybe(Rng::seq),
    }
}

/// An edit that fits `state`, of the sort that a shard makes.
pub(super) fn fitting_edit(r: &mut Rng, state: &State) -> Edit {
    let mut next = state.next_number.max(1);
    let mut take = || {
        next += 1;
        next - 1
    };
    let mut edit = Edit { unix_ms: r.maybe(Rng::wide), ..Edit::default() };
    let seq = state.last_seq.plus(r.below(100));
    match r.below(5) {
        0 => {
            let key = r.bytes();
            edit.tables_added.push(TableEntry {
                number: take(),
                len: r.below(1 << 24),
                count: r.below(1 << 16),
                last_key: [&key[..], b"z"].concat().into(),
                first_key: key,
                seq_min: state.last_seq,
                seq_max: seq,
                drop_seq: seq,
                tombstones: r.below(3),
                ..TableEntry::default()
            });
            let segment = state.replay_from.segment + r.below(2) as u32;
            let offset = state.replay_from.offset + r.below(1000) as u32;
            edit.replay_from = Some(Position { segment, offset });
            edit.last_seq = Some(seq);
            edit.live_deltas.push(LiveDelta { origin: segment, delta: r.below(1000).cast_signed() });
            let at = seq.plus(1);
            if !state.drops.contains_key(&at) {
                edit.drops_added.push(DropEntry { ns: r.ns(), from: SeqNo::ZERO, to: seq, at });
            }
        }
        1 => {
            let end = r.below(1000) as u32;
            let pred = state.segments.last_key_value();
            edit.segments_sealed.push(SegmentEntry {
                number: take(),
                end,
                pred: pred.map_or(Position::default(), |(&segment, s)| Position { segment, offset: s.end }),
                pred_last_seq: state.last_seq,
                seq_min: state.last_seq,
                seq_max: seq,
                len: u64::from(end) * 8 + 100,
                footer: r.maybe(|_| FooterPlace { offset: u64::from(end) * 8, len: 50 }),
            });
            edit.next_number = r.maybe(|_| 0).map(|_| take());
        }
        2 => {
            if let Some(number) = r.pick(state.tables.keys().copied()) {
                edit.tables_removed.push(number);
                edit.tables_added.push(TableEntry { number: take(), level: 1, ..TableEntry::default() });
            }
            edit.tables_moved = state
                .tables
                .keys()
                .filter(|n| !edit.tables_removed.contains(n))
                .take(1)
                .map(|&number| TableMove { number, level: r.below(7) as u8 })
                .collect();
            edit.drops_removed.extend(r.pick(state.drops.keys().copied()));
            if let Some((origin, live)) = r.pick(state.live.iter().map(|(&origin, &live)| (origin, live))) {
                edit.live_deltas.push(LiveDelta { origin, delta: -r.below(live + 1).cast_signed() });
            }
        }
        3 => {
            let segment = r.pick(state.segments.keys().copied());
            let pack = r.pick(state.packs.keys().copied());
            edit.segments_removed.extend(segment);
            edit.packs_removed.extend(pack);
            let mut origins = pack.map_or(vec![], |pack| state.packs[&pack].origins.clone());
            origins.extend(segment.filter(|segment| !state.homes.contains_key(segment)));
            origins.sort_unstable();
            origins.dedup();
            edit.packs_added.push(PackEntry { number: take(), len: r.below(1 << 30), origins });
        }
        _ => {
            edit.life_start = Some(state.life_start.plus(1 << 24));
            edit.next_name = Some(state.next_name + r.below(3));
            let from = state.gaps.last_key_value().map_or(SeqNo::ZERO, |(_, gap)| gap.to.plus(1));
            edit.gaps_added.push(Gap { from, to: from.plus(r.below(50)) });
            edit.gaps_removed.extend(r.pick(state.gaps.keys().copied()));
            let window = WindowEntry { ns: r.ns(), s0: seq };
            edit.windows_opened.extend((!state.windows.contains(&window)).then_some(window));
            edit.windows_closed.extend(r.pick(state.windows.iter().copied()));
        }
    }
    edit
}

#[test]
fn edits_come_back() {
    for seed in 0..3000 {
        let edit = any_edit(&mut Rng(seed));
        let body = edit.encode();
        assert_eq!(Edit::decode(&body), Ok(edit), "seed {seed}");
    }
}

#[test]
fn a_cut_edit_is_an_error_or_a_shorter_edit() {
    for seed in 0..100 {
        let body = any_edit(&mut Rng(seed)).encode();
        for cut in 0..body.len() {
            if let Ok(edit) = Edit::decode(&body[..cut]) {
                assert!(edit.encode().len() <= cut, "seed {seed} cut {cut}");
            }
        }
    }
}

#[test]
fn any_bytes_decode_without_panic() {
    for seed in 0..20_000 {
        let mut r = Rng(seed);
        let mut body = any_edit(&mut r).encode();
        for _ in 0..=r.below(3) {
            let at = r.below(body.len() as u64) as usize;
            if let Some(byte) = body.get_mut(at) {
                *byte = r.below(256) as u8;
            }
        }
        if let Ok(edit) = Edit::decode(&body) {
            let _ = State::default().apply(&edit);
        }
    }
}

#[test]
fn fields_of_later_versions_are_left_out_or_refused() {
    let edit = Edit { next_name: Some(9), ..Edit::default() };
    let field = |number: u64, critical: u64, payload: &[u8]| {
        let mut out = Vec::new();
        varint::put_u64(&mut out, number << 1 | critical);
        varint::put_u64(&mut out, payload.len() as u64);
        [out, payload.to_vec()].concat()
    };
    let body = |added: Vec<u8>| [edit.encode(), added].concat();
    assert_eq!(Edit::decode(&body(field(99, 0, b"news"))), Ok(edit.clone()));
    let refused = Err(Fault::Unsupported { what: "field", found: 99 });
    assert_eq!(Edit::decode(&body(field(99, 1, b"news"))), refused);
    // Inside an element too: a drop that knows more.
    let drop = DropEntry { ns: NsId::from(7u64), from: SeqNo::ZERO, to: SeqNo::new(5), at: SeqNo::new(6) };
    let with_drop = Edit { drops_added: vec![drop], ..Edit::default() };
    for (critical, want) in [(0, Ok(with_drop)), (1, refused)] {
        let payload = [&[1, 7, 0, 5, 6][..], &field(99, critical, b"")].concat();
        assert_eq!(Edit::decode(&field(16, 1, &payload)), want);
    }
}

#[test]
fn a_number_that_stands_twice_is_refused() {
    for edit in [
        Edit { snapshot: true, ..Edit::default() },
        Edit { last_seq: Some(SeqNo::new(5)), ..Edit::default() },
        Edit { replay_from: Some(Position::default()), ..Edit::default() },
    ] {
        let twice = edit.encode().repeat(2);
        assert!(matches!(Edit::decode(&twice), Err(Fault::Corrupt { .. })), "{edit:?}");
    }
}

#[test]
fn a_state_is_rebuilt_from_its_own_edit() {
    for seed in 0..200 {
        let mut r = Rng(seed);
        let mut state = State::default();
        for step in 0..60 {
            let edit = fitting_edit(&mut r, &state);
            state.apply(&edit).unwrap_or_else(|fault| panic!("seed {seed} step {step}: {fault}: {edit:?}"));
            let whole = state.to_edit();
            let mut again = State::default();
            again.apply(&Edit::decode(&whole.encode()).unwrap()).unwrap();
            assert_eq!(again, state, "seed {seed} step {step}");
            let mut over_another = State { next_name: 1 << 60, ..State::default() };
            over_another.apply(&whole).unwrap();
            assert_eq!(over_another, state, "seed {seed} step {step}");
        }
    }
}

/// A state with one of everything: table 1, segment 2, pack 3 of origin 9, a drop, a window, a gap.
fn small_state() -> State {
    let mut state = State::default();
    state.apply(&small_edit()).unwrap();
    state
}

fn small_edit() -> Edit {
    let ns = NsId::from(7u64);
    let seq = SeqNo::new;
    Edit {
        tables_added: vec![TableEntry {
            number: 1,
            level: 1,
            len: 4096,
            count: 10,
            first_key: Bytes::from_static(b"\x01\x07a"),
            last_key: Bytes::from_static(b"\x01\x07z"),
            seq_min: seq(1),
            seq_max: seq(40),
            drop_seq: seq(20),
            tombstones: 2,
            hidden_len: 300,
        }],
        segments_sealed: vec![SegmentEntry {
            number: 2,
            end: 500,
            pred: Position { segment: 1, offset: 77 },
            pred_last_seq: seq(10),
            seq_min: seq(11),
            seq_max: seq(60),
            len: 8192,
            footer: Some(FooterPlace { offset: 4096, len: 1000 }),
        }],
        packs_added: vec![PackEntry { number: 3, len: 70_000, origins: vec![8, 9] }],
        live_deltas: vec![LiveDelta { origin: 2, delta: 1000 }],
        replay_from: Some(Position { segment: 2, offset: 400 }),
        last_seq: Some(seq(50)),
        unix_ms: Some(1_700_000_000_000),
        next_number: Some(10),
        next_name: Some(4),
        drops_added: vec![DropEntry { ns, from: SeqNo::ZERO, to: seq(30), at: seq(31) }],
        windows_opened: vec![WindowEntry { ns, s0: seq(45) }],
        gaps_added: vec![Gap { from: seq(5), to: seq(6) }],
        life_start: Some(seq(7)),
        ..Edit::default()
    }
}

#[test]
fn edits_that_do_not_fit_change_nothing() {
    let state = small_state();
    let ns = NsId::from(7u64);
    let seq = SeqNo::new;
    let table = |number| TableEntry { number, ..TableEntry::default() };
    let segment = |number| SegmentEntry { number, ..SegmentEntry::default() };
    let pack = |number, origins: &[u32]| PackEntry { number, len: 1, origins: origins.to_vec() };
    let at = |segment, offset| Some(Position { segment, offset });
    let drop = |from, to, at| DropEntry { ns, from: seq(from), to: seq(to), at: seq(at) };
    let place = |offset, len| FooterPlace { offset, len };
    let none = Edit::default();
    #[rustfmt::skip]
    let cases = [
        ("unknown table removed", Edit { tables_removed: vec![5], ..none.clone() }),
        ("table removed twice", Edit { tables_removed: vec![1, 1], ..none.clone() }),
        ("segment's number removed as a table", Edit { tables_removed: vec![2], ..none.clone() }),
        ("unknown table moved", Edit { tables_moved: vec![TableMove { number: 5, level: 1 }], ..none.clone() }),
        ("removed table moved", Edit { tables_removed: vec![1], tables_moved: vec![TableMove { number: 1, level: 1 }], ..none.clone() }),
        ("existing table added", Edit { tables_added: vec![table(1)], ..none.clone() }),
        ("segment's number added as a table", Edit { tables_added: vec![table(2)], ..none.clone() }),
        ("number reused in one edit", Edit { tables_removed: vec![1], tables_added: vec![table(1)], ..none.clone() }),
        ("number added twice", Edit { tables_added: vec![table(11)], packs_added: vec![pack(11, &[])], ..none.clone() }),
        ("number 0 added", Edit { tables_added: vec![table(0)], ..none.clone() }),
        ("keys the wrong way round", Edit { tables_added: vec![TableEntry { first_key: Bytes::from_static(b"b"), last_key: Bytes::from_static(b"a"), ..table(11) }], ..none.clone() }),
        ("sequences the wrong way round", Edit { tables_added: vec![TableEntry { seq_min: seq(2), seq_max: seq(1), ..table(11) }], ..none.clone() }),
        ("unknown segment removed", Edit { segments_removed: vec![1], ..none.clone() }),
        ("segment sealed twice", Edit { segments_sealed: vec![segment(2)], ..none.clone() }),
        ("segment after itself", Edit { segments_sealed: vec![SegmentEntry { pred: Position { segment: 11, offset: 1 }, ..segment(11) }], ..none.clone() }),
        ("segment longer than its file", Edit { segments_sealed: vec![SegmentEntry { end: 2, len: 15, ..segment(11) }], ..none.clone() }),
        ("footer outside the file", Edit { segments_sealed: vec![SegmentEntry { len: 100, footer: Some(place(90, 11)), ..segment(11) }], ..none.clone() }),
        ("footer that overflows", Edit { footers: vec![FooterEntry { number: 2, len: 9000, footer: place(u64::MAX, 1) }], ..none.clone() }),
        ("footer over records", Edit { footers: vec![FooterEntry { number: 2, len: 9000, footer: place(3999, 1) }], ..none.clone() }),
        ("footer of an unknown segment", Edit { footers: vec![FooterEntry { number: 1, len: 9, footer: place(0, 1) }], ..none.clone() }),
        ("unknown pack removed", Edit { packs_removed: vec![2], ..none.clone() }),
        ("origin in two packs", Edit { packs_added: vec![pack(11, &[9])], ..none.clone() }),
        ("origin in two new packs", Edit { packs_added: vec![pack(11, &[4]), pack(12, &[4])], ..none.clone() }),
        ("origins that do not ascend", Edit { packs_added: vec![pack(11, &[5, 4])], ..none.clone() }),
        ("live bytes below nothing", Edit { live_deltas: vec![LiveDelta { origin: 2, delta: -1001 }], ..none.clone() }),
        ("live bytes of nothing", Edit { live_deltas: vec![LiveDelta { origin: 5, delta: -1 }], ..none.clone() }),
        ("live bytes above all", Edit { live_deltas: vec![LiveDelta { origin: 2, delta: i64::MAX }], ..none.clone() }),
        ("replay back a segment", Edit { replay_from: at(1, 1000), ..none.clone() }),
        ("replay back in a segment", Edit { replay_from: at(2, 399), ..none.clone() }),
        ("last sequence down", Edit { last_seq: Some(seq(49)), ..none.clone() }),
        ("life start down", Edit { life_start: Some(seq(6)), ..none.clone() }),
        ("next number down", Edit { next_number: Some(9), ..none.clone() }),
        ("next name down", Edit { next_name: Some(3), ..none.clone() }),
        ("drop's interval the wrong way round", Edit { drops_added: vec![drop(6, 5, 60)], ..none.clone() }),
        ("drop before its interval's end", Edit { drops_added: vec![drop(0, 61, 60)], ..none.clone() }),
        ("drop added twice", Edit { drops_added: vec![drop(0, 1, 31)], ..none.clone() }),
        ("unknown drop removed", Edit { drops_removed: vec![seq(30)], ..none.clone() }),
        ("window opened twice", Edit { windows_opened: vec![WindowEntry { ns, s0: seq(45) }], ..none.clone() }),
        ("unknown window closed", Edit { windows_closed: vec![WindowEntry { ns, s0: seq(46) }], ..none.clone() }),
        ("gap added twice", Edit { gaps_added: vec![Gap { from: seq(5), to: seq(5) }], ..none.clone() }),
        ("gap the wrong way round", Edit { gaps_added: vec![Gap { from: seq(9), to: seq(8) }], ..none.clone() }),
        ("unknown gap removed", Edit { gaps_removed: vec![seq(6)], ..none.clone() }),
    ];
    for (name, edit) in cases {
        // Something sound beside it must not be applied either.
        let edit = Edit { unix_ms: Some(1), ..edit };
        let mut after = state.clone();
        assert!(matches!(after.apply(&edit), Err(Fault::Corrupt { .. })), "{name}");
        assert_eq!(after, state, "{name}");
    }
}

#[test]
fn drops_windows_and_gaps_may_be_replaced() {
    let mut state = small_state();
    let ns = NsId::from(7u64);
    let wider = DropEntry { ns, from: SeqNo::ZERO, to: SeqNo::new(31), at: SeqNo::new(31) };
    let window = WindowEntry { ns, s0: SeqNo::new(45) };
    let gap = Gap { from: SeqNo::new(5), to: SeqNo::new(9) };
    let edit = Edit {
        drops_removed: vec![wider.at],
        drops_added: vec![wider],
        windows_closed: vec![window],
        windows_opened: vec![window],
        gaps_removed: vec![gap.from],
        gaps_added: vec![gap],
        ..Edit::default()
    };
    state.apply(&edit).unwrap();
    assert_eq!((state.drops[&wider.at], state.gaps[&gap.from]), (wider, gap));
    assert!(state.windows.contains(&window));
}

#[test]
fn a_pack_hands_its_origins_on() {
    let mut state = small_state();
    let pack = PackEntry { number: 20, len: 5, origins: vec![2, 8, 9] };
    let edit = Edit {
        packs_removed: vec![3],
        packs_added: vec![pack],
        segments_removed: vec![2],
        ..Edit::default()
    };
    state.apply(&edit).unwrap();
    assert_eq!(state.homes.into_iter().collect::<Vec<_>>(), [(2, 20), (8, 20), (9, 20)]);
    assert_eq!((state.live[&2], state.next_number), (1000, 21));
}

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
        packs_added: vec![PackEntry { number: 11, len: 9000, origins: vec![2, 8, 9] }],
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
    let page = include_str!("../../../docs/format/manifest.md");
    let golden = page.split("```golden manifest_v1\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(golden, Some(dump.as_str()), "the page's dump differs from\n{dump}");
}
