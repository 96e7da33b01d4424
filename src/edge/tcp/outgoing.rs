//! What waits to be sent on one connection: replies of its own, then bytes that it shares with others.
//!
//! Invariant: bytes leave in the order in which they were put in, and those of a send that came back are first. A connection
//! that has nothing to send holds no memory for it.

use crate::edge::sys::ring::{Outgoing, Ring};
use crate::limits::HTTP_SHARED_BODY_MIN;
use bytes::Bytes;
use std::collections::VecDeque;

#[derive(Default)]
pub(super) struct Queue {
    own: Vec<u8>,
    /// They follow `own`. Apart, as few connections have any.
    shared: Option<Box<Shared>>,
    /// Of the first of them, the bytes that the kernel has taken.
    taken_len: u32,
}

#[derive(Default)]
struct Shared {
    /// One at least.
    pieces: VecDeque<Bytes>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.shared.is_none()
    }

    /// Whether something waits behind what [`Self::own`] returns.
    pub(super) fn has_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Where replies are appended, while nothing shared waits behind them.
    pub(super) fn own(&mut self, ring: &mut Ring) -> &mut Vec<u8> {
        debug_assert!(self.shared.is_none(), "a reply would overtake what waits");
        if self.own.capacity() == 0 {
            self.own = ring.spare_buffer();
        }
        &mut self.own
    }

    /// Puts back what was taken out of [`Self::own`].
    pub(super) fn set_own(&mut self, own: Vec<u8>) {
        self.own = own;
    }

    pub(super) fn push_shared(&mut self, bytes: Bytes) {
        self.shared.get_or_insert_default().pieces.push_back(bytes);
    }

    /// Appends an event: a copy of a small one.
    pub(super) fn push_event(&mut self, event: Bytes, ring: &mut Ring) {
        if event.len() < HTTP_SHARED_BODY_MIN && self.shared.is_none() {
            self.own(ring).extend_from_slice(&event);
        } else {
            self.push_shared(event);
        }
    }

    /// What to send next, and from which byte on.
    pub(super) fn take_next(&mut self, ring: &mut Ring) -> Option<(Outgoing, usize)> {
        let own = std::mem::take(&mut self.own);
        let from = std::mem::take(&mut self.taken_len) as usize;
        if !own.is_empty() {
            return Some((Outgoing::Owned(own), from));
        }
        ring.keep_spare(own);
        let shared = self.shared.as_mut()?;
        let next = shared.pieces.pop_front()?;
        if shared.pieces.is_empty() {
            self.shared = None;
        }
        Some((Outgoing::Shared(next), from))
    }

    /// Bytes of what [`Self::take_next`] would return that the kernel has not taken.
    pub(super) fn next_len(&self) -> usize {
        let first = self.shared.as_ref().and_then(|shared| shared.pieces.front());
        let next = if self.own.is_empty() { first.map_or(0, Bytes::len) } else { self.own.len() };
        next - self.taken_len as usize
    }

    /// The kernel has taken `taken_len` bytes of this, and not the rest. Nothing of the connection's own was appended since.
    pub(super) fn put_back(&mut self, unsent: Outgoing, taken_len: usize) {
        debug_assert!(self.own.is_empty(), "what a turn sent is known before the next turn appends");
        match unsent {
            Outgoing::Owned(own) => self.own = own,
            Outgoing::Shared(bytes) => self.shared.get_or_insert_default().pieces.push_front(bytes),
        }
        self.taken_len = taken_len as u32;
    }

    /// Lets everything go.
    pub(super) fn clear(&mut self, ring: &mut Ring) {
        ring.keep_spare(std::mem::take(&mut self.own));
        self.shared = None;
        self.taken_len = 0;
    }
}
