//! The target `substitute`: see `tests/fuzz/checks/substitute.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| navigator_fuzz::check("substitute", input));
