//! One connection: subscribe, join and leave rooms, react as often as people tap, close.
//!
//! Invariant: a reaction is never cut short silently. It is split where it exceeds a datagram, and waits where the
//! connection's buffer is full. What the network loses stays lost: reactions are not sent again.

use crate::batches::batches;
use crate::config::ClientConfig;
use crate::control::Control;
use crate::endpoint::ClientEndpoint;
use crate::error::Error;
use crate::subscription::Subscription;
use crate::trust::Trust;
use bytes::Bytes;
use quinn::VarInt;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use uproar_wire::control::{Change, RoomsRequest};
use uproar_wire::hello::{CloseCode, Hello, ROOMS_MAX, RoomStatus};
use uproar_wire::reaction::{self, DatagramError, HEADER_LEN, RECORD_LEN, RECORDS_MAX, ReactionBatch};
use uproar_wire::{ClientId, EmojiId, RoomId};

/// How long closing waits for reactions that have not left yet.
const FLUSH_MAX: Duration = Duration::from_secs(1);
/// How often it looks. The connection says how much waits, but not when that changes.
const FLUSH_LOOK: Duration = Duration::from_millis(1);

/// One connection to a server. Dropping it, and the subscription it gave, closes the connection.
#[derive(Debug)]
pub struct Client {
    endpoint: ClientEndpoint,
    connection: quinn::Connection,
    id: ClientId,
    subscribed: AtomicBool,
    /// Bytes of datagrams it takes while none waits.
    datagram_space: usize,
    /// There once the server has welcomed the hello.
    control: OnceLock<Arc<Control>>,
}

impl Client {
    /// Connects from a socket of its own, with the defaults of [`ClientConfig::new`]. For choices, or for many
    /// connections on one socket, see [`ClientEndpoint`].
    ///
    /// # Errors
    /// As [`ClientEndpoint::bind`] and [`ClientEndpoint::connect`].
    pub async fn connect(server: SocketAddr, server_name: &str, trust: Trust) -> Result<Self, Error> {
        let mut config = ClientConfig::new(trust);
        if server.is_ipv6() {
            config = config.bind((Ipv6Addr::UNSPECIFIED, 0).into());
        }
        ClientEndpoint::bind(&config)?.connect(server, server_name).await
    }

    pub(crate) fn new(endpoint: ClientEndpoint, connection: quinn::Connection, id: ClientId) -> Self {
        let datagram_space = connection.datagram_send_buffer_space();
        Self { endpoint, connection, id, subscribed: AtomicBool::new(false), datagram_space, control: OnceLock::new() }
    }

    /// Says hello and starts watching `rooms`: 1 to [`ROOMS_MAX`], each once. A connection says hello once, and the
    /// server closes one that does not within a few seconds. Other rooms come and go by [`Client::subscribe_more`] and
    /// [`Client::unsubscribe`].
    ///
    /// # Errors
    /// [`Error::NoRooms`] when none of them exists; where some do, [`Subscription::rooms`] says which.
    /// [`Error::Rooms`] and [`Error::AlreadySubscribed`] when misused; [`Error::BadWelcome`], [`Error::NoWelcome`],
    /// [`Error::Closed`] and [`Error::Connection`] when the server does not answer as it should.
    pub async fn subscribe(&self, rooms: &[RoomId]) -> Result<Subscription, Error> {
        check_rooms(rooms)?;
        if self.subscribed.swap(true, Ordering::Relaxed) {
            return Err(Error::AlreadySubscribed);
        }
        let hello = Hello { rooms: rooms.to_vec(), token: self.endpoint.token().to_vec() };
        match Control::open(&self.connection, &hello).await {
            // The close can overtake the welcome that explains it.
            Err(error) if error.close_code() == Some(CloseCode::NoRooms) => {
                Err(Error::NoRooms(rooms.iter().map(|&room| (room, RoomStatus::UnknownRoom)).collect()))
            }
            Ok((_, welcome)) if welcome.rooms.iter().all(|(_, status)| *status != RoomStatus::Subscribed) => {
                Err(Error::NoRooms(welcome.rooms))
            }
            Ok((control, welcome)) => {
                let control = self.control.get_or_init(|| Arc::new(control)).clone();
                Ok(Subscription::new(self.connection.clone(), control, welcome))
            }
            Err(error) => Err(error),
        }
    }

    /// Watches `rooms` too, 1 to [`ROOMS_MAX`], each once, while the subscription goes on: their palettes, newest
    /// frames and all that follows come from it. What became of each room, in the order asked for:
    /// [`RoomStatus::Subscribed`], or why not.
    ///
    /// [`RoomStatus::NoStream`] can pass: the stream of a room that was left counts until the subscription has been
    /// polled past its end.
    ///
    /// # Errors
    /// [`Error::NotSubscribed`] before [`Client::subscribe`], and [`Error::Rooms`] when misused; [`Error::BadAnswer`],
    /// [`Error::Closed`] and [`Error::Connection`] when the server does not answer as it should.
    pub async fn subscribe_more(&self, rooms: &[RoomId]) -> Result<Vec<(RoomId, RoomStatus)>, Error> {
        self.request(Change::Subscribe, rooms).await
    }

