//! Reactions by QUIC DATAGRAM frame, from connections that also watch a room: phones, as `uproar-client` makes them.
//!
//! Invariant: no reaction is lost without a count on this side. Reacting waits while the connection's buffer is full
//! (quinn's other way drops the oldest silently), and what never left when the match is over is in
//! [`Ledger::left_behind`]. A datagram counts as sent when the connection has taken it. What it waited for that is not the
//! generator's lag; it is in the time from tap to frame, which counts from the plan, and what the connection does not take
//! in time is refused, and never leaves. Deliberately not here: knowing whether a datagram arrived. QUIC does not repeat
//! DATAGRAM frames; the audit finds out, and [`Ledger::packets_lost`] says how many packets had that fate at most.

use super::desk::{Desk, Lane};
use super::dispatch::dispatch;
use super::{OPENING_MAX, SourceAddresses, now, us_since};
use crate::audience::auditors::{QuicTarget, sit};
use crate::audit::Sitter;
use crate::crowd::Part;
use crate::interrupt::Interrupt;
use crate::ledger::{Ledger, Outcome, histogram, record};
use crate::scenario::Quic;
use crate::stage::GIVE_UP;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use hdrhistogram::Histogram;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uproar_client::{Client, ClientConfig, ClientEndpoint, Error, Subscription};
use uproar_wire::reaction::{self, Record};
use uproar_wire::{ClientId, RoomId};

/// Bytes of a socket's buffers: the frames of all its connections come at one moment.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// Why there are no connections.
#[derive(Debug, thiserror::Error)]
pub enum QuicError {
    /// A socket could not be opened.
    #[error("{0}; see quic.from")]
    Socket(Error),
    /// There is no connection, or no subscription of its room.
    #[error("no connection that reacts to {address}, for room {room}: {source}")]
    Connect {
        /// The server.
        address: SocketAddr,
        /// The room it was to watch.
        room: RoomId,
        /// Why not.
        source: Error,
    },
    /// The run was interrupted before all were there.
    #[error("interrupted")]
    Interrupted,
}

/// Hears what a connection's subscription gets.
pub trait Listener: Send + 'static {
    /// Listens until the subscription, or the connection, ends.
    fn listen(self, subscription: Subscription) -> impl Future<Output = ()> + Send;
}

impl Listener for Sitter {
    async fn listen(self, subscription: Subscription) {
        sit(subscription, self, None).await;
    }
}

/// What a match by QUIC was.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Per tap.
    pub ledger: Ledger,
    /// Datagrams that the connections took.
    pub datagrams: u64,
}

/// One connection.
#[derive(Debug)]
struct Seat {
    client: Client,
    id: ClientId,
}

/// The scenario's connections, each of which watches one room.
#[derive(Debug)]
pub struct QuicConnections {
    seats: Vec<Arc<Seat>>,
    endpoints: Vec<ClientEndpoint>,
    subscriptions: JoinSet<()>,
    handshake_us: Histogram<u64>,
}

