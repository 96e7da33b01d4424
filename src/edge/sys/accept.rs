//! Accepting TCP connections one by one, so that its caller decides how many.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The next connection that waits at a listener that does not block; `None` when none does.
///
/// # Errors
/// When the process or the machine lacks descriptors or memory for one.
pub fn accept(listener: &impl AsRawFd) -> io::Result<Option<OwnedFd>> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no address is asked for, so there are no pointers.
    let fd = unsafe { libc::accept4(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), flags) };
    if fd >= 0 {
        // SAFETY: a successful accept's result is a new descriptor, which nobody else owns.
        return Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS) => Err(error),
        // None waits, or the listener has been shut down, or the one that waited is gone.
        _ => Ok(None),
    }
}
