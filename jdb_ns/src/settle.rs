//! Waiting for work in the background: flushes, compactions, room in the drop map.
//!
//! Who waits looks first, then waits for the event of what it waits for, and looks again: at what it wants, and whether that can still come.

use crate::compactor::DROP_COUNT_MAX;
use crate::error::{Error, Result};
use crate::shard::Shard;
use jdb_val::LogPos;

impl Shard {
    /// Brings everything that is visible now into tables and moves the replay position behind it.
    ///
    /// # Errors
    /// Why the attempt failed; the shard tries again by itself unless it stopped writing.
    pub(crate) async fn flush(&self) -> Result<()> {
        self.check_writable()?;
        self.close_memtable();
        let target = self.inserted.get();
        *self.flush_error.borrow_mut() = None;
        self.flush_due.notify();
        self.wait_flushed(target).await
    }

    /// Waits until replay starts at `target` or later.
    pub(crate) async fn wait_flushed(&self, target: LogPos) -> Result<()> {
        loop {
            if self.closed.borrow().front().is_none_or(|closed| closed.end > target) {
                return Ok(());
            }
            self.flushed.wait().await;
            self.check_poison()?;
            if let Some(error) = &*self.flush_error.borrow() {
                return Err(error.again());
            }
            if self.stopping.get() {
                return Err(Error::Closed);
            }
        }
    }

    /// Flushes, then merges all tables into one level; returns when that is done.
    ///
    /// # Errors
    /// Why a flush or a compaction failed; the shard tries again by itself unless it stopped writing.
    pub(crate) async fn compact(&self) -> Result<()> {
        // Who asked before is served first: what is flushed now may lie above where that has come to.
        self.wait_compacted().await?;
        self.flush().await?;
        self.wait_compacted().await?;
        *self.compaction_error.borrow_mut() = None;
        self.compact_level.set(Some(0));
        self.compact_seq.set(self.visible.get());
        self.want_compaction();
        self.wait_compacted().await
    }

    /// Waits until nobody wants everything to be merged any more.
    async fn wait_compacted(&self) -> Result<()> {
        while self.compact_level.get().is_some() {
            // First: who stopped for good tells nobody any more.
            self.check_compacting()?;
            self.compacted.wait().await;
        }
        Ok(())
    }

    /// Waits until nothing is left to be flushed or merged.
    ///
    /// # Errors
    /// As [`Shard::compact`].
    pub(crate) async fn settle(&self) -> Result<()> {
        loop {
            self.settle_flushes().await?;
            while self.tasks.get() > 0 && !self.compaction_idle.get() {
                self.check_compacting()?;
                self.compacted.wait().await;
            }
            if !self.is_flushing() {
                return self.wait_collected().await;
            }
        }
    }

    /// Waits until no closed memtable waits, and no segment to be turned over.
    async fn settle_flushes(&self) -> Result<()> {
        while self.is_flushing() {
            self.check_flushing()?;
            self.flushed.wait().await;
        }
        Ok(())
    }

    /// Why a flush that somebody waits for will not come.
    pub(crate) fn check_flushing(&self) -> Result<()> {
        self.check_writable()?;
        match &*self.flush_error.borrow() {
            Some(error) => Err(error.again()),
            None => Ok(()),
        }
    }

    fn is_flushing(&self) -> bool {
        !self.closed.borrow().is_empty() || self.turn_over_due.get()
    }

    /// Why a compaction that somebody waits for will not come.
    fn check_compacting(&self) -> Result<()> {
        self.check_writable()?;
        match &*self.compaction_error.borrow() {
            Some(error) => Err(error.again()),
            None => Ok(()),
        }
    }

    /// Waits until the drop map has room for one more.
    ///
    /// # Errors
    /// Why no room will come.
    pub(crate) async fn wait_for_drop_room(&self) -> Result<()> {
        while self.drops.borrow().count() >= DROP_COUNT_MAX {
            self.check_compacting()?;
            self.drops_pressed.set(true);
            self.close_memtable();
            self.want_compaction();
            self.compacted.wait().await;
        }
        self.drops_pressed.set(false);
        Ok(())
    }
}
