//! Anonymous memory straight from the kernel: page-aligned, zeroed, and touched only where it is used.

use std::io;
use std::ptr::NonNull;

/// A private anonymous mapping.
#[derive(Debug)]
pub struct MemoryMap {
    start: NonNull<u8>,
    len: usize,
}

impl MemoryMap {
    /// Maps `len` bytes.
    pub fn new(len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh anonymous mapping; no existing memory is affected.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap returned null"))?;
        Ok(Self { start, len })
    }

    /// First byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for MemoryMap {
    fn drop(&mut self) {
        // SAFETY: `start` and `len` are those of the mapping, which nobody can reach any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
