//! The target `plan`: see `tests/fuzz/checks/plan.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| navigator_fuzz::check("plan", input));
