//! Feeds `uproar_fuzz::http_request`, which says what it claims.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| uproar_fuzz::http_request::check(bytes));
