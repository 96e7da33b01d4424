//! Parking: how a shard sleeps until its ring has a completion or another shard has sent a message.
//!
//! The second ring rings an eventfd; a task of the shard's own executor waits for that eventfd and rings the bell, so no
//! other thread is woken on the way. Messages of other shards ring the same bell.
//!
//! Invariant: from [`Doorbell::arm`] to the end of [`Doorbell::wait`] every completion rings; while the shard is busy,
//! none does.

use super::sys::descriptor;
use super::sys::ring::Ring;
use glommio::io::PollableFd;
use glommio::timer::sleep;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Poll, Waker};
use std::time::Duration;

/// How long a task that can run may be left lying. The executor decides to sleep after looking for the end of a task's
/// time slice; when that comes just before, it sleeps although a task can run, until something else wakes it. On a machine
/// whose cores are overcommitted that happens; this timer is what wakes it then.
const HEARTBEAT: Duration = Duration::from_millis(250);

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

    async fn rung(&self) {
        std::future::poll_fn(|cx| {
            if self.rung.take() {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// The end of a shard's sleep.
pub struct Doorbell {
    bell: Rc<Bell>,
}

impl Doorbell {
    /// Connects `ring` to the executor of this thread.
    pub fn new(ring: &mut Ring, bell: Rc<Bell>) -> io::Result<Self> {
        let eventfd = descriptor::eventfd()?;
        ring.register_doorbell(&eventfd)?;
        let eventfd = PollableFd::new(eventfd).map_err(io::Error::from)?;
        glommio::spawn_local(answer(eventfd, bell.clone())).detach();
        glommio::spawn_local(beat()).detach();
        Ok(Self { bell })
    }

    /// From here on completions ring. Look at the ring once more before waiting.
    pub fn arm(&self, ring: &mut Ring) {
        ring.set_doorbell(true);
        // The kernel says that work waits and then looks whether to ring; here it is the other way round. Without a
        // barrier between the two on this side, each can miss the other.
        fence(Ordering::SeqCst);
    }

    /// Waits until a completion or the bell rings, then stops completions from ringing.
    pub async fn wait(&mut self, ring: &mut Ring) {
        self.bell.rung().await;
        ring.set_doorbell(false);
    }
}

/// Rings the bell whenever the eventfd rings. One poll is under way at a time, however often the bell rings otherwise.
async fn answer(mut eventfd: PollableFd<File>, bell: Rc<Bell>) {
    // It fails only when the executor is gone, and this task with it.
    while eventfd.readable().await.is_ok() {
        let mut count = [0; 8];
        // Nothing to read: an earlier ring took it all.
        let _ = eventfd.get_mut().read(&mut count);
        bell.ring();
    }
}

async fn beat() {
    loop {
        sleep(HEARTBEAT).await;
    }
}
