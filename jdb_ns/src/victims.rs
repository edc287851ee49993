//! Which files a collection takes: the garbage of a shard's log, file by file.
//!
//! The garbage of a segment is its length less the bytes of its live records: dead values, tombstones, inlined values, headers
//! and footers need no rule of their own. Of a pack it is the part of what was live in it when it was written that is dead
//! since: a pack that was just written has none, whatever its blocks and its index take, and collecting comes to an end.
//!
//! A collection is due when the files below the replay position hold more garbage than their share; it takes those that cost least
//! for what they give back. What is dead as a whole goes before them, by itself: it needs no room.

use crate::manifest::State;
use jdb_val::LogPos;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

mod gather;

/// Bytes of files that one collection reads, at most, but for a single one that has more: nothing is given back before its end.
const LEN_MAX: u64 = 256 << 20;
/// Live bytes that one collection moves, at most, but for a single file that has more.
const LIVE_LEN_MAX: u64 = 32 << 20;
/// Live records that one collection moves, at most about: keys of those in segments are held in memory, 40 bytes and a key each.
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
    /// The same by origin, as of the choice; none where nothing is live.
    pub(crate) live: BTreeMap<u32, u64>,
}

impl Victims {
    /// With what the MANIFEST counts of each origin.
    pub(crate) fn counted(self, state: &State) -> Self {
        let live = self.origins(state).into_iter().map(|origin| (origin, state.live_len(origin)));
        let live = live.filter(|(_, len)| *len > 0).collect();
        Self { live, ..self }
    }

    fn of(files: &[&File]) -> Self {
        let numbers = |is_pack| {
            let files = files.iter().filter(|file| file.is_pack == is_pack);
            let mut numbers: Vec<u32> = files.map(|file| file.number).collect();
            numbers.sort_unstable();
            numbers
        };
        Self {
            segments: numbers(false),
            packs: numbers(true),
            len: files.iter().map(|file| file.len).sum(),
            live_len: files.iter().map(|file| file.live_len).sum(),
            live: BTreeMap::new(),
        }
    }

    /// The segments that pointers to their values name.
    pub(crate) fn origins(&self, state: &State) -> BTreeSet<u32> {
        let packs = self.packs.iter().filter_map(|number| state.packs.get(number));
        self.segments.iter().copied().chain(packs.flat_map(|pack| pack.origins.iter().copied())).collect()
    }
}

/// What files hold together.
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
    /// The one with the larger share of garbage first.
    fn worst_first(&self, other: &Self) -> Ordering {
        let share = |a: &Self, b: &Self| u128::from(a.garbage) * u128::from(b.len.max(1));
        share(other, self).cmp(&share(self, other)).then(self.number.cmp(&other.number))
    }
}

/// What a collection is to keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The part of the files' bytes that may be garbage.
    pub(crate) max_garbage: f64,
    /// Only files below this number are taken.
    pub(crate) below: u32,
    /// There is hardly room for a pack.
    pub(crate) tight: bool,
}

/// The files of a shard that may be collected.
#[derive(Debug)]
pub(crate) struct Files {
    files: Vec<File>,
    /// Bytes of an entry's record in the mean.
    mean_len: u64,
}

impl Files {
    /// Segments below `replay_from`, the segment of the replay position, and packs. A file that is `left_out`, because something
    /// live in it cannot be read, is one of them only when nothing in it is live.
    pub(crate) fn of(state: &State, replay_from: u32, is_left_out: impl Fn(u32) -> bool) -> Self {
        let segments = state.segments.values().filter(|segment| segment.number < replay_from);
        let segments = segments.map(|segment| {
            let len = segment.len.max(LogPos::new(0, segment.end).byte_offset());
            let live_len = state.live_len(segment.number);
            File {
                number: segment.number,
                is_pack: false,
                len,
                live_len,
                garbage: len.saturating_sub(live_len),
            }
        });
        let packs = state.packs.values().map(|pack| {
            let live_len: u64 = pack.origins.iter().map(|&origin| state.live_len(origin)).sum();
            let dead = u128::from(pack.live_len.saturating_sub(live_len));
            let garbage = u128::from(pack.len) * dead / u128::from(pack.live_len.max(1));
            File { number: pack.number, is_pack: true, len: pack.len, live_len, garbage: garbage as u64 }
        });
        let fit = |file: &File| file.live_len == 0 || !is_left_out(file.number);
        let count: u64 = state.tables.values().map(|table| table.count).sum();
        let mean_len = state.live.values().sum::<u64>() / count.max(1);
        Self { files: segments.chain(packs).filter(fit).collect(), mean_len }
    }

