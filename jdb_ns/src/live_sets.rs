//! Which records of the log are live, one bit each: what a collection need not ask the index about.
//!
//! Tables point to records. A flush says which its table points to, a compaction which its outputs do not point to any more; the sum
//! of both is kept here by origin, for origins whose first record came into a table since the database was opened. What it says of
//! an origin is exact. All others are asked about, record by record.
//!
//! Invariants
//! - A set is changed where the Version is, without an await between both: taken together they agree.
//! - An origin is only taken in when no table points to it, and once it is forgotten only then again.
//! - The MANIFEST's live bytes of an origin are those of the records in its set. A collection compares them, as always.
//! - Not more memory than allowed: the oldest origins are forgotten first, for what is old and still live changes least.

use crate::manifest::State;
use jdb_base::{Map, SeqNo};
use jdb_lsm::SeqSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Sequences of live records by origin.
#[derive(Debug)]
pub(crate) struct LiveSets {
    sets: BTreeMap<u32, Arc<SeqSet>>,
    /// Bytes that they may take.
    len_max: usize,
}

/// What one edit of the MANIFEST changes, for origins that it is known of.
pub(crate) type Change = Option<SeqSet>;

impl LiveSets {
    /// Of nothing yet.
    pub(crate) fn new(len_max: usize) -> Self {
        Self { sets: BTreeMap::new(), len_max }
    }

    /// Those origins of a flush that no table points to by this state, from before its edit.
    pub(crate) fn new_origins(pointed: &Map<u32, Change>, before: &State) -> Vec<u32> {
        pointed.keys().copied().filter(|&origin| before.live_len(origin) == 0).collect()
    }

    /// A table came in that points to these records; `new_origins` had none before.
    pub(crate) fn flushed(&mut self, pointed: Map<u32, Change>, new_origins: &[u32]) {
        for (origin, change) in pointed {
            if new_origins.contains(&origin) {
                self.sets.insert(origin, Arc::default());
            }
            let Some(set) = self.sets.get_mut(&origin) else { continue };
            if !change.is_some_and(|change| Arc::make_mut(set).insert_all(&change)) {
                self.sets.remove(&origin);
            }
        }
    }

    /// Tables do not point to these records any more.
    pub(crate) fn left_out(&mut self, left_out: &BTreeMap<u32, Change>) {
        for (origin, change) in left_out {
            match (self.sets.get_mut(origin), change) {
                (Some(set), Some(change)) => Arc::make_mut(set).remove_all(change),
                _ => drop(self.sets.remove(origin)),
            }
        }
    }

    /// Forgets origins that no file is left of, what dead ones held, and others while there is no room.
    pub(crate) fn fit(&mut self, state: &State) {
        for (origin, set) in &mut self.sets {
            if state.live_len(*origin) == 0 && set.memory_len() > size_of::<SeqSet>() {
                *set = Arc::default();
            }
        }
        let is_there = |origin: &u32| state.homes.contains_key(origin) || state.segments.contains_key(origin);
        self.sets.retain(|origin, _| state.live_len(*origin) > 0 || is_there(origin));
        let mut len: usize = self.sets.values().map(|set| set.memory_len()).sum();
        while len > self.len_max
            && let Some((_, set)) = self.sets.pop_first()
        {
            len -= set.memory_len();
        }
    }

    /// The origins, rising.
    pub(crate) fn origins(&self) -> Vec<u32> {
        self.sets.keys().copied().collect()
    }

    /// What is known of these origins at this moment.
    pub(crate) fn of(&self, origins: impl IntoIterator<Item = u32>) -> Known {
        let set = |origin| Some((origin, Arc::clone(self.sets.get(&origin)?)));
        Known(origins.into_iter().filter_map(set).collect())
    }
}

/// What was known of some origins at one moment.
#[derive(Default, Debug)]
pub(crate) struct Known(BTreeMap<u32, Arc<SeqSet>>);

impl Known {
    /// The live records of a segment; `None`: the index has to be asked.
    pub(crate) fn origin(&self, origin: u32) -> Option<&SeqSet> {
        self.0.get(&origin).map(Arc::as_ref)
    }

    /// All of it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &SeqSet)> {
        self.0.iter().map(|(&origin, set)| (origin, set.as_ref()))
    }

    /// The same by sequence, for records whose origin is one of these and not known.
    pub(crate) fn origins(&self, origins: &[u32]) -> Origins<'_> {
        let known = origins.iter().filter_map(|&origin| Some((origin, self.origin(origin)?)));
        let mut is_whole = known.clone().count() == origins.len();
        let mut ranges: Vec<Range<'_>> = known
            .filter_map(|(origin, set)| {
                let (low, high) = set.bounds()?;
                Some(Range { low, high, origin, set })
            })
            .collect();
        ranges.sort_by_key(|range| range.low);
        // Sequences rise from segment to segment. Should they not, the index knows better.
        if !ranges.is_sorted_by(|a, b| a.high < b.low) {
            ranges.clear();
            is_whole = false;
        }
        Origins { ranges, is_whole }
    }
}

/// Origins whose sequences do not overlap.
#[derive(Debug)]
pub(crate) struct Origins<'a> {
    ranges: Vec<Range<'a>>,
    /// All origins are here that a record may have.
    is_whole: bool,
}

/// The live records of an origin, and the lowest and the highest of them.
#[derive(Debug)]
struct Range<'a> {
    low: SeqNo,
    high: SeqNo,
    origin: u32,
    set: &'a SeqSet,
}

