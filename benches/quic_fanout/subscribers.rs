//! Those who watch, and count what comes: each a connection of its own, on a few shared sockets, in one thread.
//!
//! They are the Rust SDK on tokio. Their own work is not measured, but they share one core: with many thousands of them
//! frames come at their pace, and the spread is theirs. Invariant: what a window brought is told once, in the order of
//! windows, when it is whole or when a later one is. Not here: which server, and what its frames cost.

use crate::frame;
use crate::process;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use uproar_client::{ClientConfig, ClientEndpoint, Error, RoomEvent, Subscription, Trust};

/// Connections of one socket.
const PER_SOCKET: usize = 1000;
/// Bytes of a socket's buffers: all its frames come at once.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// Longer than servers are stopped.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// A crowd in front of one server.
pub(crate) struct Subscribers {
    count: usize,
    ledger: Arc<Ledger>,
    /// The last window told.
    told: u64,
    ending: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Which crowd.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) server: SocketAddr,
    pub(crate) subscribers: usize,
    /// Handshakes under way at a time.
    pub(crate) connecting_max: usize,
    /// Of its thread.
    pub(crate) core: usize,
}

/// What one window brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowArrivals {
    pub(crate) frames: u64,
    pub(crate) missing: u64,
    /// From the first frame's arrival to the last one's.
    pub(crate) spread: Duration,
}

/// What the thread tells.
#[derive(Default)]
struct Ledger {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    subscribed: usize,
    failure: Option<String>,
    windows: BTreeMap<u64, Arrivals>,
}

struct Arrivals {
    frames: u64,
    first: Instant,
    last: Instant,
}

impl Subscribers {
    /// Begins to connect.
    pub(crate) fn start(crowd: Crowd) -> Self {
        let ledger = Arc::new(Ledger::default());
        let (ending, ended) = oneshot::channel();
        let (told_to, count) = (Arc::clone(&ledger), crowd.subscribers);
        let thread = std::thread::spawn(move || {
            process::pin(crowd.core);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(watch(crowd, &told_to, ended));
        });
        Self { count, ledger, told: 0, ending: Some(ending), thread: Some(thread) }
    }

    /// Waits until all of them are welcome.
    ///
    /// # Panics
    /// When one is not, or after `timeout`.
    pub(crate) fn wait_subscribed(&self, timeout: Duration) {
        let is_waiting = |state: &mut State| state.subscribed < self.count && state.failure.is_none();
        let waited = self.ledger.changed.wait_timeout_while(self.ledger.lock(), timeout, is_waiting);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(state.failure.is_none(), "{}", state.failure.as_deref().unwrap_or_default());
        assert!(state.subscribed == self.count, "{} of {} after {timeout:?}", state.subscribed, self.count);
    }

    /// The next window; none if nothing came until `timeout`.
    pub(crate) fn next_window(&mut self, timeout: Duration) -> Option<WindowArrivals> {
        let (all, from) = (self.count as u64, self.told + 1);
        // Whole, or not going to be.
        let is_waiting = |state: &mut State| {
            let mut windows = state.windows.range(from..);
            let (first, later) = (windows.next(), windows.next());
            first.is_none_or(|(_, arrivals)| arrivals.frames < all) && later.is_none_or(|(_, later)| later.frames < all)
        };
        let waited = self.ledger.changed.wait_timeout_while(self.ledger.lock(), timeout, is_waiting);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let window = *state.windows.range(from..).next()?.0;
        let Arrivals { frames, first, last } = state.windows.remove(&window)?;
        self.told = window;
        // Those that come late now count for nobody.
        state.windows = state.windows.split_off(&window);
        Some(WindowArrivals { frames, missing: all.saturating_sub(frames), spread: last - first })
    }
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        // It may have ended on its own.
        let _ = self.ending.take().map(|ending| ending.send(()));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle_subscribed(&self) {
        self.lock().subscribed += 1;
        self.changed.notify_all();
    }

    fn handle_failure(&self, error: &Error) {
        self.lock().failure.get_or_insert_with(|| format!("a subscriber is lost: {error}"));
        self.changed.notify_all();
    }

    #[allow(clippy::disallowed_methods, reason = "a bench observes a process from outside, by the machine's clock")]
    fn handle_frame(&self, window: u64) {
        let now = Instant::now();
        let mut state = self.lock();
        let arrivals = state.windows.entry(window).or_insert(Arrivals { frames: 0, first: now, last: now });
        arrivals.frames += 1;
        arrivals.last = now;
        drop(state);
        self.changed.notify_all();
    }
}

/// Connects all, then watches until `ended`; nobody says goodbye.
async fn watch(crowd: Crowd, ledger: &Arc<Ledger>, ended: oneshot::Receiver<()>) {
    let config = ClientConfig::new(Trust::DangerAnyCertificate)
        .bind(([127, 0, 0, 1], 0).into())
        .rooms_max(1)
        .idle_timeout(IDLE_TIMEOUT)
        // A server that is stopped answers nobody.
        .keep_alive(None)
        .socket_buffer_bytes(SOCKET_BUFFER_BYTES);
    let sockets = (0..crowd.subscribers.div_ceil(PER_SOCKET)).map(|_| ClientEndpoint::bind(&config));
    let sockets: Vec<_> = sockets.collect::<Result<_, _>>().expect("free ports");
    let connecting = stream::iter(0..crowd.subscribers)
        .map(|place| seat(&sockets[place / PER_SOCKET], crowd.server, ledger))
        .buffer_unordered(crowd.connecting_max)
        .try_for_each(|()| async { Ok(()) });
    let all = async {
        if let Err(error) = connecting.await {
            ledger.handle_failure(&error);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = all => {}
        _ = ended => {}
    }
}

async fn seat(socket: &ClientEndpoint, server: SocketAddr, ledger: &Arc<Ledger>) -> Result<(), Error> {
    let client = socket.connect(server, "localhost").await?;
    let subscription = client.subscribe(&[frame::ROOM]).await?;
    ledger.handle_subscribed();
    tokio::spawn(sit(subscription, Arc::clone(ledger)));
    Ok(())
}

async fn sit(mut subscription: Subscription, ledger: Arc<Ledger>) {
    while let Some(event) = subscription.next().await {
        match event {
            Ok(RoomEvent::Frame(frame)) => ledger.handle_frame(frame.window),
            Ok(RoomEvent::Palette(..)) => {}
            Err(error) => return ledger.handle_failure(&error),
        }
    }
}
