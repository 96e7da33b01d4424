//! The only clock: both readings, once per turn of the loop.

use crate::window::Now;
use std::time::{Instant, SystemTime};

/// Reads both clocks. A wall clock before 1970 counts as 1970.
#[expect(clippy::disallowed_methods, reason = "this is the one place where clocks are read")]
pub fn now() -> Now {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Now { instant: Instant::now(), unix_ms: since_1970.as_millis() as u64 }
}
