//! What a flush or a compaction of a shard may let go: drops and read points, told to the tree namespace by namespace.

use crate::drops::DropMap;
use crate::manifest::DropEntry;
use crate::points::ReadPoints;
use crate::shard::Shard;
use jdb_base::{NsId, SeqNo, key};
use jdb_lsm::{DropRange, Group, Keeper, ReadPoint};
use std::rc::Rc;

/// Drops and read points of one moment, which a job takes along.
///
/// They need not follow what comes later: drops that come lie above the moment's sequence and are not applied by the job, and one
/// that leaves meanwhile was applied to every table before, or is covered by a newer one that the outputs will wait for.
#[derive(Debug)]
pub(crate) struct Moment {
    now: SeqNo,
    drops: Vec<DropEntry>,
    points: ReadPoints,
}

impl Moment {
    /// This one. Cost: a copy of the drop map, 16 Ki entries of 64 bytes at most.
    pub(crate) fn of(shard: &Shard) -> Self {
        let drops = shard.drops.borrow().all().copied().collect();
        Self { now: shard.visible.get(), drops, points: shard.points.borrow().clone() }
    }

    /// Answers as of it.
    pub(crate) fn keeper(self) -> Rc<ShardKeeper> {
        let mut drops = DropMap::default();
        self.drops.into_iter().for_each(|drop| drops.add(drop));
        Rc::new(ShardKeeper { now: self.now, drops, points: self.points })
    }
}

/// Answers a flush or a compaction as of a [`Moment`].
pub(crate) struct ShardKeeper {
    now: SeqNo,
    drops: DropMap,
    points: ReadPoints,
}

impl Keeper for ShardKeeper {
    fn now(&self) -> SeqNo {
        self.now
    }

    fn group(&self, key: &[u8]) -> Group {
        let drops = &self.drops;
        if drops.count() == 0 && self.points.is_empty() {
            return Group::default();
        }
        let mut rest = key;
        let Some(ns) = NsId::take(&mut rest) else {
            // No writer of ours makes such a key: everything of it stays.
            return Group { end: Some([key, &[0]].concat()), ..Group::default() };
        };
        let drop_ranges: Vec<DropRange> = drops.of(ns).iter().map(drop_range).collect();
        let points: Vec<ReadPoint> = self.points.of(ns).map(ReadPoint::snapshot).collect();
        let end = if drop_ranges.is_empty() && points.is_empty() {
            // Nothing is special up to the next namespace that has a drop or a read point.
            let next = [drops.next_ns(ns), self.points.next_ns(ns)].into_iter().flatten().min();
            match next {
                Some(next) => Some(key::engine_key(next, &[])),
                None => ns.class_end(),
            }
        } else {
            key::prefix_end(&key::engine_key(ns, &[]))
        };
        Group { end, points, drops: drop_ranges }
    }
}

/// A drop as the tree wants it.
pub(crate) fn drop_range(drop: &DropEntry) -> DropRange {
    DropRange { from: drop.from, to: drop.to, at: drop.at }
}
