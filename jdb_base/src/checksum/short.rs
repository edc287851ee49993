//! CRC-32 of short input by tables: 16 bytes a step, then 8, then 4, so that at most 3 go one by one.
//!
//! Slicing-by-N: M. Kounavis, F. Berry, *Novel table lookup-based algorithms for high-performance CRC generation*, 2008.

/// The polynomial, its lowest power in the highest bit.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// `TABLES[n][byte]`: what a byte becomes when it has passed through the register and `n` bytes of zeros have followed it.
static TABLES: [[u32; 256]; 16] = tables();

/// What a register holds after `len` bytes of zeros.
pub(super) const fn after_zeros(mut register: u32, len: usize) -> u32 {
    let mut bit = 0;
    while bit < 8 * len {
        register = (register >> 1) ^ if register & 1 == 1 { POLYNOMIAL } else { 0 };
        bit += 1;
    }
    register
}

/// CRC-32 (IEEE) of `bytes`, going on from `start`.
#[inline]
pub(super) fn crc32(start: u32, mut bytes: &[u8]) -> u32 {
    let mut register = !start;
    while let Some((step, rest)) = bytes.split_first_chunk() {
        let [a, b, c, d] = words(u128::from_le_bytes(*step));
        register = pass(register ^ a, 12) ^ pass(b, 8) ^ pass(c, 4) ^ pass(d, 0);
        bytes = rest;
    }
    if let Some((step, rest)) = bytes.split_first_chunk() {
        let [a, b, ..] = words(u64::from_le_bytes(*step).into());
        register = pass(register ^ a, 4) ^ pass(b, 0);
        bytes = rest;
    }
    if let Some((step, rest)) = bytes.split_first_chunk() {
        register = pass(register ^ u32::from_le_bytes(*step), 0);
        bytes = rest;
    }
    for &byte in bytes {
        register = (register >> 8) ^ look(0, register as u8 ^ byte);
    }
    !register
}

#[inline]
fn words(bytes: u128) -> [u32; 4] {
    [0, 32, 64, 96].map(|shift| (bytes >> shift) as u32)
}

/// What 4 bytes become when `behind` more ones of the same step follow them.
#[inline]
fn pass(word: u32, behind: usize) -> u32 {
    let [a, b, c, d] = word.to_le_bytes();
    look(behind + 3, a) ^ look(behind + 2, b) ^ look(behind + 1, c) ^ look(behind, d)
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "a byte is below 256, and steps are 16 bytes at most")]
fn look(behind: usize, byte: u8) -> u32 {
    TABLES[behind][byte as usize]
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn tables() -> [[u32; 256]; 16] {
    let mut tables = [[0; 256]; 16];
    let mut behind = 0;
    while behind < 16 {
        let mut byte = 0;
        while byte < 256 {
            tables[behind][byte] = after_zeros(byte as u32, behind + 1);
            byte += 1;
        }
        behind += 1;
    }
    tables
}
