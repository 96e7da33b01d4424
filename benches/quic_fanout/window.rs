//! Windows as wall-clock time has them, for servers that are not the appliance.

use crate::process;
use std::time::{Duration, SystemTime};

/// Sleeps until the next window begins; its number.
pub(crate) fn wait_for_next(window_ms: u64) -> u64 {
    let (next, time) = until_next(window_ms);
    process::wait(time);
    next
}

/// The number of the next window, and how long it is until then.
#[allow(clippy::disallowed_methods, reason = "a bench's server has no edge to ask for the time")]
pub(crate) fn until_next(window_ms: u64) -> (u64, Duration) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970");
    let next = now.as_millis() as u64 / window_ms + 1;
    (next, Duration::from_millis(next * window_ms).saturating_sub(now))
}
