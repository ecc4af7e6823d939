#![no_main]
//! See `tests/src/fuzz/files.rs`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bilro_tests::fuzz::files::run(data);
});
