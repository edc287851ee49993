//! What one file holds: its durable image, its current image and the changes between them, in order.
//!
//! Invariants
//! - `current` is what a read sees; `durable` with all of `pending` applied equals it, unless a failed sync broke that.
//! - A change that a sync covered stays listed, as synced, while an older one that no sync covered stands before it: the
//!   older one may still be lost or kept, but never over the synced one.

use super::faults::SyncFailure;
use super::rng::Rng;
use std::rc::Rc;

/// Longest file, in bytes: a length from a broken program must not eat the machine's memory.
pub(super) const FILE_LEN_MAX: u64 = 1 << 30;
/// `completed` of a change whose operation has not been reported as done.
pub(super) const NEVER: u64 = u64::MAX;

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: u64, data: Rc<[u8]> },
    SetLen(u64),
}

#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// Order among all changes of the disk.
    pub(super) token: u64,
    /// When the operation was reported as done; [`NEVER`] before.
    pub(super) completed: u64,
    pub(super) synced: bool,
    pub(super) change: Change,
}

#[derive(Clone, Default, Debug)]
pub(super) struct Content {
    pub(super) durable: Rc<Vec<u8>>,
    pub(super) current: Rc<Vec<u8>>,
    pub(super) pending: Vec<Pending>,
    /// A failed sync makes every later one of this process fail.
    pub(super) sync_broken: bool,
    /// A failed sync left clean pages that never reached the disk.
    pub(super) cache_stale: bool,
}

impl Content {
    /// A file that holds `bytes`, all of them durable.
    pub(super) fn settled(bytes: Vec<u8>) -> Self {
        let bytes = Rc::new(bytes);
        Self { durable: Rc::clone(&bytes), current: bytes, ..Self::default() }
    }

    pub(super) fn len(&self) -> u64 {
        self.current.len() as u64
    }

    /// Makes a change that a sync may make durable later.
    pub(super) fn change(&mut self, token: u64, change: Change) {
        apply(Rc::make_mut(&mut self.current), &change);
        self.pending.push(Pending { token, completed: NEVER, synced: false, change });
    }

    /// Notes when the operation that made a change was reported as done.
    pub(super) fn complete(&mut self, token: u64, stamp: u64) {
        if let Some(pending) = self.pending.iter_mut().rev().find(|p| p.token == token) {
            pending.completed = stamp;
        }
    }

    /// Makes every change durable that had completed by `covers`.
    pub(super) fn sync(&mut self, covers: u64) {
        for pending in &mut self.pending {
            pending.synced |= pending.completed <= covers;
        }
        self.fold();
    }

    /// A sync that fails.
    pub(super) fn fail_sync(&mut self, covers: u64, mode: SyncFailure, rng: &Rng) {
        if mode == SyncFailure::Sticky {
            self.sync_broken = true;
            return;
        }
        let covered = |p: &Pending| !p.synced && p.completed <= covers;
        let reached: Vec<Pending> =
            self.pending.iter().filter(|p| covered(p) && rng.chance(1, 4)).cloned().collect();
        if self.pending.iter().any(covered) {
            self.cache_stale = true;
        }
        self.pending.retain(|p| !covered(p));
        if !reached.is_empty() {
            let durable = Rc::make_mut(&mut self.durable);
            reached.iter().for_each(|p| apply(durable, &p.change));
        }
        self.fold();
        if mode == SyncFailure::Reverted {
            self.evict();
        }
    }

    /// The page cache forgets its clean pages: what a failed sync left out of the disk is gone.
    pub(super) fn evict(&mut self) {
        self.current = Rc::clone(&self.durable);
        if !self.pending.is_empty() {
            let current = Rc::make_mut(&mut self.current);
            self.pending.iter().for_each(|p| apply(current, &p.change));
        }
        self.cache_stale = false;
    }

    fn fold(&mut self) {
        let count = self.pending.iter().take_while(|p| p.synced).count();
        if count > 0 {
            let durable = Rc::make_mut(&mut self.durable);
            self.pending.drain(..count).for_each(|p| apply(durable, &p.change));
        }
    }
}

/// Carries out a change; a hole reads as zeros.
pub(super) fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, data } => overlay(bytes, *offset as usize, data),
        Change::SetLen(len) => bytes.resize(*len as usize, 0),
    }
}

/// Puts `data` at `offset`.
pub(super) fn overlay(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if offset == bytes.len() {
        bytes.extend_from_slice(data);
        return;
    }
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(offset..end) {
        place.copy_from_slice(data);
    }
}

/// The length after `change`.
pub(super) fn len_after(len: u64, change: &Change) -> u64 {
    match change {
        Change::Write { offset, data } => len.max(offset + data.len() as u64),
        Change::SetLen(len) => *len,
    }
}
