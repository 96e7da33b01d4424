//! The mesh: one channel from every shard to every other, and what waits at its ends.
//!
//! Invariant: messages of one shard to another arrive in the order they were sent, and none is dropped while both live.
//! Every arriving message rings the shard's bell. What is still under way when a channel ends is dropped, and a connection
//! in it closed.

use super::admission::Arrival;
use super::control::Reload;
use super::doorbell::Bell;
use crate::ids::{ClientAddress, ShardId};
use crate::limits;
use crate::shard::MeshMessage;
use glommio::channels::shared_channel::{self, ConnectedReceiver, ConnectedSender, SharedReceiver, SharedSender};
use glommio::timer::sleep;
use glommio::{GlommioError, ResourceType};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// What travels between shards: what the core says, and connections, of which the core knows nothing.
#[derive(Debug)]
pub enum EdgeMessage {
    /// One shard's core to another's.
    Core(MeshMessage),
    /// Acceptor to the home of the client's address: may it have one more connection? If so, the home finds a shard for
    /// it. Lost: the connection is closed.
    Admit(Arrival),
    /// Acceptor or home to the shard with the fewest connections: serve this one. Lost: the connection is closed, and
    /// counted for that shard and for its address as if it were open.
    Serve(Arrival),
    /// Server of a connection to the home of its address: it is gone. Lost: the address may have one connection less.
    Left(ClientAddress),
    /// Shard 0 to every other: take these settings in. Lost: that shard has others, and the reload is never done.
    Reload(Arc<Reload>),
    /// Every other shard to shard 0: the settings are in force here. Lost: the reload is never done.
    Reloaded,
    /// Shard 0 to every other: say that your loop turns. Lost: the supervisor takes the process for stuck.
    Beat,
    /// Every other shard to shard 0: it turns. Lost: as above.
    Beaten,
}

/// How soon a shard that fell asleep over its unconnected channels looks at them again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// One shard's ends of all its channels, before its executor runs.
pub struct MeshEnds {
    to: Vec<(ShardId, SharedSender<EdgeMessage>)>,
    from: Vec<(ShardId, SharedReceiver<EdgeMessage>)>,
}

/// The channels of a process with `shards` shards: the ends of each shard, in their order.
pub fn channels(shards: usize) -> Vec<MeshEnds> {
    let mut ends: Vec<MeshEnds> = (0..shards).map(|_| MeshEnds { to: Vec::new(), from: Vec::new() }).collect();
    for from in ShardId::all(shards) {
        for to in ShardId::all(shards).filter(|&to| to != from) {
            let (sender, receiver) = shared_channel::new_bounded(limits::MESH_DEPTH);
            ends[from.index()].to.push((to, sender));
            ends[to.index()].from.push((from, receiver));
        }
    }
    ends
}

type Inbox = Rc<RefCell<VecDeque<(ShardId, EdgeMessage)>>>;

/// One shard's part of the mesh, connected.
pub struct Mesh {
    inbox: Inbox,
    outboxes: Vec<Option<Outbox>>,
    /// Messages that channels had no room for when they were last flushed.
    waiting: usize,
}

struct Outbox {
    channel: ConnectedSender<EdgeMessage>,
    /// What the channel had no room for.
    waiting: VecDeque<EdgeMessage>,
}

impl Mesh {
    /// Connects the ends; returns when all other shards have connected theirs.
    pub async fn connect(ends: MeshEnds, bell: &Rc<Bell>) -> Self {
        let mut senders: Vec<_> = ends.to.into_iter().map(|(to, end)| (to, Connecting::new(end.connect()))).collect();
        let mut receivers: Vec<_> =
            ends.from.into_iter().map(|(from, end)| (from, Connecting::new(end.connect()))).collect();
        // Each end waits for its peer's, so all are under way at once. An executor that sleeps is not told that the peer
        // of a channel has connected, so none sleeps until all have. Should it sleep all the same (see `doorbell`), the timer
        // wakes it.
        let mut timer = Box::pin(sleep(LOOK_AGAIN));
        std::future::poll_fn(|cx| {
            while timer.as_mut().poll(cx).is_ready() {
                timer = Box::pin(sleep(LOOK_AGAIN));
            }
            let mut are_connected = true;
            senders.iter_mut().for_each(|(_, end)| are_connected &= end.poll(cx));
            receivers.iter_mut().for_each(|(_, end)| are_connected &= end.poll(cx));
            if are_connected {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;

        let inbox = Inbox::default();
        for (from, receiver) in receivers {
            glommio::spawn_local(receive(from, receiver.connected(), inbox.clone(), bell.clone())).detach();
        }
        let mut outboxes: Vec<Option<Outbox>> = Vec::new();
        for (to, sender) in senders {
            outboxes.resize_with(to.index() + 1, || None);
            outboxes[to.index()] = Some(Outbox { channel: sender.connected(), waiting: VecDeque::new() });
        }
        Self { inbox, outboxes, waiting: 0 }
    }

    /// The next message that has arrived.
    pub fn poll_receive(&mut self) -> Option<(ShardId, EdgeMessage)> {
        self.inbox.borrow_mut().pop_front()
    }

    /// Whether messages have arrived that were not received.
    pub fn has_received(&self) -> bool {
        !self.inbox.borrow().is_empty()
    }

    /// Messages that wait: arrived and not received, or sent and without room in their channel.
    pub fn depth(&self) -> usize {
        self.inbox.borrow().len() + self.waiting
    }

    /// Sends, behind whatever waits for the same receiver.
    pub fn send(&mut self, to: ShardId, message: EdgeMessage) {
        if let Some(Some(outbox)) = self.outboxes.get_mut(to.index()) {
            outbox.waiting.push_back(message);
            outbox.flush();
        }
    }

    /// Tries again what channels had no room for; true while something still waits.
    pub fn flush(&mut self) -> bool {
        self.waiting = 0;
        for outbox in self.outboxes.iter_mut().flatten() {
            outbox.flush();
            self.waiting += outbox.waiting.len();
        }
        self.waiting > 0
    }
}

impl Outbox {
    fn flush(&mut self) {
        while let Some(message) = self.waiting.pop_front() {
            match self.channel.try_send(message) {
                Ok(()) => {}
                Err(GlommioError::WouldBlock(ResourceType::Channel(message))) => {
                    self.waiting.push_front(message);
                    return;
                }
                // The receiver has drained and gone: it needs nothing any more.
                Err(_) => self.waiting.clear(),
            }
        }
    }
}

/// One end of a channel, until its peer has connected.
enum Connecting<T> {
    Pending(Pin<Box<dyn Future<Output = T>>>),
    Done(T),
}

impl<T> Connecting<T> {
    fn new(connect: impl Future<Output = T> + 'static) -> Self {
        Self::Pending(Box::pin(connect))
    }

    /// Whether it is connected.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if let Self::Pending(connect) = self
            && let Poll::Ready(end) = connect.as_mut().poll(cx)
        {
            *self = Self::Done(end);
        }
        matches!(self, Self::Done(_))
    }

    fn connected(self) -> T {
        match self {
            Self::Done(end) => end,
            Self::Pending(_) => unreachable!("asked for only when all ends are connected"),
        }
    }
}

async fn receive(from: ShardId, receiver: ConnectedReceiver<EdgeMessage>, inbox: Inbox, bell: Rc<Bell>) {
    while let Some(message) = receiver.recv().await {
        inbox.borrow_mut().push_back((from, message));
        bell.ring();
    }
}
