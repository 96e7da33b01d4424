//! What the kernel counts in: pages, and ticks of its accounting clock; what it has counted for a thread; what this process may
//! do to files and to another process.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
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

/// Whether this process may write to `path`; an error says why not.
pub fn may_write(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` ends with a zero byte and lives through the call, which only reads it.
    let result = unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK, libc::AT_EACCESS) };
    if result != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends SIGHUP to one process.
pub fn send_sighup(process: u32) -> io::Result<()> {
    // 0 and negative numbers mean whole groups, and every process.
    let process = libc::pid_t::try_from(process).ok().filter(|&process| process > 0);
    let process = process.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: takes two numbers; no pointers.
    let result = unsafe { libc::kill(process, libc::SIGHUP) };
    if result != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn positive(name: libc::c_int) -> io::Result<u64> {
    // SAFETY: takes a number and returns one; no pointers.
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).ok().filter(|&value| value > 0).ok_or_else(io::Error::last_os_error)
}
