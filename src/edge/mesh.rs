//! The mesh: one channel from every shard to every other, and what waits at its ends.
//!
//! Invariant: messages of one shard to another arrive in the order they were sent, and none is dropped while both live.
//! Every arriving message rings the shard's bell.

use super::doorbell::Bell;
use crate::ids::ShardId;
use crate::limits;
use crate::shard::MeshMessage;
use glommio::channels::shared_channel::{self, ConnectedSender, SharedReceiver, SharedSender};
use glommio::{GlommioError, ResourceType};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// How often a shard looks whether its peers have connected.
const CONNECT_LOOK: Duration = Duration::from_millis(1);

/// One shard's ends of all its channels, before its executor runs.
pub struct MeshEnds {
    to: Vec<(ShardId, SharedSender<MeshMessage>)>,
    from: Vec<(ShardId, SharedReceiver<MeshMessage>)>,
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

type Inbox = Rc<RefCell<VecDeque<(ShardId, MeshMessage)>>>;

/// One shard's part of the mesh, connected.
pub struct Mesh {
    inbox: Inbox,
    outboxes: Vec<Option<Outbox>>,
}

struct Outbox {
    channel: ConnectedSender<MeshMessage>,
    /// What the channel had no room for.
    waiting: VecDeque<MeshMessage>,
}

impl Mesh {
    /// Connects the ends; returns when all other shards have connected theirs.
    pub async fn connect(ends: MeshEnds, bell: &Rc<Bell>) -> Self {
        let inbox = Inbox::default();
        let is_connecting = Rc::new(Cell::new(true));
        glommio::spawn_local(stay_awake(is_connecting.clone())).detach();
        // Receivers connect in tasks of their own: each end waits for its peer's, so they must all be under way at once.
        for (from, receiver) in ends.from {
            glommio::spawn_local(receive(from, receiver, inbox.clone(), bell.clone())).detach();
        }
        let mut outboxes: Vec<Option<Outbox>> = Vec::new();
        for (to, sender) in ends.to {
            outboxes.resize_with(to.index() + 1, || None);
            outboxes[to.index()] = Some(Outbox { channel: sender.connect().await, waiting: VecDeque::new() });
        }
        is_connecting.set(false);
        Self { inbox, outboxes }
    }

    /// The next message that has arrived.
    pub fn poll_receive(&mut self) -> Option<(ShardId, MeshMessage)> {
        self.inbox.borrow_mut().pop_front()
    }

    /// Sends, behind whatever waits for the same receiver.
    pub fn send(&mut self, to: ShardId, message: MeshMessage) {
        if let Some(Some(outbox)) = self.outboxes.get_mut(to.index()) {
            outbox.waiting.push_back(message);
            outbox.flush();
        }
    }

    /// Tries again what channels had no room for; true while something still waits.
    pub fn flush(&mut self) -> bool {
        let mut is_waiting = false;
        for outbox in self.outboxes.iter_mut().flatten() {
            outbox.flush();
            is_waiting |= !outbox.waiting.is_empty();
        }
        is_waiting
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

/// Keeps the executor from sleeping for good while its channels connect: the peer's end of a connection does not wake
/// it, on a busy machine about once in twenty starts, and then only the peer's first message would.
async fn stay_awake(is_connecting: Rc<Cell<bool>>) {
    while is_connecting.get() {
        glommio::timer::sleep(CONNECT_LOOK).await;
    }
}

async fn receive(from: ShardId, receiver: SharedReceiver<MeshMessage>, inbox: Inbox, bell: Rc<Bell>) {
    let receiver = receiver.connect().await;
    while let Some(message) = receiver.recv().await {
        inbox.borrow_mut().push_back((from, message));
        bell.ring();
    }
}
