#![no_main]
//! See `tests/src/fuzz/graphs.rs`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bilro_tests::fuzz::graphs::run(data);
});
