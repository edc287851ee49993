//! The memory and the unflushed log of all shards, held to one budget.
//!
//! When either total passes its bound, the shard that holds most of it closes its memtable: a namespace that writes alone
//! gets the whole budget, and a thousand quiet ones do not starve it.

use crate::shard::{ActiveMemtable, Shard};
use std::cell::{Cell, RefCell};
use std::rc::Weak;

/// Totals over the shards of a database.
#[derive(Debug)]
pub(crate) struct Account {
    /// Bytes that active memtables may hold together.
    memory_len_max: usize,
    /// Bytes of log that may wait for a flush.
    log_len_max: u64,
    memory_len: Cell<usize>,
    log_len: Cell<u64>,
    shards: RefCell<Vec<Weak<Shard>>>,
}

impl Account {
    pub(crate) fn new(memory_len_max: usize, log_len_max: u64) -> Self {
        Self {
            memory_len_max,
            log_len_max,
            memory_len: Cell::new(0),
            log_len: Cell::new(0),
            shards: RefCell::default(),
        }
    }

    pub(crate) fn add_shard(&self, shard: Weak<Shard>) {
        self.shards.borrow_mut().push(shard);
    }

    /// Takes note of a memtable that grew, and closes the largest ones when a bound is passed.
    pub(crate) fn grew(&self, memory_len: usize, log_len: u64) {
        self.memory_len.set(self.memory_len.get() + memory_len);
        self.log_len.set(self.log_len.get() + log_len);
        if self.memory_len.get() > self.memory_len_max {
            self.close_largest(|active| active.memory_len as u64);
        }
        if self.log_len.get() > self.log_len_max {
            self.close_largest(|active| active.log_len);
        }
    }

    /// Takes note of a memtable that was closed.
    pub(crate) fn closed(&self, active: ActiveMemtable) {
        self.memory_len.set(self.memory_len.get().saturating_sub(active.memory_len));
        self.log_len.set(self.log_len.get().saturating_sub(active.log_len));
    }

    /// Bytes of active memtables.
    pub(crate) fn memory_len(&self) -> usize {
        self.memory_len.get()
    }

    fn close_largest(&self, by: impl Fn(ActiveMemtable) -> u64) {
        let shards = self.shards.borrow().clone();
        let largest = shards.iter().filter_map(Weak::upgrade).max_by_key(|shard| by(shard.active.get()));
        if let Some(shard) = largest {
            shard.close_memtable();
        }
    }
}
