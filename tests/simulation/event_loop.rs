//! How virtual time passes: from one happening to the next.
//!
//! A shard with more to do than one slice gets its next turn a little later, so that taps and messages come in between,
//! as they do in the loop of the edge. Not here: what is on its way ([`super::network`]).

use super::network::Flight;
use super::{SHARDS, START_UNIX_MS, Simulation};
use rand::RngExt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use uproar::ids::ShardId;
use uproar::quic::{Arrival, TransmitBatch, shard_of_packet};
use uproar::window::Now;

/// What a turn of the loop takes when it leaves work for the next.
const TURN_US: std::ops::RangeInclusive<u64> = 20..=200;

impl Simulation {
    pub(super) fn now(&self) -> Now {
        let elapsed_ms = self.now.duration_since(self.started).as_millis() as u64;
        let unix_ms = (START_UNIX_MS + elapsed_ms).saturating_add_signed(self.wall_step_ms);
        Now { instant: self.now, unix_ms }
    }

    pub(super) fn run(&mut self, until: Instant, mut done: impl FnMut(&Self) -> bool) -> bool {
        let mut stood_still = 0;
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            let Some(next) = self.next_instant().filter(|&next| next <= until) else { return false };
            stood_still = if next == self.now { stood_still + 1 } else { 0 };
            assert!(stood_still < 100_000, "time stands still: somebody is due for ever");
            self.now = next;
            self.deliver();
        }
    }

    fn next_instant(&self) -> Option<Instant> {
        let deadlines = self.alive().filter_map(|shard| self.shards[shard].poll_timeout());
        let turns = self.alive().filter_map(|shard| self.due[shard]);
        let subscribers = self.deadlines.first().map(|&(at, _)| at);
        let next = deadlines.chain(turns).chain(subscribers).chain(self.network.next_arrival()).min()?;
        Some(next.max(self.now))
    }

    fn alive(&self) -> impl Iterator<Item = usize> {
        (0..SHARDS).filter(|&shard| !self.ended[shard])
    }

    /// Hands over everything whose time has come.
    fn deliver(&mut self) {
        while let Some(flight) = self.network.poll_arrival(self.now) {
            self.land(flight);
        }
        while let Some(&(at, number)) = self.deadlines.first().filter(|(at, _)| *at <= self.now) {
            self.deadlines.remove(&(at, number));
            self.subscribers[number].deadline = None;
            self.subscribers[number].handle_timeout(self.now);
            self.touched.insert(number);
        }
    }

    fn land(&mut self, flight: Flight) {
        let now = self.now();
        match flight {
            Flight::ToSubscriber { number, bytes } => {
                self.subscribers[number].handle_packet(self.now, &bytes);
                self.touched.insert(number);
            }
            Flight::Mesh { from, to, message } if !self.ended[to.index()] => {
                self.shards[to.index()].handle_mesh(now, from, message);
                self.due[to.index()] = Some(self.now);
            }
            Flight::ToShard { shard, remote, bytes } if !self.ended[shard] => {
                let arrival = Arrival { remote, local_ip: None, ecn: None, bytes: &bytes };
                self.shards[shard].handle_quic(now, [arrival].into_iter());
                self.due[shard] = Some(self.now);
            }
            Flight::Mesh { .. } | Flight::ToShard { .. } => {}
        }
    }

    /// Gives every shard that is due its turn, and every subscriber that was touched.
    fn settle(&mut self) {
        for shard in 0..SHARDS {
            let deadline = self.shards[shard].poll_timeout();
            if !self.ended[shard] && [self.due[shard], deadline].into_iter().flatten().any(|due| due <= self.now) {
                self.turn(shard);
            }
        }
        while let Some(number) = self.touched.pop_first() {
            self.flush_subscriber(number);
        }
    }

    /// One turn of the loop, as the edge does it.
    fn turn(&mut self, shard: usize) {
        let now = self.now();
        if self.shards[shard].poll_timeout().is_some_and(|deadline| deadline <= now.instant) {
            self.shards[shard].handle_timeout(now);
        }
        let mut has_more = self.shards[shard].serve(now);
        self.send_mesh(shard);
        self.take_answers(shard);
        self.take_stream_writes(shard);
        if self.shards[shard].is_drain_requested() {
            self.shards[shard].begin_drain(now);
            has_more = true;
        }
        has_more |= self.transmit(shard);
        self.ended[shard] = self.shards[shard].is_drained();
        let took = Duration::from_micros(self.rng.random_range(TURN_US));
        self.due[shard] = has_more.then(|| self.now + took);
    }

    fn send_mesh(&mut self, shard: usize) {
        let (now, from) = (self.now(), ShardId(shard as u8));
        while let Some((to, message)) = self.shards[shard].poll_mesh(now) {
            // Frames go to all shards; each is noted where its merger sends it to its neighbour.
            if to.index() == (shard + 1) % SHARDS {
                self.ledger.note(&message);
            }
            self.network.send_mesh(self.now, from, to, message);
        }
    }

    fn transmit(&mut self, shard: usize) -> bool {
        let now = self.now();
        let mut batch = std::mem::replace(&mut self.batch, TransmitBatch::new(0));
        batch.clear();
        let has_more = self.shards[shard].poll_transmit(now, &mut batch);
        for transmit in &batch {
            let number = number_of(transmit.destination);
            for bytes in batch.datagrams(transmit) {
                self.network.send_packet(self.now, || Flight::ToSubscriber { number, bytes: bytes.to_vec() });
            }
        }
        self.batch = batch;
        has_more
    }

    fn flush_subscriber(&mut self, number: usize) {
        let Self { subscribers, network, deadlines, now, .. } = self;
        let subscriber = &mut subscribers[number];
        if let Some(deadline) = subscriber.deadline.take() {
            deadlines.remove(&(deadline, number));
        }
        let remote = address_of(number);
        subscriber.flush(*now, |bytes| {
            let shard = shard_of_packet(bytes, SHARDS).unwrap();
            network.send_packet(*now, || Flight::ToShard { shard, remote, bytes: bytes.to_vec() });
        });
        deadlines.extend(subscriber.deadline.map(|deadline| (deadline, number)));
    }
}

fn address_of(number: usize) -> SocketAddr {
    SocketAddr::from(([198, 51, (number >> 8) as u8, number as u8], 40_000))
}

fn number_of(address: SocketAddr) -> usize {
    match address {
        SocketAddr::V4(v4) => usize::from(u16::from_be_bytes([v4.ip().octets()[2], v4.ip().octets()[3]])),
        SocketAddr::V6(_) => panic!("no subscriber has the address {address}"),
    }
}
