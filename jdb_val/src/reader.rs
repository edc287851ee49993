//! Reads a segment's records in order, batch by batch, and looks for records in bytes that are none.
//!
//! Invariants
//! - A length from disk is believed only after its `head_check` fitted and it is within the file.
//! - A batch is given whole or not at all; the window in memory begins at its first record, so what is held is one batch
//!   or [`WINDOW_LEN`], whichever is longer.

use crate::error::Result;
use crate::layout::RECORD_HEADER_LEN;
use crate::pos::LogPos;
use crate::record::{Head, Record};
use crate::stretch::Stretches;
use bytes::Bytes;
use jdb_base::SeqNo;
use jdb_base::checksum::{Seed, crc32};
use jdb_base::pages::UNIT_LEN;
use jdb_io::File;
use jdb_io::plant::{Plant, planted};
use jdb_io::task::yield_now;

/// Bytes read at a time.
pub(crate) const WINDOW_LEN: usize = 256 << 10;
/// Bytes summed or copied before other tasks get a turn.
pub(crate) const STEP_LEN: usize = 256 << 10;

/// What a window tells of a record.
enum Held {
    /// It holds all of it, and it verifies.
    Record(Head),
    /// There is none.
    None,
    /// It does not hold all of it, or it is too long for one step.
    Cut,
}

/// Walks the whole batches of one segment from a place on.
pub(crate) struct BatchScan {
    file: File,
    seed: Seed,
    segment: u32,
    /// Records end at or before this byte.
    len: u64,
    /// Bytes before `len` and from the first record of a batch on.
    window: Bytes,
    window_at: u64,
    end: u64,
    last: SeqNo,
    batch: Vec<(u64, Head)>,
    /// What was verified, of the windows before this one, when it is to be remembered.
    stretches: Option<Stretches>,
}

impl BatchScan {
    /// Starts at byte `from` of `segment`, whose records end at or before byte `len`; `last` is the sequence before it.
    pub(crate) fn new(file: File, seed: Seed, segment: u32, from: u64, len: u64, last: SeqNo) -> Self {
        let len = len.min(u64::from(u32::MAX) * UNIT_LEN);
        let (window, window_at) = (Bytes::new(), from);
        Self {
            file,
            seed,
            segment,
            len,
            window,
            window_at,
            end: from,
            last,
            batch: Vec::new(),
            stretches: None,
        }
    }

    /// The same, and remembers what it has verified: [`BatchScan::into_stretches`].
    pub(crate) fn remembering(self) -> Self {
        Self { stretches: Some(Stretches::default()), ..self }
    }

    /// Goes to the next whole batch; false where whole, rising batches end.
    ///
    /// # Errors
    /// The disk's; `Unsupported` when the next record is whole and of a later version.
    pub(crate) async fn next(&mut self) -> Result<bool> {
        self.batch.clear();
        let start = self.end;
        let (mut at, mut last) = (start, self.last);
        loop {
            let head = match self.held(at) {
                Held::Record(head) => Some(head),
                Held::None => None,
                Held::Cut => self.verified(start, at).await?,
            };
            let Some(head) = head else { break };
            let rises = head.seq() > last || planted(Plant::NoRise);
            let counts_down = self
                .batch
                .last()
                .is_none_or(|(_, before)| before.ops_left().checked_sub(1) == Some(head.ops_left()));
            if !rises || !counts_down {
                break;
            }
            let pos = LogPos::new(self.segment, (at / UNIT_LEN) as u32);
            head.known_kind(pos).map_err(|fault| fault.in_file(self.file.path()))?;
            self.batch.push((at, head));
            at += head.record_len();
            last = head.seq();
            if head.ops_left() == 0 {
                (self.end, self.last) = (at, last);
                return Ok(true);
            }
        }
        if planted(Plant::HalfBatch) && !self.batch.is_empty() {
            (self.end, self.last) = (at, last);
            return Ok(true);
        }
        self.batch.clear();
        Ok(false)
    }

    /// What was verified up to [`BatchScan::end`].
    pub(crate) fn into_stretches(mut self) -> Stretches {
        self.remember();
        self.stretches.unwrap_or_default()
    }

    /// Remembers the whole batches of the window, which begins where a batch does and ended the last time.
    fn remember(&mut self) {
        if let Some(stretches) = &mut self.stretches {
            let len = usize::try_from(self.end - self.window_at).unwrap_or(usize::MAX);
            let bytes = self.window.get(..len).unwrap_or_default();
            stretches.push(self.window_at, bytes, self.last);
        }
    }

    /// End of the last whole batch, in bytes.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The segment that is read.
    pub(crate) fn segment(&self) -> u32 {
        self.segment
    }

    /// The end of the last whole batch, in units.
    pub(crate) fn end_units(&self) -> u32 {
        (self.end / UNIT_LEN) as u32
    }

    /// Sequence of the last record before [`BatchScan::end`].
    pub(crate) fn last_seq(&self) -> SeqNo {
        self.last
    }

