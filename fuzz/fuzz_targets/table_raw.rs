//! See `tests::fuzz::table_raw`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::fuzz::table_raw(data));
