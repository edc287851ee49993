//! How many flushes, and how many compactions, run at once in a database: each holds a writer's buffers, a compaction a
//! block of every source too.

use jdb_io::task::Event;
use std::cell::Cell;

/// Lets so many through at a time.
#[derive(Debug)]
pub(crate) struct Gate {
    free: Cell<usize>,
    left: Event,
}

/// A place behind the gate; free again when dropped.
#[derive(Debug)]
pub(crate) struct Passed<'a>(&'a Gate);

impl Gate {
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Cell::new(count.max(1)), left: Event::new() }
    }

    /// Waits for a place, unless `give_up` says that it is not wanted any more.
    pub(crate) async fn pass(&self, give_up: impl Fn() -> bool) -> Option<Passed<'_>> {
        while !give_up() {
            if let Some(free) = self.free.get().checked_sub(1) {
                self.free.set(free);
                return Some(Passed(self));
            }
            self.left.wait().await;
        }
        None
    }

    /// Lets those who wait look again whether they still want to.
    pub(crate) fn wake(&self) {
        self.left.notify();
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        self.0.free.set(self.0.free.get() + 1);
        self.0.left.notify();
    }
}
