//! The writer of a shard: takes what is queued as one group, writes it once, inserts it, answers.
//!
//! Before the first record of a life is answered its start sequence is durable: a jump of 2^24 above everything that any life may
//! have used, so that no sequence is ever answered twice, whatever a power cut takes away.

use crate::account;
use crate::commit::{Condition, Durability, Pending, Unsynced, fail_all};
use crate::error::{Error, Result};
use crate::flusher::position;
use crate::manifest::{DropEntry, Edit, Gap};
use crate::pace::{self, Pressure};
use crate::shard::{Life, Shard};
use bytes::Bytes;
use jdb_base::{Kind, NsId, SeqNo, ValuePtr, key, varint};
use jdb_io::plant::{Plant, planted};
use jdb_io::task;
use jdb_mem::Memtable;
use jdb_val::{Appended, Op, RecordKind, record_len};
use smallvec::SmallVec;
use std::rc::Rc;

/// Most bytes of keys and values in a group; one larger commit is a group of its own.
const GROUP_LEN_MAX: usize = 1 << 20;
/// Most commits in a group.
const GROUP_COUNT_MAX: usize = 1024;
/// A conditional commit joins a group of at most so many operations, which are compared with its key.
const CONDITION_OPS_MAX: usize = 64;
/// A memtable is closed after this many drops: those below the replay position can be merged.
const DROPS_UNFLUSHED_MAX: usize = 4096;
/// The writer waits for a flush while this many closed memtables wait.
const CLOSED_COUNT_MAX: usize = 3;

/// The writer waits for a sync while this many segments hold descriptors, because not all of them is synced.
pub(crate) const HELD_SEGMENTS_MAX: usize = 3;

/// Gaps between lives that are kept: each is a life that wrote something.
const GAP_COUNT_MAX: usize = 1024;

/// Whether a group may be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Room {
    /// It may.
    Ready,
    /// Only after another start sequence is durable.
    NewLife,
    /// No: too much is unsynced, and the disk has no room for the sync.
    None,
}

/// Runs until the shard stops.
pub(crate) async fn run(shard: Rc<Shard>) {
    while !shard.stopping.get() {
        if shard.queue.borrow().is_empty() {
            if shard.closing.get() {
                break;
            }
            shard.writer_idle.set(true);
            shard.queued.wait().await;
            shard.writer_idle.set(false);
            continue;
        }
        if shard.check_poison().is_err() {
            if let Err(error) = shard.check_poison() {
                shard.queue.borrow_mut().fail_all(&error);
            }
            continue;
        }
        if let Err(error) = shard.start_life_with_room().await {
            shard.queue.borrow_mut().fail_all(&error);
            continue;
        }
        match shard.wait_for_room().await {
            Room::Ready => {
                let group = shard.take_group();
                shard.group_count.set(group.len());
                if !group.is_empty() {
                    shard.write_group(group).await;
                }
            }
            Room::NewLife => shard.life.set(Life::Unstarted { found: shard.log.last_given() }),
            Room::None => {
                // Without an error they are tried again.
                if let Some(error) = &*shard.sync_error.borrow() {
                    shard.queue.borrow_mut().fail_all(error);
                }
            }
        }
    }
    shard.writer_over.set(true);
    shard.task_over.notify();
}

impl Shard {
    /// Makes the start sequence of this life durable, once.
    async fn start_life(&self) -> Result<()> {
        if matches!(self.life.get(), Life::Started) {
            return Ok(());
        }
        let mut manifest = self.manifest.lock().await;
        // Somebody else may have been first.
        let Life::Unstarted { found } = self.life.get() else { return Ok(()) };
        let state = &manifest.state;
        let used =
            found.max(state.life_start).max(state.gaps.values().map(|gap| gap.to).max().unwrap_or_default());
        let first =
            if planted(Plant::SeqPlusOne) { used.plus(1) } else { used.plus(self.settings.life_jump) };
        let gap = Gap { from: found.plus(1), to: SeqNo::new(first.get() - 1) };
        // The same gap grows when nothing of the life before survived; of very many only the newest are kept.
        let oldest = state.gaps.keys().take(state.gaps.len().saturating_sub(GAP_COUNT_MAX - 1));
        let mut gaps_removed: Vec<SeqNo> = oldest.copied().collect();
        if state.gaps.contains_key(&gap.from) && !gaps_removed.contains(&gap.from) {
            gaps_removed.push(gap.from);
        }
        let edit = Edit {
            life_start: Some(first),
            // Lower than before when damage was passed over by request.
            log_synced: Some(position(self.log.synced())),
            gaps_removed,
            gaps_added: if gap.from <= gap.to { vec![gap] } else { vec![] },
            next_number: Some(self.next_number().max(state.next_number)),
            ..Edit::default()
        };
        if !planted(Plant::NoLifeStart) {
            self.commit_edit(&mut manifest, &edit).await?;
        }
        self.log.start_life(first);
        self.life.set(Life::Started);
        Ok(())
    }

