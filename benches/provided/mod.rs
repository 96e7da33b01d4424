//! Provided buffers of a bare ring loop: memory that the kernel fills on its own when something arrives.
//!
//! The floor of a bench does not borrow the appliance's code, so it has its own, without the checks that the appliance
//! makes. A buffer belongs to the kernel until a completion names it, and to us until [`Provided::give`].

#![allow(unsafe_code, reason = "a floor has no safe layer between itself and the kernel")]
#![allow(dead_code, reason = "each bench is its own crate and uses its part of this file")]

use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use std::sync::atomic::{AtomicU16, Ordering};

/// Buffer group of the ring; the only one there is.
pub(crate) const GROUP: u16 = 0;

const ENTRIES_PER_PAGE: u16 = (size_of::<Page>() / size_of::<BufRingEntry>()) as u16;

/// Memory of the buffers and the table of entries that lends them to the kernel.
pub(crate) struct Provided {
    entries: Box<[Page]>,
    buffers: Vec<u8>,
    count: u16,
    stride: usize,
    tail: u16,
}

/// A page of entries: the kernel wants the table aligned so.
#[derive(Clone)]
#[repr(C, align(4096))]
struct Page([u8; 4096]);

impl Provided {
    /// Lends `count` buffers, a power of two and at least 256, of `stride` bytes to the kernel.
    ///
    /// # Safety
    /// The ring ends before this value does.
    pub(crate) unsafe fn register(ring: &IoUring, count: u16, stride: usize) -> Self {
        assert!(count.is_power_of_two() && count >= ENTRIES_PER_PAGE, "whole pages of entries");
        let mut provided = Self {
            entries: vec![Page([0; 4096]); usize::from(count / ENTRIES_PER_PAGE)].into_boxed_slice(),
            buffers: vec![0; usize::from(count) * stride],
            count,
            stride,
            tail: 0,
        };
        let table = provided.entries.as_ptr() as u64;
        // SAFETY: the table is page-aligned, holds all entries, and outlives the ring by the caller.
        unsafe { ring.submitter().register_buf_ring_with_flags(table, count, GROUP, 0) }.expect("provided buffers");
        (0..count).for_each(|buffer| provided.give(buffer));
        provided
    }

    /// Lends a buffer again.
    pub(crate) fn give(&mut self, buffer: u16) {
        let slot = usize::from(self.tail % self.count);
        let start = self.buffers.as_ptr() as u64 + u64::from(buffer) * self.stride as u64;
        let table = self.entries.as_mut_ptr().cast::<BufRingEntry>();
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `slot` is below the number of entries; the kernel reads an entry only once the tail is past it.
        unsafe {
            let entry = &mut *table.add(slot);
            entry.set_addr(start);
            entry.set_len(self.stride as u32);
            entry.set_bid(buffer);
            let tail = BufRingEntry::tail(table.cast_const()).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }

    /// What the kernel has written to a buffer.
    pub(crate) fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        &self.buffers[usize::from(buffer) * self.stride..][..len]
    }
}
