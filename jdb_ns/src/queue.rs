//! The commits that wait for a shard's writer, in the order in which they are written.
//!
//! One namespace that imports gigabytes does not hold up the others: commits are ordered by start-time fair queueing (Goyal, Vin and
//! Cheng, 1996). Each namespace has a virtual time, which its commits' bytes advance; a commit begins at the time its
//! namespaces have come to, or now, whichever is later. So a commit of a namespace that has nothing else waiting goes before the
//! backlog of another one, and commits of one namespace never change places.

use crate::commit::{Pending, fail_all};
use crate::drops::family;
use crate::error::Error;
use jdb_base::NsId;
use jdb_io::plant::{Plant, planted};
use std::collections::{BTreeMap, VecDeque};

/// What a commit and each of its operations count for beside their bytes.
const OP_COST: u64 = 64;

/// Commits that wait.
#[derive(Default, Debug)]
pub(crate) struct Queue {
    /// By virtual start, then as they came.
    waiting: VecDeque<(u64, Pending)>,
    /// The virtual start of what was taken last.
    now: u64,
    /// What the namespaces of waiting commits have come to.
    finish: BTreeMap<NsId, u64>,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a commit. Cost: a look-up for each of its namespaces, none when nothing waits.
    pub(crate) fn push(&mut self, pending: Pending) {
        if self.waiting.is_empty() {
            self.waiting.push_back((self.now, pending));
            return;
        }
        let spaces = spaces(&pending);
        let finish = |ns| self.finish.get(ns).copied().unwrap_or(0);
        let start = spaces.iter().map(finish).max().unwrap_or(0).max(self.now);
        let cost = pending.len as u64 + OP_COST * (1 + pending.ops.len() as u64);
        for ns in spaces {
            self.finish.insert(ns, start.saturating_add(cost));
        }
        let place = self.waiting.partition_point(|(other, _)| *other <= start);
        let place = if planted(Plant::UnfairQueue) { self.waiting.len() } else { place };
        self.waiting.insert(place, (start, pending));
    }

    /// The commit that is written next.
    pub(crate) fn front(&self) -> Option<&Pending> {
        self.waiting.front().map(|(_, pending)| pending)
    }

    /// Takes it out.
    pub(crate) fn pop(&mut self) -> Option<Pending> {
        let (start, pending) = self.waiting.pop_front()?;
        self.now = start;
        if self.waiting.is_empty() {
            self.finish.clear();
            self.now = 0;
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
        // One of each in turn; the small one before all others but what had begun with it.
        assert_eq!(order, [1000, 1001, 10, 1002, 11, 1003, 12, 13, 14]);
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
        assert!(queue.finish.len() <= 6);
    }
}
