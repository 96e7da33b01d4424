//! Whether a socket takes datagrams now, and who says when it takes more.
//!
//! The kernel refuses for want of memory in two ways. When the socket's own buffer is full, the socket becomes writable
//! as the buffer drains, and the ring says so. When a queue below the socket is full, the socket *is* writable, so that
//! asking the ring would be answered at once, again and again: only time helps there.
//!
//! Invariant: an outlet that is shut has somebody who opens it, the ring or a deadline. Deliberately not here: sending.

use std::time::{Duration, Instant};

/// How long a full queue below the socket is left alone. A queue of a thousand full datagrams leaves a network card of 10
/// Gbit/s in about this time.
const CONGESTION_PAUSE: Duration = Duration::from_millis(1);

/// The way out of one socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Outlet {
    /// It takes datagrams, as far as is known.
    #[default]
    Open,
    /// Its buffer is full, and the ring polls it.
    Full,
    /// A queue below it is full; it is tried again then.
    Congested(Instant),
}

impl Outlet {
    /// The socket's buffer is full: whoever calls has the ring poll it.
    pub fn handle_full(&mut self) {
        *self = Self::Full;
    }

    /// A queue below the socket is full.
    pub fn handle_congestion(&mut self, now: Instant) {
        *self = Self::Congested(now + CONGESTION_PAUSE);
    }

    /// The ring has seen room in the buffer.
    pub fn handle_writable(&mut self) {
        if *self == Self::Full {
            *self = Self::Open;
        }
    }

    /// Whether to send at `now`.
    pub fn is_open(&mut self, now: Instant) -> bool {
        if matches!(self, Self::Congested(until) if *until <= now) {
            *self = Self::Open;
        }
        *self == Self::Open
    }

    /// When to try again without having been told.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Congested(until) => Some(*until),
            Self::Open | Self::Full => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any moment will do, and there is no other way to one")]
    fn a_full_socket_waits_for_the_ring_and_a_full_queue_for_a_moment() {
        let now = Instant::now();
        let mut outlet = Outlet::default();
        assert!(outlet.is_open(now));

        outlet.handle_full();
        assert!(!outlet.is_open(now + Duration::from_secs(60)), "only the ring opens it");
        assert_eq!(outlet.poll_timeout(), None);
        outlet.handle_writable();
        assert!(outlet.is_open(now));

        outlet.handle_congestion(now);
        let again_at = outlet.poll_timeout().expect("nobody else opens it");
        outlet.handle_writable();
        assert!(!outlet.is_open(now), "a writable socket says nothing about the queue below it");
        assert!(again_at > now && !outlet.is_open(again_at - Duration::from_nanos(1)));
        assert!(outlet.is_open(again_at));
        assert_eq!(outlet.poll_timeout(), None);
    }
}
