//! Parking: how a shard sleeps until its ring has a completion or another shard has sent a message.
//!
//! The second ring rings an eventfd; the shard's own executor polls that eventfd, so no other thread is woken on the way.
//! Invariant: between [`Doorbell::arm`] and the end of [`Doorbell::wait`] every completion rings; while the shard is
//! busy, none does.

use super::sys::descriptor;
use super::sys::ring::Ring;
use glommio::io::{PollState, PollableFd};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Wakes the loop from other tasks of the same executor.
#[derive(Default)]
pub struct Bell {
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Bell {
    /// Ends the current wait, or the next one.
    pub fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// The eventfd of one shard's second ring.
pub struct Doorbell {
    eventfd: PollableFd<File>,
    polled: PollState,
    bell: Rc<Bell>,
}

impl Doorbell {
    /// Connects `ring` to the executor of this thread.
    pub fn new(ring: &mut Ring, bell: Rc<Bell>) -> io::Result<Self> {
        let eventfd = descriptor::eventfd()?;
        ring.register_doorbell(&eventfd)?;
        let eventfd = PollableFd::new(eventfd).map_err(io::Error::from)?;
        Ok(Self { eventfd, polled: PollState::new(), bell })
    }

    /// From here on completions ring. Look at the ring once more before waiting.
    pub fn arm(&self, ring: &mut Ring) {
        ring.set_doorbell(true);
    }

    /// Waits until a completion or the bell rings, then stops completions from ringing.
    pub async fn wait(&mut self, ring: &mut Ring) -> io::Result<()> {
        let Self { eventfd, polled, bell } = self;
        let waited = std::future::poll_fn(|cx| {
            if bell.rung.take() {
                return Poll::Ready(Ok(false));
            }
            *bell.waker.borrow_mut() = Some(cx.waker().clone());
            eventfd.poll_readable(cx, polled).map_ok(|()| true)
        })
        .await;
        ring.set_doorbell(false);
        if waited.map_err(io::Error::from)? {
            let mut count = [0; 8];
            // Nothing to read means that an earlier ring was already taken.
            let _ = eventfd.get_ref().read(&mut count);
        }
        Ok(())
    }
}
