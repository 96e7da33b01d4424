//! Viewers: subscribers as an application would write them, on the Rust SDK.
//!
//! Each has a runtime of its own, which acknowledges what comes whether or not the test looks, and which can be torn
//! down in an instant, as when a phone's battery ends.

use super::impairment::ImpairedPath;
use super::{DEADLINE, Server};
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use uproar_client::{Client, ClientConfig, ClientEndpoint, Error, RoomEvent, Subscription, Trust};
use uproar_wire::frame::{Frame, Palette};
use uproar_wire::hello::{CloseCode, RoomStatus};
use uproar_wire::{EmojiId, RoomId};

/// Connections made until every shard has one; beyond this a shard does not take any.
const TRIES: usize = 100;

/// Frames looked at before tapping again.
const FRAMES_A_TAP: usize = 8;

/// One subscriber.
pub(crate) struct Viewer {
    endpoint: ClientEndpoint,
    client: Client,
    subscription: Option<Subscription>,
    runtime: Runtime,
}

impl Viewer {
    /// Connects, and says nothing yet.
    pub(crate) fn connect(server: &Server) -> Self {
        Self::try_connect(server).unwrap()
    }

    /// Connects, if the server wants it to.
    pub(crate) fn try_connect(server: &Server) -> Result<Self, Error> {
        Self::connect_to(server.quic())
    }

