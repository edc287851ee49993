//! Tasks that go one after the other: appends with appends, syncs with syncs.

use jdb_io::task::Event;
use std::cell::Cell;

/// Lets tasks go one after the other.
#[derive(Default, Debug)]
pub(crate) struct Turns {
    busy: Cell<bool>,
    over: Event,
}

impl Turns {
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.get()
    }

    /// Waits for its turn, which lasts until the guard is dropped.
    pub(crate) async fn take(&self) -> Turn<'_> {
        while self.busy.get() {
            self.over.wait().await;
        }
        self.busy.set(true);
        Turn(self)
    }
}

pub(crate) struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
        self.0.over.notify();
    }
}
