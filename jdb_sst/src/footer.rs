//! The footer: the fixed tail of a table, which finds the rest.
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 4 | magic `jdbs` |
//! | 4 | 2 | version |
//! | 6 | 1 | height: levels of index blocks, 0 in a table without entries |
//! | 7 | 1 | zero |
//! | 8 | 24 | features: compatible, read-only, incompatible |
//! | 32 | 16 | random id |
//! | 48 | 8 | entries |
//! | 56 | 16 | smallest and largest sequence |
//! | 72 | 12 | top index: offset, length |
//! | 84 | 4 | target length of a data block |
//! | 88 | 12 | meta list: offset, length; length 0 for none |
//! | 100 | 24 | zero; room |
//! | 124 | 4 | CRC-32 of the 124 bytes before, from (id, the footer's offset) |
//!
//! Magic, version, features, id and checksum stay where they are in every version.
//!
//! Format: docs/format/sst.md.

use crate::error::Damage;
use crate::handle::Handle;
use crate::layout::{
    BLOCK_LEN_MAX, CHECKSUM_LEN, FOOTER_LEN, HEIGHT_MAX, ID_LEN, INDEX_LEN_MAX, MAGIC, META_COUNT_MAX,
    META_ENTRY_LEN, TRAILER_LEN, VERSION,
};
use jdb_base::SeqNo;
use jdb_base::checksum::{Seed, crc32};
use jdb_base::varint::{take_array, take_u16_le, take_u32_le, take_u64_le};

const VERSION_AT: usize = 4;
const HEIGHT_AT: usize = 6;
const INCOMPATIBLE_AT: usize = 24;
const ID_AT: usize = 32;
const SEQ_AT: usize = 56;
const TOP_AT: usize = 72;
const BLOCK_LEN_AT: usize = 84;
const META_AT: usize = 88;
const ROOM_LEN: usize = 24;
const SUMMED_LEN: usize = FOOTER_LEN - CHECKSUM_LEN;

const _: () = assert!(ID_AT + ID_LEN + 8 == SEQ_AT && SEQ_AT + 16 == TOP_AT && TOP_AT + 12 == BLOCK_LEN_AT);
const _: () = assert!(BLOCK_LEN_AT + 4 == META_AT && META_AT + 12 + ROOM_LEN == SUMMED_LEN);

/// What a table uses beyond the base of its version, as bits. This version knows none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Features {
    /// Bits that a reader may ignore.
    pub compatible: u64,
    /// Bits that allow reading, but not making another table from this one.
    pub read_only: u64,
    /// Bits without which the table cannot be read.
    pub incompatible: u64,
}

/// What a footer says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Footer {
    /// Levels of index blocks, the top included; 0 in a table without entries.
    pub height: u8,
    /// What the table uses beyond the base of its version.
    pub features: Features,
    /// Random; every checksum of the file starts from it.
    pub id: [u8; ID_LEN],
    /// Number of entries.
    pub count: u64,
    /// Smallest sequence number; 0 in a table without entries.
    pub seq_min: SeqNo,
    /// Largest sequence number; 0 in a table without entries.
    pub seq_max: SeqNo,
    /// The top index.
    pub top: Handle,
    /// Target length of a data block: every entry starts below it.
    pub block_len: u32,
    /// The list of meta blocks; length 0 for none.
    pub meta: Handle,
}

impl Footer {
    /// What the checksums of this file start from.
    #[must_use]
    pub fn seed(&self) -> Seed {
        Seed::of(&self.id)
    }

