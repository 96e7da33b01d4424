//! The only clocks: both readings, once per turn of the loop (and one of them before a sleep), and the wall clock for
//! keys and tokens that age.

use crate::window::Now;
use quinn_proto::TimeSource;
use std::time::{Instant, SystemTime};

/// Reads both clocks. A wall clock before 1970 counts as 1970.
#[expect(clippy::disallowed_methods, reason = "this is the one place where clocks are read")]
pub fn now() -> Now {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Now { instant: Instant::now(), unix_ms: since_1970.as_millis() as u64 }
}

/// The clock of deadlines alone, where a turn's reading is too old: before a sleep.
#[expect(clippy::disallowed_methods, reason = "this is the one place where clocks are read")]
pub fn instant() -> Instant {
    Instant::now()
}

/// The machine's wall clock, read when a ticket or an address token is made or judged: in handshakes only.
pub struct WallClock;

impl TimeSource for WallClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where clocks are read")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
