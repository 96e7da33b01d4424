//! Descriptors that are not sockets: the doorbell's eventfd and the signals of this process.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::FromRawFd;

/// An eventfd that does not block.
pub fn eventfd() -> io::Result<File> {
    // SAFETY: no pointers; the result is checked before it is owned.
    owned(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })
}

/// Keeps the given signals from ending the process, on this thread and on those it starts from now on, and returns a
/// descriptor that becomes readable when one of them arrives.
pub fn signals(numbers: &[libc::c_int]) -> io::Result<File> {
    // SAFETY: `set` is initialised by sigemptyset before it is used, and lives through the calls.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        for &number in numbers {
            libc::sigaddset(&raw mut set, number);
        }
        let error = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        owned(libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC))
    }
}

/// The next signal that has arrived at a descriptor of [`signals`], if one has.
pub fn next_signal(mut signals: &File) -> Option<libc::c_int> {
    let mut signal = [0; size_of::<libc::signalfd_siginfo>()];
    signals.read_exact(&mut signal).ok()?;
    // The number stands first: `ssi_signo`.
    let (number, _) = signal.split_first_chunk()?;
    Some(libc::c_int::from_ne_bytes(*number))
}

const _: () = assert!(std::mem::offset_of!(libc::signalfd_siginfo, ssi_signo) == 0);

fn owned(fd: libc::c_int) -> io::Result<File> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, owned by nobody else.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// How many descriptors the process may have open; [`u64::MAX`] without a limit.
pub fn open_files_max() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a whole rlimit, written by the call.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) < 0 };
    if failed { Err(io::Error::last_os_error()) } else { Ok(limit.rlim_cur) }
}

/// Raises the limit of open descriptors to what the process may have.
pub fn raise_open_files() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a whole rlimit, written by the first call and read by the second.
    let failed = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) < 0 || {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) < 0
        }
    };
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Runs `start`; a thread that it starts takes no signals, so that they go to who reads them.
pub fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are initialised by the calls that fill them before they are read, and live through the calls.
    let before = unsafe {
        let (mut all, mut before) = (std::mem::zeroed::<libc::sigset_t>(), std::mem::zeroed::<libc::sigset_t>());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    };
    let started = start();
    // SAFETY: `before` is the mask that this thread had.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    started
}
