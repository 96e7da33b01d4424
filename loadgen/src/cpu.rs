//! CPU time, the kernel's part included.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Of the calling thread, so far.
pub(crate) fn of_thread() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// Of this process, so far.
pub(crate) fn of_process() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}
