//! See `tests::fuzz::manifest_edit`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::fuzz::manifest_edit(data));
