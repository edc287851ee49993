//! Which files a collection takes: the garbage of a shard's log, file by file.
//!
//! The garbage of a segment is its length less the bytes of its live records: dead values, tombstones, inlined values, headers
//! and footers need no rule of their own. Of a pack it is the part of what was live in it when it was written that is dead
//! since: a pack that was just written has none, whatever its blocks and its index take, and collecting comes to an end. A collection is due when the files below the replay position
//! hold more garbage than their share; it takes those that cost least for what they give back, and whatever is dead as a whole.

use crate::manifest::State;
use jdb_val::LogPos;
use std::collections::BTreeSet;

/// Live bytes that one collection moves, at most, but for a single file that has more.
const LIVE_LEN_MAX: u64 = 32 << 20;
/// Live records that one collection moves, at most about: their keys are held in memory, 100 bytes and a key each.
const LIVE_COUNT_MAX: u64 = 32 << 10;
/// Live bytes that one collection moves on a full disk, but for a single file that has more.
const LIVE_LEN_TIGHT: u64 = 256 << 10;

/// Files that are collected together.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Victims {
    /// Sealed segments below that of the replay position.
    pub(crate) segments: Vec<u32>,
    pub(crate) packs: Vec<u32>,
    /// Bytes of these files.
    pub(crate) len: u64,
    /// Of these, bytes of live records, by the MANIFEST.
    pub(crate) live_len: u64,
}

impl Victims {
    /// The segments that pointers to their values name.
    pub(crate) fn origins(&self, state: &State) -> BTreeSet<u32> {
        let packs = self.packs.iter().filter_map(|number| state.packs.get(number));
        self.segments.iter().copied().chain(packs.flat_map(|pack| pack.origins.iter().copied())).collect()
    }
}

/// How the files below the replay position stand.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Balance {
    /// Their bytes.
    pub(crate) len: u64,
    /// Bytes of live records in them.
    pub(crate) live_len: u64,
    /// Bytes of them that are garbage.
    pub(crate) garbage: u64,
}

/// A file that may be collected.
#[derive(Clone, Copy, Debug)]
struct File {
    number: u32,
    is_pack: bool,
    len: u64,
    live_len: u64,
    garbage: u64,
}

impl File {
    fn garbage(&self) -> u64 {
        self.garbage
    }

    /// Whether the share of its garbage is above that of `other`.
    fn is_worse(&self, other: &Self) -> std::cmp::Ordering {
        let share = |a: &Self, b: &Self| u128::from(a.garbage()) * u128::from(b.len.max(1));
        share(other, self).cmp(&share(self, other)).then(self.number.cmp(&other.number))
    }
}

fn files(state: &State, lowest_unfit: u32, left_out: &BTreeSet<u32>) -> Vec<File> {
    let live_len = |origin: u32| state.live.get(&origin).copied().unwrap_or(0);
    let segments = state.segments.values().filter(|segment| segment.number < lowest_unfit);
    let segments = segments.map(|segment| {
        let len = segment.len.max(LogPos::new(0, segment.end).byte_offset());
        let live_len = live_len(segment.number);
        let garbage = len.saturating_sub(live_len);
        File { number: segment.number, is_pack: false, len, live_len, garbage }
    });
    let packs = state.packs.values().map(|pack| {
        let live_len: u64 = pack.origins.iter().map(|&origin| live_len(origin)).sum();
        let dead = u128::from(pack.live_len.saturating_sub(live_len));
        let garbage = u128::from(pack.len) * dead / u128::from(pack.live_len.max(1));
        File { number: pack.number, is_pack: true, len: pack.len, live_len, garbage: garbage as u64 }
    });
    segments.chain(packs).filter(|file| !left_out.contains(&file.number)).collect()
}

/// What the files that may be collected hold.
pub(crate) fn balance(state: &State) -> Balance {
    let mut balance = Balance::default();
    for file in files(state, state.replay_from.segment, &BTreeSet::new()) {
        balance.len += file.len;
        balance.live_len += file.live_len;
        balance.garbage += file.garbage();
    }
    balance
}

