//! The memory and the unflushed log of all shards, held to one budget.
//!
//! A memtable counts from its first entry until its memory is given back: while it is active, while it waits for its flush,
//! and as long as a read that is under way still holds it. Three quarters of the budget are for active ones. When these, or
//! the log that waits, pass their bound, the shard that holds most of it closes its memtable: a namespace that writes alone
//! gets the whole budget, and a thousand quiet ones do not starve it. The last quarter takes what is written while closed
//! ones are flushed; when that is used up too, writers wait for the flush of whichever shard.

use crate::budget::Shared;
use crate::gate::Gate;
use crate::shard::{ActiveMemtable, Shard};
use jdb_mem::Memtable;
use std::cell::{Cell, RefCell};
use std::rc::Weak;

/// Nobody waits below this: one chunk of a memtable.
const FULL_LEN_MIN: usize = 256 << 10;

/// What a memtable holds counts from here on; below only what is in use, so that small limits mean something.
const HELD_LEN_MIN: usize = 64 << 10;

/// Bytes that a memtable counts for.
pub(crate) fn memory_len(memtable: &Memtable) -> usize {
    Some(memtable.held_len()).filter(|&held| held > HELD_LEN_MIN).unwrap_or_else(|| memtable.arena_len())
}

/// Totals over the shards of a database.
#[derive(Debug)]
pub(crate) struct Account {
    /// Bytes that all memtables may hold together.
    memory_len_max: usize,
    /// Bytes of log that may wait for a flush.
    log_len_max: u64,
    active_len: Cell<usize>,
    closed_len: Cell<usize>,
    /// Flushed, and still held by somebody.
    pinned: RefCell<Vec<(Weak<Memtable>, usize)>>,
    log_len: Cell<u64>,
    shards: RefCell<Vec<Weak<Shard>>>,
    /// Told of what memtables hold.
    shared: Shared,
    /// How many flushes are under way at once: each holds buffers.
    pub(crate) flushes: Gate,
}

impl Account {
    pub(crate) fn new(
        memory_len_max: usize,
        log_len_max: u64,
        flush_count_max: usize,
        shared: Shared,
    ) -> Self {
        Self {
            memory_len_max,
            log_len_max,
            active_len: Cell::new(0),
            closed_len: Cell::new(0),
            pinned: RefCell::default(),
            log_len: Cell::new(0),
            shards: RefCell::default(),
            shared,
            flushes: Gate::new(flush_count_max),
        }
    }

    pub(crate) fn add_shard(&self, shard: Weak<Shard>) {
        self.shards.borrow_mut().push(shard);
    }

    /// Takes note of a memtable that grew, and closes the largest ones when a bound is passed.
    pub(crate) fn grew(&self, memory_len: usize, log_len: u64) {
        self.active_len.set(self.active_len.get() + memory_len);
        self.log_len.set(self.log_len.get() + log_len);
        self.shared.memtables_hold(self.active_len() + self.closed_len());
        if self.active_len.get() > self.memory_len_max - self.memory_len_max / 4 {
            self.close_largest(|active| active.memory_len as u64);
        }
        if self.log_len.get() > self.log_len_max {
            self.close_largest(|active| active.log_len);
        }
    }

    /// Takes note of a memtable that was closed.
    pub(crate) fn closed(&self, active: ActiveMemtable) {
        self.active_len.set(self.active_len.get().saturating_sub(active.memory_len));
        self.closed_len.set(self.closed_len.get() + active.memory_len);
        self.log_len.set(self.log_len.get().saturating_sub(active.log_len));
    }

    /// Takes note of a closed memtable of `memory_len` bytes whose memory was given back, or will be by its last reader.
    pub(crate) fn freed(&self, memtable: Weak<Memtable>, memory_len: usize) {
        self.closed_len.set(self.closed_len.get().saturating_sub(memory_len));
        if memtable.strong_count() > 0 {
            self.pinned.borrow_mut().push((memtable, memory_len));
        }
        self.shared.memtables_hold(self.active_len() + self.closed_len());
        self.tell_all();
    }

    /// Tells the writers of all shards, and who else waits there, that an attempt to flush is over.
    pub(crate) fn tell_all(&self) {
        let shards = self.shards.borrow().clone();
        shards.iter().filter_map(Weak::upgrade).for_each(|shard| shard.flushed.notify());
    }

    /// Whether writers are to wait, if a flush is to be expected.
    pub(crate) fn is_full(&self) -> bool {
        self.active_len() + self.closed_len() > self.memory_len_max.max(FULL_LEN_MIN)
    }

    /// Whether some shard is about to give memory back.
    pub(crate) fn will_free(&self) -> bool {
        let shards = self.shards.borrow();
        shards.iter().filter_map(Weak::upgrade).any(|shard| {
            let flushes = shard.poison.borrow().is_none() && shard.flush_error.borrow().is_none();
            flushes && !shard.stopping.get() && !shard.closed.borrow().is_empty()
        })
    }

    /// Bytes of active memtables.
    pub(crate) fn active_len(&self) -> usize {
        self.active_len.get()
    }

    /// Bytes of closed memtables, those that only reads still hold included.
    pub(crate) fn closed_len(&self) -> usize {
        let mut pinned = self.pinned.borrow_mut();
        pinned.retain(|(memtable, _)| memtable.strong_count() > 0);
        self.closed_len.get() + pinned.iter().map(|(_, len)| len).sum::<usize>()
    }

    fn close_largest(&self, by: impl Fn(ActiveMemtable) -> u64) {
        let shards = self.shards.borrow().clone();
        let largest = shards.iter().filter_map(Weak::upgrade).max_by_key(|shard| by(shard.active.get()));
        if let Some(shard) = largest {
            shard.close_memtable();
        }
    }
}
