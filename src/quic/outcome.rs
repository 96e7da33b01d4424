//! How connections end: which of the outcomes that metrics know each ending is.

use super::webtransport::Code;
use crate::metrics::Outcome;
use quinn_proto::{ConnectionError, TransportErrorCode};
use uproar_wire::hello::CloseCode;

/// Of a connection that QUIC gave up.
pub(super) fn of_loss(reason: &ConnectionError, established: bool, speaks_http3: bool) -> Outcome {
    match reason {
        ConnectionError::CidsExhausted => Outcome::Refused,
        ConnectionError::Reset => Outcome::Reset,
        // A browser that cannot read what it is told says so with another code.
        ConnectionError::ApplicationClosed(close)
            if speaks_http3 && ![0, Code::NoError.number()].contains(&close.error_code.into_inner()) =>
        {
            Outcome::Http3Error
        }
        ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed => Outcome::Done,
        _ if !established => Outcome::HandshakeFailed,
        ConnectionError::TimedOut => Outcome::TimedOut,
        ConnectionError::ConnectionClosed(close) if close.error_code == TransportErrorCode::NO_ERROR => Outcome::Done,
        ConnectionError::ConnectionClosed(_)
        | ConnectionError::TransportError(_)
        | ConnectionError::VersionMismatch => Outcome::TransportError,
    }
}

impl From<CloseCode> for Outcome {
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
