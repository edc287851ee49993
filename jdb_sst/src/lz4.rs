//! The codec lz4: `decoded length: u32le  one lz4 block`.
//!
//! Invariants
//! - The decoded length is checked against what the bytes could hold before anything is allocated.

use crate::error::Damage;
use crate::layout::DATA_LEN_MAX;
use jdb_base::varint::take_u32_le;

/// Longest block that is compressed; a longer one holds one large value, and compressing it would hold the thread too long.
const BLOCK_LEN_COMPRESSED_MAX: usize = 128 << 10;
/// Most bytes that one byte of an lz4 block stands for.
const EXPANSION_MAX: usize = 255;
/// Length of the decoded length.
const HEAD_LEN: usize = size_of::<u32>();

/// Compresses a block; `None` when that does not make it shorter by an eighth.
pub(crate) fn compress(block: &[u8]) -> Option<Vec<u8>> {
    if block.len() > BLOCK_LEN_COMPRESSED_MAX {
        return None;
    }
    let mut out = (block.len() as u32).to_le_bytes().to_vec();
    out.resize(HEAD_LEN + lz4_flex::block::get_maximum_output_size(block.len()), 0);
    let len = lz4_flex::block::compress_into(block, out.get_mut(HEAD_LEN..)?).ok()?;
    out.truncate(HEAD_LEN + len);
    (out.len() <= block.len() - block.len() / 8).then_some(out)
}

/// Gives back what [`compress`] was given.
///
/// # Errors
/// [`Damage::Corrupt`] when the length cannot be right or the bytes do not decode to it.
pub(crate) fn decompress(stored: &[u8]) -> Result<Vec<u8>, Damage> {
    let mut rest = stored;
    let len = take_u32_le(&mut rest).ok_or_else(|| {
        Damage::corrupt("length of a compressed block", 0, HEAD_LEN as u64, stored.len() as u64)
    })?;
    let max = DATA_LEN_MAX.min(rest.len().saturating_mul(EXPANSION_MAX));
    if len as usize > max {
        return Err(Damage::corrupt("decoded length", 0, max as u64, u64::from(len)));
    }
    let mut out = vec![0; len as usize];
    match lz4_flex::block::decompress_into(rest, &mut out) {
        Ok(decoded) if decoded == out.len() => Ok(out),
        Ok(decoded) => Err(Damage::corrupt("decoded length", 0, u64::from(len), decoded as u64)),
        Err(_) => Err(Damage::corrupt("compressed block", HEAD_LEN, u64::from(len), rest.len() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Codec, FOOTER_LEN};
    use crate::testing::{Rng, Row, Table, build, options, random_rows};
    use crate::{WriterOptions, dump};

    fn random(rng: &mut Rng, len: usize) -> Vec<u8> {
        (0..len).map(|_| rng.next() as u8).collect()
    }

    #[test]
    fn blocks_come_back_and_incompressible_ones_stay_plain() {
        let mut rng = Rng(1);
        for (block, shorter) in [
            (vec![], false),
            (vec![7], false),
            (vec![7; 4096], true),
            (b"all work and no play ".repeat(50), true),
            (random(&mut rng, 4096), false),
            ([random(&mut rng, 3900), vec![0; 196]].concat(), false),
            (vec![7; BLOCK_LEN_COMPRESSED_MAX], true),
            (vec![7; BLOCK_LEN_COMPRESSED_MAX + 1], false),
        ] {
            let compressed = compress(&block);
            assert_eq!(compressed.is_some(), shorter, "{} bytes", block.len());
            if let Some(compressed) = compressed {
                assert!(decompress(&compressed).unwrap() == block, "{} bytes", block.len());
            }
        }
    }

    #[test]
    fn block_of_the_format_page_decodes() {
        let stored = *b"\x14\0\0\0\x1aa\x01\0\x50aaaaa";
        assert_eq!(decompress(&stored).unwrap(), [b'a'; 20]);
    }

    #[test]
    fn forged_lengths_are_refused_before_anything_is_allocated() {
        let good = compress(&[7; 4096]).unwrap();
        for len in [0, 1, 4095, 4097, 255 * good.len() as u32, DATA_LEN_MAX as u32, u32::MAX] {
            let mut bytes = good.clone();
            bytes[..4].copy_from_slice(&len.to_le_bytes());
            let got = decompress(&bytes);
            assert!(matches!(got, Err(Damage::Corrupt { .. })), "{len}: {got:?}");
        }
        for cut in 0..good.len() {
            assert!(decompress(&good[..cut]).is_err(), "cut to {cut}");
        }
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let _ = decompress(&bytes);
        }
    }

    #[test]
    fn compressed_tables_hold_the_same_rows_and_are_shorter() {
        for seed in 0..10 {
            let rows = random_rows(&mut Rng(seed), 600);
            for shape in [(300, 100, 100), (4096, 4096, 65_536)] {
                let plain = build(&rows, options(shape.0, shape.1, shape.2)).1;
                let lz4 = WriterOptions { codec: Codec::Lz4, ..options(shape.0, shape.1, shape.2) };
                let (bytes, info) = build(&rows, lz4);
                assert!(info.len < plain.len, "{info:?}");
                let dump = dump(&bytes).unwrap();
                assert_eq!(dump.sections.iter().map(|section| section.len).sum::<u64>(), info.len);
                let table = Table::open(bytes).unwrap();
                for back in [false, true] {
                    assert!(table.scan(back).unwrap() == rows, "seed {seed} {shape:?}");
                }
                for row in &rows {
                    assert_eq!(table.get(&row.key, row.seq).unwrap().as_ref(), Some(row));
                }
            }
        }
    }

    #[test]
    fn incompressible_rows_make_the_same_blocks_as_without_a_codec() {
        let mut rng = Rng(5);
        let rows: Vec<Row> = (0..50u8).map(|i| Row::new(&[i], 1, &random(&mut rng, 1000))).collect();
        let plain = WriterOptions { properties: false, ..WriterOptions::default() };
        let lz4 = WriterOptions { codec: Codec::Lz4, ..plain.clone() };
        let (plain, lz4) = (build(&rows, plain).0, build(&rows, lz4).0);
        assert!(plain == lz4, "{} and {} bytes", plain.len(), lz4.len());
    }

    #[test]
    fn every_flipped_bit_of_a_compressed_table_is_seen() {
        let rows: Vec<Row> =
            (0..40).map(|i| Row::new(format!("key{i:04}").as_bytes(), 1, &[b'v'; 30])).collect();
        let (good, _) = build(&rows, WriterOptions { codec: Codec::Lz4, ..options(300, 100, 65_536) });
        let padding: Vec<_> = dump(&good).unwrap().sections;
        let padding: Vec<_> = padding.iter().filter(|section| section.name == "unknown").collect();
        for bit in 0..good.len() * 8 {
            let at = bit as u64 / 8;
            if padding.iter().any(|section| (section.offset..section.offset + section.len).contains(&at)) {
                continue;
            }
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(dump(&bytes).is_err(), "bit {bit}");
        }
        assert!(good.len() > FOOTER_LEN);
    }
}
