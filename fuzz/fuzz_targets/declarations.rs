#![no_main]
//! See `tests/src/fuzz/declarations.rs`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bilro_tests::fuzz::declarations::run(data);
});
