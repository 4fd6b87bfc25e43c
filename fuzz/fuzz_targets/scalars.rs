//! The target `scalars`: see `tests/fuzz/checks/scalars.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| navigator_fuzz::check("scalars", input));
