//! The names in one directory that several tasks write to.

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::task::Turns;
use std::cell::Cell;
use std::io;
use std::path::Path;
use std::rc::Rc;

/// Makes the names in a directory durable for all who create, rename or remove files in it. Clones share their state.
///
/// A directory's sync covers the names of everybody, and so does its failure: the kernel may have given up the names that
/// were to be written, and the next sync then succeeds without them. So the syncs of one directory take turns, and after
/// one that failed, or was given up half-way, all fail.
#[derive(Clone, Default, Debug)]
pub struct Names(Rc<State>);

#[derive(Default, Debug)]
struct State {
    turns: Turns,
    lost: Cell<bool>,
}

impl Names {
    /// [`Disk::sync_dir`] of `dir`: every create, rename and remove that had completed before this call is durable.
    ///
    /// Dropping the future while it runs counts as a failure.
    ///
    /// # Errors
    /// The system's; after an earlier failure always.
    pub async fn sync(&self, disk: &Disk, dir: &Path) -> Result<()> {
        let _turn = self.0.turns.take().await;
        if self.0.lost.get() {
            let why = io::Error::other("an earlier sync of this directory failed: names may be lost");
            return Err(Error::io("sync_dir", dir, why));
        }
        self.0.lost.set(true);
        disk.sync_dir(dir).await?;
        self.0.lost.set(false);
        Ok(())
    }
}
