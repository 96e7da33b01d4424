//! Feeds `uproar_fuzz::shard_http`, which says what it claims.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| uproar_fuzz::shard_http::check(bytes));