    /// Waits until the sequences that a power cut may take fit below the next life's start, and until flushes keep up.
    async fn wait_for_room(&self) -> Room {
        let start = self.disk.now();
        let mut waited = false;
        while !self.stopping.get() && self.poison.borrow().is_none() {
            let unsynced = self.log.unsynced_span();
            // Nobody waits for work that fails: a full disk refuses nothing more than it does already.
            let level0 = pace::pressure(self.newest_count(), self.settings.picker.newest_count);
            let garbage = self.collection.pressure();
            let few_held = self.log.held_segments() < HELD_SEGMENTS_MAX || self.sync_error.borrow().is_some();
            if unsynced > 0 && !self.may_be_unsynced(unsynced + self.front_count()) {
                if self.log.synced() >= self.log.written() {
                    // Failed writes used them up: no sync can help.
                    return Room::NewLife;
                }
                waited = true;
                self.want_sync();
                self.synced.wait().await;
                if self.sync_error.borrow().is_some() {
                    return Room::None;
                }
            } else if unsynced > 0 && !few_held {
                waited = true;
                // One is due, or under way: they were closed.
                self.sync_due.notify();
                self.synced.wait().await;
            } else if self.waits_for_flush() {
                waited = true;
                self.flushed.wait().await;
            } else if level0 == Pressure::Stop && self.compaction_error.borrow().is_none() {
                waited = true;
                self.want_compaction();
                self.compacted.wait().await;
            } else if garbage == Pressure::Stop
                && self.collection.error.borrow().is_none()
                && self.compaction_error.borrow().is_none()
            {
                waited = true;
                self.collected.wait().await;
            } else {
                if pace::pause_is_due(self.slowed_len.get(), [level0, garbage]) {
                    waited = true;
                    self.slowed_len.set(0);
                    self.disk.sleep(pace::SLOW_PAUSE).await;
                }
                break;
            }
        }
        if waited {
            let stalled = self.disk.now().saturating_sub(start);
            self.count(|counts| counts.stalled += stalled);
        }
        Room::Ready
    }

    /// Whether too many closed memtables wait here, or all shards' memtables hold too much, and a flush is to change that.
    fn waits_for_flush(&self) -> bool {
        let many = self.closed.borrow().len() >= CLOSED_COUNT_MAX && self.flush_error.borrow().is_none();
        many || (self.account.is_full() && self.account.will_free())
    }

    /// Whether this many operations may be unsynced: a power cut may take them all, and the next life must start above.
    fn may_be_unsynced(&self, count: u64) -> bool {
        count < self.settings.life_jump || planted(Plant::UnboundedUnsynced)
    }

    /// Operations of the commit at the front of the queue.
    fn front_count(&self) -> u64 {
        self.queue.borrow().front().map_or(0, |pending| pending.ops.len() as u64)
    }

    /// What is written together, from the front of the queue. Commits whose condition does not hold are answered and left out.
    fn take_group(&self) -> Vec<Pending> {
        let mut queue = self.queue.borrow_mut();
        let mut group: Vec<Pending> = Vec::new();
        let (mut len, mut unsynced) = (0, self.log.unsynced_span());
        while let Some(pending) = queue.front() {
            if !pending.conditions.iter().all(|condition| self.holds(condition)) {
                if let Some(stale) = queue.pop() {
                    stale.reply.give(Err(Error::Stale));
                }
                continue;
            }
            // What the group does to the key shows when it is in the memtable.
            if pending.conditions.iter().any(|condition| may_change(&group, condition)) {
                break;
            }
            len += pending.len;
            unsynced += pending.ops.len() as u64;
            let full =
                len > GROUP_LEN_MAX || group.len() == GROUP_COUNT_MAX || !self.may_be_unsynced(unsynced);
            if full && !group.is_empty() {
                break;
            }
            group.extend(queue.pop());
        }
        group
    }

    /// Whether a key is still as it was read. Only the writer changes keys, so this stays so until it inserts something; what
    /// was changed since the read lies in a memtable, or in a table of a flush since then.
    fn holds(&self, condition: &Condition) -> bool {
        let Condition { ns, key, read_at } = condition;
        let version = self.tree.version();
        let changed =
            |memtable: &Rc<Memtable>| memtable.get(key, SeqNo::MAX).is_some_and(|entry| entry.seq > *read_at);
        self.flushed_seq.get() <= *read_at
            && !version.memtables.iter().any(changed)
            && !self.drops.borrow().of(*ns).iter().any(|drop| drop.at > *read_at)
    }

