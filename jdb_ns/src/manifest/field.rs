//! Tagged fields: `tag: varint  len: varint  payload`, the tag being `number << 1 | critical`.
//!
//! A later version adds fields under new numbers. One that this version does not know is left out when its critical
//! bit is 0; when the bit is 1, the bytes cannot be understood without it and reading them is refused.

use super::edit::{FooterPlace, Position};
use crate::error::Fault;
use bytes::Bytes;
use jdb_base::{NsId, SeqNo, varint};

/// Appends a field whose payload `write` appends to an empty buffer.
pub(super) fn put(out: &mut Vec<u8>, tag: u64, write: impl FnOnce(&mut Vec<u8>)) {
    let mut payload = Vec::new();
    write(&mut payload);
    varint::put_u64(out, tag);
    put_bytes(out, &payload);
}

/// Appends a length and the bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint::put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends varints.
pub(super) fn put_all(out: &mut Vec<u8>, numbers: &[u64]) {
    for &number in numbers {
        varint::put_u64(out, number);
    }
}

/// A signed number as an unsigned one, small when it is near 0.
pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The signed number of [`zigzag`].
pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// One field of a body, its payload not yet read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    /// Its number, without the critical bit.
    pub(super) number: u64,
    /// Whether a reader that does not know the number must refuse.
    pub(super) critical: bool,
    /// Offset of its payload in the body.
    pub(super) payload_start: usize,
    /// Its payload.
    pub(super) payload: &'a [u8],
}

impl<'a> Field<'a> {
    /// Takes the next field; `bytes` begin at `start` of the body. `None` at the end.
    pub(super) fn take(bytes: &mut &'a [u8], start: usize) -> Result<Option<Self>, Fault> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let whole = bytes.len();
        let cut = || Fault::Corrupt { what: "field", offset: start as u64, expected: 1, found: 0 };
        let tag = varint::take_u64(bytes).ok_or_else(cut)?;
        let len = varint::take_u64(bytes).ok_or_else(cut)?;
        let payload_start = start + (whole - bytes.len());
        let left = bytes.len() as u64;
        let payload = usize::try_from(len).ok().and_then(|len| varint::take_bytes(bytes, len)).ok_or(
            Fault::Corrupt { what: "field length", offset: start as u64, expected: left, found: len },
        )?;
        Ok(Some(Self { number: tag >> 1, critical: tag & 1 == 1, payload_start, payload }))
    }

    /// Leaves this field out, when that is allowed.
    pub(super) fn skip(&self) -> Result<(), Fault> {
        if self.critical { Err(Fault::Unsupported { what: "field", found: self.number }) } else { Ok(()) }
    }

    /// A reader of its payload; `what` names it in faults.
    pub(super) fn reader(&self, what: &'static str) -> Reader<'a> {
        Reader { what, start: self.payload_start, len: self.payload.len(), rest: self.payload }
    }
}

/// Reads a payload: first the values of its first version, then the fields that later ones added.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    what: &'static str,
    start: usize,
    len: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn offset(&self) -> usize {
        self.start + (self.len - self.rest.len())
    }

    /// This payload does not hold what it should, at the byte that comes next.
    pub(super) fn fault(&self) -> Fault {
        let found = (self.len - self.rest.len()) as u64;
        Fault::Corrupt { what: self.what, offset: self.offset() as u64, expected: self.len as u64, found }
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        varint::take_u64(&mut self.rest).ok_or_else(|| self.fault())
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        varint::take_u32(&mut self.rest).ok_or_else(|| self.fault())
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        u8::try_from(self.u64()?).map_err(|_| self.fault())
    }

    pub(super) fn seq(&mut self) -> Result<SeqNo, Fault> {
        self.u64().map(SeqNo::new)
    }

    pub(super) fn ns(&mut self) -> Result<NsId, Fault> {
        NsId::take(&mut self.rest).ok_or_else(|| self.fault())
    }

    pub(super) fn position(&mut self) -> Result<Position, Fault> {
        Ok(Position { segment: self.u32()?, offset: self.u32()? })
    }

    pub(super) fn footer(&mut self) -> Result<FooterPlace, Fault> {
        Ok(FooterPlace { offset: self.u64()?, len: self.u32()? })
    }

    pub(super) fn id(&mut self) -> Result<[u8; 16], Fault> {
        varint::take_array(&mut self.rest).ok_or_else(|| self.fault())
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, Fault> {
        let len = self.u64()?;
        let bytes = usize::try_from(len).ok().and_then(|len| varint::take_bytes(&mut self.rest, len));
        bytes.map(Bytes::copy_from_slice).ok_or_else(|| self.fault())
    }

    /// A count and as many strictly ascending numbers, each as the distance from the one before.
    pub(super) fn ascending(&mut self) -> Result<Vec<u32>, Fault> {
        let count = self.u64()?;
        // Each number takes a byte at least: what is allocated is bounded by what is there.
        if count > self.rest.len() as u64 {
            return Err(self.fault());
        }
        let mut numbers = Vec::with_capacity(count as usize);
        for i in 0..count {
            let step = self.u32()?;
            let number = numbers.last().map_or(Some(step), |last: &u32| last.checked_add(step));
            numbers.push(number.filter(|_| i == 0 || step > 0).ok_or_else(|| self.fault())?);
        }
        Ok(numbers)
    }

    /// Reads what later versions added, up to the end; `known` says whether it took a field.
    pub(super) fn rest(
        mut self,
        mut known: impl FnMut(u64, Reader<'a>) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        loop {
            let start = self.offset();
            let Some(field) = Field::take(&mut self.rest, start)? else { return Ok(()) };
            if !known(field.number, field.reader(self.what))? {
                field.skip()?;
            }
        }
    }

    /// Nothing more that this version knows.
    pub(super) fn end(self) -> Result<(), Fault> {
        self.rest(|_, _| Ok(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zigzag_comes_back() {
        for value in [0, 1, -1, 2, -2, 1 << 40, -(1 << 40), i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!([0, -1, 1, -2].map(zigzag), [0, 1, 2, 3]);
    }

    #[test]
    fn numbers_that_do_not_ascend_are_refused() {
        for (payload, want) in [
            (&[0][..], Some(vec![])),
            (&[1, 0], Some(vec![0])),
            (&[3, 5, 1, 2], Some(vec![5, 6, 8])),
            (&[2, 5, 0], None),
            (&[2, 5], None),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], None),
            (&[2, 0xff, 0xff, 0xff, 0xff, 0x0f, 1], None),
        ] {
            let field = Field { number: 1, critical: true, payload_start: 0, payload };
            assert_eq!(field.reader("pack").ascending().ok(), want, "{payload:?}");
        }
    }
}
