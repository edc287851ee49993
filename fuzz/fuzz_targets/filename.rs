//! See `tests::fuzz::filename`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::fuzz::filename(data));