    /// Writes a group, in as many parts as segments want, inserts each part and answers.
    async fn write_group(self: &Rc<Self>, mut group: Vec<Pending>) {
        if self.reserve.is_given_up() {
            self.reserve.restore().await;
        }
        if let Some(error) = self.refuses_puts() {
            group = fail_puts(group, &error);
        }
        while !group.is_empty() {
            let appended = {
                let ops = group.iter().map(|pending| pending.ops.as_slice());
                let batches: SmallVec<[&[Op]; 4]> = ops.collect();
                self.log.append(&batches, &mut || self.take_number()).await
            };
            match appended {
                Ok(appended) => {
                    let rest = group.split_off(appended.batches.min(group.len()));
                    let done = std::mem::replace(&mut group, rest);
                    if planted(Plant::ReplayFromWritten) {
                        self.inserted.set(appended.end);
                        task::yield_now().await;
                    }
                    self.insert(&done, &appended);
                    self.answer(done, &appended);
                }
                Err(error) => {
                    let error = Error::from(error);
                    if error.is_no_space() && self.log.drop_spare().await {
                        continue;
                    }
                    if error.is_no_space() && self.reserve.give_up().await {
                        // What only takes away gets the room that was kept for it.
                        group = fail_puts(group, &error);
                        continue;
                    }
                    fail_all(group.iter().map(|p| &p.reply), &error);
                    if self.log.is_poisoned() {
                        self.poison(&error);
                    }
                    return;
                }
            }
        }
    }

    /// The error of puts while the disk has no room for them.
    fn refuses_puts(&self) -> Option<Error> {
        if self.reserve.is_given_up() {
            return Some(Error::NoSpace { path: self.dir.clone() });
        }
        let error = self.flush_error.borrow();
        let full = self.closed.borrow().len() >= CLOSED_COUNT_MAX || self.account.is_full();
        error.as_ref().filter(|_| full).map(Error::again)
    }

    /// [`Shard::start_life`], with the room that is kept for a full disk.
    pub(crate) async fn start_life_with_room(&self) -> Result<()> {
        match self.start_life().await {
            Err(error) if error.is_no_space() && self.make_room().await => self.start_life().await,
            started => started,
        }
    }

    /// Gives up what is kept for a full disk: the file that the next segment would be written over, then the reserve. `false`:
    /// there was nothing left to give.
    pub(crate) async fn make_room(&self) -> bool {
        self.log.drop_spare().await || self.reserve.give_up().await
    }

    /// Puts written commits into the memtable and makes them visible, all at once.
    fn insert(&self, done: &[Pending], appended: &Appended) {
        let memtable = self.tree.active();
        let mut pointer = Vec::with_capacity(ValuePtr::ENCODED_LEN_MAX);
        let mut placed = appended.placed.iter();
        let (mut put_len, mut log_len, mut last, mut deletes) = (0, 0, self.visible.get(), 0);
        for pending in done {
            put_len += pending.len as u64;
            for op in &pending.ops {
                let Some(place) = placed.next() else { continue };
                last = place.seq;
                log_len += record_len(op.key.len(), op.value.len());
                match op.kind {
                    RecordKind::Put if op.value.len() <= self.settings.inline_max => {
                        memtable.insert(&op.key, place.seq, Kind::Inline, &op.value);
                    }
                    RecordKind::Put => {
                        pointer.clear();
                        place.ptr.encode(&mut pointer);
                        memtable.insert(&op.key, place.seq, Kind::Pointer, &pointer);
                    }
                    RecordKind::Delete => {
                        memtable.insert(&op.key, place.seq, Kind::Tombstone, &[]);
                        deletes += 1;
                    }
                    RecordKind::Drop => self.insert_drop(&op.key, &op.value, place.seq),
                    _ => {}
                }
            }
        }
        if appended.end.segment > self.inserted.get().segment {
            self.segment_begun.set(self.disk.now());
            self.sync_due.notify();
        }
        self.inserted.set(appended.end);
        self.visible.set(last);
        self.count(|counts| {
            counts.commits += done.len() as u64;
            counts.groups += 1;
            counts.put_len += put_len;
        });
        self.slowed_len.set(self.slowed_len.get() + log_len);
        self.grew(account::memory_len(&memtable), log_len);
        if self.drops_unflushed.get() >= DROPS_UNFLUSHED_MAX || self.deletes_hide_much(deletes) {
            self.close_memtable();
        }
    }

    /// Counts deletes of the active memtable, and whether the values they probably delete are so many that the garbage has to
    /// become visible: a tombstone is small, what it hides need not be.
    fn deletes_hide_much(&self, more: u64) -> bool {
        if more == 0 {
            return false;
        }
        let mut active = self.active.get();
        active.deletes += more;
        self.active.set(active);
        let picker = &self.settings.picker;
        let allowed = (self.live_len.get() / picker.hidden_part.max(1)).max(picker.hidden_len_min);
        active.deletes.saturating_mul(self.live_mean.get()) > allowed
    }

