//! What lies between the simulation's parties: mesh messages in order per pair of shards, QUIC packets in no order.
//!
//! Invariant: everything under way arrives at an instant that the seed decides, and ties arrive in the order they left.

use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use uproar::ids::ShardId;
use uproar::shard::MeshMessage;

/// One way of a QUIC packet when nothing goes wrong.
const PACKET_DELAY: Duration = Duration::from_millis(10);

/// What the network does to QUIC packets.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Impairment {
    pub(crate) loss_percent: u32,
    pub(crate) duplicate_percent: u32,
    /// Up to this is added to a packet's delay, which reorders.
    pub(crate) jitter: Duration,
    /// Added to every packet's delay.
    pub(crate) distance: Duration,
}

/// Something under way.
pub(crate) enum Flight {
    Mesh { from: ShardId, to: ShardId, message: MeshMessage },
    ToShard { shard: usize, remote: SocketAddr, bytes: Vec<u8> },
    ToSubscriber { number: usize, bytes: Vec<u8> },
}

pub(crate) struct Network {
    pub(crate) impairment: Impairment,
    /// The longest that a mesh message takes.
    pub(crate) mesh_delay_max: Duration,
    /// What a message takes longer from the one shard to the other.
    pub(crate) mesh_delays: BTreeMap<(ShardId, ShardId), Duration>,
    flights: BTreeMap<(Instant, u64), Flight>,
    departed: u64,
    /// When the last message of each pair of shards arrives.
    mesh_arrivals: BTreeMap<(ShardId, ShardId), Instant>,
    rng: StdRng,
}

impl Network {
    pub(crate) fn new(rng: StdRng) -> Self {
        Self {
            impairment: Impairment::default(),
            mesh_delay_max: Duration::from_micros(50),
            mesh_delays: BTreeMap::new(),
            flights: BTreeMap::new(),
            departed: 0,
            mesh_arrivals: BTreeMap::new(),
            rng,
        }
    }

    pub(crate) fn send_mesh(&mut self, now: Instant, from: ShardId, to: ShardId, message: MeshMessage) {
        let longer = self.mesh_delays.get(&(from, to)).copied().unwrap_or_default();
        let arrival = now + longer + self.up_to(self.mesh_delay_max);
        let last = self.mesh_arrivals.entry((from, to)).or_insert(arrival);
        *last = arrival.max(*last);
        let at = *last;
        self.depart(at, Flight::Mesh { from, to, message });
    }

    pub(crate) fn send_packet(&mut self, now: Instant, packet: impl Fn() -> Flight) {
        let Impairment { loss_percent, duplicate_percent, jitter, distance } = self.impairment;
        if self.rng.random_range(0..100) < loss_percent {
            return;
        }
        let copies = 1 + u32::from(self.rng.random_range(0..100) < duplicate_percent);
        for _ in 0..copies {
            let at = now + PACKET_DELAY + distance + self.up_to(jitter);
            self.depart(at, packet());
        }
    }

    /// When something arrives next.
    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.flights.keys().next().map(|&(at, _)| at)
    }

    /// What has arrived by `now`, one by one.
    pub(crate) fn poll_arrival(&mut self, now: Instant) -> Option<Flight> {
        let first = self.flights.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    fn depart(&mut self, at: Instant, flight: Flight) {
        self.departed += 1;
        self.flights.insert((at, self.departed), flight);
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.rng.random_range(0..=longest.as_micros() as u64))
    }
}