/// What is to be collected next; `None` when the garbage is no more than `max_garbage` of the files. `left_out`: files that
/// could not be collected. `lowest_unfit`: segments from here on are left alone, the replay position's at most. `tight`: there is
/// hardly room for a pack.
pub(crate) fn choose(
    state: &State,
    lowest_unfit: u32,
    max_garbage: f64,
    left_out: &BTreeSet<u32>,
    tight: bool,
) -> Option<Victims> {
    let mut files = files(state, lowest_unfit, left_out);
    let total: u64 = files.iter().map(|file| file.len).sum();
    let garbage: u64 = files.iter().map(File::garbage).sum();
    let allowed = (total as f64 * max_garbage) as u64;
    let mut victims = Victims::default();
    let mut take = |file: &File| {
        let numbers = if file.is_pack { &mut victims.packs } else { &mut victims.segments };
        numbers.push(file.number);
        victims.len += file.len;
        victims.live_len += file.live_len;
    };
    // What is dead costs nothing: it goes first and alone, whatever becomes of the others.
    let dead = files.iter().any(|file| file.live_len == 0);
    files.iter().filter(|file| file.live_len == 0).for_each(&mut take);
    files.retain(|file| file.live_len > 0 && file.garbage() > 0);
    files.sort_by(File::is_worse);
    let mean = state.live.values().sum::<u64>() / state.tables.values().map(|t| t.count).sum::<u64>().max(1);
    let len_max = if tight { LIVE_LEN_TIGHT } else { LIVE_LEN_MAX };
    let live_max = len_max.min(LIVE_COUNT_MAX * mean.max(64));
    let (mut left, mut moved) = (garbage, 0);
    for file in &files {
        // Where little is garbage, moving the rest costs more than it gives.
        let worth = file.garbage() as f64 >= file.len as f64 * max_garbage / 2.0;
        if dead || left <= allowed || !worth || (moved > 0 && moved + file.live_len > live_max) {
            break;
        }
        take(file);
        left -= file.garbage();
        moved += file.live_len;
    }
    victims.segments.sort_unstable();
    victims.packs.sort_unstable();
    let any = !victims.segments.is_empty() || !victims.packs.is_empty();
    any.then_some(victims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{PackEntry, Position, SegmentEntry};

    /// A pack: its number, length, live bytes when it was written, and its origins with their live bytes.
    type PackOf<'a> = (u32, u64, u64, &'a [(u32, u64)]);

    /// Segments with their length and live bytes, and packs; replay starts in the last segment.
    fn state(segments: &[(u32, u64, u64)], packs: &[PackOf<'_>]) -> State {
        let mut state = State::default();
        for &(number, len, live) in segments {
            state.segments.insert(number, SegmentEntry { number, len, ..SegmentEntry::default() });
            if live > 0 {
                state.live.insert(number, live);
            }
        }
        for &(number, len, live_len, origins) in packs {
            let entry = PackEntry {
                number,
                len,
                live_len,
                origins: origins.iter().map(|&(origin, _)| origin).collect(),
                ..PackEntry::default()
            };
            state.packs.insert(number, entry);
            for &(origin, live) in origins {
                state.homes.insert(origin, number);
                state.live.insert(origin, live);
            }
        }
        state.replay_from = Position { segment: segments.last().map_or(1, |last| last.0), offset: 9 };
        state
    }

    fn chosen(state: &State, max_garbage: f64) -> (Vec<u32>, Vec<u32>) {
        let victims = choose(state, state.replay_from.segment, max_garbage, &BTreeSet::new(), false);
        victims.map(|victims| (victims.segments, victims.packs)).unwrap_or_default()
    }

    #[test]
    fn files_with_most_garbage_go_first_until_the_share_is_kept() {
        let state = state(
            &[(1, 1000, 900), (2, 1000, 100), (3, 1000, 600), (4, 1000, 0)],
            &[(9, 1000, 1200, &[(5, 200), (6, 100)])],
        );
        // Three quarters of the pack are dead. The fourth segment is the replay position's.
        assert_eq!(balance(&state), Balance { len: 4000, live_len: 1900, garbage: 2150 });
        assert_eq!(chosen(&state, 0.5), (vec![2], vec![]));
        assert_eq!(chosen(&state, 0.3), (vec![2], vec![9]));
        assert_eq!(chosen(&state, 0.6), (vec![], vec![]));
        assert_eq!(chosen(&state, 0.0), (vec![1, 2, 3], vec![9]));
    }

    #[test]
    fn what_is_dead_goes_at_once_and_the_segment_of_the_replay_position_never() {
        let state = state(&[(1, 1000, 1000), (2, 10, 0), (3, 1000, 0)], &[]);
        assert_eq!(chosen(&state, 0.9), (vec![2], vec![]));
        assert_eq!(chosen(&state, 0.0), (vec![2], vec![]));
    }

    #[test]
    fn a_collection_moves_a_bounded_part_and_leaves_out_what_failed() {
        let mut many: Vec<_> = (1..40).map(|number| (number, 16 << 20, 4 << 20)).collect();
        many.push((40, 1, 0));
        let mut state = state(&many, &[]);
        state.tables.insert(99, crate::manifest::TableEntry { count: 100, ..Default::default() });
        assert_eq!(chosen(&state, 0.1).0, (1..=8).collect::<Vec<_>>());
        let victims = choose(&state, 40, 0.1, &(1..5).collect(), false).unwrap();
        assert_eq!((victims.segments, victims.live_len), ((5..=12).collect(), 32 << 20));
        assert_eq!(choose(&state, 3, 0.1, &BTreeSet::new(), false).unwrap().segments, [1, 2]);
        assert_eq!(choose(&state, 40, 0.1, &BTreeSet::new(), true).unwrap().segments, [1]);
    }
}
