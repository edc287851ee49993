//! A segment in words: one line a field, as `docs/format/value_log.md` shows them.
//!
//! `000040..000044  6ae1c0de  crc` : byte range, bytes, meaning. Long runs of bytes are cut after 16.

use crate::error::Fault;
use crate::footer::{FooterTop, PageKind, open_page};
use crate::layout::{FOOTER_PAGE_HEADER_LEN, FOOTER_SUMMARY_LEN, RECORD_HEADER_LEN, SEGMENT_HEADER_LEN};
use crate::pos::LogPos;
use crate::record::Head;
use crate::segment::{SegmentHeader, segment_seed};
use jdb_base::SeqNo;
use jdb_base::pages::{PAGE_LEN, UNIT_LEN};
use jdb_base::varint;
use std::fmt::Write;

const BYTES_SHOWN: usize = 16;

/// Describes a segment file: header, records up to the first place without a whole one, then what is left.
///
/// ```
/// use jdb_val::{LogPos, SegmentHeader, dump, segment::segment_seed};
/// let secret = [7; 16];
/// let header = SegmentHeader {
///     shard: 0,
///     number: 1,
///     pred: LogPos::START,
///     pred_last_seq: jdb_base::SeqNo::ZERO,
///     features_compatible: 0,
/// };
/// let bytes = header.encode(segment_seed(&secret, 0, 1));
/// assert!(dump::dump_segment(&bytes, &secret, 0, 1).starts_with("000000..000004  6a646276  magic \"jdbv\"\n"));
/// ```
#[must_use]
pub fn dump_segment(bytes: &[u8], secret: &[u8; 16], shard: u32, number: u32) -> String {
    let seed = segment_seed(secret, shard, number);
    let mut out = Lines { bytes, at: 0, text: String::new() };
    let header = match SegmentHeader::decode(bytes, seed, shard, number) {
        Ok(header) => header,
        Err(fault) => {
            out.fault(fault);
            return out.text;
        }
    };
    out.header(&header);
    let mut last = SeqNo::ZERO;
    while let Some(rest) = bytes.get(out.at..).filter(|rest| !rest.is_empty()) {
        let at = out.at as u64;
        let head = Head::peek(rest, seed, at).filter(|head| head.verifies(rest) && head.seq() > last);
        let Some(head) = head.filter(|head| head.record_len() <= rest.len() as u64) else { break };
        last = head.seq();
        let _ = writeln!(out.text, "record at {} (offset {} in units)", at, at / UNIT_LEN);
        if let Err(fault) = out.record(&head, rest, LogPos::new(number, (at / UNIT_LEN) as u32)) {
            out.fault(fault);
            return out.text;
        }
    }
    let left = bytes.len() - out.at.min(bytes.len());
    if left > 0 {
        let _ = writeln!(
            out.text,
            "{:06}..{:06}  {left} bytes behind the last whole record",
            out.at,
            bytes.len()
        );
    }
    out.text
}

/// Describes a footer. `bytes` are those of its segment's file, `place` what the MANIFEST says.
#[must_use]
pub fn dump_footer(bytes: &[u8], secret: &[u8; 16], shard: u32, number: u32, place: (u64, u32)) -> String {
    let seed = segment_seed(secret, shard, number);
    let mut out = Lines { bytes, at: 0, text: String::new() };
    let (offset, len) = (place.0 as usize, place.1 as usize);
    let top = bytes.get(offset..).and_then(|rest| rest.get(..len)).unwrap_or_default();
    let parsed = match FooterTop::parse(top, seed, place.0) {
        Ok(parsed) => parsed,
        Err(fault) => {
            out.fault(fault);
            return out.text;
        }
    };
    let summary = parsed.summary();
    let first = offset - summary.data_pages as usize * PAGE_LEN;
    for page in 0..(summary.data_pages + summary.top_pages) as usize {
        let at = first + page * PAGE_LEN;
        let kind = if page < summary.data_pages as usize { PageKind::Data } else { PageKind::Top };
        match open_page(bytes.get(at..).unwrap_or_default(), seed, at as u64, kind) {
            Ok(used) => out.page(at, used, kind, page == summary.data_pages as usize),
            Err(fault) => out.fault(fault),
        }
    }
    out.text
}

/// Lines so far, and the place of the next.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    text: String,
}