    /// Applies a drop record.
    fn insert_drop(&self, key: &[u8], value: &[u8], at: SeqNo) {
        if let Some(drop) = decode_drop(key, value, at) {
            self.drops.borrow_mut().add(drop);
            self.drops_unflushed.set(self.drops_unflushed.get() + 1);
            if (self.drops.borrow().count() as u64).is_multiple_of(self.settings.drops_min.max(1)) {
                self.want_compaction();
            }
        }
    }

    /// Takes note of what the active memtable has come to hold.
    pub(crate) fn grew(&self, memory_len: usize, log_len: u64) {
        let mut active = self.active.get();
        let more = memory_len.saturating_sub(active.memory_len);
        active.memory_len = memory_len;
        active.log_len += log_len;
        if active.since.is_none() {
            active.since = Some(self.disk.now());
            self.flush_due.notify();
        }
        self.active.set(active);
        self.account.grew(more, log_len);
        // More than one that waits would help nobody.
        let flushes = self.closed.borrow().is_empty() && self.flush_error.borrow().is_none();
        if flushes && self.active.get().log_len > self.unflushed_len.get() {
            self.close_memtable();
        }
    }

    fn answer(self: &Rc<Self>, done: Vec<Pending>, appended: &Appended) {
        let mut index = 0;
        let mut wanted = false;
        for pending in done {
            index += pending.ops.len();
            let Some(place) = index.checked_sub(1).and_then(|last| appended.placed.get(last)) else {
                continue;
            };
            match pending.durability {
                Durability::Os => pending.reply.give(Ok(self.committed(place.seq, appended.end))),
                Durability::Sync => {
                    wanted = true;
                    let unsynced = Unsynced { seq: place.seq, end: appended.end, reply: pending.reply };
                    self.unsynced.borrow_mut().push(unsynced);
                }
            }
        }
        if self.dirty_since.get().is_none() {
            self.dirty_since.set(Some(self.disk.now()));
            self.sync_due.notify();
        }
        if wanted {
            self.want_sync();
        }
        // The shard may have stopped while the group was being written: nobody syncs any more.
        if let Err(error) = self.check_writable() {
            let unsynced = std::mem::take(&mut *self.unsynced.borrow_mut());
            fail_all(unsynced.iter().map(|u| &u.reply), &error);
        }
    }
}

/// Whether an operation of the group may change the key of a condition; certain only where the group is short.
fn may_change(group: &[Pending], condition: &Condition) -> bool {
    let ops: usize = group.iter().map(|pending| pending.ops.len()).sum();
    let changes = |op: &Op| op.kind == RecordKind::Drop || op.key == condition.key;
    ops > CONDITION_OPS_MAX || group.iter().flat_map(|pending| &pending.ops).any(changes)
}

/// Fails the commits that put something; gives back the others.
fn fail_puts(group: Vec<Pending>, error: &Error) -> Vec<Pending> {
    let puts = |pending: &Pending| pending.ops.iter().any(|op| op.kind == RecordKind::Put);
    let (puts, rest): (Vec<_>, Vec<_>) = group.into_iter().partition(puts);
    fail_all(puts.iter().map(|p| &p.reply), error);
    rest
}

/// The operation that sets `key` in `ns`.
#[must_use]
pub fn put_op(ns: NsId, key: &[u8], value: Bytes) -> Op {
    Op { kind: RecordKind::Put, key: key::engine_key(ns, key), value }
}

/// The operation that deletes `key` in `ns`.
#[must_use]
pub fn delete_op(ns: NsId, key: &[u8]) -> Op {
    Op { kind: RecordKind::Delete, key: key::engine_key(ns, key), value: Bytes::new() }
}

/// The operation that drops everything in `ns`: a record whose value says from which sequence (exclusive) up to which; 0
/// stands for the record's own. **Format**.
#[must_use]
pub fn drop_op(ns: NsId) -> Op {
    let mut value = Vec::new();
    varint::put_u64(&mut value, SeqNo::ZERO.get());
    varint::put_u64(&mut value, SeqNo::ZERO.get());
    Op { kind: RecordKind::Drop, key: key::engine_key(ns, &[]), value: value.into() }
}

/// Reads a drop record; `None` when malformed.
pub(crate) fn decode_drop(mut ns: &[u8], mut value: &[u8], at: SeqNo) -> Option<DropEntry> {
    let ns = NsId::take(&mut ns)?;
    let from = SeqNo::new(varint::take_u64(&mut value)?);
    let to = SeqNo::new(varint::take_u64(&mut value)?);
    Some(DropEntry { ns, from, to: if to == SeqNo::ZERO { at } else { to }, at })
}
