//! An open loop: datagrams leave by a schedule, whatever became of those before.

use crate::sender::Sender;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Datagrams that leave together: a system call's worth, as from a network card.
const BATCH: u64 = 64;

/// What was sent by a schedule.
#[derive(Clone, Copy, Default)]
pub(crate) struct Paced {
    pub(crate) sent: u64,
    /// How late the latest batch left.
    pub(crate) lag_max: Duration,
    /// From the first to the last.
    pub(crate) took: Duration,
}

/// Sends `rate` datagrams a second for `time`, and tells `tell` how many so far with each batch.
#[allow(clippy::disallowed_methods, reason = "a schedule follows the machine's clock")]
pub(crate) fn send(sender: &mut Sender, to: SocketAddr, rate: f64, time: Duration, tell: impl Fn(Paced)) -> Paced {
    let total = (rate * time.as_secs_f64()) as u64 / BATCH * BATCH;
    let start = Instant::now();
    let mut paced = Paced::default();
    while paced.sent < total {
        let due = start + Duration::from_secs_f64(paced.sent as f64 / rate);
        let now = Instant::now();
        let Some(lag) = now.checked_duration_since(due) else {
            // The core is the sender's; sleeping would cost it its punctuality.
            std::thread::yield_now();
            continue;
        };
        sender.send(BATCH, to);
        paced.sent += BATCH;
        paced.lag_max = paced.lag_max.max(lag);
        paced.took = now - start;
        tell(paced);
    }
    paced
}
