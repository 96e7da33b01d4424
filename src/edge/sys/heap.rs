//! The heap of the calling thread.

// Has its library linked, of which the crate offers only what an allocator needs.
use mimalloc as _;

unsafe extern "C" {
    /// Of `mimalloc.h`: frees what it can, and with `force` gives it back to the system at once.
    fn mi_collect(force: bool);
}

/// Gives memory that was freed back to the system. The allocator does so by itself only when it is used again, so a burst
/// would stay with an idle process for good.
///
/// It looks at every page of the thread's heap, and takes about a millisecond for each gigabyte in use: it is for quiet
/// moments, and for when much was freed.
pub fn give_back() {
    // SAFETY: may be called at any time from any thread. In a program with another allocator it concerns an empty heap.
    unsafe { mi_collect(true) };
}
