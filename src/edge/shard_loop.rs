//! The loop of one shard. One turn, by priority:
//!
//! 1. arrivals: completions of the ring, then reaction datagrams, then QUIC datagrams, each in bounded batches;
//! 2. messages of other shards;
//! 3. deadlines;
//! 4. one slice of merging and fan-out;
//! 5. what the shard wants to send;
//! 6. another turn if anything is left, else sleep until something happens.
//!
//! The clocks are read once per turn and once more before a sleep, the thread's own time every [`limits::FIGURES_AGE`] at most. The
//! loop only joins: what happens is the shard's to say, how bytes travel is
//! [`super::udp`]'s and [`super::tcp`]'s, when memory goes back to the system is `memory`'s, what the process is told from outside is `supervised`'s, how it
//! sleeps is `sleeping`'s.

mod memory;
mod sleeping;
mod supervised;

use super::admission::Admission;
use super::attention::Attention;
use super::board::Board;
use super::clock;
use super::control::Control;
use super::doorbell::{Bell, Doorbell};
use super::incidents::Incidents;
use super::listen::ShardSockets;
use super::mesh::{EdgeMessage, Mesh, MeshEnds};
use super::sleep::Sleeper;
use super::sys::heap;
use super::sys::ring::{Completion, Ring};
use super::sys::system;
use super::tcp::Tcp;
use super::token::Purpose;
use super::udp::{QuicSocket, ReactionSocket};
use crate::config::Config;
use crate::ids::ShardId;
use crate::limits;
use crate::metrics::{ShardMetrics, Socket};
use crate::shard::{HttpPort, Shard, ShardConfig};
use crate::window::Now;
use memory::{Memory, Step};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::rc::Rc;
use std::time::Instant;

/// What a shard's thread is started with.
pub struct ShardStart {
    /// The shard itself.
    pub shard: ShardConfig,
    /// Limits of the sockets.
    pub config: std::sync::Arc<Config>,
    /// Bound sockets.
    pub sockets: ShardSockets,
    /// Ends of the mesh.
    pub mesh: MeshEnds,
    /// How many TCP connections each shard has.
    pub board: std::sync::Arc<Board>,
    /// Signals of the process, and the line to its main thread; with shard 0 only.
    pub control: Option<Control>,
}

/// How a shard's loop came to its end.
#[derive(Debug)]
pub enum ShardEnd {
    /// Everything was delivered.
    Drained(Box<ShardMetrics>),
    /// A second signal asked to stop at once.
    Stopped,
}

/// One shard and everything of the kernel's that it uses.
pub struct ShardLoop {
    id: ShardId,
    shards: usize,
    shard: Shard,
    ring: Ring,
    doorbell: Doorbell,
    mesh: Mesh,
    reactions: Option<ReactionSocket>,
    quic: QuicSocket,
    tcp: Tcp,
    control: Option<Control>,
    completions: Vec<Completion>,
    /// Deadlines that the ring will complete, earliest first.
    timeouts: BinaryHeap<Reverse<Instant>>,
    figures_read_at: Instant,
    incidents: Incidents,
    sleeper: Sleeper,
    attention: Attention,
    memory: Memory,
    is_stopped: bool,
}

impl ShardLoop {
    /// Sets everything up on the calling thread, which must run an executor; returns when all shards have come so far.
    pub async fn start(start: ShardStart) -> io::Result<Self> {
        let now = clock::now();
        let mut ring = Ring::new()?;
        let bell = Rc::new(Bell::default());
        let doorbell = Doorbell::new(&mut ring, bell.clone())?;
        let mut listeners = vec![(start.sockets.http, HttpPort::Public)];
        listeners.extend(start.sockets.admin.map(|admin| (admin, HttpPort::Admin)));
        let ShardConfig { id, shards, .. } = start.shard;
        let admission = Admission::new(id, shards, start.board, start.config.http.connections_per_address_max);
        let tcp = Tcp::new(listeners, admission, &start.config, now.instant);
        let mesh = Mesh::connect(start.mesh, &bell).await;
        if let Some(control) = &start.control {
            control.start(&mut ring)?;
        }
        let mut started = Self {
            id,
            shards,
            shard: Shard::new(start.shard, now),
            ring,
            doorbell,
            mesh,
            reactions: Some(ReactionSocket::new(start.sockets.reactions)?),
            quic: QuicSocket::new(start.sockets.quic)?,
            tcp,
            control: start.control,
            completions: Vec::new(),
            timeouts: BinaryHeap::new(),
            figures_read_at: now.instant,
            incidents: Incidents::new(id, now.instant),
            sleeper: Sleeper::default(),
            attention: Attention::new(clock::instant()),
            memory: Memory::new(),
            is_stopped: false,
        };
        started.read_figures(now.instant);
        Ok(started)
    }

