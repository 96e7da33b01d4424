//! Feeds `uproar_fuzz::room_stream`, which says what it claims.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| uproar_fuzz::room_stream::check(bytes));
