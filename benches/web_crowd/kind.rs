//! What the subscribers of one kind have seen: who has the frame of which window, when it came, and what it said.
//!
//! Invariant: a frame counts once for each subscriber and window. Not here: how frames come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::SystemTime;

/// One kind of subscribers, in a thread of their own.
pub(crate) struct Kind {
    pub(crate) record: Arc<Record>,
    /// Whether the thread is to end.
    ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Kind {
    /// Runs `watch` in a thread until it says that it is ready, and further until [`Self::stop`].
    pub(crate) fn start(name: &str, watch: impl FnOnce(&Record, &AtomicBool, &dyn Fn()) + Send + 'static) -> Self {
        let (record, ending) = (Arc::new(Record::default()), Arc::new(AtomicBool::new(false)));
        let (ready, is_ready) = std::sync::mpsc::channel();
        let theirs = (Arc::clone(&record), Arc::clone(&ending));
        let run = move || watch(&theirs.0, &theirs.1, &|| ready.send(()).expect("somebody waits"));
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run).expect("the kernel gives a thread");
        is_ready.recv_timeout(crate::PATIENCE).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { record, ending, thread }
    }

    /// Ends the thread; what it has seen.
    pub(crate) fn stop(self) -> Seen {
        self.ending.store(true, Ordering::Relaxed);
        self.thread.join().expect("it ends well");
        std::mem::take(&mut self.record.seen.lock().expect("nobody panicked"))
    }
}

/// What is seen, as it comes.
#[derive(Default)]
pub(crate) struct Record {
    seen: Mutex<Seen>,
}

impl Record {
    /// A subscriber has the frame of a window, which says that so many taps were counted.
    pub(crate) fn handle_frame(&self, subscriber: usize, window: u64, total: u64) {
        let unix_us = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros() as u64;
        let mut seen = self.seen.lock().expect("nobody panicked");
        let seen = seen.windows.entry(window).or_default();
        if seen.subscribers.len() <= subscriber {
            seen.subscribers.resize(subscriber + 1, false);
        }
        if std::mem::replace(&mut seen.subscribers[subscriber], true) {
            seen.repeated += 1;
            return;
        }
        seen.count += 1;
        seen.at_unix_us.push(unix_us);
        seen.has_disagreed |= *seen.total.get_or_insert(total) != total;
    }

    /// How many have the frame of a window.
    pub(crate) fn count(&self, window: u64) -> usize {
        self.seen.lock().expect("nobody panicked").windows.get(&window).map_or(0, |seen| seen.count)
    }
}

/// All windows.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) windows: BTreeMap<u64, SeenWindow>,
}

/// One window.
#[derive(Default)]
pub(crate) struct SeenWindow {
    /// Whether each has it.
    subscribers: Vec<bool>,
    pub(crate) count: usize,
    /// Frames that came a second time.
    pub(crate) repeated: usize,
    /// When each came.
    pub(crate) at_unix_us: Vec<u64>,
    total: Option<u64>,
    has_disagreed: bool,
}

impl Seen {
    /// Taps that the frame of a window told of.
    pub(crate) fn total(&self, window: u64) -> Option<u64> {
        self.windows.get(&window)?.total
    }

    /// Whether two of them were told different totals.
    pub(crate) fn has_disagreed(&self, window: u64) -> bool {
        self.windows.get(&window).is_some_and(|seen| seen.has_disagreed)
    }
}
