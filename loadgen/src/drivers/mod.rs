//! The ways in: what the plan says is sent here.
//!
//! [`sources`]: from which addresses. [`desk`]: what the connections of one way share, and write down. `dispatch`: hands
//! each batch to its connection at its moment. [`http`] and [`quic`]:
//! connections. [`udp`]: threads and sockets of their own. [`hostile`]: what must be refused.
//!
//! Invariant: open loop. A batch leaves at the moment the plan gives it, or later where its connection still waits for
//! the server, and its latency counts from the plan. None is dropped without a word: what is too late is written down, as
//! unsent where the generator is to blame, else as refused. Deliberately not here: retries, which would count taps twice.

pub mod desk;
pub mod hostile;
pub mod http;
pub mod quic;
pub mod sources;
pub mod udp;

mod dispatch;

pub use desk::Desk;
pub use sources::SourceAddresses;

use std::time::Duration;
use tokio::time::Instant;

/// Connections of one way that are being opened at a time.
const OPENING_MAX: usize = 64;

/// The clock that all drivers go by. It is tokio's, so that tests play a match in no time.
fn now() -> Instant {
    Instant::now()
}

/// Waits until then; at once where it is past.
async fn until(moment: std::time::Instant) {
    let moment = Instant::from_std(moment);
    if now() < moment {
        tokio::time::sleep_until(moment).await;
    }
}

/// From one moment to now, in microseconds.
fn us_since(moment: Instant) -> u64 {
    now().saturating_duration_since(moment).as_micros() as u64
}

/// The same after a moment of the plan.
fn later(moment: std::time::Instant, by: Duration) -> Instant {
    Instant::from_std(moment) + by
}
