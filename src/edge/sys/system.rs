//! What the kernel counts in: pages, and ticks of its accounting clock.

use std::io;

/// Bytes of a page of memory.
pub fn page_bytes() -> io::Result<u64> {
    positive(libc::_SC_PAGESIZE)
}

/// Ticks a second of the times in `/proc`.
pub fn clock_ticks_per_second() -> io::Result<u64> {
    positive(libc::_SC_CLK_TCK)
}

fn positive(name: libc::c_int) -> io::Result<u64> {
    // SAFETY: takes a number and returns one; no pointers.
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).ok().filter(|&value| value > 0).ok_or_else(io::Error::last_os_error)
}
