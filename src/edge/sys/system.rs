//! What the kernel counts in: pages, and ticks of its accounting clock; and what it has counted for a thread.

use std::io;
use std::time::Duration;

/// Bytes of a page of memory.
pub fn page_bytes() -> io::Result<u64> {
    positive(libc::_SC_PAGESIZE)
}

/// Ticks a second of the times in `/proc`.
pub fn clock_ticks_per_second() -> io::Result<u64> {
    positive(libc::_SC_CLK_TCK)
}

/// CPU time of the calling thread, in user and kernel mode.
pub fn thread_cpu() -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec, to a place that is one.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32))
}

fn positive(name: libc::c_int) -> io::Result<u64> {
    // SAFETY: takes a number and returns one; no pointers.
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).ok().filter(|&value| value > 0).ok_or_else(io::Error::last_os_error)
}