impl Lines<'_> {
    /// The line of the next `len` bytes.
    fn field(&mut self, len: usize, meaning: &str) {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.get(..len)).unwrap_or_default();
        let mut hex = String::new();
        for byte in bytes.iter().take(BYTES_SHOWN) {
            let _ = write!(hex, "{byte:02x}");
        }
        if len > BYTES_SHOWN {
            hex.push_str("..");
        }
        let _ = writeln!(self.text, "{:06}..{:06}  {hex}  {meaning}", self.at, self.at + len);
        self.at += len;
    }

    fn fault(&mut self, fault: Fault) {
        let _ = match fault {
            Fault::Corrupt { what, offset, expected, found } => {
                writeln!(self.text, "{offset:06} {what}: expected {expected:#x}, found {found:#x}")
            }
            Fault::Unsupported { what, offset, found } => {
                writeln!(self.text, "{offset:06} {what} {found:#x} is not supported")
            }
        };
    }

    fn header(&mut self, header: &SegmentHeader) {
        let &SegmentHeader { shard, number, pred, pred_last_seq, features_compatible } = header;
        self.field(4, "magic \"jdbv\"");
        self.field(2, "version 1");
        self.field(2, "zero");
        self.field(4, &format!("compatible features {features_compatible:#x}"));
        self.field(4, "read-only features 0x0");
        self.field(4, "incompatible features 0x0");
        self.field(4, &format!("shard {shard}"));
        self.field(4, &format!("segment {number}"));
        self.field(4, &format!("predecessor {}", pred.segment));
        self.field(4, &format!("predecessor's true end {} (byte {})", pred.offset, pred.byte_offset()));
        self.field(4, "zero");
        self.field(8, &format!("predecessor's last sequence {pred_last_seq}"));
        self.field(12, "zero");
        self.field(4, "crc of bytes 0..60");
        debug_assert_eq!(self.at, SEGMENT_HEADER_LEN);
    }

    fn record(&mut self, head: &Head, rest: &[u8], pos: LogPos) -> Result<(), Fault> {
        let record = head.record(rest, pos)?;
        let back = head.synced_back();
        self.field(4, "crc");
        self.field(2, &format!("key length {}", record.key.len()));
        self.field(1, &format!("kind {} {:?}", head.kind(), record.kind));
        self.field(1, "flags 0x0");
        self.field(4, &format!("value length {}", record.value.len()));
        self.field(4, &format!("operations left {}", record.ops_left));
        self.field(8, &format!("sequence {}", record.seq));
        self.field(
            4,
            &if back == u32::MAX { "synced back unknown".to_owned() } else { format!("synced back {back}") },
        );
        self.field(1, "extension length 0");
        self.field(3, "head check");
        if !record.key.is_empty() {
            self.field(record.key.len(), &format!("key {:?}", String::from_utf8_lossy(record.key)));
        }
        if !record.value.is_empty() {
            let shown = record.value.get(..record.value.len().min(BYTES_SHOWN)).unwrap_or_default();
            self.field(record.value.len(), &format!("value {:?}", String::from_utf8_lossy(shown)));
        }
        let body = RECORD_HEADER_LEN + record.key.len() + record.value.len();
        let padding = body.next_multiple_of(UNIT_LEN as usize) - body;
        if padding > 0 {
            self.field(padding, "padding");
        }
        Ok(())
    }

    fn page(&mut self, at: usize, used: &[u8], kind: PageKind, is_first_top: bool) {
        let _ = writeln!(self.text, "{kind:?} page at {at}");
        self.at = at;
        self.field(4, "crc of the page");
        self.field(1, &format!("page kind {} {kind:?}", kind as u8));
        self.field(1, "zero");
        self.field(2, &format!("bytes used {}", used.len() + FOOTER_PAGE_HEADER_LEN));
        let mut rest = used;
        if is_first_top {
            self.summary(used);
            rest = used.get(FOOTER_SUMMARY_LEN..).unwrap_or_default();
        }
        while let Some((&len, tail)) = rest.split_first() {
            let len = usize::from(len);
            self.field(1, &format!("namespace length {len}"));
            self.field(len, if kind == PageKind::Top { "fence" } else { "namespace" });
            rest = tail.get(len..).unwrap_or_default();
            if kind == PageKind::Data {
                rest = self.records(rest);
            }
        }
    }

    /// The lines of an entry's records; gives what follows.
    fn records<'b>(&mut self, mut rest: &'b [u8]) -> &'b [u8] {
        let Some(count) = varint::take_u64(&mut rest) else { return &[] };
        self.field(varint::len_u64(count), &format!("records {count}"));
        let mut offset = 0u64;
        for _ in 0..count {
            let Some(item) = varint::take_u64(&mut rest) else { return &[] };
            let Some(next) = offset.checked_add(item >> 3) else { return &[] };
            offset = next;
            self.field(varint::len_u64(item), &format!("offset {offset}, kind {}", item & 7));
        }
        rest
    }

    fn summary(&mut self, bytes: &[u8]) {
        let number = |at: usize, len: usize| {
            let bytes = bytes.get(at..at + len).unwrap_or_default();
            bytes.iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte))
        };
        self.field(4, "magic \"jdbf\"");
        self.field(2, "version 1");
        self.field(2, "zero");
        self.field(4, "incompatible features 0x0");
        for (at, len, what) in [
            (12, 4, "data pages"),
            (16, 4, "top pages"),
            (20, 4, "namespaces"),
            (24, 4, "records"),
            (28, 4, "drops"),
            (32, 8, "smallest sequence"),
            (40, 8, "largest sequence"),
            (48, 4, "true end"),
        ] {
            self.field(len, &format!("{what} {}", number(at, len)));
        }
        self.field(4, "zero");
    }
}

#[cfg(test)]
mod tests;
