//! The target `dotenv`: see `tests/fuzz/checks/dotenv.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| navigator_fuzz::check("dotenv", input));
