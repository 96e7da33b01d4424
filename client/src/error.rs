//! Why something did not work, and what to change. A malformed frame is an error here, as a server sent it; what the
//! server refuses of a reaction is not, as no reaction is ever answered.

use std::io;
use std::net::SocketAddr;
use uproar_wire::RoomId;
use uproar_wire::hello::{CloseCode, HelloError, ROOMS_MAX, RoomStatus};
use uproar_wire::reaction::DatagramError;
use uproar_wire::stream::StreamError;

const CONNECTION_REFUSED: quinn::TransportErrorCode = quinn::TransportErrorCode::CONNECTION_REFUSED;

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The local socket could not be opened.
    #[error("cannot open a UDP socket on {address}: {source}; choose another bind address")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The socket handed over cannot be used, or the local address cannot be read.
    #[error("the UDP socket cannot be used: {0}")]
    Socket(io::Error),
    /// Certificates to trust could not be read.
    #[error("no usable certificates: {0}; pass CA certificates as PEM or DER")]
    Trust(String),
    /// A time-out is beyond what QUIC can say.
    #[error("idle time-out of {0} ms is too long; at most 2^62 ms")]
    IdleTimeout(u128),
    /// The address or the server's name cannot be connected to.
    #[error("cannot connect: {0}; check the address's family and the server name")]
    Connect(#[from] quinn::ConnectError),
    /// The connection could not be made, or was lost.
    #[error("connection lost: {0}")]
    Connection(quinn::ConnectionError),
    /// The server closed the connection and said why.
    #[error("the server closed the connection: {}", describe(*code))]
    Closed {
        /// The application error code; see [`Error::close_code`].
        code: u64,
    },
    /// The rooms asked for are none, too many, or one of them twice.
    #[error("a subscription names 1 to {ROOMS_MAX} rooms, each once; {0} were given")]
    Rooms(usize),
    /// None of the rooms exists.
    #[error("no such room: {}; create it on the admin port first", room_list(.0))]
    NoRooms(Vec<(RoomId, RoomStatus)>),
    /// A connection says hello once.
    #[error("this connection has subscribed already; use subscribe_more for further rooms")]
    AlreadySubscribed,
    /// Rooms can be joined and left once a subscription is there.
    #[error("this connection has no subscription; subscribe first")]
    NotSubscribed,
    /// The server took in no further connection.
    #[error(
        "the server refused the connection: it is full, it is going away, or this address has as many connections as it \
         may have; try again later, or another node"
    )]
    Refused,
    /// The server's answer to a change of rooms is not one.
    #[error("the server's answer cannot be read: {0}")]
    BadAnswer(HelloError),
    /// The server's welcome is not one.
    #[error("the server did not answer with a welcome: {0}; is it an Uproar QUIC port?")]
    BadWelcome(#[from] HelloError),
    /// The server ended the control stream before its welcome, or its answer, was whole.
    #[error("the server ended the control stream without an answer")]
    NoWelcome,
    /// A room's stream carried something that is not a palette or a frame.
    #[error("a room's stream cannot be read on: {0}")]
    BadStream(#[from] StreamError),
    /// The server abandoned a room's stream.
    #[error("the server ended a room's stream: {}", describe(*code))]
    StreamReset {
        /// The application error code.
        code: u64,
    },
    /// A reaction without taps, or bytes that are not a reaction datagram.
    #[error("not a reaction: {0}")]
    BadReaction(#[from] DatagramError),
    /// The datagram does not fit the path, or the server takes none.
    #[error("the reaction datagram cannot be sent: {0}")]
    Datagram(quinn::SendDatagramError),
}

impl Error {
    /// Why the server closed the connection, where it did and the reason is known to this version.
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Closed { code } | Self::StreamReset { code } => close_code(*code),
            Self::NoRooms(_) => Some(CloseCode::NoRooms),
            _ => None,
        }
    }
}

impl From<quinn::ConnectionError> for Error {
    fn from(error: quinn::ConnectionError) -> Self {
        match error {
            quinn::ConnectionError::ApplicationClosed(close) => Self::Closed { code: close.error_code.into_inner() },
            quinn::ConnectionError::ConnectionClosed(close) if close.error_code == CONNECTION_REFUSED => Self::Refused,
            other => Self::Connection(other),
        }
    }
}

fn close_code(code: u64) -> Option<CloseCode> {
    use CloseCode::{BadHello, Done, Draining, Full, HelloTimeout, NoRooms, RoomDeleted};
    [Done, Draining, BadHello, HelloTimeout, NoRooms, Full, RoomDeleted].into_iter().find(|known| *known as u64 == code)
}

fn describe(code: u64) -> String {
    match close_code(code) {
        Some(CloseCode::Done) => "nothing is left to send".into(),
        Some(CloseCode::Draining) => "it is going away; connect again, possibly elsewhere".into(),
        Some(CloseCode::BadHello) => "it did not understand the hello, or what was asked after it".into(),
        Some(CloseCode::HelloTimeout) => "no hello came in time; subscribe right after connecting".into(),
        Some(CloseCode::NoRooms) => "no room of the hello exists".into(),
        Some(CloseCode::Full) => "it holds as many subscribers as it is configured for; try another node".into(),
        Some(CloseCode::RoomDeleted) => "the room was deleted".into(),
        None => format!("code {code}, which this version does not know"),
    }
}

fn room_list(rooms: &[(RoomId, RoomStatus)]) -> String {
    rooms.iter().map(|(room, _)| room.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_code_is_known_and_says_what_to_do() {
        for code in 0..=6 {
            let error = Error::Closed { code };
            assert_eq!(error.close_code().map(|known| known as u64), Some(code));
            assert!(!error.to_string().contains("does not know"), "{error}");
        }
        assert_eq!(Error::Closed { code: 7 }.close_code(), None);
    }

    #[test]
    fn missing_rooms_are_named() {
        let error = Error::NoRooms(vec![(RoomId(7), RoomStatus::UnknownRoom), (RoomId(9), RoomStatus::UnknownRoom)]);
        assert_eq!(error.to_string(), "no such room: 7, 9; create it on the admin port first");
    }
}
