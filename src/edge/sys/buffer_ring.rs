//! Provided buffers: memory that the kernel fills on its own when data arrives (io_uring buffer rings).
//!
//! The kernel fills them in turn, so few that are used often stay in the cache where many that are used seldom would not.
//! Therefore it is lent a few at first, and more whenever these run out. After a quiet time it is lent a few again, and the
//! memory of the others goes back to the system.
//!
//! Invariant: a buffer that was lent belongs either to the kernel or, between its completion and
//! [`BufferRing::give_back`], to us.

use super::memory_map::MemoryMap;
use io_uring::types::BufRingEntry;
use io_uring::{IoUring, cqueue};
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

/// The group of buffers registered with one ring.
#[derive(Debug)]
pub struct BufferRing {
    entries: MemoryMap,
    buffers: MemoryMap,
    count: u16,
    /// Buffers that the kernel has been lent at some time: those of the lowest numbers.
    lent: u16,
    /// Buffers that it is lent again when they are given back; those with higher numbers are withheld.
    target: u16,
    withheld: Vec<u16>,
    buffer_len: usize,
    tail: u16,
    /// Buffers given back since [`Self::trim`].
    used: u32,
    /// Whether buffers beyond the first ones hold memory.
    is_grown: bool,
}

/// Buffers lent at first: a batch of arrivals.
const LENT_FIRST: u16 = 256;
/// Beyond a buffer's length, the distance to the next: buffers at one offset of their pages would share a few cache sets.
const PADDING: usize = 192;

/// Buffer group of TCP receives; the only one there is.
pub const GROUP: u16 = 0;

impl BufferRing {
    /// Registers `count` (a power of two) buffers of `buffer_len` bytes with `ring`.
    pub(super) fn register(ring: &IoUring, count: u16, buffer_len: usize) -> io::Result<Self> {
        assert!(count.is_power_of_two() && count <= 1 << 15, "the kernel takes powers of two up to 32,768");
        let entries = MemoryMap::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let buffers = MemoryMap::new(usize::from(count) * (buffer_len + PADDING))?;
        // SAFETY: the mapping is page-aligned, holds `count` entries and lives as long as the ring: the owner of both
        // drops the ring first.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(entries.as_ptr() as u64, count, GROUP, 0)?;
        }
        let withheld = Vec::with_capacity(usize::from(count));
        let mut registered = Self {
            entries,
            buffers,
            count,
            lent: 0,
            target: 0,
            withheld,
            buffer_len,
            tail: 0,
            used: 0,
            is_grown: false,
        };
        registered.lend_up_to(LENT_FIRST.min(count));
        Ok(registered)
    }

    /// The kernel ran out of buffers: lends twice as many, until there are no more.
    pub fn lend_more(&mut self) {
        self.lend_up_to(self.target.saturating_mul(2).min(self.count));
    }

    /// After a time in which few buffers were used, gives back the memory of all but the first ones. The buffers of all
    /// completions that were collected have been given back.
    pub fn trim(&mut self) {
        let was_quiet = std::mem::take(&mut self.used) < u32::from(LENT_FIRST);
        if was_quiet && self.is_grown {
            self.target = self.target.min(LENT_FIRST);
            self.buffers.discard(self.offset(LENT_FIRST));
            self.is_grown = false;
        }
    }

    fn lend_up_to(&mut self, target: u16) {
        self.target = target;
        for buffer in std::mem::take(&mut self.withheld) {
            self.put(buffer);
        }
        let first = self.lent;
        self.lent = self.lent.max(target);
        (first..self.lent).for_each(|buffer| self.put(buffer));
    }

    /// The bytes that a completion brought, and the number of their buffer.
    pub fn received(&self, flags: u32, len: usize) -> Option<(u16, &[u8])> {
        let buffer = cqueue::buffer_select(flags)?;
        assert!(buffer < self.lent && len <= self.buffer_len, "the kernel names a buffer that it was given");
        // SAFETY: inside the mapping by the assertion; the kernel has filled `len` bytes and will not touch the buffer
        // until it is given back, which takes `&mut self`.
        let bytes =
            unsafe { std::slice::from_raw_parts(self.buffers.as_ptr().add(self.offset(buffer)).cast_const(), len) };
        Some((buffer, bytes))
    }

    /// Returns a buffer to the kernel.
    pub fn give_back(&mut self, buffer: u16) {
        assert!(buffer < self.lent, "only buffers of this ring are given back");
        self.used += 1;
        self.is_grown |= buffer >= LENT_FIRST;
        self.put(buffer);
    }

    /// Lends a buffer to the kernel, unless it is one that is withheld.
    fn put(&mut self, buffer: u16) {
        if buffer >= self.target {
            return self.withheld.push(buffer);
        }
        let slot = usize::from(self.tail & (self.count - 1));
        let address = self.buffers.as_ptr() as u64 + self.offset(buffer) as u64;
        // SAFETY: `slot` is below `count`, so inside the mapping. The kernel reads entries only below the tail, which
        // is published after the entry is written. The tail is a u16 that the kernel only reads.
        unsafe {
            let entry = &mut *self.entries.as_ptr().cast::<BufRingEntry>().add(slot);
            entry.set_addr(address);
            entry.set_len(self.buffer_len as u32);
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.entries.as_ptr().cast());
            (*tail.cast::<AtomicU16>()).store(self.tail, Ordering::Release);
        }
    }

    fn offset(&self, buffer: u16) -> usize {
        usize::from(buffer) * (self.buffer_len + PADDING)
    }
}
