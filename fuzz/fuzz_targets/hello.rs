//! Feeds `uproar_fuzz::hello`, which says what it claims.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| uproar_fuzz::hello::check(bytes));
