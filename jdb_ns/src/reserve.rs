//! Room for a full disk: a file that is given up so that deletes and a flush still fit.
//!
//! While it is given up, puts are refused: they would only eat what deletes need. It is made again as soon as the disk
//! has room for it, which the next refused put or the next flush finds out.

use crate::filename::RESERVE;
use jdb_io::{Disk, Mode, Result};
use std::cell::Cell;
use std::path::{Path, PathBuf};

/// Bytes written at once while it is made.
const STEP_LEN: u64 = 256 << 10;

/// The reserve file of a database, shared by its shards.
#[derive(Debug)]
pub(crate) struct Reserve {
    disk: Disk,
    path: PathBuf,
    len: u64,
    state: Cell<State>,
    /// Somebody makes it at this moment.
    making: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// It is there.
    Held,
    /// It is gone: the disk was full.
    GivenUp,
    /// It was never there, or something is wrong with it; the disk was not seen full.
    Absent,
}

impl Reserve {
    /// The reserve of the database in `dir`, `len` bytes; 0: none is kept. Looks at the file, writes nothing.
    pub(crate) async fn open(disk: &Disk, dir: &Path, len: u64) -> Result<Self> {
        let entries = disk.list(dir).await?;
        let held = len > 0 && entries.iter().any(|entry| entry.name == RESERVE && entry.len >= len);
        let state = Cell::new(if held { State::Held } else { State::Absent });
        Ok(Self { disk: disk.clone(), path: dir.join(RESERVE), len, state, making: Cell::new(false) })
    }

    /// Whether the disk was full and the room kept for it is in use: puts are refused.
    pub(crate) fn is_given_up(&self) -> bool {
        self.state.get() == State::GivenUp
    }

    /// Gives the room up. `false`: there was none left to give.
    pub(crate) async fn give_up(&self) -> bool {
        if self.len == 0 {
            return false;
        }
        let held = self.state.get() == State::Held;
        self.state.set(State::GivenUp);
        held && self.disk.remove(&self.path).await.is_ok()
    }

    /// Makes it again unless it is there. Best effort: without room it stays as it is.
    pub(crate) async fn restore(&self) {
        if self.len == 0 || self.state.get() == State::Held || self.making.replace(true) {
            return;
        }
        let made = self.make().await;
        if made.is_ok() {
            self.state.set(State::Held);
        } else {
            // Half a reserve would only be in the way.
            drop(self.disk.remove(&self.path).await);
        }
        self.making.set(false);
    }

    /// Blocks that hold something: a sparse file keeps no room.
    async fn make(&self) -> Result<()> {
        let file = self.disk.open(&self.path, Mode::Truncate).await?;
        let mut offset = 0;
        while offset < self.len {
            let step = STEP_LEN.min(self.len - offset);
            file.write_at(offset, vec![0; step as usize]).await.0?;
            offset += step;
        }
        file.sync().await
    }
}
