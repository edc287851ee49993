//! Pages of the disk and units of the value log.

/// Length of a page: the unit of the page cache and of a device's physical sectors.
pub const PAGE_LEN: usize = 4096;

/// Unit of offsets in the value log: records start at multiples of it.
pub const UNIT_LEN: u64 = 8;

/// `offset` rounded up to a multiple of `align`, a power of two; `None` when that overflows.
#[must_use]
pub const fn align_up(offset: u64, align: u64) -> Option<u64> {
    match offset.checked_add(align - 1) {
        Some(sum) => Some(sum & !(align - 1)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn align_up_gives_the_next_multiple() {
        for (offset, align, want) in
            [(0, 8, Some(0)), (1, 8, Some(8)), (8, 8, Some(8)), (4097, 4096, Some(8192)), (u64::MAX, 8, None)]
        {
            assert_eq!(align_up(offset, align), want, "{offset} to {align}");
        }
    }
}
