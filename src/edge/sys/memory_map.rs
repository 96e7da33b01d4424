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

    /// Gives the pages from byte `from` on back to the system. What they held is lost: they read as zeroes, and take memory
    /// again where they are written.
    pub fn discard(&mut self, from: usize) {
        let from = from.next_multiple_of(PAGE_BYTES);
        if from < self.len {
            // SAFETY: the range lies inside the mapping, which is private and anonymous, and `&mut self` says that nobody
            // reads it. That it fails changes nothing.
            unsafe { libc::madvise(self.start.as_ptr().add(from).cast(), self.len - from, libc::MADV_DONTNEED) };
        }
    }
}

/// A multiple of the size of a page on every architecture that this runs on.
const PAGE_BYTES: usize = 65_536;

impl Drop for MemoryMap {
    fn drop(&mut self) {
        // SAFETY: `start` and `len` are those of the mapping, which nobody can reach any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
