//! The commits that wait for a shard's writer, in the order in which they are written.
//!
//! One namespace that imports gigabytes does not hold up the others: commits are ordered by self-clocked fair queueing (Golestani,
//! 1994). Each namespace has a virtual time, which its commits' bytes advance; a commit ends its bytes behind the time that its
//! namespaces have come to, or behind now, whichever is later, and what ends first is written first. So a commit of a namespace that has
//! nothing else waiting goes before the backlog of another one; commits of one namespace never change places; and because time goes on
//! with each commit that is written, none waits for ever.

use crate::commit::{Pending, fail_all};
use crate::drops::family;
use crate::error::Error;
use jdb_base::NsId;
use jdb_io::plant::{Plant, planted};
use std::collections::{BTreeMap, VecDeque};

/// What a commit and each of its operations count for beside their bytes.
const OP_COST: u64 = 64;
/// Ends that are kept without a look.
const ENDS_MIN: usize = 64;

/// Commits that wait.
#[derive(Default, Debug)]
pub(crate) struct Queue {
    /// By virtual end, then as they came.
    waiting: VecDeque<(u64, Pending)>,
    /// The virtual end of what was taken last.
    now: u64,
    /// What namespaces have come to, where that is later than now.
    ends: BTreeMap<NsId, u64>,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a commit. Cost: a look-up for each of its namespaces, none when nothing waits.
    pub(crate) fn push(&mut self, pending: Pending) {
        if self.waiting.is_empty() {
            // Nothing that comes later can end before it.
            self.waiting.push_back((self.now, pending));
            return;
        }
        let spaces = spaces(&pending);
        let end_of = |ns| self.ends.get(ns).copied().unwrap_or(0);
        let cost = pending.len as u64 + OP_COST * (1 + pending.ops.len() as u64);
        let end = spaces.iter().map(end_of).max().unwrap_or(0).max(self.now).saturating_add(cost);
        for ns in spaces {
            self.ends.insert(ns, end);
        }
        let place = self.waiting.partition_point(|(other, _)| *other <= end);
        let place = if planted(Plant::UnfairQueue) { self.waiting.len() } else { place };
        self.waiting.insert(place, (end, pending));
    }

    /// The commit that is written next.
    pub(crate) fn front(&self) -> Option<&Pending> {
        self.waiting.front().map(|(_, pending)| pending)
    }

    /// Takes it out.
    pub(crate) fn pop(&mut self) -> Option<Pending> {
        let (end, pending) = self.waiting.pop_front()?;
        self.now = end;
        if self.waiting.is_empty() {
            self.ends.clear();
            self.now = 0;
        } else if self.ends.len() > 2 * self.waiting.len() + ENDS_MIN {
            // Those that nothing waits of, now and then, so that a look at all costs little.
            self.ends.retain(|_, other| *other > end);
        }
        Some(pending)
    }

    /// Fails everything that waits.
    pub(crate) fn fail_all(&mut self, error: &Error) {
        let waiting = std::mem::take(self).waiting;
        fail_all(waiting.iter().map(|(_, pending)| &pending.reply), error);
    }
}

/// The namespaces that a commit writes to, hidden rows counted as their id's.
fn spaces(pending: &Pending) -> Vec<NsId> {
    let mut spaces = Vec::new();
    let mut prefix: &[u8] = &[];
    for op in &pending.ops {
        if prefix.is_empty() || !op.key.starts_with(prefix) {
            let mut rest = op.key.as_slice();
            let Some(ns) = NsId::take(&mut rest) else { continue };
            prefix = op.key.get(..op.key.len() - rest.len()).unwrap_or_default();
            spaces.push(family(ns));
        }
    }
    spaces.sort_unstable();
    spaces.dedup();
    spaces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::Durability;
    use crate::writer::put_op;
    use jdb_io::plant::plant;
    use std::rc::Rc;

    /// A commit that puts `tag` into these namespaces.
    fn commit(spaces: &[u64], tag: u64, len: usize) -> Pending {
        let op = |ns: &u64| put_op(NsId::from(*ns), &tag.to_be_bytes(), vec![0; len].into());
        Pending {
            ops: spaces.iter().map(op).collect(),
            len: len * spaces.len(),
            durability: Durability::Os,
            conditions: Vec::new(),
            reply: Rc::default(),
        }
    }

    fn tag(pending: &Pending) -> u64 {
        let key = &pending.ops[0].key;
        u64::from_be_bytes(key[key.len() - 8..].try_into().unwrap())
    }

    #[test]
    fn who_has_nothing_waiting_goes_before_anothers_backlog() {
        let mut queue = Queue::default();
        (0..100).for_each(|i| queue.push(commit(&[1], i, 1 << 20)));
        (0..10).for_each(|i| assert_eq!(tag(&queue.pop().unwrap()), i));
        queue.push(commit(&[2], 1000, 100));
        (1001..1004).for_each(|i| queue.push(commit(&[3], i, 1 << 20)));
        let order: Vec<u64> =
            std::iter::from_fn(|| queue.pop()).map(|pending| tag(&pending)).take(9).collect();
        // One of each in turn; the small one before all others.
        assert_eq!(order, [1000, 10, 1001, 11, 1002, 12, 1003, 13, 14]);
        assert!(!queue.is_empty());
        plant(&[Plant::UnfairQueue]);
        let mut queue = Queue::default();
        (0..10).for_each(|i| queue.push(commit(&[1 + i / 9], i, 1 << 20)));
        plant(&[]);
        assert!((0..10).all(|i| tag(&queue.pop().unwrap()) == i), "the plant is noticed");
    }

    #[test]
    fn commits_of_one_namespace_keep_their_order_whatever_they_share() {
        let mut random: u64 = 7;
        let mut below = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % n
        };
        let mut queue = Queue::default();
        let (mut pushed, mut last) = (0, BTreeMap::new());
        let mut popped = 0;
        while popped < 20_000 {
            if below(2) == 0 {
                let spaces: Vec<u64> = (0..=below(3)).map(|_| below(6)).collect();
                queue.push(commit(&spaces, pushed, below(5000) as usize));
                pushed += 1;
            } else if let Some(pending) = queue.pop() {
                popped += 1;
                for ns in spaces(&pending) {
                    let before = last.insert(ns, tag(&pending));
                    assert!(before < Some(tag(&pending)), "{ns:?}: {before:?} came before {}", tag(&pending));
                }
            }
        }
        assert!(queue.ends.len() <= 6);
    }

    #[test]
    fn nobody_waits_for_ever_and_what_is_kept_is_bounded_while_others_come_without_end() {
        let mut queue = Queue::default();
        queue.push(commit(&[1], 0, 100));
        // A backlog, and behind it always some that have nothing else waiting.
        (1..4).for_each(|i| queue.push(commit(&[1], i, 50_000)));
        let mut last = 0;
        for ns in 2..20_000 {
            (0..3).for_each(|more| queue.push(commit(&[ns * 3 + more], 1 << 40, 100)));
            for _ in 0..3 {
                let taken = tag(&queue.pop().unwrap());
                last = if taken < 4 { taken } else { last };
            }
            assert!(queue.ends.len() <= 2 * queue.waiting.len() + ENDS_MIN + 3);
        }
        assert_eq!(last, 3, "the backlog was written meanwhile");
    }
}
