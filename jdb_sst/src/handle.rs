//! Where blocks lie in the file.

use crate::error::Damage;
use crate::layout::{DATA_LEN_MAX, FILTER_LEN_MAX, INDEX_LEN_MAX, TRAILER_LEN};
use jdb_base::varint::{put_u64, take_u32, take_u64};

/// A block's place: its offset and its length, trailer included.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Handle {
    /// Offset in the file.
    pub offset: u64,
    /// Length in bytes, trailer included.
    pub len: u32,
}

impl Handle {
    /// Appends the value of an index entry that leads to a data block: two varints. **Format**.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        put_u64(out, self.offset);
        put_u64(out, u64::from(self.len));
    }

    /// Reads what [`Handle::encode`] wrote; the block lies below `limit`.
    pub(crate) fn decode(mut bytes: &[u8], limit: u64) -> Result<Self, Damage> {
        let value_len = bytes.len() as u64;
        let parts = (|| Some(Self { offset: take_u64(&mut bytes)?, len: take_u32(&mut bytes)? }))();
        match parts {
            Some(handle) if bytes.is_empty() => handle.checked("data block", limit, DATA_LEN_MAX),
            _ => Err(Damage::corrupt("handle", 0, 2, value_len)),
        }
    }

    /// The same when it lies below `limit` and is not longer than `len_max`.
    pub(crate) fn checked(self, what: &'static str, limit: u64, len_max: usize) -> Result<Self, Damage> {
        let len = self.len as usize;
        if len <= TRAILER_LEN || len > len_max {
            return Err(Damage::corrupt(what, 0, len_max as u64, len as u64));
        }
        match self.end() {
            Some(end) if end <= limit => Ok(self),
            end => Err(Damage::corrupt(what, 0, limit, end.unwrap_or(u64::MAX))),
        }
    }

    /// Where the block ends; `None` when that is beyond 64 bits.
    #[must_use]
    pub fn end(self) -> Option<u64> {
        self.offset.checked_add(u64::from(self.len))
    }
}

/// The place of an index block and of the filter that may lie directly before it, so that one read fetches both.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Span {
    /// Offset of the filter block, or of the index block when there is no filter.
    pub offset: u64,
    /// Length of the filter block, trailer included; 0 for none.
    pub filter_len: u32,
    /// Length of the index block, trailer included.
    pub len: u32,
}

impl Span {
    /// Appends the value of an index entry that leads to an index block: three varints. **Format**.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        put_u64(out, self.offset);
        put_u64(out, u64::from(self.filter_len));
        put_u64(out, u64::from(self.len));
    }

    /// Reads what [`Span::encode`] wrote; both blocks lie below `limit`.
    pub(crate) fn decode(mut bytes: &[u8], limit: u64) -> Result<Self, Damage> {
        let value_len = bytes.len() as u64;
        let parts = (|| {
            let offset = take_u64(&mut bytes)?;
            let filter_len = take_u32(&mut bytes)?;
            Some(Self { offset, filter_len, len: take_u32(&mut bytes)? })
        })();
        match parts {
            Some(span) if bytes.is_empty() => {
                if span.filter_len > 0 {
                    let filter = Handle { offset: span.offset, len: span.filter_len };
                    filter.checked("filter block", limit, FILTER_LEN_MAX)?;
                }
                let start = span.offset.saturating_add(u64::from(span.filter_len));
                Handle { offset: start, len: span.len }.checked("index block", limit, INDEX_LEN_MAX)?;
                Ok(span)
            }
            _ => Err(Damage::corrupt("handle", 0, 3, value_len)),
        }
    }

    /// The index block alone.
    #[must_use]
    pub fn index(self) -> Handle {
        Handle { offset: self.offset.saturating_add(u64::from(self.filter_len)), len: self.len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handle_comes_back_unless_it_leads_out_of_the_file() {
        for (offset, len, limit, good) in [
            (0, 6, 6, true),
            (4096, 4096, 8192, true),
            (4096, 4096, 8191, false),
            (0, 5, 100, false),
            (0, 0, 100, false),
            (u64::MAX, 6, u64::MAX, false),
            (0, u32::MAX, u64::MAX, false),
        ] {
            let mut out = Vec::new();
            Handle { offset, len }.encode(&mut out);
            let got = Handle::decode(&out, limit);
            assert_eq!(got.ok(), good.then_some(Handle { offset, len }), "{offset} {len} {limit}");
            assert!(Handle::decode(&out[..out.len() - 1], limit).is_err());
            out.push(0);
            assert!(Handle::decode(&out, limit).is_err(), "a byte too many");
        }
    }

    #[test]
    fn span_covers_filter_and_index_block() {
        for (span, limit, good) in [
            (Span { offset: 100, filter_len: 0, len: 50 }, 150, true),
            (Span { offset: 100, filter_len: 30, len: 50 }, 180, true),
            (Span { offset: 100, filter_len: 30, len: 50 }, 179, false),
            (Span { offset: 100, filter_len: 5, len: 50 }, 180, false),
            (Span { offset: 100, filter_len: 65_537, len: 50 }, 100_000, false),
            (Span { offset: u64::MAX, filter_len: 30, len: 50 }, u64::MAX, false),
        ] {
            let mut out = Vec::new();
            span.encode(&mut out);
            assert_eq!(Span::decode(&out, limit).ok(), good.then_some(span), "{span:?}");
            if good {
                let start = span.offset + u64::from(span.filter_len);
                assert_eq!(span.index(), Handle { offset: start, len: span.len });
            }
        }
    }
}
