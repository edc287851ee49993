//! The I/O operations and what they answer.

use super::faults::OpKind;
use super::image::Node;
use crate::disk::{Entry, Mode};
use bytes::Bytes;
use jdb_base::checksum::crc32;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

/// One I/O operation.
#[derive(Debug)]
pub(super) enum Action {
    Open(PathBuf, Mode),
    CreateDir(PathBuf),
    List(PathBuf),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    /// The second part is the moment of submission, as for `Sync`.
    SyncDir(PathBuf, u64),
    Lock(PathBuf),
    Read(Rc<Node>, u64, usize),
    /// Writes the data from the given index on; the offset is that of index 0.
    Write(Rc<Node>, u64, Vec<u8>, usize),
    Sync(Rc<Node>, u64),
    Len(Rc<Node>),
    SetLen(Rc<Node>, u64),
}

/// What an operation answers.
#[derive(Debug)]
pub(super) enum Outcome {
    Unit,
    Node(Rc<Node>),
    Entries(Vec<Entry>),
    Bytes(Bytes),
    Count(u64),
}

/// An operation's result and the change it made, if any.
pub(super) struct Effect {
    pub(super) result: io::Result<Outcome>,
    pub(super) touched: Option<(Rc<Node>, u64)>,
}

impl Action {
    pub(super) fn kind(&self) -> OpKind {
        match self {
            Self::Open(_, Mode::Read | Mode::ReadWrite) => OpKind::Open,
            Self::Open(..) => OpKind::Create,
            Self::CreateDir(_) => OpKind::CreateDir,
            Self::List(_) => OpKind::List,
            Self::Remove(_) => OpKind::Remove,
            Self::Rename(..) => OpKind::Rename,
            Self::SyncDir(..) => OpKind::SyncDir,
            Self::Lock(_) => OpKind::Lock,
            Self::Read(..) => OpKind::Read,
            Self::Write(..) => OpKind::Write,
            Self::Sync(..) => OpKind::Sync,
            Self::Len(_) => OpKind::Len,
            Self::SetLen(..) => OpKind::SetLen,
        }
    }

    /// Whether it can change what a crash leaves.
    pub(super) fn changes(&self) -> bool {
        !matches!(self.kind(), OpKind::Open | OpKind::List | OpKind::Read | OpKind::Len)
    }

    /// Offset or length, and bytes of data: for the trace and the faults.
    pub(super) fn extent(&self) -> (u64, usize) {
        match self {
            Self::Read(_, offset, len) => (*offset, *len),
            Self::Write(_, offset, data, from) => (*offset + *from as u64, data.len() - *from),
            Self::SetLen(_, len) => (*len, 0),
            _ => (0, 0),
        }
    }
}

impl Effect {
    /// The result as one number, for the trace.
    pub(super) fn digest(&self) -> u64 {
        let sum = |bytes: &[u8]| u64::from(crc32(0, &[bytes]));
        match &self.result {
            Ok(Outcome::Unit) => 1,
            Ok(Outcome::Node(node)) => 2 ^ node.id << 8,
            Ok(Outcome::Entries(entries)) => entries
                .iter()
                .fold(3, |digest: u64, e| digest.rotate_left(7) ^ sum(e.name.as_bytes()) ^ e.len << 32),
            Ok(Outcome::Bytes(bytes)) => 4 ^ sum(bytes) << 8,
            Ok(Outcome::Count(count)) => 5 ^ count << 8,
            Err(e) => 6 ^ sum(format!("{:?}", e.kind()).as_bytes()) << 8,
        }
    }
}
