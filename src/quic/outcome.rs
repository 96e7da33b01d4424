//! How connections end: one reason each, which is also the label of `uproar_connections_total{proto="quic",outcome}`.

use quinn_proto::{ConnectionError, TransportErrorCode};
use uproar_wire::hello::CloseCode;

/// Why a connection ended, or never began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum ConnectionOutcome {
    /// Either side closed it in peace.
    Done,
    /// The server was going away.
    Draining,
    /// The control stream did not carry one valid hello, or the peer opened another stream.
    BadHello,
    /// The handshake ended in time, the hello did not come.
    HelloTimeout,
    /// No room of the hello existed.
    NoRooms,
    /// The server had as many subscribers as it is configured for.
    Full,
    /// The room was deleted.
    RoomDeleted,
    /// Nothing was heard from the subscriber for the idle timeout.
    TimedOut,
    /// The peer sent a stateless reset: it had lost its state.
    Reset,
    /// One side saw the other violate QUIC.
    TransportError,
    /// The handshake failed, or did not end in the time for a hello.
    HandshakeFailed,
    /// Turned away at the first packet: draining, or no slot free.
    Refused,
}

impl ConnectionOutcome {
    /// All outcomes, in the order of [`Self::index`].
    pub const ALL: [Self; 12] = [
        Self::Done,
        Self::Draining,
        Self::BadHello,
        Self::HelloTimeout,
        Self::NoRooms,
        Self::Full,
        Self::RoomDeleted,
        Self::TimedOut,
        Self::Reset,
        Self::TransportError,
        Self::HandshakeFailed,
        Self::Refused,
    ];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Draining => "draining",
            Self::BadHello => "bad_hello",
            Self::HelloTimeout => "hello_timeout",
            Self::NoRooms => "no_rooms",
            Self::Full => "full",
            Self::RoomDeleted => "room_deleted",
            Self::TimedOut => "timed_out",
            Self::Reset => "reset",
            Self::TransportError => "transport_error",
            Self::HandshakeFailed => "handshake_failed",
            Self::Refused => "refused",
        }
    }

    /// As a place in a table with one entry an outcome.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Of a connection that QUIC gave up.
    pub(super) fn of_loss(reason: &ConnectionError, established: bool) -> Self {
        match reason {
            ConnectionError::CidsExhausted => Self::Refused,
            ConnectionError::Reset => Self::Reset,
            ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed => Self::Done,
            _ if !established => Self::HandshakeFailed,
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::ConnectionClosed(close) if close.error_code == TransportErrorCode::NO_ERROR => Self::Done,
            ConnectionError::ConnectionClosed(_)
            | ConnectionError::TransportError(_)
            | ConnectionError::VersionMismatch => Self::TransportError,
        }
    }
}

impl From<CloseCode> for ConnectionOutcome {
    fn from(code: CloseCode) -> Self {
        match code {
            CloseCode::Done => Self::Done,
            CloseCode::Draining => Self::Draining,
            CloseCode::BadHello => Self::BadHello,
            CloseCode::HelloTimeout => Self::HelloTimeout,
            CloseCode::NoRooms => Self::NoRooms,
            CloseCode::Full => Self::Full,
            CloseCode::RoomDeleted => Self::RoomDeleted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectionOutcome;

    #[test]
    fn every_outcome_has_its_place_and_its_own_label() {
        let labels: std::collections::BTreeSet<_> = ConnectionOutcome::ALL.iter().map(|o| o.label()).collect();
        assert_eq!(labels.len(), ConnectionOutcome::ALL.len());
        for (place, outcome) in ConnectionOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.index(), place);
        }
    }
}
