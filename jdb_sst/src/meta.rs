//! The list of meta blocks: what a table has besides entries and index.
//!
//! `{ type: u16le  flags: u16le  len: u32le  offset: u64le } * n`, then the block trailer; at most 256 entries. Bit 0 of
//! the flags says *critical*: a reader that does not know the type must not use the table. Other types are skipped.
//!
//! Format: docs/format/sst.md.

use crate::error::Damage;
use crate::handle::Handle;
use crate::layout::{DATA_LEN_MAX, META_COUNT_MAX, META_ENTRY_LEN};
use jdb_base::varint::{take_u16_le, take_u32_le, take_u64_le};

/// A type of meta block. **Format**: the numbers are on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
#[non_exhaustive]
pub enum MetaType {
    /// Counts and sizes of the whole table.
    Properties = 1,
    /// For each group of keys with a common prefix: rows, tombstones, bytes, newest sequence.
    GroupDirectory = 2,
    /// Salt and options of the filters.
    Filters = 3,
}

/// Bit of the flags: the table cannot be used without understanding this block.
pub const CRITICAL: u16 = 1;

/// One entry of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Number of its [`MetaType`], which may be one of a later version.
    pub number: u16,
    /// [`CRITICAL`] or 0.
    pub flags: u16,
    /// Where it lies.
    pub handle: Handle,
}

impl Meta {
    /// Appends the entry.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&self.handle.len.to_le_bytes());
        out.extend_from_slice(&self.handle.offset.to_le_bytes());
    }
}

/// Reads a list, without trailer, of a table whose blocks lie below `limit`.
///
/// # Errors
/// [`Damage::Corrupt`] when an entry is cut or leads out of the file, [`Damage::Unsupported`] for a critical type or a flag
/// of a later version.
pub(crate) fn read_list(bytes: &[u8], limit: u64) -> Result<Vec<Meta>, Damage> {
    let (count, rest) = (bytes.len() / META_ENTRY_LEN, bytes.len() % META_ENTRY_LEN);
    if rest != 0 || count > META_COUNT_MAX {
        let expected = (count.min(META_COUNT_MAX) * META_ENTRY_LEN) as u64;
        return Err(Damage::corrupt("length of the meta list", 0, expected, bytes.len() as u64));
    }
    let mut list = Vec::with_capacity(count);
    for (i, entry) in bytes.chunks_exact(META_ENTRY_LEN).enumerate() {
        list.push(read_one(entry, limit).map_err(|damage| damage.after((i * META_ENTRY_LEN) as u64))?);
    }
    Ok(list)
}

fn read_one(mut bytes: &[u8], limit: u64) -> Result<Meta, Damage> {
    let fields = (|| {
        let (number, flags) = (take_u16_le(&mut bytes)?, take_u16_le(&mut bytes)?);
        let (len, offset) = (take_u32_le(&mut bytes)?, take_u64_le(&mut bytes)?);
        Some(Meta { number, flags, handle: Handle { offset, len } })
    })();
    let meta = fields.ok_or_else(|| Damage::corrupt("entry of the meta list", 0, 0, 0))?;
    if meta.flags & !CRITICAL != 0 {
        return Err(Damage::unsupported("meta block flags", 2, u64::from(meta.flags)));
    }
    // None of this version's types is needed to read entries, so a critical one is of a later version, whatever its type.
    if meta.flags & CRITICAL != 0 {
        return Err(Damage::unsupported("critical meta block", 0, u64::from(meta.number)));
    }
    meta.handle.checked("meta block", limit, DATA_LEN_MAX)?;
    Ok(meta)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_of(metas: &[Meta]) -> Vec<u8> {
        let mut out = Vec::new();
        metas.iter().for_each(|meta| meta.encode(&mut out));
        out
    }

    #[test]
    fn list_comes_back_with_types_of_later_versions() {
        let handle = Handle { offset: 4096, len: 100 };
        let metas = [1, 2, 3, 999].map(|number| Meta { number, flags: 0, handle });
        assert_eq!(read_list(&list_of(&metas), 5000), Ok(metas.to_vec()));
        assert_eq!(read_list(&[], 5000), Ok(vec![]));
    }

    #[test]
    fn bad_lists_are_refused() {
        let handle = Handle { offset: 4096, len: 100 };
        let meta = Meta { number: 1, flags: 0, handle };
        for (bad, unsupported) in [
            (Meta { number: 999, flags: CRITICAL, ..meta }, true),
            (Meta { number: 1, flags: CRITICAL, ..meta }, true),
            (Meta { flags: 2, ..meta }, true),
            (Meta { handle: Handle { len: 0, ..handle }, ..meta }, false),
            (Meta { handle: Handle { offset: 4950, ..handle }, ..meta }, false),
            (Meta { handle: Handle { offset: u64::MAX, ..handle }, ..meta }, false),
        ] {
            let got = read_list(&list_of(&[meta, bad]), 5000);
            assert_eq!(matches!(got, Err(Damage::Unsupported { .. })), unsupported, "{bad:?}");
            assert_eq!(matches!(got, Err(Damage::Corrupt { .. })), !unsupported, "{bad:?}");
        }
        assert!(read_list(&[0; 15], 5000).is_err());
        assert!(read_list(&list_of(&[meta; META_COUNT_MAX + 1]), 5000).is_err());
    }
}
