//! Errors on demand: which operation fails, how, and whether for ever.

use std::path::Path;

/// Sorts of I/O operations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum OpKind {
    /// Opening an existing file.
    Open,
    /// Opening a file that may have to be made or emptied.
    Create,
    /// Making one directory.
    CreateDir,
    /// Listing a directory.
    List,
    /// Removing a name.
    Remove,
    /// Renaming.
    Rename,
    /// Syncing a directory.
    SyncDir,
    /// Taking a lock file.
    Lock,
    /// One read; a continued short read is another one.
    Read,
    /// One write; a continued short write is another one.
    Write,
    /// Syncing a file.
    Sync,
    /// Asking for a length.
    Len,
    /// Setting a length.
    SetLen,
}

impl OpKind {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Open,
        Self::Create,
        Self::CreateDir,
        Self::List,
        Self::Remove,
        Self::Rename,
        Self::SyncDir,
        Self::Lock,
        Self::Read,
        Self::Write,
        Self::Sync,
        Self::Len,
        Self::SetLen,
    ];
}

/// Which operation fails: operations are counted from the injection on, from 0, in the order of their submission. When
/// the fault cannot happen to that operation (a short read to a write), it hits the first later one it can happen to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// The n-th operation of any kind.
    Nth(u64),
    /// The n-th operation of one kind.
    NthOf(OpKind, u64),
    /// The n-th operation on paths whose last part ends with this.
    NthOn(&'static str, u64),
}

/// What a failed sync leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncFailure {
    /// The pages are marked clean and read back as written, but never reach the disk, though later syncs succeed; the
    /// page cache may forget them when the process dies. A directory keeps its names until a power cut.
    DroppedClean,
    /// What was not synced is undone at once. A directory does as with [`SyncFailure::DroppedClean`].
    Reverted,
    /// Nothing is lost, but every later sync of this file or directory fails until the process dies.
    Sticky,
}

impl SyncFailure {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::DroppedClean, Self::Reverted, Self::Sticky];
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// An input/output error, of any operation. Part of a write, or all of it, may have happened; a sync fails in a mode
    /// drawn by seed.
    Eio,
    /// No space: of a write, a longer length, a new file or directory, a rename.
    Enospc,
    /// Only part of a write happens, without an error; the file goes on with the rest.
    ShortWrite,
    /// Only part of a read happens, without an error; the file goes on with the rest.
    ShortRead,
    /// A sync of a file or directory fails.
    FailedSync(SyncFailure),
}

/// How often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// One operation.
    Once,
    /// Every operation from that one on that [`Fault::at`] counts.
    Forever,
}

/// An error to come; see [`SimDisk::inject`](super::SimDisk::inject).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which operation.
    pub at: At,
    /// What happens to it.
    pub kind: FaultKind,
    /// Once or from then on.
    pub repeat: Repeat,
}

/// The faults that were injected and what they have seen.
#[derive(Default, Debug)]
pub(super) struct Faults {
    waiting: Vec<(Fault, u64)>,
    pub(super) hit: u64,
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        self.waiting.push((fault, 0));
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What happens to an operation of this kind that is submitted now; `len` is that of its data.
    pub(super) fn draw(&mut self, op: OpKind, path: &Path, len: usize) -> Option<FaultKind> {
        let mut drawn = None;
        for at in 0..self.waiting.len() {
            let Some((fault, seen)) = self.waiting.get_mut(at) else { break };
            let (counts, nth) = match fault.at {
                At::Nth(n) => (true, n),
                At::NthOf(kind, n) => (kind == op, n),
                At::NthOn(end, n) => {
                    let name = path.file_name().and_then(|n| n.to_str());
                    (name.is_some_and(|name| name.ends_with(end)), n)
                }
            };
            if !counts {
                continue;
            }
            *seen += 1;
            if drawn.is_none() && *seen > nth && applies(fault.kind, op, len) {
                drawn = Some((at, *fault));
            }
        }
        let (at, fault) = drawn?;
        if fault.repeat == Repeat::Once {
            self.waiting.remove(at);
        }
        self.hit += 1;
        Some(fault.kind)
    }
}

fn applies(fault: FaultKind, op: OpKind, len: usize) -> bool {
    match fault {
        FaultKind::Eio => true,
        FaultKind::Enospc => {
            matches!(op, OpKind::Create | OpKind::CreateDir | OpKind::Rename | OpKind::Write | OpKind::SetLen)
        }
        FaultKind::ShortWrite => op == OpKind::Write && len > 1,
        FaultKind::ShortRead => op == OpKind::Read && len > 1,
        FaultKind::FailedSync(_) => matches!(op, OpKind::Sync | OpKind::SyncDir),
    }
}
