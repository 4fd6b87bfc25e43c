//! The target `glob`: see `tests/fuzz/checks/glob.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| navigator_fuzz::check("glob", input));
