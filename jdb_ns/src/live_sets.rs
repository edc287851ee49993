//! Which records of the log are live, one bit each: what a collection need not ask the index about.
//!
//! Tables point to records. A flush says which its table points to, a compaction which its outputs do not point to any more; the sum
//! of both is kept here by origin, for origins whose first record came into a table since the database was opened. What it says of
//! an origin is exact. All others are asked about, record by record.
//!
//! Invariants
//! - A set is changed where the Version is, without an await between both: taken together they agree.
//! - An origin is only taken in when no table points to it, and once it is forgotten only then again.
//! - A record above `unknown_through` that tables point to is in a set.
//! - A sequence is given out once, and a segment's number too: a record of an origin is named by its sequence alone.
//! - The MANIFEST's live bytes of an origin are those of the records in its set. A collection compares them, as always.
//! - The sets of all shards together take no more memory than allowed, from one look to the next: a shard that has more than its share forgets its oldest
//!   origins then, for what is old and still live changes least.

use crate::manifest::State;
use jdb_base::{Map, SeqNo};
use jdb_io::plant::{Plant, planted};
use jdb_lsm::SeqSet;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// Sequences of live records by origin.
#[derive(Debug)]
pub(crate) struct LiveSets {
    sets: BTreeMap<u32, Arc<SeqSet>>,
    /// Up to here tables may point to records that are in no set.
    unknown_through: SeqNo,
    /// Bytes that they take.
    len: usize,
    room: Rc<Room>,
}

/// The memory that the shards of a database may spend on this.
#[derive(Debug)]
pub(crate) struct Room {
    /// Bytes.
    len_max: usize,
    /// Bytes that a shard may have whatever the others have.
    share: usize,
    /// Bytes that all have.
    len: Cell<usize>,
}

impl Room {
    /// `len_max` bytes for this many shards.
    pub(crate) fn new(len_max: usize, shard_count: u16) -> Self {
        Self { len_max, share: len_max / usize::from(shard_count.max(1)), len: Cell::new(0) }
    }
}

/// What one edit of the MANIFEST changes of an origin; `None`: it cannot be said.
pub(crate) type Change = Option<SeqSet>;

impl LiveSets {
    /// Of what comes behind `last_seq`.
    pub(crate) fn new(last_seq: SeqNo, room: Rc<Room>) -> Self {
        Self { sets: BTreeMap::new(), unknown_through: last_seq, len: 0, room }
    }

    /// Those origins of a flush that no table points to by this state, from before its edit.
    pub(crate) fn new_origins(pointed: &Map<u32, Change>, before: &State) -> Vec<u32> {
        pointed.keys().copied().filter(|&origin| before.live_len(origin) == 0).collect()
    }

    /// A table came in that points to these records, none above `last_seq`; to `new_origins` none pointed before.
    pub(crate) fn flushed(&mut self, pointed: Map<u32, Change>, new_origins: &[u32], last_seq: SeqNo) {
        for (origin, mut change) in pointed {
            if planted(Plant::ForgetPointed) {
                change = Some(SeqSet::default());
            }
            if new_origins.contains(&origin) {
                self.sets.insert(origin, Arc::default());
            }
            let set = self.sets.get_mut(&origin);
            let is_known =
                set.zip(change).is_some_and(|(set, change)| Arc::make_mut(set).insert_all(&change));
            if !is_known {
                self.forget(origin);
                self.unknown_through = self.unknown_through.max(last_seq);
            }
        }
    }

    /// Tables do not point to these records any more.
    pub(crate) fn left_out(&mut self, left_out: &BTreeMap<u32, Change>) {
        if planted(Plant::KeepLeftOut) {
            return;
        }
        for (origin, change) in left_out {
            match (self.sets.get_mut(origin), change) {
                (Some(set), Some(change)) => Arc::make_mut(set).remove_all(change),
                _ => self.forget(*origin),
            }
        }
    }

    /// Forgets origins without a live record, and others while there is no room.
    pub(crate) fn fit(&mut self, state: &State) {
        self.sets.retain(|&origin, _| state.live_len(origin) > 0);
        let mut len = self.sets.values().map(|set| set.memory_len()).sum();
        let of_others = self.room.len.get() - self.len;
        while len > self.room.share
            && len + of_others > self.room.len_max
            && let Some((&origin, set)) = self.sets.first_key_value()
        {
            len -= set.memory_len();
            self.forget(origin);
        }
        self.room.len.set(of_others + len);
        self.len = len;
    }