    pub(crate) fn balance(&self) -> Balance {
        self.files.iter().fold(Balance::default(), |sum, file| Balance {
            len: sum.len + file.len,
            live_len: sum.live_len + file.live_len,
            garbage: sum.garbage + file.garbage,
        })
    }

    /// What is to be collected next; `None` when the garbage is within its limit and no file is dead as a whole.
    pub(crate) fn choose(&self, limits: Limits) -> Option<Victims> {
        let fit = || self.files.iter().filter(|file| file.number < limits.below);
        // What is dead costs nothing: it goes first and alone, whatever becomes of the others.
        let mut chosen: Vec<&File> = fit().filter(|file| file.live_len == 0).collect();
        if chosen.is_empty() {
            chosen = fit().filter(|file| file.garbage > 0).collect();
            chosen.sort_by(|a, b| a.worst_first(b));
            chosen.truncate(self.worth(&chosen, limits));
        }
        (!chosen.is_empty()).then(|| Victims::of(&chosen))
    }

    /// Live bytes that one collection moves, but for a single file that has more.
    fn live_len_max(&self, tight: bool) -> u64 {
        let live_len = if tight { LIVE_LEN_TIGHT } else { LIVE_LEN_MAX };
        live_len.min(LIVE_COUNT_MAX * self.mean_len.max(64))
    }

    /// How many of these, from the first on, are worth to be collected together.
    fn worth(&self, candidates: &[&File], limits: Limits) -> usize {
        let Balance { len, garbage, .. } = self.balance();
        let allowed = (len as f64 * limits.max_garbage) as u64;
        let live_max = self.live_len_max(limits.tight);
        let mut sum = Balance::default();
        for (count, file) in candidates.iter().enumerate() {
            // Where little is garbage, moving the rest costs more than it gives.
            let worth = file.garbage as f64 >= file.len as f64 * limits.max_garbage / 2.0;
            let fits = sum.live_len + file.live_len <= live_max && sum.len + file.len <= LEN_MAX;
            if garbage - sum.garbage <= allowed || !worth || (count > 0 && !fits) {
                return count;
            }
            sum.len += file.len;
            sum.live_len += file.live_len;
            sum.garbage += file.garbage;
        }
        candidates.len()
    }
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

    fn limits(max_garbage: f64) -> Limits {
        Limits { max_garbage, below: u32::MAX, tight: false }
    }

    fn files(state: &State) -> Files {
        Files::of(state, state.replay_from.segment, |_| false)
    }

    fn chosen(state: &State, max_garbage: f64) -> (Vec<u32>, Vec<u32>) {
        let victims = files(state).choose(limits(max_garbage));
        victims.map(|victims| (victims.segments, victims.packs)).unwrap_or_default()
    }

    #[test]
    fn files_with_most_garbage_go_first_until_the_share_is_kept() {
        let state = state(
            &[(1, 1000, 900), (2, 1000, 100), (3, 1000, 600), (4, 1000, 0)],
            &[(9, 1000, 1200, &[(5, 200), (6, 100)])],
        );
        // Three quarters of the pack are dead. The fourth segment is the replay position's.
        assert_eq!(files(&state).balance(), Balance { len: 4000, live_len: 1900, garbage: 2150 });
        assert_eq!(chosen(&state, 0.5), (vec![2], vec![]));
        assert_eq!(chosen(&state, 0.3), (vec![2], vec![9]));
        assert_eq!(chosen(&state, 0.6), (vec![], vec![]));
        assert_eq!(chosen(&state, 0.0), (vec![1, 2, 3], vec![9]));
    }

    #[test]
    fn what_is_dead_goes_at_once_and_alone_and_the_segment_of_the_replay_position_never() {
        let state = state(&[(1, 1000, 10), (2, 10, 0), (3, 1000, 0)], &[(9, 500, 400, &[])]);
        for max_garbage in [0.9, 0.0] {
            assert_eq!(chosen(&state, max_garbage), (vec![2], vec![9]));
        }
        let mut state = state;
        state.segments.remove(&2);
        state.packs.remove(&9);
        assert_eq!(chosen(&state, 0.9), (vec![1], vec![]));
        state.segments.remove(&1);
        assert_eq!(chosen(&state, 0.0), (vec![], vec![]));
    }

