//! Run: entries of the arena that are in no node yet, and how they are sorted.
//!
//! Each is held with a word of its key, so that the sort moves pairs of numbers. The words are taken behind what all keys
//! share; where some are the same, what *those* keys share is skipped in its turn.

use super::entry::EntryRef;
use super::node::{NodeRef, RUN_LEN};
use super::word::{ALL, WORD_LEN, compare, shared_len, word_at};
use super::{Finger, Found, Skiplist, Target, descend};
use jdb_base::{Kind, SeqNo};

/// So few with the same word are sorted by their keys.
const FEW: usize = 16;
/// So often words are taken anew; whoever makes keys that still agree is left to comparisons.
const DEPTH_MAX: usize = 8;

/// An entry and a word of its key.
type Pending<'a> = (u64, EntryRef<'a>);

/// Entries of one list that wait to be linked.
#[derive(Default)]
pub(crate) struct Run<'a>(Vec<Pending<'a>>);

impl<'a> Run<'a> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Copies an entry into the list's arena.
    #[inline]
    pub(crate) fn push(&mut self, list: &'a Skiplist, key: &[u8], seq: SeqNo, kind: Kind, value: &[u8]) {
        self.0.push((0, EntryRef::write(&list.arenas.data, key, seq, kind, value)));
    }
}

impl Skiplist {
    /// Sorts the run, which was written into this list's arena, links its entries and leaves it empty.
    pub(crate) fn link_run<'a>(&'a self, run: &mut Run<'a>) {
        // Taken, so that whatever panics on the way links nothing twice.
        let mut entries = std::mem::take(&mut run.0);
        sort_at(&mut entries, 0, DEPTH_MAX);
        let mut rest = entries.as_slice();
        while let Some(&(_, first)) = rest.first() {
            let (found, way) = find_below(self.top_or_new(), first.id());
            let room = RUN_LEN - found.node.count();
            let count = if found.node.count() == 0 { 0 } else { count_of(found.node, way, rest).min(room) };
            let (now, later) = rest.split_at(count);
            if let Some(&(_, last)) = now.last() {
                let shared = match found.node.sample() {
                    Some(sample) if found.edge => shared_len(sample.key(), first.key(), 0),
                    _ => found.shared,
                };
                let shared = shared.min(shared_len(first.key(), last.key(), 0));
                found.node.merge(now.iter().map(|(_, entry)| *entry), shared);
                self.count.set(self.count.get() + count);
                // A split that comes next is told that it goes on here; whatever else follows is looked up.
                let (node, entry) = (found.node.raw(), last.start());
                self.finger.set(Some(Finger { node, entry, shared: 0, ascending: false }));
                rest = later;
            } else {
                // The first of all, or one that splits its node.
                self.link(first);
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        entries.clear();
        run.0 = entries;
    }
}

/// As [`super::find`], and the slot of lane 1 that leads there.
fn find_below<'a>(top: NodeRef<'a>, target: Target<'_>) -> (Found<'a>, Option<(NodeRef<'a>, usize)>) {
    let (mut found, mut way) = (Found { node: top, shared: 0, edge: true }, None);
    while found.node.lane() > 0
        && let Some((index, below)) = descend(found, target)
    {
        way = Some((found.node, index));
        found = below;
    }
    (found, way)
}

/// How many entries of a sorted run, whose first one belongs to `node`, do so too; a part of them when that is told sooner.
fn count_of(node: NodeRef<'_>, way: Option<(NodeRef<'_>, usize)>, run: &[Pending<'_>]) -> usize {
    let near = run.get(..RUN_LEN).unwrap_or(run).iter().map(|(_, entry)| entry.id());
    match count_below_word(way, near.clone()) {
        0 => {
            let Some(bound) = node.next().and_then(|next| next.entry(0)) else { return near.len() };
            let bound = bound.id();
            near.take_while(|&id| compare(id, bound, 0).0.is_lt()).count()
        }
        count => count,
    }
}

/// How many entries lie before the next node by its word in lane 1 alone: neither it nor its first entry is looked at, both of
/// which are probably in no cache. None where its word does not tell.
fn count_below_word<'a>(
    way: Option<(NodeRef<'_>, usize)>,
    run: impl Iterator<Item = (&'a [u8], SeqNo)> + Clone,
) -> usize {
    let Some((parent, index)) = way.filter(|(parent, index)| index + 1 < parent.count()) else { return 0 };
    let (Some(bound), Some(sample), skip) = (parent.word(index + 1), parent.sample(), parent.skip()) else {
        return 0;
    };
    // Words compare keys that have the bytes before them in common, as all keys of the lane's node have.
    run.take_while(|(key, _)| word_at(key, skip) < bound && shared_len(sample.key(), key, 0) >= skip).count()
}

/// Puts entries whose padded keys share their first `from` bytes into entry order.
fn sort_at(run: &mut [Pending<'_>], from: u32, depth: usize) {
    if run.len() <= FEW || depth == 0 {
        run.sort_unstable_by(|a, b| compare(a.1.id(), b.1.id(), from).0);
        return;
    }
    let skip = shared_by_all(run, from);
    if skip == ALL {
        run.sort_unstable_by(|a, b| compare(a.1.id(), b.1.id(), ALL).0);
        return;
    }
    for (word, entry) in run.iter_mut() {
        *word = word_at(entry.key(), skip);
    }
    run.sort_unstable_by_key(|(word, _)| *word);
    for same in run.chunk_by_mut(|a, b| a.0 == b.0).filter(|same| same.len() > 1) {
        sort_at(same, skip.saturating_add(WORD_LEN), depth - 1);
    }
}

/// What all padded keys share, of which the first `from` bytes are known to be the same.
fn shared_by_all(run: &[Pending<'_>], from: u32) -> u32 {
    let Some((_, first)) = run.first() else { return ALL };
    let mut shared = ALL;
    for (_, entry) in run {
        shared = shared.min(shared_len(first.key(), entry.key(), from));
        if shared == from {
            break;
        }
    }
    shared
}