    /// From now on the index is asked about its records.
    fn forget(&mut self, origin: u32) {
        if let Some((_, high)) = self.sets.remove(&origin).and_then(|set| set.bounds()) {
            self.unknown_through = self.unknown_through.max(high);
        }
    }

    /// The origins, rising.
    pub(crate) fn origins(&self) -> Vec<u32> {
        self.sets.keys().copied().collect()
    }

    /// What is known at this moment.
    pub(crate) fn all(&self) -> Known {
        Known { sets: self.sets.clone(), unknown_through: self.unknown_through }
    }

    /// What is known of these origins at this moment.
    pub(crate) fn of(&self, origins: impl IntoIterator<Item = u32>) -> Known {
        let set = |origin| Some((origin, Arc::clone(self.sets.get(&origin)?)));
        let sets = origins.into_iter().filter_map(set).collect();
        Known { sets, unknown_through: self.unknown_through }
    }
}

/// What was known of some origins at one moment.
#[derive(Debug)]
pub(crate) struct Known {
    sets: BTreeMap<u32, Arc<SeqSet>>,
    unknown_through: SeqNo,
}

impl Known {
    /// Nothing.
    pub(crate) fn nothing() -> Self {
        Self { sets: BTreeMap::new(), unknown_through: SeqNo::MAX }
    }

    /// The live records of a segment; `None`: the index has to be asked.
    pub(crate) fn origin(&self, origin: u32) -> Option<&SeqSet> {
        self.sets.get(&origin).map(Arc::as_ref)
    }

    /// All of it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &SeqSet)> {
        self.sets.iter().map(|(&origin, set)| (origin, set.as_ref()))
    }

    /// The same by sequence, for records whose origin is one of these and not known.
    pub(crate) fn origins(&self, origins: &[u32]) -> Origins<'_> {
        let range = |&origin: &u32| {
            let set = self.origin(origin)?;
            let (low, high) = set.bounds()?;
            Some(Range { low, high, origin, set })
        };
        let mut ranges: Vec<_> = origins.iter().filter_map(range).collect();
        let mut unknown_through = self.unknown_through;
        ranges.sort_by_key(|range| range.low);
        // Sequences rise from segment to segment. Should they not, the index knows better.
        if !ranges.is_sorted_by(|a, b| a.high < b.low) {
            ranges.clear();
            unknown_through = SeqNo::MAX;
        }
        Origins { ranges, unknown_through }
    }
}

