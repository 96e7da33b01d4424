//! Feeds `uproar_fuzz::reaction_datagram`, which says what it claims.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| uproar_fuzz::reaction_datagram::check(bytes));