    /// Runs until the shard has drained, or the process is told to stop at once.
    pub async fn run(mut self) -> io::Result<ShardEnd> {
        loop {
            let now = clock::now();
            self.attention.handle_turn(now.instant, self.shard.metrics_mut());
            self.shard.handle_turn(now);
            self.handle_arrivals(now)?;
            self.handle_mesh(now)?;
            self.handle_deadlines(now)?;
            let has_work = self.shard.serve(now);
            let has_output = self.send(now)?;
            if self.is_stopped {
                return Ok(ShardEnd::Stopped);
            }
            // Not before the other shards have been told.
            if self.shard.is_drained() && !has_output {
                // The last replies of the turn.
                self.ring.enter(&mut self.completions)?;
                let metrics = self.shard.metrics();
                self.incidents.handle_end(now.instant, &metrics);
                return Ok(ShardEnd::Drained(Box::new(metrics)));
            }
            if has_work || has_output || self.shard.has_heard_itself() || self.has_arrivals() {
                self.ask_sockets_again();
            } else {
                self.sleep(now.instant).await?;
            }
            if glommio::executor().need_preempt() {
                glommio::executor().yield_task_queue_now().await;
            }
        }
    }

    fn handle_arrivals(&mut self, now: Now) -> io::Result<()> {
        self.shard.metrics_mut().detail.loop_turns += 1;
        self.shard.metrics_mut().detail.ring_enters += 1;
        if now.instant.saturating_duration_since(self.figures_read_at) >= limits::FIGURES_AGE {
            self.read_figures(now.instant);
        }
        if self.incidents.is_due(now.instant) {
            let is_ready = self.shard.is_ready();
            self.incidents.handle_metrics(now.instant, self.shard.counters(), is_ready);
        }
        self.ring.enter(&mut self.completions)?;
        self.tcp.begin_turn(now.instant, &mut self.ring, &mut self.shard)?;
        let mut completions = std::mem::take(&mut self.completions);
        self.shard.metrics_mut().detail.completions += completions.len() as u64;
        for completion in completions.drain(..) {
            self.handle_completion(now.instant, completion)?;
        }
        self.completions = completions;
        self.tcp.end_arrivals(now.instant, &mut self.ring, &mut self.shard)?;
        if let Some(reactions) = &mut self.reactions
            && reactions.receive(limits::BATCHES_PER_TURN, limits::REACTION_BYTES_PER_TURN, &mut self.shard)?
        {
            self.sleeper.handle_reactions();
        }
        if self.quic.receive(now, limits::QUIC_BATCHES_PER_TURN, limits::QUIC_DATAGRAMS_PER_TURN, &mut self.shard)? {
            self.sleeper.handle_quic();
        }
        Ok(())
    }

    fn handle_completion(&mut self, now: Instant, completion: Completion) -> io::Result<()> {
        let Self { ring, shard, tcp, .. } = self;
        let purpose = Purpose::of(completion.token);
        if !matches!(purpose, Purpose::Timeout | Purpose::Cancel | Purpose::Reactions | Purpose::Quic) {
            self.sleeper.handle_arrival();
        }
        match purpose {
            Purpose::Accept(listener) => tcp.handle_acceptable(listener),
            Purpose::Receive(conn) => tcp.handle_received(now, conn, &completion, ring, shard),
            Purpose::Writable(conn) => tcp.handle_writable(conn),
            Purpose::Reactions => {
                if let Some(reactions) = &mut self.reactions {
                    reactions.handle_readable();
                }
            }
            Purpose::Quic => self.quic.handle_readable(),
            Purpose::QuicWritable => self.quic.handle_writable(),
            Purpose::Timeout => drop(self.timeouts.pop()),
            Purpose::Signal => self.handle_signal()?,
            Purpose::Command => {
                if let Some(control) = &mut self.control {
                    control.handle_bell(ring)?;
                }
            }
            // Only failed sends complete, and they come apart (`Tcp::begin_turn`).
            Purpose::Send(_) | Purpose::Cancel => {}
        }
        Ok(())
    }