/// Origins whose sequences do not overlap.
#[derive(Debug)]
pub(crate) struct Origins<'a> {
    ranges: Vec<Range<'a>>,
    unknown_through: SeqNo,
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
            _ if seq > self.unknown_through => Fate::Dead,
            _ => Fate::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(len_max: usize, shard_count: u16) -> Rc<Room> {
        Rc::new(Room::new(len_max, shard_count))
    }

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
        let bounds = change.values().flatten().filter_map(SeqSet::bounds);
        let last_seq = bounds.map(|(_, high)| high).max().unwrap_or_default();
        sets.flushed(change, &new_origins, last_seq);
    }

    fn unknown_through(sets: &LiveSets) -> u64 {
        sets.unknown_through.get()
    }

    #[test]
    fn an_origin_is_known_from_its_first_record_in_a_table_on() {
        let mut sets = LiveSets::new(SeqNo::new(4), room(1 << 20, 1));
        // Of origin 1 a table held records before.
        flush(&mut sets, &state(&[(1, 100)]), pointed(&[(1, &[5]), (2, &[10, 11, 12])]));
        assert_eq!((sets.origins(), unknown_through(&sets)), (vec![2], 12));
        flush(&mut sets, &state(&[(1, 200), (2, 300)]), pointed(&[(2, &[13]), (3, &[20])]));
        sets.left_out(&BTreeMap::from([(2, Some(set(&[10, 12]))), (7, Some(set(&[1])))]));
        let known = sets.of([1, 2, 3, 4]);
        assert!(known.origin(1).is_none() && known.origin(4).is_none());
        assert_eq!(known.origin(2).map(SeqSet::count), Some(2));
        // What changes later does not change what was known.
        sets.left_out(&BTreeMap::from([(2, Some(set(&[11]))), (3, None)]));
        assert!(known.origin(2).is_some_and(|set| set.contains(SeqNo::new(11))));
        assert_eq!((sets.origins(), unknown_through(&sets)), (vec![2], 20));
    }

    #[test]
    fn what_cannot_be_said_is_forgotten_until_nothing_is_left_of_it() {
        let mut sets = LiveSets::new(SeqNo::ZERO, room(1 << 20, 1));
        flush(&mut sets, &state(&[]), pointed(&[(2, &[10])]));
        assert_eq!((sets.origins(), unknown_through(&sets)), (vec![2], 0));
        flush(&mut sets, &state(&[(2, 100)]), pointed(&[(2, &[10 + (1 << 30)])]));
        assert_eq!((sets.origins(), unknown_through(&sets)), (vec![], 10 + (1 << 30)));
        flush(&mut sets, &state(&[(2, 200)]), pointed(&[(2, &[2 << 30])]));
        assert_eq!((sets.origins(), unknown_through(&sets)), (vec![], 2 << 30));
        flush(&mut sets, &state(&[]), Map::from_iter([(2, None)]));
        assert!(sets.origins().is_empty());
        flush(&mut sets, &state(&[]), pointed(&[(2, &[3 << 30])]));
        assert_eq!((sets.origins(), unknown_through(&sets)), (vec![2], 2 << 30));
    }

    #[test]
    fn the_oldest_are_forgotten_where_there_is_no_room() {
        let change = || pointed(&[(1, &[1]), (2, &[2]), (3, &[3])]);
        let mut sets = LiveSets::new(SeqNo::ZERO, room(0, 1));
        flush(&mut sets, &state(&[]), change());
        let len = sets.all().iter().map(|(_, set)| set.memory_len()).sum::<usize>() / 3;
        // For two shards there is room for eight.
        let room = room(len * 8, 2);
        let [mut sets, mut others] = [(); 2].map(|()| LiveSets::new(SeqNo::ZERO, Rc::clone(&room)));
        let live = |count| state(&(1..=count).map(|origin| (origin, 9)).collect::<Vec<_>>());
        let many: Vec<(u32, [u64; 1])> = (1..=7).map(|origin| (origin, [u64::from(origin)])).collect();
        let many: Vec<(u32, &[u64])> = many.iter().map(|(origin, seqs)| (*origin, &seqs[..])).collect();
        flush(&mut sets, &state(&[]), pointed(&many));
        sets.fit(&live(7));
        assert_eq!((sets.origins().len(), unknown_through(&sets)), (7, 0));
        flush(&mut others, &state(&[]), change());
        others.fit(&live(3));
        assert_eq!((others.origins().len(), room.len.get()), (3, len * 10));
        sets.fit(&live(7));
        assert_eq!((sets.origins(), unknown_through(&sets)), (vec![3, 4, 5, 6, 7], 2));
        assert_eq!(room.len.get(), len * 8);
        // Of one without live records everything is known.
        sets.fit(&state(&[(7, 9)]));
        assert_eq!((sets.origins(), unknown_through(&sets), room.len.get()), (vec![7], 2, len * 4));
    }

    #[test]
    fn records_of_packs_are_found_by_their_sequence() {
        let mut sets = LiveSets::new(SeqNo::new(10), room(1 << 20, 1));
        flush(&mut sets, &state(&[]), pointed(&[(1, &[10, 12]), (4, &[20, 25]), (9, &[26])]));
        let known = sets.of([1, 4, 9]);
        let fates = |known: &Known, origins: &[u32]| {
            let origins = known.origins(origins);
            [9, 10, 11, 12, 20, 25, 26, 27].map(|seq| origins.fate(SeqNo::new(seq)))
        };
        use Fate::{Dead, Live, Unknown};
        let want = [Unknown, Live(1), Dead, Live(1), Live(4), Live(4), Live(9), Dead];
        assert_eq!(fates(&known, &[1, 4, 9]), want);
        assert_eq!(fates(&Known::nothing(), &[1, 4, 9]), [Unknown; 8]);
        sets.forget(4);
        let want = [Unknown, Live(1), Unknown, Live(1), Unknown, Unknown, Live(9), Dead];
        assert_eq!(fates(&sets.of([1, 4, 9]), &[1, 4, 9]), want);
        // Sequences that do not rise with the origins are left to the index.
        flush(&mut sets, &state(&[]), pointed(&[(10, &[11])]));
        assert_eq!(sets.of([1, 10]).origins(&[1, 10]).fate(SeqNo::new(10)), Unknown);
    }
}