/// What is known of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It is live, and this is its origin.
    Live(u32),
    Dead,
    /// The index has to be asked.
    Unknown,
}

impl Origins<'_> {
    /// What is known of the record with this sequence.
    pub(crate) fn fate(&self, seq: SeqNo) -> Fate {
        let at = self.ranges.partition_point(|range| range.low <= seq);
        let range = at.checked_sub(1).and_then(|at| self.ranges.get(at)).filter(|range| seq <= range.high);
        match range {
            Some(range) if range.set.contains(seq) => Fate::Live(range.origin),
            _ if self.is_whole => Fate::Dead,
            _ => Fate::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(seqs: &[u64]) -> SeqSet {
        let mut set = SeqSet::default();
        seqs.iter().for_each(|&seq| assert!(set.insert(SeqNo::new(seq))));
        set
    }

    fn pointed(origins: &[(u32, &[u64])]) -> Map<u32, Change> {
        origins.iter().map(|&(origin, seqs)| (origin, Some(set(seqs)))).collect()
    }

    /// Live bytes by origin.
    fn state(live: &[(u32, u64)]) -> State {
        State { live: live.iter().copied().collect(), ..State::default() }
    }

    fn flush(sets: &mut LiveSets, before: &State, change: Map<u32, Change>) {
        let new_origins = LiveSets::new_origins(&change, before);
        sets.flushed(change, &new_origins);
    }

    #[test]
    fn an_origin_is_known_from_its_first_record_in_a_table_on() {
        let mut sets = LiveSets::new(1 << 20);
        // Of origin 1 a table held records before.
        flush(&mut sets, &state(&[(1, 100)]), pointed(&[(1, &[5]), (2, &[10, 11, 12])]));
        assert_eq!(sets.origins(), [2]);
        flush(&mut sets, &state(&[(1, 200), (2, 300)]), pointed(&[(2, &[13]), (3, &[20])]));
        sets.left_out(&BTreeMap::from([(2, Some(set(&[10, 12]))), (7, Some(set(&[1])))]));
        let known = sets.of([1, 2, 3, 4]);
        assert!(known.origin(1).is_none() && known.origin(4).is_none());
        assert_eq!(known.origin(2).map(SeqSet::count), Some(2));
        // What changes later does not change what was known.
        sets.left_out(&BTreeMap::from([(2, Some(set(&[11]))), (3, None)]));
        assert!(known.origin(2).is_some_and(|set| set.contains(SeqNo::new(11))));
        assert_eq!(sets.origins(), [2]);
    }

    #[test]
    fn what_cannot_be_said_is_forgotten_until_nothing_is_left_of_it() {
        let mut sets = LiveSets::new(1 << 20);
        flush(&mut sets, &state(&[]), pointed(&[(2, &[10])]));
        flush(&mut sets, &state(&[(2, 100)]), pointed(&[(2, &[10 + (1 << 30)])]));
        assert!(sets.origins().is_empty());
        flush(&mut sets, &state(&[(2, 200)]), pointed(&[(2, &[11])]));
        assert!(sets.origins().is_empty());
        flush(&mut sets, &state(&[]), Map::from_iter([(2, None)]));
        assert!(sets.origins().is_empty());
        flush(&mut sets, &state(&[]), pointed(&[(2, &[12])]));
        assert_eq!(sets.origins(), [2]);
    }

    #[test]
    fn the_oldest_are_forgotten_where_there_is_no_room() {
        let len = set(&[1]).memory_len();
        let mut sets = LiveSets::new(len * 5 / 2);
        flush(&mut sets, &state(&[]), pointed(&[(1, &[1]), (2, &[2]), (3, &[3])]));
        sets.fit(&state(&[(1, 9), (2, 9), (3, 9)]));
        assert_eq!(sets.origins(), [2, 3]);
        // One without live records is forgotten, unless a file is left that may hold some of it.
        let mut left = state(&[(3, 9)]);
        left.homes.insert(2, 8);
        sets.fit(&left);
        assert_eq!(
            (sets.origins(), sets.of([2]).origin(2).map(SeqSet::memory_len)),
            (vec![2, 3], Some(size_of::<SeqSet>()))
        );
        sets.fit(&state(&[(3, 9)]));
        assert_eq!(sets.origins(), [3]);
    }

    #[test]
    fn records_of_packs_are_found_by_their_sequence() {
        let mut sets = LiveSets::new(1 << 20);
        flush(&mut sets, &state(&[]), pointed(&[(1, &[10, 12]), (4, &[20, 25]), (9, &[26])]));
        let known = sets.of([1, 4, 9]);
        let fates = |origins: &[u32]| {
            let origins = known.origins(origins);
            [9, 10, 11, 12, 20, 25, 26, 27].map(|seq| origins.fate(SeqNo::new(seq)))
        };
        use Fate::{Dead, Live, Unknown};
        assert_eq!(fates(&[1, 4, 9]), [Dead, Live(1), Dead, Live(1), Live(4), Live(4), Live(9), Dead]);
        // Of origin 5 nothing is known: what is not known to be live may be one of its records.
        let unknown = [Unknown, Live(1), Unknown, Live(1), Live(4), Live(4), Unknown, Unknown];
        assert_eq!(fates(&[1, 4, 5]), unknown);
        // Sequences that do not rise with the origins are left to the index.
        flush(&mut sets, &state(&[]), pointed(&[(10, &[11])]));
        assert_eq!(sets.of([1, 10]).origins(&[1, 10]).fate(SeqNo::new(10)), Unknown);
    }
}