    fn handle_mesh(&mut self, now: Now) -> io::Result<()> {
        self.handle_commands(now);
        self.shard.metrics_mut().detail.mesh_depth = self.mesh.depth() as u64;
        for _ in 0..limits::MESH_SLICE {
            let Some((from, message)) = self.mesh.poll_receive() else { break };
            self.shard.metrics_mut().detail.mesh_received += 1;
            match message {
                EdgeMessage::Core(message) => self.shard.handle_mesh(now, from, message),
                EdgeMessage::Admit(arrival) => {
                    self.tcp.handle_admit(now.instant, arrival, &mut self.ring, &mut self.shard)?;
                }
                EdgeMessage::Serve(arrival) => {
                    self.tcp.handle_serve(now.instant, arrival, &mut self.ring, &mut self.shard)?;
                }
                EdgeMessage::Left(client) => self.tcp.handle_left(client),
                EdgeMessage::Reload(reload) => {
                    self.reconfigure(now, &reload);
                    self.mesh.send(from, EdgeMessage::Reloaded);
                }
                EdgeMessage::Reloaded => self.handle_reloaded(),
                EdgeMessage::Beat => self.mesh.send(from, EdgeMessage::Beaten),
                EdgeMessage::Beaten => self.handle_beaten(),
            }
        }
        Ok(())
    }

    fn handle_deadlines(&mut self, now: Now) -> io::Result<()> {
        if self.shard.poll_timeout().is_some_and(|deadline| deadline <= now.instant) {
            self.shard.handle_timeout(now);
        }
        self.tcp.handle_timeout(now.instant, &mut self.ring, &mut self.shard)?;
        self.give_memory_back(now.instant);
        Ok(())
    }

    /// After the completions of the turn, of which nothing is left.
    fn give_memory_back(&mut self, now: Instant) {
        let let_go = self.tcp.closed() + self.shard.let_go();
        if let Some(step) = self.memory.poll_step(now, let_go) {
            self.ring.trim();
            self.tcp.trim();
            if step == Step::GiveBack {
                heap::give_back();
            }
        }
    }

    /// Hands the shard's output to the kernel and to other shards; true while there is more.
    fn send(&mut self, now: Now) -> io::Result<bool> {
        self.tcp.handle_answers(&mut self.shard);
        self.tcp.handle_stream_writes(now.instant, &mut self.ring, &mut self.shard);
        self.tcp.flush(&mut self.ring, &mut self.shard)?;
        while let Some((to, message)) = self.shard.poll_mesh(now) {
            self.mesh.send(to, EdgeMessage::Core(message));
        }
        self.report_rooms_changed();
        while let Some((to, message)) = self.tcp.poll_mesh() {
            let detail = &mut self.shard.metrics_mut().detail;
            detail.mesh_sent += 1;
            detail.http_handed_over += u64::from(matches!(message, EdgeMessage::Serve(_)));
            self.mesh.send(to, message);
        }
        let is_waiting = self.mesh.flush();
        if self.shard.is_drain_requested() {
            self.begin_drain(now)?;
            return Ok(true);
        }
        let is_transmitting = self.quic.transmit(now, &mut self.shard, &mut self.ring)?;
        Ok(is_waiting
            || is_transmitting
            || self.tcp.has_work()
            || self.mesh.has_received()
            || self.shard.has_messages())
    }

    /// Takes what the kernel already holds, so that no tap that reached this machine is left behind.
    fn begin_drain(&mut self, now: Now) -> io::Result<()> {
        self.tcp.stop_accepting(&mut self.ring)?;
        if let Some(reactions) = &mut self.reactions {
            reactions.handle_readable();
            reactions.receive(limits::BATCHES_AT_DRAIN, usize::MAX, &mut self.shard)?;
            // What the kernel dropped here can be asked for as long as the socket is open.
            self.read_figures(now.instant);
            self.reactions = None;
            // A poll under way would keep the socket open, and in its group, without a reader.
            self.ring.cancel(Purpose::Reactions.token(), Purpose::Cancel.token())?;
        }
        self.quic.handle_readable();
        self.quic.receive(now, limits::BATCHES_AT_DRAIN, usize::MAX, &mut self.shard)?;
        self.shard.begin_drain(now);
        Ok(())
    }

    fn has_arrivals(&self) -> bool {
        self.quic.is_ready() || self.reactions.as_ref().is_some_and(ReactionSocket::is_ready)
    }

    /// Puts among the counters what others count.
    fn read_figures(&mut self, now: Instant) {
        self.figures_read_at = now;
        let reactions = self.reactions.as_ref().map(ReactionSocket::drops);
        let quic = self.quic.drops();
        let connections_max = self.tcp.connections_max() as u64;
        let metrics = self.shard.metrics_mut();
        if let Some(drops) = reactions {
            metrics.socket_drops[Socket::Reactions.index()] = drops;
        }
        metrics.socket_drops[Socket::Quic.index()] = quic;
        metrics.detail.http_connections_max = connections_max;
        if let Ok(cpu) = system::thread_cpu() {
            metrics.detail.cpu = cpu;
        }
    }
}
