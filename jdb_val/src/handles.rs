//! Values by pointer. The files that this opens are kept among the database's [`Handles`](jdb_io::Handles).

use crate::error::{Error, Result};
use crate::layout::{FIRST_RECORD, RECORD_HEADER_LEN};
use crate::log::{Segment, ValueLog};
use crate::pos::LogPos;
use crate::reader::{STEP_LEN, verifies_in_steps};
use crate::record::{Head, RecordKind};
use crate::segment::segment_seed;
use bytes::{Buf, Bytes};
use jdb_base::checksum::{Seed, crc32};
use jdb_base::{SeqNo, ValuePtr};
use jdb_io::plant::{Plant, planted};
use jdb_io::{File, Mode};
use std::rc::Rc;

/// What an open file is taken to weigh in bytes.
const FILE_LEN: usize = 256;

/// A value that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Where its record lies.
    pub ptr: ValuePtr,
    /// Engine key that the record must have.
    pub key: &'a [u8],
    /// Sequence that it must have.
    pub seq: SeqNo,
}

impl Wanted<'_> {
    pub(crate) fn offset(&self) -> u64 {
        self.ptr.byte_offset()
    }

    fn len(&self) -> u64 {
        (RECORD_HEADER_LEN + self.key.len()) as u64 + u64::from(self.ptr.len)
    }

    pub(crate) fn end(&self) -> u64 {
        self.offset() + self.len()
    }
}

impl ValueLog {
    /// The value of the put that `ptr` leads to: one read; checksum, key, sequence and length are verified.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when exactly this record does not lie there, [`Error::Missing`] when the segment is not part of
    /// the log, [`Error::Unsupported`] for a record of a later version; the disk's.
    pub async fn read(&self, ptr: ValuePtr, key: &[u8], seq: SeqNo) -> Result<Bytes> {
        let wanted = Wanted { ptr, key, seq };
        let file = {
            let state = self.state.borrow();
            let segment = state.segments.get(&ptr.segment).ok_or_else(|| self.no_segment(ptr.segment))?;
            self.check_inside(&wanted, segment.end)?;
            segment.open_file()
        };
        let file = match file {
            Some(file) => file,
            None => self.file_of(ptr.segment).await?,
        };
        let bytes =
            file.read_at(wanted.offset(), usize::try_from(wanted.len()).unwrap_or(usize::MAX)).await?;
        self.value_in(&wanted, bytes).await
    }

    /// A pointer leads into the part of its segment that belongs to the log.
    pub(crate) fn check_place(&self, wanted: &Wanted<'_>) -> Result<()> {
        self.check_inside(wanted, self.end_of(wanted.ptr.segment)?)
    }

    fn check_inside(&self, wanted: &Wanted<'_>, end: u32) -> Result<()> {
        let end = LogPos::new(0, end).byte_offset();
        if wanted.ptr.offset < FIRST_RECORD || wanted.end() > end {
            let (what, offset) = ("record inside its segment", wanted.offset());
            let path = self.path(wanted.ptr.segment);
            return Err(Error::Corrupt { path, what, offset, expected: end, found: wanted.end() });
        }
        Ok(())
    }

    /// The value in the bytes of its record, which were read where it lies; everything about the record is verified.
    #[inline]
    pub(crate) async fn value_in(&self, wanted: &Wanted<'_>, mut bytes: Bytes) -> Result<Bytes> {
        // What is long is summed in steps, what is not as it should be is looked at closely.
        if bytes.len() <= STEP_LEN
            && let Some(seed) = self.seed_of(wanted.ptr.segment)
            && is_value(wanted, seed, &bytes)
        {
            bytes.advance(RECORD_HEADER_LEN + wanted.key.len());
            self.state.borrow_mut().stats.values_read += 1;
            return Ok(bytes);
        }
        self.value_in_steps(wanted, bytes).await
    }

