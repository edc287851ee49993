//! Stretches: what replay has verified, remembered by a hash of every 256 KiB.
//!
//! The recovered tail is read and verified once more before it is written again ([`crate::tail`]). Bytes with the hash that
//! they had when their records verified are those bytes; so it takes no second checksum of each record. Where the hash is
//! another one, or where a stretch is cut, the records decide.
//!
//! Invariants
//! - A stretch begins and ends where a batch does, and holds whole, rising batches only.
//! - It is one step long at most: what a longer batch needs, it needs again.

use crate::reader::STEP_LEN;
use jdb_base::SeqNo;
use xxhash_rust::xxh3::xxh3_64;

/// A part of a segment whose batches verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stretch {
    /// Where it begins, in bytes.
    from: u64,
    len: usize,
    hash: u64,
    /// The last sequence in it.
    pub(crate) last_seq: SeqNo,
}

impl Stretch {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where it ends, in bytes.
    pub(crate) fn end(&self) -> u64 {
        self.from + self.len as u64
    }

    /// Whether these are the bytes that verified.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.len && xxh3_64(bytes) == self.hash
    }
}

/// The stretches of a segment, in order.
#[derive(Default, Debug)]
pub(crate) struct Stretches(Vec<Stretch>);

impl Stretches {
    /// Adds the bytes from `from` on, behind all that was added before. Cost: about 7 us.
    pub(crate) fn push(&mut self, from: u64, bytes: &[u8], last_seq: SeqNo) {
        if !bytes.is_empty() && bytes.len() <= STEP_LEN {
            self.0.push(Stretch { from, len: bytes.len(), hash: xxh3_64(bytes), last_seq });
        }
    }

    /// The stretch that begins at byte `from`.
    pub(crate) fn at(&self, from: u64) -> Option<&Stretch> {
        let index = self.0.binary_search_by_key(&from, |stretch| stretch.from).ok()?;
        self.0.get(index)
    }

    /// Where the first stretch behind byte `from` begins.
    pub(crate) fn next_from(&self, from: u64) -> Option<u64> {
        let index = self.0.partition_point(|stretch| stretch.from <= from);
        self.0.get(index).map(|stretch| stretch.from)
    }
}
