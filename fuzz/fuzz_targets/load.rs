//! The target `load`: see `tests/fuzz/checks/load.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| navigator_fuzz::check("load", input));