    /// Watches `rooms` no longer; their streams end, and the other rooms go on. What is on its way may still come. A
    /// client that has left every room stays connected: it may react, and watch others.
    ///
    /// Each room's status is [`RoomStatus::Unsubscribed`] or [`RoomStatus::NotSubscribed`].
    ///
    /// # Errors
    /// As [`Client::subscribe_more`].
    pub async fn unsubscribe(&self, rooms: &[RoomId]) -> Result<Vec<(RoomId, RoomStatus)>, Error> {
        self.request(Change::Unsubscribe, rooms).await
    }

    async fn request(&self, change: Change, rooms: &[RoomId]) -> Result<Vec<(RoomId, RoomStatus)>, Error> {
        check_rooms(rooms)?;
        let control = self.control.get().ok_or(Error::NotSubscribed)?;
        control.request(&RoomsRequest { change, rooms: rooms.to_vec() }).await
    }

    /// Sends taps: per emoji how many, at least 1. Splits where they exceed a datagram, or what a node takes of one unless it
    /// is configured otherwise ([`reaction::RECORD_TAPS`], [`reaction::REQUEST_TAPS`]); waits while the connection has enough
    /// to send.
    ///
    /// # Errors
    /// [`Error::BadReaction`] when there is nothing to send or a count is 0; [`Error::Datagram`] when the path
    /// shrank meanwhile or the server takes none; [`Error::Connection`] or [`Error::Closed`] when it is gone.
    pub async fn react(&self, room: RoomId, taps: &[(EmojiId, u16)]) -> Result<(), Error> {
        if taps.is_empty() || taps.iter().any(|&(_, count)| count == 0) {
            return Err(DatagramError::BadCount.into());
        }
        for records in batches(taps, self.records_per_datagram()?) {
            let mut datagram = Vec::new();
            reaction::encode(room, self.id, &records, &mut datagram);
            self.send(datagram.into()).await?;
        }
        Ok(())
    }

    /// Sends one reaction datagram as it is, for who has encoded it already.
    ///
    /// # Errors
    /// [`Error::BadReaction`] when it is not one; otherwise as [`Client::react`].
    pub async fn react_datagram(&self, datagram: Bytes) -> Result<(), Error> {
        ReactionBatch::parse(&datagram)?;
        self.send(datagram).await
    }

    /// How many records a datagram of this connection carries now; paths differ, and are measured as they are used.
    ///
    /// # Errors
    /// [`Error::Datagram`] when the server takes no datagrams.
    pub fn records_per_datagram(&self) -> Result<usize, Error> {
        let bytes =
            self.connection.max_datagram_size().ok_or(Error::Datagram(quinn::SendDatagramError::UnsupportedByPeer))?;
        let records = bytes.saturating_sub(HEADER_LEN) / RECORD_LEN;
        if records == 0 {
            return Err(Error::Datagram(quinn::SendDatagramError::TooLarge));
        }
        Ok(records.min(RECORDS_MAX))
    }

    async fn send(&self, datagram: Bytes) -> Result<(), Error> {
        self.connection.send_datagram_wait(datagram).await.map_err(|error| match error {
            quinn::SendDatagramError::ConnectionLost(lost) => lost.into(),
            other => Error::Datagram(other),
        })
    }

    /// The address this connection is sent from.
    ///
    /// # Errors
    /// As [`ClientEndpoint::local_addr`].
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        self.endpoint.local_addr()
    }

    /// Moves this connection, and all others of its endpoint, to another socket.
    ///
    /// # Errors
    /// As [`ClientEndpoint::rebind`].
    pub fn rebind(&self, socket: UdpSocket) -> Result<(), Error> {
        self.endpoint.rebind(socket)
    }

    /// Round trips, losses and traffic of this connection so far.
    pub fn stats(&self) -> quinn::ConnectionStats {
        self.connection.stats()
    }

    /// Waits until the reactions handed over have left, at most a second; whether they have. What has not left by then
    /// waits for a path that does not carry it, or for a connection that is gone.
    pub async fn flush(&self) -> bool {
        let is_empty = || self.connection.datagram_send_buffer_space() >= self.datagram_space;
        let empty = async {
            while self.connection.close_reason().is_none() && !is_empty() {
                tokio::time::sleep(FLUSH_LOOK).await;
            }
        };
        let _ = tokio::time::timeout(FLUSH_MAX, empty).await;
        is_empty()
    }

    /// Lets reactions leave, closes this connection, and waits until the server has been told. Others of its endpoint stay.
    pub async fn close(self) {
        self.flush().await;
        if self.connection.close_reason().is_some() {
            return;
        }
        let sent = self.stats().udp_tx.datagrams;
        self.connection.close(VarInt::from_u32(CloseCode::Done as u32), b"");
        // To this side it is over already; the server hears of it by one more packet, without which it would wait for
        // its idle time-out if the application ended now.
        let told = async {
            while self.stats().udp_tx.datagrams == sent {
                tokio::time::sleep(FLUSH_LOOK).await;
            }
        };
        let _ = tokio::time::timeout(FLUSH_MAX, told).await;
    }
}

fn check_rooms(rooms: &[RoomId]) -> Result<(), Error> {
    let twice = rooms.iter().enumerate().any(|(at, room)| rooms[..at].contains(room));
    if rooms.is_empty() || rooms.len() > ROOMS_MAX || twice {
        return Err(Error::Rooms(rooms.len()));
    }
    Ok(())
}