    #[test]
    fn what_is_in_segments_is_gathered_when_most_is_in_packs() {
        let packs: &[PackOf<'_>] = &[(9, 900, 800, &[(3, 700)])];
        let few = state(&[(4, 400, 400), (5, 300, 290), (7, 100, 50), (10, 100, 100)], packs);
        let segments = |below| files(&few).to_pack(below).map(|victims| (victims.segments, victims.packs));
        assert_eq!(segments(8), None, "740 are in segments");
        let few = state(&[(4, 400, 400), (5, 300, 290), (7, 100, 0), (10, 100, 100)], packs);
        let segments = |below| files(&few).to_pack(below).map(|victims| (victims.segments, victims.packs));
        assert_eq!(segments(6), Some((vec![4, 5], vec![])));
        assert_eq!(segments(4), None);
        // As much at a time as any collection moves: 32 MiB.
        let mut many: Vec<_> = (1..40).map(|number| (number, 16 << 20, 15 << 20)).collect();
        many.push((40, 1, 0));
        let mut state = state(&many, &[(99, 1 << 30, 1 << 30, &[(41, 1 << 30)])]);
        state.tables.insert(98, crate::manifest::TableEntry { count: 100, ..Default::default() });
        assert_eq!(files(&state).to_pack(40).unwrap().segments, [1, 2]);
    }

    #[test]
    fn packs_are_merged_shortest_first_while_that_pays() {
        let origins: Vec<_> = (0..40u32).map(|number| [(100 + number, 1u64)]).collect();
        for (lens_mib, below, want) in [
            (&[32, 32, 32, 32][..], 9, &[0, 1, 2, 3][..]),
            (&[32, 32, 32, 32], 2, &[0, 1]),
            (&[32], 9, &[]),
            (&[32, 15], 9, &[]),
            (&[32, 16], 9, &[0, 1]),
            // The long one stays when the others are less than half of it.
            (&[250, 4, 4], 9, &[1, 2]),
            (&[100, 4, 4], 9, &[1, 2]),
            (&[100, 40, 11], 9, &[0, 1, 2]),
            (&[200, 100], 9, &[]),
            (&[100, 100, 100], 9, &[0, 1]),
            (&[256, 256, 256], 9, &[]),
        ] {
            let packs: Vec<PackOf<'_>> = lens_mib
                .iter()
                .zip(0..)
                .zip(&origins)
                .map(|((len, number), origin)| (number, len << 20, 1, origin.as_slice()))
                .collect();
            let merged = files(&state(&[], &packs)).to_merge(below).unwrap_or_default();
            assert_eq!(merged.packs, want, "{lens_mib:?} below {below}");
        }
        let packs: Vec<PackOf<'_>> =
            (0..40).zip(&origins).map(|(number, origin)| (number, 1 << 20, 1, origin.as_slice())).collect();
        assert_eq!(files(&state(&[], &packs)).to_merge(40).unwrap().packs.len(), 32);
    }

    #[test]
    fn a_collection_takes_a_bounded_part_and_leaves_out_what_failed_while_it_is_live() {
        let mut many: Vec<_> = (1..40).map(|number| (number, 16 << 20, 4 << 20)).collect();
        many.push((40, 1, 0));
        let mut state = state(&many, &[]);
        state.tables.insert(99, crate::manifest::TableEntry { count: 100, ..Default::default() });
        assert_eq!(chosen(&state, 0.1).0, (1..=8).collect::<Vec<_>>());
        let some = Files::of(&state, 40, |number| number < 5);
        let victims = some.choose(limits(0.1)).unwrap();
        assert_eq!((victims.segments, victims.live_len), ((5..=12).collect(), 32 << 20));
        let segments = |limits| files(&state).choose(limits).unwrap().segments;
        assert_eq!(segments(Limits { below: 3, ..limits(0.1) }), [1, 2]);
        assert_eq!(segments(Limits { tight: true, ..limits(0.1) }), [1]);
        // Much to read for little that is live: not more than 256 MiB of files.
        state.live.values_mut().for_each(|live| *live = 1);
        assert_eq!(chosen(&state, 0.1).0.len(), 16);
        state.live.remove(&3);
        let some = Files::of(&state, 40, |number| number < 5);
        assert_eq!(some.choose(limits(0.1)).unwrap().segments, [3], "nothing in it is wanted any more");
    }
}
