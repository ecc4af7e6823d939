#![no_main]
//! See `tests/src/fuzz/networks.rs`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bilro_tests::fuzz::networks::run(data);
});