    /// Connects to whoever is at an address.
    pub(crate) fn connect_to(address: SocketAddr) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = ClientConfig::new(Trust::DangerAnyCertificate)
            .bind(([127, 0, 0, 1], 0).into())
            .idle_timeout(Duration::from_secs(600))
            .keep_alive(Some(Duration::from_millis(200)));
        let (endpoint, client) = runtime.block_on(async {
            let endpoint = ClientEndpoint::bind(&config).unwrap();
            let client = within(endpoint.connect(address, "localhost")).await;
            (endpoint, client)
        });
        Ok(Self { endpoint, client: client?, subscription: None, runtime })
    }

    /// Connects and subscribes.
    pub(crate) fn watching(server: &Server, rooms: &[u32]) -> Self {
        let mut viewer = Self::connect(server);
        viewer.subscribe(rooms).unwrap();
        viewer
    }

    /// Connects to wherever a path to the server begins, and subscribes.
    pub(crate) fn watching_through(path: &ImpairedPath, rooms: &[u32]) -> Self {
        let mut viewer = Self::connect_to(path.address()).unwrap();
        viewer.subscribe(rooms).unwrap();
        viewer
    }

    /// Says hello; what became of each room.
    pub(crate) fn subscribe(&mut self, rooms: &[u32]) -> Result<Vec<(u32, RoomStatus)>, Error> {
        let rooms: Vec<_> = rooms.iter().copied().map(RoomId).collect();
        let subscription = self.runtime.block_on(within(self.client.subscribe(&rooms)))?;
        let statuses = subscription.rooms().iter().map(|&(room, status)| (room.0, status)).collect();
        self.subscription = Some(subscription);
        Ok(statuses)
    }

    /// Asks for further rooms; what became of each.
    pub(crate) fn subscribe_more(&self, rooms: &[u32]) -> Vec<(u32, RoomStatus)> {
        self.change(rooms, |client, rooms| async move { client.subscribe_more(&rooms).await })
    }

    /// Leaves rooms; what became of each.
    pub(crate) fn unsubscribe(&self, rooms: &[u32]) -> Vec<(u32, RoomStatus)> {
        self.change(rooms, |client, rooms| async move { client.unsubscribe(&rooms).await })
    }

    fn change<'a, F>(&'a self, rooms: &[u32], ask: impl FnOnce(&'a Client, Vec<RoomId>) -> F) -> Vec<(u32, RoomStatus)>
    where
        F: Future<Output = Result<Vec<(RoomId, RoomStatus)>, Error>>,
    {
        let rooms = rooms.iter().copied().map(RoomId).collect();
        let statuses = self.runtime.block_on(within(ask(&self.client, rooms))).unwrap();
        statuses.into_iter().map(|(room, status)| (room.0, status)).collect()
    }

    /// What comes next: an event, an error, or none after the end.
    pub(crate) fn next(&mut self) -> Option<Result<RoomEvent, Error>> {
        let subscription = self.subscription.as_mut().expect("it watches something");
        self.runtime.block_on(within(subscription.next()))
    }

    /// The next event.
    pub(crate) fn next_event(&mut self) -> RoomEvent {
        self.next().expect("the subscription goes on").unwrap()
    }

    /// The next palette; frames before it are passed over.
    pub(crate) fn next_palette(&mut self) -> Palette {
        loop {
            if let RoomEvent::Palette(_, palette) = self.next_event() {
                return palette;
            }
        }
    }

    /// The next frame; palettes before it are passed over.
    pub(crate) fn next_frame(&mut self) -> Frame {
        loop {
            if let RoomEvent::Frame(frame) = self.next_event() {
                return frame;
            }
        }
    }

    /// Taps until a frame of `room` shows it. Again and again, because a machine that stalls for a window makes the
    /// server skip a frame, and because a datagram may be lost.
    #[allow(clippy::disallowed_methods, reason = "a test observes a process from outside, by the machine's clock")]
    pub(crate) fn see_taps(&mut self, room: u32, mut tap: impl FnMut(&Self)) -> Frame {
        let give_up_at = Instant::now() + DEADLINE;
        while Instant::now() < give_up_at {
            tap(self);
            for _ in 0..FRAMES_A_TAP {
                let frame = self.next_frame();
                if frame.room == room && frame.total > 0 {
                    return frame;
                }
            }
        }
        panic!("no frame of room {room} shows the taps");
    }

    /// Sends taps by QUIC DATAGRAM.
    pub(crate) fn tap(&self, room: u32, taps: &[(u16, u16)]) {
        let taps: Vec<_> = taps.iter().map(|&(emoji, count)| (EmojiId(emoji), count)).collect();
        self.runtime.block_on(within(self.client.react(RoomId(room), &taps))).unwrap();
    }

    /// As [`Self::tap`], of a server that may end meanwhile; whether the taps have left.
    pub(crate) fn try_tap(&self, room: u32, emoji: u16, count: u16) -> bool {
        self.runtime.block_on(within(self.client.react(RoomId(room), &[(EmojiId(emoji), count)]))).is_ok()
    }

    /// Goes on from another port, as when a phone changes networks. Returns the ports before and after.
    pub(crate) fn rebind(&self) -> (u16, u16) {
        let before = self.client.local_addr().unwrap().port();
        (before, self.move_to([127, 0, 0, 1]).port())
    }

    /// Goes on from another address. Returns it.
    pub(crate) fn move_to(&self, ip: [u8; 4]) -> SocketAddr {
        let socket = UdpSocket::bind(SocketAddr::from((ip, 0))).unwrap();
        let _context = self.runtime.enter();
        self.client.rebind(socket).unwrap();
        self.client.local_addr().unwrap()
    }

    /// All frames up to the end of the connection, and why it ended.
    pub(crate) fn watch_to_the_end(mut self) -> (Vec<Frame>, Option<CloseCode>) {
        let mut frames = Vec::new();
        loop {
            match self.next() {
                Some(Ok(RoomEvent::Frame(frame))) => frames.push(frame),
                Some(Ok(RoomEvent::Palette(..))) => {}
                Some(Err(error)) => {
                    let code = error.close_code();
                    assert!(code.is_some(), "the connection was lost: {error}");
                    return (frames, code);
                }
                None => return (frames, None),
            }
        }
    }

    /// Why the server closes the connection of somebody who is no subscriber.
    pub(crate) fn wait_for_close(mut self) -> Option<CloseCode> {
        // A closed connection refuses the hello, and says why.
        let closed = async {
            while self.client.stats().frame_rx.connection_close == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        self.runtime.block_on(within(closed));
        self.subscribe(&[1]).expect_err("the connection is closed").close_code()
    }

    /// Says good-bye and goes.
    pub(crate) fn leave(self) {
        // Nothing is waited for but what the SDK waits for: it must have told the server by then.
        self.runtime.block_on(within(self.client.close()));
    }

    /// Is gone without a word.
    pub(crate) fn vanish(self) {
        let Self { endpoint, client, subscription, runtime } = self;
        runtime.shutdown_background();
        // Leaked on purpose: letting go of them would say good-bye.
        std::mem::forget((subscription, client, endpoint));
    }
}

/// Viewers of one room on every shard of a server.
pub(crate) struct Audience {
    viewers: Vec<Viewer>,
}

impl Audience {
    /// Connects viewers until every shard has one. Which shard takes a connection is chance.
    pub(crate) fn on_every_shard(server: &Server, shards: usize, room: u32) -> Self {
        let mut viewers = Vec::new();
        while viewers.len() < TRIES {
            viewers.push(Viewer::watching(server, &[room]));
            let metrics = server.shard_metrics();
            if (0..shards).all(|shard| metrics.sum(&format!("uproar_subscribers{{shard=\"{shard}\"}}")) > 0) {
                return Self { viewers };
            }
        }
        panic!("{TRIES} viewers, and still a shard without one:\n{}", server.shard_metrics().page());
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.viewers.len()
    }

    /// Every frame that any of them saw, by window, once the server has drained.
    ///
    /// # Panics
    /// When two saw different frames of one window, one saw a window twice or out of order, or one was not told why
    /// the connection ended.
    pub(crate) fn frames_to_the_end(self) -> BTreeMap<u64, Frame> {
        let mut seen = BTreeMap::new();
        for viewer in self.viewers {
            let (frames, code) = viewer.watch_to_the_end();
            assert_eq!(code, Some(CloseCode::Draining));
            assert!(frames.is_sorted_by(|a, b| a.window < b.window), "windows only ever grow");
            for frame in frames {
                let first = seen.entry(frame.window).or_insert_with(|| frame.clone());
                assert_eq!(*first, frame, "everybody sees the same");
            }
        }
        seen
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("nothing came within {DEADLINE:?}"))
}