/// Opens connections, so many for each room of `rooms`, which watch it; `listener` makes a listener for each, and `opened`
/// hears how many there are. When `interrupt` is raised meanwhile, those there are end in order.
///
/// # Errors
/// Of the first one that fails, and [`QuicError::Interrupted`].
pub async fn open<L: Listener>(
    quic: &Quic,
    part: Part,
    rooms: &[(RoomId, u32)],
    target: &QuicTarget,
    mut listener: impl FnMut() -> L,
    mut opened: impl FnMut(u32),
    interrupt: &Interrupt,
) -> Result<QuicConnections, QuicError> {
    let endpoints = endpoints(quic, target).map_err(QuicError::Socket)?;
    let seats = rooms.iter().flat_map(|(room, here)| (0..*here).map(|_| *room));
    let opening = seats.zip(endpoints.iter().cycle()).enumerate().map(|(number, (room, endpoint))| {
        let id = client_id(part.number, number as u32);
        let failed = move |source| QuicError::Connect { address: target.address, room, source };
        async move { connect(endpoint, id, room, target).await.map_err(failed) }
    });
    let mut opening = stream::iter(opening).buffer_unordered(OPENING_MAX);
    let (mut seats, mut subscriptions, mut handshakes) = (Vec::new(), JoinSet::new(), histogram());
    let ended = loop {
        let next = tokio::select! {
            next = opening.try_next() => next,
            () = interrupt.wait() => Err(QuicError::Interrupted),
        };
        match next {
            Ok(Some((seat, subscription, handshake_us))) => {
                record(&mut handshakes, handshake_us, 1);
                subscriptions.spawn(listener().listen(subscription));
                seats.push(Arc::new(seat));
                opened(seats.len() as u32);
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(opening);
    let connections = QuicConnections { seats, endpoints, subscriptions, handshake_us: handshakes };
    match ended {
        Ok(()) => Ok(connections),
        Err(error) => {
            connections.close().await;
            Err(error)
        }
    }
}

/// A connection that watches a room, and how long its handshake took, in microseconds.
async fn connect(
    endpoint: &ClientEndpoint,
    id: ClientId,
    room: RoomId,
    target: &QuicTarget,
) -> Result<(Seat, Subscription, u64), Error> {
    let begun = now();
    let client = endpoint.connect_as(id, target.address, &target.name).await?;
    let handshake_us = us_since(begun);
    let subscription = client.subscribe(&[room]).await?;
    Ok((Seat { client, id }, subscription, handshake_us))
}

impl QuicConnections {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.seats.len()
    }

    /// From beginning to connect to connected, of each connection, in microseconds.
    pub fn handshake_us(&self) -> &Histogram<u64> {
        &self.handshake_us
    }

    /// Plays the desk's part of the match, and returns when the last reaction has left, or cannot. The connections
    /// stay. Ends early when dropped.
    ///
    /// # Panics
    /// When planning or a connection's task has.
    pub async fn play(&self, desk: &Arc<Desk>) -> Sent {
        let quic = desk.stage().crowd.scenario().quic.as_ref();
        let records_max = quic.map_or(1, |quic| quic.records_per_datagram.into());
        let mut lanes = JoinSet::new();
        let mut queues = Vec::with_capacity(self.seats.len());
        for seat in &self.seats {
            let (queue, lane) = Lane::open(desk);
            queues.push(queue);
            lanes.spawn(send_all(lane, Arc::clone(seat)));
        }
        dispatch(Arc::clone(desk), records_max, queues).await;
        let (mut datagrams, mut left_behind) = (0, 0);
        for lane in lanes.join_all().await {
            datagrams += lane.0;
            left_behind += lane.1;
        }
        let mut ledger = desk.take_ledger();
        ledger.left_behind = left_behind;
        ledger.packets_lost = self.seats.iter().map(|seat| seat.client.stats().path.lost_packets).sum();
        Sent { ledger, datagrams }
    }

    /// Ends the subscriptions and connections, and waits until the server has been told.
    pub async fn close(mut self) {
        self.subscriptions.shutdown().await;
        for endpoint in &self.endpoints {
            endpoint.close().await;
        }
    }
}

fn endpoints(quic: &Quic, target: &QuicTarget) -> Result<Vec<ClientEndpoint>, Error> {
    let sources = SourceAddresses::new(&quic.from, target.address);
    let config = ClientConfig::new(target.trust.clone()).rooms_max(1).socket_buffer_bytes(SOCKET_BUFFER_BYTES);
    (0..quic.endpoints as usize)
        .map(|number| ClientEndpoint::bind(&config.clone().bind(sources.bind_address(number, target.address))))
        .collect()
}

/// The id that a connection of a machine's part reacts under: no two of a run have the same.
fn client_id(part: u32, number: u32) -> ClientId {
    ClientId((u64::from(part) << 32) | (u64::from(number) + 1))
}

/// Plays a lane over a connection; how many datagrams it took, and how many of them never left.
async fn send_all(mut lane: Lane, seat: Arc<Seat>) -> (u64, u64) {
    let left_before = seat.client.stats().frame_tx.datagram;
    let (mut datagrams, mut records) = (0, Vec::new());
    while let Some(departure) = lane.next().await {
        records.clear();
        records.extend(departure.taps.iter().map(|tap| Record { emoji: tap.emoji, count: tap.count }));
        let mut datagram = Vec::new();
        reaction::encode(lane.desk().stage().crowd.room(departure.room), seat.id, &records, &mut datagram);
        let asked = now();
        let outcome = hand_over(seat.client.react_datagram(datagram.into()), lane.too_late(&departure)).await;
        datagrams += u64::from(outcome == Outcome::Sent);
        lane.handle_outcome(&departure, asked, now(), outcome);
    }
    seat.client.flush().await;
    let left = seat.client.stats().frame_tx.datagram - left_before;
    (datagrams, datagrams.saturating_sub(left))
}

/// Waits until a connection has taken a datagram, or its time is over: then it never leaves.
async fn hand_over(taking: impl Future<Output = Result<(), Error>>, too_late: Instant) -> Outcome {
    match tokio::time::timeout_at(too_late, taking).await {
        Ok(Ok(())) => Outcome::Sent,
        Ok(Err(error)) => Outcome::Refused(format!("quic: {error}")),
        Err(_) => {
            Outcome::Refused(format!("quic: {} s late, waiting for the connection to take it", GIVE_UP.as_secs()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_datagram_that_waits_for_its_connection_is_sent_when_it_is_taken_or_refused() {
        let taken_after = async |by: Duration| {
            tokio::time::sleep(by).await;
            Ok(())
        };
        let begun = now();
        assert_eq!(hand_over(taken_after(Duration::from_secs(4)), begun + GIVE_UP).await, Outcome::Sent);
        let refused = hand_over(taken_after(Duration::from_secs(30)), begun + GIVE_UP).await;
        assert_eq!(refused, Outcome::Refused("quic: 5 s late, waiting for the connection to take it".into()));
        assert_eq!(now() - begun, GIVE_UP);
    }

    #[test]
    fn no_two_connections_of_a_run_have_one_id() {
        let ids = [client_id(1, 0), client_id(1, 1), client_id(2, 0), client_id(2, 9999)];
        for (at, id) in ids.iter().enumerate() {
            assert!(id.0 != 0 && !ids[..at].contains(id));
        }
    }
}
