//! What the tests of this module share: chance, random edits, a small state.

mod bytes;
mod codec;
mod disk;
mod state;

use super::*;
use crate::error::Fault;
use ::bytes::Bytes;
use jdb_base::{Class, NsId, SeqNo};

const SECRET: [u8; 16] = *b"0123456789abcdef";
const SHARD: u32 = 3;

/// Numbers by chance, the same for the same seed.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
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

/// An edit that fits `state`, of the sort that a shard makes.
fn fitting_edit(r: &mut Rng, state: &State) -> Edit {
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
                id: [r.below(256) as u8; 16],
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
            edit.packs_added.push(PackEntry {
                number: take(),
                len: r.below(1 << 30),
                id: [7; 16],
                origins,
                live_len: r.below(3),
            });
        }
        _ => {
            edit.life_start = Some(state.life_start.plus(1 << 24));
            edit.log_synced = Some(Position { segment: 1 + r.below(9) as u32, offset: 8 });
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
            id: *b"id of table one.",
            tombstones: 2,
            hidden_len: 300,
            held_len: 0,
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
        packs_added: vec![PackEntry {
            number: 3,
            len: 70_000,
            id: *b"id of pack three",
            origins: vec![8, 9],
            live_len: 0,
        }],
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
        log_synced: Some(Position { segment: 3, offset: 64 }),
        ..Edit::default()
    }
}
