//! Feeds `uproar_fuzz::webtransport`, which says what it claims.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| uproar_fuzz::webtransport::check(bytes));
