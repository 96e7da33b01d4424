//! How much a micro bench does: as much as its question needs when it measures, little when it runs among the tests.
//!
//! Invariant: every case of a bench has a small twin, so that tests run all its code. Not here: how long is measured,
//! which the harness decides.

/// Whether figures are asked for, and not only whether the bench runs.
fn is_measuring() -> bool {
    let has = |wanted| std::env::args().any(|arg| arg == wanted);
    has("--bench") && !has("--test")
}

/// Rooms of a case: `rooms`, or so few for the tests that cases still differ.
pub(crate) fn rooms(rooms: u32) -> u32 {
    if is_measuring() { rooms } else { rooms.isqrt() }
}