    /// [`ValueLog::value_in`], whatever it finds.
    async fn value_in_steps(&self, wanted: &Wanted<'_>, bytes: Bytes) -> Result<Bytes> {
        let &Wanted { ptr, key, seq } = wanted;
        let (offset, len) = (wanted.offset(), wanted.len());
        let path = || self.path(ptr.segment);
        let corrupt =
            |what, expected: u64, found: u64| Error::Corrupt { path: path(), what, offset, expected, found };
        if (bytes.len() as u64) < len {
            return Err(corrupt("length of a record", len, bytes.len() as u64));
        }
        let seed = segment_seed(&self.config.secret, self.config.shard, ptr.segment);
        let Some(head) = Head::peek(&bytes, seed, offset) else {
            let stored = bytes.first_chunk().map_or(0, |crc| u32::from_le_bytes(*crc));
            let summed = crc32(seed.at(offset), &[bytes.get(4..).unwrap_or_default()]);
            return Err(corrupt("checksum of a record", u64::from(stored), u64::from(summed)));
        };
        if head.val_len() != ptr.len {
            return Err(corrupt("length of a value", u64::from(ptr.len), u64::from(head.val_len())));
        }
        if usize::from(head.key_len()) != key.len() {
            return Err(corrupt("length of a key", key.len() as u64, u64::from(head.key_len())));
        }
        if !verifies_in_steps(&head, &bytes).await {
            let (stored, summed) = head.sums(&bytes).unwrap_or_default();
            return Err(corrupt("checksum of a record", u64::from(stored), u64::from(summed)));
        }
        let pos = LogPos::new(ptr.segment, ptr.offset);
        let record = head.record(&bytes, pos).map_err(|fault| fault.in_file(&path()))?;
        if record.kind != RecordKind::Put {
            return Err(corrupt(
                "kind of a record",
                u64::from(RecordKind::Put.to_u8()),
                u64::from(head.kind()),
            ));
        }
        if record.seq != seq {
            return Err(corrupt("sequence of a record", seq.get(), record.seq.get()));
        }
        if record.key != key && !planted(Plant::NoKeyCheck) {
            let sum = |key| u64::from(crc32(0, &[key]));
            return Err(corrupt("key of a record (as a sum)", sum(key), sum(record.key)));
        }
        let at = RECORD_HEADER_LEN + record.key.len();
        let value = at..at + record.value.len();
        self.state.borrow_mut().stats.values_read += 1;
        Ok(bytes.slice(value))
    }

    /// End of a segment of the log, in units.
    pub(crate) fn end_of(&self, number: u32) -> Result<u32> {
        let end = self.state.borrow().segments.get(&number).map(|segment| segment.end);
        end.ok_or_else(|| self.no_segment(number))
    }

    fn no_segment(&self, number: u32) -> Error {
        Error::Missing { path: self.path(number), what: "segment of the log" }
    }

    fn seed_of(&self, number: u32) -> Option<Seed> {
        self.state.borrow().segments.get(&number).map(|segment| segment.seed)
    }

    /// The file of a segment, opened when it is not.
    pub(crate) async fn file_of(&self, number: u32) -> Result<File> {
        if let Some(file) = self.state.borrow().segments.get(&number).and_then(Segment::open_file) {
            return Ok(file);
        }
        let file = self.disk.open(&self.path(number), Mode::Read).await?;
        // Forgotten meanwhile, it is read this once.
        Ok(self.state.borrow().segments.get(&number).map_or(file.clone(), |segment| segment.keep(file)))
    }
}

/// Whether these bytes are the record that is wanted: whole, of this key and sequence.
fn is_value(wanted: &Wanted<'_>, seed: Seed, bytes: &[u8]) -> bool {
    let Some(head) = Head::of_whole(bytes, seed, wanted.offset()) else { return false };
    let pos = LogPos::new(wanted.ptr.segment, wanted.ptr.offset);
    head.record(bytes, pos).is_ok_and(|record| {
        record.kind == RecordKind::Put
            && record.seq == wanted.seq
            && record.value.len() == wanted.ptr.len as usize
            && record.key == wanted.key
    })
}

impl Segment {
    /// Its file, if it is open.
    fn open_file(&self) -> Option<File> {
        self.file.clone().or_else(|| self.read_from.get().map(|file| File::clone(&file)))
    }

    /// Keeps a file open for reading, until it is among the least recently used of too many. Of several the first one stays.
    pub(crate) fn keep(&self, file: File) -> File {
        File::clone(&self.read_from.put(Rc::new(file), FILE_LEN))
    }
}
