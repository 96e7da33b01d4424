//! Asks the processor to fetch memory that is needed soon.

/// Bytes that are fetched at once.
const CACHE_LINE: usize = 64;

/// Fetches the cache lines of `len` bytes from `address` on. A hint: nothing is read, so any address may be named.
#[inline]
pub fn prefetch(address: *const u8, len: usize) {
    for offset in (0..len).step_by(CACHE_LINE) {
        let line = address.wrapping_add(offset);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the instruction has no effect but on the cache, and ignores addresses that cannot be read.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.cast());
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = line;
    }
}
