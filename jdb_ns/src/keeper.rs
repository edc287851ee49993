//! What a flush or a compaction of a shard may let go: drops and read points, told to the tree namespace by namespace.

use crate::manifest::DropEntry;
use crate::points::ReadPoints;
use crate::shard::Shard;
use jdb_base::{NsId, SeqNo, key};
use jdb_lsm::{DropRange, Group, Keeper, ReadPoint};
use std::rc::Rc;

/// Answers a compaction as of the moment it was made at.
///
/// The drop map is asked as it is when a group begins. That is safe: drops that came meanwhile lie above the compaction's
/// start and are not applied by it, and one that left meanwhile was applied to every table before, or is covered by a newer
/// one that the outputs will wait for.
pub(crate) struct ShardKeeper {
    shard: Rc<Shard>,
    points: ReadPoints,
}

impl ShardKeeper {
    /// The keeper of this moment.
    pub(crate) fn new(shard: &Rc<Shard>) -> Self {
        Self { shard: Rc::clone(shard), points: shard.points.borrow().clone() }
    }
}

impl Keeper for ShardKeeper {
    fn now(&self) -> SeqNo {
        self.shard.visible.get()
    }

    fn group(&self, key: &[u8]) -> Group {
        let drops = self.shard.drops.borrow();
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