    /// The records of the batch that [`BatchScan::next`] went to.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.batch.iter().filter_map(|(at, head)| {
            let bytes = self.window.get(usize::try_from(at - self.window_at).ok()?..)?;
            head.record(bytes, LogPos::new(self.segment, (at / UNIT_LEN) as u32)).ok()
        })
    }

    /// The bytes from `start`, the beginning of the batch that [`BatchScan::next`] went to, to its end.
    pub(crate) fn bytes_from(&self, start: u64) -> &[u8] {
        let len = usize::try_from(self.end - start).unwrap_or(usize::MAX);
        let bytes = self.bytes_at(start);
        bytes.get(..len).unwrap_or(bytes)
    }

    /// Where the last record of the batch lies, in bytes, and how far back it says that the log was synced.
    pub(crate) fn claim(&self) -> Option<(u64, u32)> {
        self.batch.last().map(|(at, head)| (*at, head.synced_back()))
    }

    /// What the window tells of the record at `at` without a read and in one step.
    #[inline]
    fn held(&self, at: u64) -> Held {
        let bytes = self.bytes_at(at);
        if bytes.len() < RECORD_HEADER_LEN {
            return Held::Cut;
        }
        match Head::peek(bytes, self.seed, at) {
            None => Held::None,
            Some(head) if head.record_len() > bytes.len().min(STEP_LEN) as u64 => Held::Cut,
            Some(head) if head.verifies(bytes) => Held::Record(head),
            Some(_) => Held::None,
        }
    }

    /// The header of the record at `at` when the whole record verifies; its bytes are in the window then.
    async fn verified(&mut self, start: u64, at: u64) -> Result<Option<Head>> {
        if !self.hold(start, at, RECORD_HEADER_LEN as u64).await? {
            return Ok(None);
        }
        let Some(head) = Head::peek(self.bytes_at(at), self.seed, at) else { return Ok(None) };
        if !self.hold(start, at, head.record_len()).await? {
            return Ok(None);
        }
        Ok(verifies_in_steps(&head, self.bytes_at(at)).await.then_some(head))
    }

    fn bytes_at(&self, at: u64) -> &[u8] {
        usize::try_from(at - self.window_at).ok().and_then(|skip| self.window.get(skip..)).unwrap_or_default()
    }

    /// Makes the window begin at or before `start` and hold `len` bytes at `at`; false when the file ends before.
    async fn hold(&mut self, start: u64, at: u64, len: u64) -> Result<bool> {
        let Some(upto) = at.checked_add(len).filter(|&upto| upto <= self.len) else { return Ok(false) };
        if self.window_at <= start && upto <= self.window_at + self.window.len() as u64 {
            return Ok(true);
        }
        let grown = if self.window_at == start { self.window.len() * 2 } else { 0 };
        let want = (upto - start).max(grown.max(WINDOW_LEN) as u64).min(self.len - start);
        self.remember();
        self.window = Bytes::new();
        self.window = self.file.read_at(start, usize::try_from(want).unwrap_or(usize::MAX)).await?;
        self.window_at = start;
        let held = start + self.window.len() as u64;
        if (self.window.len() as u64) < want {
            self.len = held;
        }
        Ok(upto <= held)
    }
}

/// Sums a record in steps, so that a large value does not hold the thread.
pub(crate) async fn verifies_in_steps(head: &Head, bytes: &[u8]) -> bool {
    if head.record_len() <= STEP_LEN as u64 {
        return head.verifies(bytes);
    }
    let Some(body) = head.body(bytes) else { return false };
    let mut sum = head.header_sum();
    for step in body.chunks(STEP_LEN) {
        sum = crc32(sum, &[step]);
        yield_now().await;
    }
    sum == head.stored_sum()
}

/// Looks for verified records at every 8-byte step of `from..len`, until `found` says that it has seen enough.
///
/// Returns whether `found` did. Cost: a look at the lengths of each step; where they fit, a check over 25 bytes; where that
/// fits too, the body is summed.
pub(crate) async fn find_records(
    file: &File,
    seed: Seed,
    from: u64,
    len: u64,
    found: &mut dyn FnMut(u64, &Head) -> bool,
) -> Result<bool> {
    let mut at = from;
    while at + RECORD_HEADER_LEN as u64 <= len {
        let want = (len - at).min(WINDOW_LEN as u64) as usize;
        let window = file.read_at(at, want).await?;
        if window.len() < RECORD_HEADER_LEN {
            break;
        }
        let mut skip = 0;
        while let Some(bytes) = window.get(skip..).filter(|bytes| bytes.len() >= RECORD_HEADER_LEN) {
            let place = at + skip as u64;
            if !Head::may_begin(bytes, len - place) {
                skip += UNIT_LEN as usize;
                continue;
            }
            let head = Head::peek(bytes, seed, place).filter(|head| head.record_len() <= len - place);
            let verified = match &head {
                None => false,
                Some(head) if head.record_len() <= bytes.len() as u64 => verifies_in_steps(head, bytes).await,
                Some(head) => {
                    let body =
                        file.read_at(place, usize::try_from(head.record_len()).unwrap_or(usize::MAX)).await?;
                    verifies_in_steps(head, &body).await
                }
            };
            if let Some(head) = head.filter(|_| verified) {
                if found(place, &head) {
                    return Ok(true);
                }
                skip = skip.saturating_add(usize::try_from(head.record_len()).unwrap_or(usize::MAX));
            } else {
                skip += UNIT_LEN as usize;
            }
        }
        at = at.saturating_add(skip as u64);
        yield_now().await;
    }
    Ok(false)
}
