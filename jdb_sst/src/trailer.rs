//! What follows a block: its codec and its checksum.
//!
//! `codec: u8  crc: u32le`
//!
//! The checksum covers the block's bytes and the codec and starts from (the file's random id, the block's offset): a block
//! that is stale, misplaced or from another file does not verify.
//!
//! Format: docs/format/sst.md.

use crate::error::Damage;
use crate::layout::{CHECKSUM_LEN, Codec, TRAILER_LEN};
use bytes::Bytes;
use jdb_base::checksum::{Seed, crc32};

/// Appends the trailer of the block that `out` holds from `start` on and that lies at `offset` of the file.
pub(crate) fn seal(out: &mut Vec<u8>, start: usize, codec: Codec, seed: Seed, offset: u64) {
    out.push(codec.to_u8());
    let sum = crc32(seed.at(offset), &[out.get(start..).unwrap_or_default()]);
    out.extend_from_slice(&sum.to_le_bytes());
}

/// Checks the trailer of `stored`, a block that lies at `offset` of the file, and gives the block's bytes without it. `seed`
/// comes from [`Footer::seed`](crate::Footer::seed).
///
/// Cost: one pass over the bytes, no copy; a compressed block is decoded into memory of its own.
///
/// # Errors
/// [`Damage::Corrupt`] when the checksum is another or a compressed block does not decode, [`Damage::Unsupported`] for a codec of
/// a later version, or of a feature that is off.
pub fn verify(stored: &Bytes, seed: Seed, offset: u64) -> Result<Bytes, Damage> {
    let (codec, len) = check(stored, seed, offset)?;
    let body = stored.slice(..len);
    match codec {
        Codec::Plain => Ok(body),
        #[cfg(feature = "lz4")]
        Codec::Lz4 => crate::lz4::decompress(&body).map(Bytes::from),
    }
}

/// Checks a trailer; gives the codec and the length of the block without it.
fn check(stored: &[u8], seed: Seed, offset: u64) -> Result<(Codec, usize), Damage> {
    let cut = || Damage::corrupt("block length", 0, TRAILER_LEN as u64, stored.len() as u64);
    let (summed, crc) = stored.split_last_chunk::<CHECKSUM_LEN>().ok_or_else(cut)?;
    let (codec, body) = summed.split_last().ok_or_else(cut)?;
    let (expected, found) = (u32::from_le_bytes(*crc), crc32(seed.at(offset), &[summed]));
    if expected != found {
        return Err(Damage::corrupt("block checksum", 0, u64::from(expected), u64::from(found)));
    }
    match Codec::from_u8(*codec) {
        Some(codec) => Ok((codec, body.len())),
        None => Err(Damage::unsupported("codec", body.len(), u64::from(*codec))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_verifies_only_where_it_was_written() {
        let seed = Seed::of(b"file 1");
        let mut out = b"xxblock".to_vec();
        seal(&mut out, 2, Codec::Plain, seed, 4096);
        let stored = Bytes::from(out).slice(2..);
        assert_eq!(verify(&stored, seed, 4096).unwrap(), "block");
        for (seed, offset) in [(seed, 0), (seed, 4097), (Seed::of(b"file 2"), 4096)] {
            assert!(matches!(
                verify(&stored, seed, offset),
                Err(Damage::Corrupt { what: "block checksum", .. })
            ));
        }
        for cut in 0..stored.len() {
            assert!(verify(&stored.slice(..cut), seed, 4096).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn codec_of_a_later_version_is_unsupported() {
        let seed = Seed::of(b"file 1");
        let first = if cfg!(feature = "lz4") { 2 } else { 1 };
        for codec in first..=u8::MAX {
            let mut stored = b"block".to_vec();
            stored.push(codec);
            let sum = crc32(seed.at(7), &[&stored]);
            stored.extend_from_slice(&sum.to_le_bytes());
            let got = verify(&Bytes::from(stored), seed, 7);
            assert_eq!(got, Err(Damage::unsupported("codec", 5, u64::from(codec))));
        }
    }
}
