//! The target `terminal`: see `tests/fuzz/checks/terminal.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| navigator_fuzz::check("terminal", input));
