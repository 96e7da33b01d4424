//! One connection: subscribe once, react as often as people tap, close.
//!
//! Invariant: a reaction is never cut short silently. It is split where it exceeds a datagram, and waits where the
//! connection's buffer is full. What the network loses stays lost: reactions are not sent again.

use crate::config::{ClientConfig, DATAGRAM_BUFFER};
use crate::endpoint::ClientEndpoint;
use crate::error::Error;
use crate::subscription::Subscription;
use crate::trust::Trust;
use bytes::Bytes;
use quinn::VarInt;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uproar_wire::hello::{CloseCode, Hello, ROOMS_MAX, RoomStatus, Welcome};
use uproar_wire::reaction::{self, DatagramError, HEADER_LEN, RECORD_LEN, RECORDS_MAX, ReactionBatch, Record};
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
        Self { endpoint, connection, id, subscribed: AtomicBool::new(false) }
    }

    /// Says hello and starts watching `rooms`: 1 to [`ROOMS_MAX`], each once. A connection subscribes once, and the
    /// server closes one that does not within a few seconds.
    ///
    /// # Errors
    /// [`Error::NoRooms`] when none of them exists; where some do, [`Subscription::rooms`] says which.
    /// [`Error::Rooms`] and [`Error::AlreadySubscribed`] when misused; [`Error::BadWelcome`], [`Error::NoWelcome`],
    /// [`Error::Closed`] and [`Error::Connection`] when the server does not answer as it should.
    pub async fn subscribe(&self, rooms: &[RoomId]) -> Result<Subscription, Error> {
        let twice = rooms.iter().enumerate().any(|(at, room)| rooms[..at].contains(room));
        if rooms.is_empty() || rooms.len() > ROOMS_MAX || twice {
            return Err(Error::Rooms(rooms.len()));
        }
        if self.subscribed.swap(true, Ordering::Relaxed) {
            return Err(Error::AlreadySubscribed);
        }
        match self.shake_hands(rooms).await {
            // The close can overtake the welcome that explains it.
            Err(error) if error.close_code() == Some(CloseCode::NoRooms) => {
                Err(Error::NoRooms(rooms.iter().map(|&room| (room, RoomStatus::UnknownRoom)).collect()))
            }
            Ok((welcome, _)) if welcome.rooms.iter().all(|(_, status)| *status != RoomStatus::Subscribed) => {
                Err(Error::NoRooms(welcome.rooms))
            }
            Ok((welcome, control)) => Ok(Subscription::new(self.connection.clone(), control, welcome)),
            Err(error) => Err(error),
        }
    }

    async fn shake_hands(&self, rooms: &[RoomId]) -> Result<(Welcome, quinn::RecvStream), Error> {
        let (mut send, mut receive) = self.connection.open_bi().await?;
        let mut hello = Vec::new();
        Hello { rooms: rooms.to_vec(), token: self.endpoint.token().to_vec() }.encode(&mut hello);
        send.write_all(&hello).await.map_err(write_error)?;
        // A stream that is finished already is one the connection has closed; reading says so better.
        let _ = send.finish();
        let mut answer = Vec::new();
        loop {
            match receive.read_chunk(uproar_wire::hello::MESSAGE_MAX, true).await.map_err(read_error)? {
                Some(chunk) => answer.extend_from_slice(&chunk.bytes),
                None => return Err(Error::NoWelcome),
            }
            if let Some((welcome, _)) = Welcome::decode(&answer)? {
                return Ok((welcome, receive));
            }
        }
    }

    /// Sends taps: per emoji how many, at least 1. Splits where they exceed a datagram; waits while the connection
    /// has enough to send.
    ///
    /// # Errors
    /// [`Error::BadReaction`] when there is nothing to send or a count is 0; [`Error::Datagram`] when the path
    /// shrank meanwhile or the server takes none; [`Error::Connection`] or [`Error::Closed`] when it is gone.
    pub async fn react(&self, room: RoomId, taps: &[(EmojiId, u16)]) -> Result<(), Error> {
        if taps.is_empty() || taps.iter().any(|&(_, count)| count == 0) {
            return Err(DatagramError::BadCount.into());
        }
        let mut records = Vec::with_capacity(taps.len().min(RECORDS_MAX));
        for part in taps.chunks(self.records_per_datagram()?) {
            records.clear();
            records.extend(part.iter().map(|&(emoji, count)| Record { emoji, count }));
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

    /// Waits until the reactions handed over have left, at most a second.
    pub async fn flush(&self) {
        let empty = async {
            while self.connection.close_reason().is_none()
                && self.connection.datagram_send_buffer_space() < DATAGRAM_BUFFER
            {
                tokio::time::sleep(FLUSH_LOOK).await;
            }
        };
        // What has not left by then waits for a path that does not carry it.
        let _ = tokio::time::timeout(FLUSH_MAX, empty).await;
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

pub(crate) fn read_error(error: quinn::ReadError) -> Error {
    match error {
        quinn::ReadError::ConnectionLost(lost) => lost.into(),
        quinn::ReadError::Reset(code) => Error::StreamReset { code: code.into_inner() },
        quinn::ReadError::ClosedStream | quinn::ReadError::IllegalOrderedRead | quinn::ReadError::ZeroRttRejected => {
            Error::Connection(quinn::ConnectionError::LocallyClosed)
        }
    }
}

fn write_error(error: quinn::WriteError) -> Error {
    match error {
        quinn::WriteError::ConnectionLost(lost) => lost.into(),
        quinn::WriteError::Stopped(code) => Error::StreamReset { code: code.into_inner() },
        quinn::WriteError::ClosedStream | quinn::WriteError::ZeroRttRejected => {
            Error::Connection(quinn::ConnectionError::LocallyClosed)
        }
    }
}
