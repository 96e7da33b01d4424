//! Watches the server while a run goes on: its admin port is asked once a second, over one connection.
//!
//! Invariant: a look that fails leaves a hole and is never filled by a guess. Deliberately not here: judging, which is
//! the report's; and the totals of a run, for which [`crate::metrics_scrape`] is read before and after it.

mod series;

pub use series::{ServerReading, ServerSample, ServerSeries, TapsByProto};

use crate::exchange::Connection;
use crate::metrics_scrape::Scrape;
use series::Thinning;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// Time between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// How long an answer may take: by then the next look is due.
const ANSWER_MAX: Duration = PERIOD;
/// How long a run is watched at most.
const WATCH_MAX: Duration = Duration::from_secs(24 * 3600);

/// What the live display shows of the server.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ServerNow {
    /// The last look failed, or there was none yet.
    Silent,
    /// It answered.
    Answers {
        /// CPU time in percent of one core, between the last two looks; `None` when one of them failed or the server
        /// cannot tell.
        cpu_percent: Option<f64>,
        /// Memory resident, in bytes; `None` where the server cannot tell.
        rss_bytes: Option<u64>,
        /// Datagrams its kernel dropped since the first look.
        socket_drops: u64,
        /// Datagrams and requests it refused since the first look.
        refused: u64,
    },
}

/// A task that looks at the server until it is told to finish, or until this is dropped.
#[derive(Debug)]
pub struct ServerWatch {
    stop: oneshot::Sender<()>,
    now: watch::Receiver<ServerNow>,
    task: JoinHandle<ServerSeries>,
}

impl ServerWatch {
    /// Looks at once, and then each second. Times count from `start`, also when that is still to come: then they are 0.
    pub fn start(admin: SocketAddr, start: Instant) -> Self {
        let ((stop, stopped), (shown, now)) = (oneshot::channel(), watch::channel(ServerNow::Silent));
        let task = tokio::spawn(Watcher::new(admin, start, shown).run(PERIOD, stopped));
        Self { stop, now, task }
    }

    /// What the last look showed.
    pub fn now(&self) -> ServerNow {
        *self.now.borrow()
    }

    /// Looks once more, and gives what was seen. Takes `ANSWER_MAX` at most, twice when a look is under way.
    pub async fn finish(self) -> ServerSeries {
        // It may have ended by itself.
        let _ = self.stop.send(());
        // A task that panicked has seen nothing that could be relied on.
        self.task.await.unwrap_or_default()
    }
}

struct Watcher {
    admin: SocketAddr,
    connection: Connection,
    answer_max: Duration,
    start: Instant,
    shown: watch::Sender<ServerNow>,
    first: Option<ServerReading>,
    last: Option<ServerSample>,
}

impl Watcher {
    fn new(admin: SocketAddr, start: Instant, shown: watch::Sender<ServerNow>) -> Self {
        Self {
            admin,
            connection: Connection::new(admin),
            answer_max: ANSWER_MAX,
            start,
            shown,
            first: None,
            last: None,
        }
    }

    async fn run(mut self, period: Duration, mut stopped: oneshot::Receiver<()>) -> ServerSeries {
        let mut series = Thinning::new();
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while self.start.elapsed() < WATCH_MAX {
            tokio::select! {
                _ = ticks.tick() => series.push(self.look().await),
                // Also when nobody wants to know any more.
                _ = &mut stopped => break,
            }
        }
        series.finish(self.look().await)
    }

    async fn look(&mut self) -> ServerSample {
        let answer = tokio::time::timeout(self.answer_max, Scrape::read_over(&mut self.connection, self.admin)).await;
        if answer.is_err() {
            // Half an answer may still come over it.
            self.connection = Connection::new(self.admin);
        }
        let reading = answer.ok().and_then(Result::ok).as_ref().and_then(ServerReading::of);
        let sample = ServerSample::new(self.start.elapsed(), reading);
        self.keep(sample.clone());
        sample
    }

    fn keep(&mut self, sample: ServerSample) {
        self.show(&sample);
        self.last = Some(sample);
    }

    fn show(&mut self, sample: &ServerSample) {
        let now = match &sample.reading {
            None => ServerNow::Silent,
            Some(reading) => {
                let first = self.first.get_or_insert_with(|| reading.clone());
                let cores = self.last.as_ref().and_then(|last| sample.cores_since(last));
                ServerNow::Answers {
                    cpu_percent: cores.map(|cores| cores * 100.0),
                    rss_bytes: reading.rss_bytes,
                    socket_drops: reading.socket_drops.saturating_sub(first.socket_drops),
                    refused: reading.rejected.saturating_sub(first.rejected),
                }
            }
        };
        self.shown.send_replace(now);
    }
}

#[cfg(test)]
mod tests;
