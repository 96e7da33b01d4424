//! The codes that HTTP/3, QPACK, HTTP datagrams and WebTransport give what goes wrong, and what breaks a connection.
//!
//! Not here: close codes of the session, which are those of `uproar/1` ([`uproar_wire::hello::CloseCode`]).

use crate::metrics::Http3Refusal;
use quinn_proto::VarInt;

/// What a connection, a stream or the request on it ends with (RFC 9114, 8.1; RFC 9204, 6; RFC 9297, 5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// A datagram without a stream that it could belong to.
    DatagramError,
    /// Nothing is wrong.
    NoError,
    /// A stream that may not be there, or not once more.
    StreamCreationError,
    /// A stream ended that lasts as long as the connection.
    ClosedCriticalStream,
    /// A frame where it may not be.
    FrameUnexpected,
    /// A frame whose bytes are not what its kind says.
    FrameError,
    /// More than is needed of something that costs.
    ExcessiveLoad,
    /// An id of something that cannot exist.
    IdError,
    /// A setting that may not be, or not twice.
    SettingsError,
    /// The control stream begins with something else than settings.
    MissingSettings,
    /// A request that its client gave up.
    RequestCancelled,
    /// A request that ends before it is whole.
    RequestIncomplete,
    /// A request that is none.
    MessageError,
    /// A field section that cannot be read.
    QpackDecompressionFailed,
    /// An entry for a table that has no room.
    QpackEncoderStreamError,
    /// An acknowledgement of what was never sent.
    QpackDecoderStreamError,
    /// A stream of a session that does not exist.
    BufferedStreamRejected,
    /// The session of a stream is over.
    SessionGone,
}

impl Code {
    /// As it stands on the wire.
    pub const fn number(self) -> u64 {
        match self {
            Self::DatagramError => 0x33,
            Self::NoError => 0x100,
            Self::StreamCreationError => 0x103,
            Self::ClosedCriticalStream => 0x104,
            Self::FrameUnexpected => 0x105,
            Self::FrameError => 0x106,
            Self::ExcessiveLoad => 0x107,
            Self::IdError => 0x108,
            Self::SettingsError => 0x109,
            Self::MissingSettings => 0x10a,
            Self::RequestCancelled => 0x10c,
            Self::RequestIncomplete => 0x10d,
            Self::MessageError => 0x10e,
            Self::QpackDecompressionFailed => 0x200,
            Self::QpackEncoderStreamError => 0x201,
            Self::QpackDecoderStreamError => 0x202,
            Self::BufferedStreamRejected => 0x3994_bd84,
            Self::SessionGone => 0x170d_7b68,
        }
    }
}

impl From<Http3Refusal> for Code {
    fn from(refusal: Http3Refusal) -> Self {
        match refusal {
            Http3Refusal::RequestCancelled => Self::RequestCancelled,
            Http3Refusal::RequestIncomplete => Self::RequestIncomplete,
            Http3Refusal::MessageError => Self::MessageError,
            Http3Refusal::StreamCreationError => Self::StreamCreationError,
            Http3Refusal::BufferedStreamRejected => Self::BufferedStreamRejected,
        }
    }
}

impl From<Code> for VarInt {
    fn from(code: Code) -> Self {
        Self::from_u64(code.number()).expect("they are small")
    }
}

/// What the client did for which the whole connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What the connection ends with.
    pub code: Code,
    /// For people.
    pub reason: &'static str,
}

impl Fault {
    pub(super) const fn new(code: Code, reason: &'static str) -> Self {
        Self { code, reason }
    }
}