    /// Appends the footer that lies at `offset` of the file.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, offset: u64) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[self.height, 0]);
        for word in [self.features.compatible, self.features.read_only, self.features.incompatible] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.id);
        for word in [self.count, self.seq_min.get(), self.seq_max.get(), self.top.offset] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.top.len.to_le_bytes());
        out.extend_from_slice(&self.block_len.to_le_bytes());
        out.extend_from_slice(&self.meta.offset.to_le_bytes());
        out.extend_from_slice(&self.meta.len.to_le_bytes());
        out.extend_from_slice(&[0; ROOM_LEN]);
        let sum = crc32(self.seed().at(offset), &[out.get(start..).unwrap_or_default()]);
        out.extend_from_slice(&sum.to_le_bytes());
    }

    /// Reads the footer `bytes` that lies at `offset` of the file, which is where the blocks end.
    ///
    /// # Errors
    /// [`Damage::Corrupt`] when it does not verify or leads out of the file; [`Damage::Unsupported`] for a version or an
    /// incompatible feature that this crate does not know.
    pub fn decode(bytes: &[u8; FOOTER_LEN], offset: u64) -> Result<Self, Damage> {
        let cut = || Damage::corrupt("footer length", 0, FOOTER_LEN as u64, bytes.len() as u64);
        let (summed, crc) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or_else(cut)?;
        let mut rest = summed;
        let magic = u32::from_be_bytes(take_array(&mut rest).ok_or_else(cut)?);
        if magic != u32::from_be_bytes(MAGIC) {
            let expected = u64::from(u32::from_be_bytes(MAGIC));
            return Err(Damage::corrupt("magic", 0, expected, u64::from(magic)));
        }
        let fields = (|| {
            let version = take_u16_le(&mut rest)?;
            let [height, _] = take_array(&mut rest)?;
            let features = Features {
                compatible: take_u64_le(&mut rest)?,
                read_only: take_u64_le(&mut rest)?,
                incompatible: take_u64_le(&mut rest)?,
            };
            let id = take_array(&mut rest)?;
            let count = take_u64_le(&mut rest)?;
            let (seq_min, seq_max) =
                (SeqNo::new(take_u64_le(&mut rest)?), SeqNo::new(take_u64_le(&mut rest)?));
            let top = Handle { offset: take_u64_le(&mut rest)?, len: take_u32_le(&mut rest)? };
            let block_len = take_u32_le(&mut rest)?;
            let meta = Handle { offset: take_u64_le(&mut rest)?, len: take_u32_le(&mut rest)? };
            let footer = Self { height, features, id, count, seq_min, seq_max, top, block_len, meta };
            Some((version, footer))
        })();
        let (version, footer) = fields.ok_or_else(cut)?;
        let (expected, found) = (u32::from_le_bytes(*crc), crc32(footer.seed().at(offset), &[summed]));
        if expected != found {
            return Err(Damage::corrupt(
                "footer checksum",
                SUMMED_LEN,
                u64::from(expected),
                u64::from(found),
            ));
        }
        if version != VERSION {
            return Err(Damage::unsupported("version", VERSION_AT, u64::from(version)));
        }
        if footer.features.incompatible != 0 {
            return Err(Damage::unsupported("features", INCOMPATIBLE_AT, footer.features.incompatible));
        }
        footer.check(offset)?;
        Ok(footer)
    }

    /// Checks the fields of a footer that verified, against each other and against the file.
    fn check(&self, limit: u64) -> Result<(), Damage> {
        let least = if self.count == 0 { 0 } else { 2 };
        let most = if self.count == 0 { 0 } else { HEIGHT_MAX };
        if self.height < least || self.height > most {
            return Err(Damage::corrupt("height", HEIGHT_AT, u64::from(least), u64::from(self.height)));
        }
        if self.seq_min > self.seq_max {
            return Err(Damage::corrupt("sequences", SEQ_AT, self.seq_max.get(), self.seq_min.get()));
        }
        if self.block_len == 0 || self.block_len as usize > BLOCK_LEN_MAX {
            let found = u64::from(self.block_len);
            return Err(Damage::corrupt("block length", BLOCK_LEN_AT, BLOCK_LEN_MAX as u64, found));
        }
        if self.count > 0 {
            let top = self.top.checked("top index", limit, INDEX_LEN_MAX);
            top.map_err(|damage| damage.after(TOP_AT as u64))?;
        }
        if self.meta.len > 0 {
            let meta = self.meta.checked("meta list", limit, META_COUNT_MAX * META_ENTRY_LEN + TRAILER_LEN);
            meta.map_err(|damage| damage.after(META_AT as u64))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSET: u64 = 8192;

    fn footer() -> Footer {
        Footer {
            height: 2,
            features: Features { compatible: 5, read_only: 6, incompatible: 0 },
            id: [7; ID_LEN],
            count: 100,
            seq_min: SeqNo::new(3),
            seq_max: SeqNo::new(300),
            top: Handle { offset: 4096, len: 200 },
            block_len: 4096,
            meta: Handle { offset: 4400, len: 21 },
        }
    }

    fn bytes_of(footer: &Footer) -> [u8; FOOTER_LEN] {
        let mut out = vec![1, 2, 3];
        footer.encode(&mut out, OFFSET);
        *out.last_chunk().unwrap()
    }

    #[test]
    fn footer_comes_back_only_at_its_place() {
        let bytes = bytes_of(&footer());
        assert_eq!(Footer::decode(&bytes, OFFSET), Ok(footer()));
        let got = Footer::decode(&bytes, OFFSET + 1);
        assert!(matches!(got, Err(Damage::Corrupt { what: "footer checksum", .. })), "{got:?}");
    }

    #[test]
    fn every_flipped_bit_is_corruption() {
        let bytes = bytes_of(&footer());
        for bit in 0..FOOTER_LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let got = Footer::decode(&flipped, OFFSET);
            assert!(matches!(got, Err(Damage::Corrupt { .. })), "bit {bit}: {got:?}");
        }
    }

    #[test]
    fn forged_fields_are_named() {
        let handle = |offset, len| Handle { offset, len };
        let big = u32::MAX;
        for (what, forged) in [
            ("height", Footer { height: 1, ..footer() }),
            ("height", Footer { height: HEIGHT_MAX + 1, ..footer() }),
            ("height", Footer { count: 0, ..footer() }),
            ("sequences", Footer { seq_min: SeqNo::new(301), ..footer() }),
            ("block length", Footer { block_len: 0, ..footer() }),
            ("block length", Footer { block_len: 65_537, ..footer() }),
            ("top index", Footer { top: handle(8000, 200), ..footer() }),
            ("top index", Footer { top: handle(u64::MAX, 200), ..footer() }),
            ("top index", Footer { top: handle(0, big), ..footer() }),
            ("top index", Footer { top: handle(0, 0), ..footer() }),
            ("meta list", Footer { meta: handle(8190, 21), ..footer() }),
            ("meta list", Footer { meta: handle(0, 4102), ..footer() }),
        ] {
            match Footer::decode(&bytes_of(&forged), OFFSET) {
                Err(Damage::Corrupt { what: found, .. }) => assert_eq!(found, what, "{forged:?}"),
                other => panic!("{forged:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn later_versions_and_features_are_unsupported() {
        let features = Features { incompatible: 1 << 40, ..Features::default() };
        let got = Footer::decode(&bytes_of(&Footer { features, ..footer() }), OFFSET);
        assert_eq!(got, Err(Damage::unsupported("features", INCOMPATIBLE_AT, 1 << 40)));

        let mut bytes = bytes_of(&footer());
        bytes[VERSION_AT] = 2;
        let sum = crc32(footer().seed().at(OFFSET), &[&bytes[..SUMMED_LEN]]);
        bytes[SUMMED_LEN..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(Footer::decode(&bytes, OFFSET), Err(Damage::unsupported("version", VERSION_AT, 2)));
    }
}
