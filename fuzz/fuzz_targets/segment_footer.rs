//! See `tests::fuzz::segment_footer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::fuzz::segment_footer(data));
