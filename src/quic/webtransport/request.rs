//! Requests: whether a client may have a session, and what it says on the stream of the one it has.
//!
//! Invariant: kept is at most one field section, and that only until it has come whole. Nothing but CONNECT has an
//! answer with a body.

use super::control::is_out_of_place_in_request;
use super::error::{Code, Fault};
use super::fields::{self, SectionError};
use super::message;
use super::records::{Piece, Records, decode_pair, encode_varint};
use crate::limits::{HTTP3_FIELD_SECTION_BYTES_MAX, WEBTRANSPORT_CLOSE_BYTES_MAX};
use crate::metrics::Http3Status;
use crate::origins::Origins;
use uproar_wire::http::WEBTRANSPORT_PATH;
use web_transport_proto::http::header;
use web_transport_proto::{ConnectError, ConnectRequest, Frame};

const DATA: u64 = 0x0;
const HEADERS: u64 = 0x1;
/// Not a frame: the rest of the stream is the session's.
const OF_SESSION: u64 = 0x41;
/// The capsule that carries a datagram (RFC 9297, 3.5), and the one that ends a session.
const DATAGRAM: u64 = 0x0;
const CLOSE_SESSION: u64 = 0x2843;

/// What requests are judged by.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Whose pages may have a session.
    pub origins: &'a Origins,
    /// Whether nobody is taken in any more.
    pub is_refusing: bool,
}

/// A bidirectional stream of which it is not known what it is, or a request that has not come whole.
#[derive(Default)]
pub(super) struct Request {
    records: Records,
    has_begun: bool,
    /// The HEADERS frame, as far as it has come.
    headers: Vec<u8>,
}

/// What a stream turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// It has to be read on.
    More,
    /// A request, to be answered so.
    Answer(Http3Status),
    /// A request that is none.
    Malformed,
    /// The rest of it is of the session with this id.
    OfSession(u64),
}

impl Request {
    pub(super) fn wants(&self) -> usize {
        self.records.wants()
    }

    pub(super) fn handle_bytes(
        &mut self,
        mut bytes: &[u8],
        rules: Rules<'_>,
        has_session: bool,
    ) -> Result<Turn, Fault> {
        while let Some(piece) = self.records.next(&mut bytes) {
            match piece {
                Piece::Head { kind: OF_SESSION, len } if !self.has_begun => return Ok(Turn::OfSession(len)),
                Piece::Head { kind, len } => {
                    self.check_head(kind)?;
                    self.has_begun = true;
                    if kind == HEADERS {
                        if len > HTTP3_FIELD_SECTION_BYTES_MAX as u64 {
                            return Ok(Turn::Answer(Http3Status::TooLarge));
                        }
                        Frame::HEADERS.encode(&mut self.headers);
                        encode_varint(len, &mut self.headers);
                    }
                }
                Piece::Payload(payload) if !self.headers.is_empty() => self.headers.extend_from_slice(payload),
                Piece::Payload(_) => {}
            }
            if self.records.is_between() && !self.headers.is_empty() {
                let headers = std::mem::take(&mut self.headers);
                return judge(&headers, rules, has_session);
            }
        }
        Ok(Turn::More)
    }

    /// Whether the stream may end here: within no frame.
    pub(super) fn check_end(&self) -> Result<(), Fault> {
        match self.records.is_between() {
            true => Ok(()),
            false => Err(Fault::new(Code::FrameError, "a frame that is cut off")),
        }
    }

    fn check_head(&self, kind: u64) -> Result<(), Fault> {
        match kind {
            DATA => Err(Fault::new(Code::FrameUnexpected, "a body before its request")),
            OF_SESSION => Err(Fault::new(Code::FrameError, "a stream of a session begins too late")),
            _ if is_out_of_place_in_request(kind) => Err(Fault::new(Code::FrameUnexpected, "no frame of a request")),
            _ => Ok(()),
        }
    }
}

const UNREADABLE: Fault = Fault::new(Code::QpackDecompressionFailed, "a field section that cannot be read");

/// The field section of a HEADERS frame. It needs no entry of a dynamic table, as there is none (RFC 9204, 4.5.1.1).
fn section(mut frame: &[u8]) -> Result<&[u8], Fault> {
    let section = decode_pair(&mut frame).map_or(&[][..], |_| frame);
    match section.first() {
        Some(0) | None => Ok(section),
        Some(_) => Err(Fault::new(Code::QpackDecompressionFailed, "fields that need a table without room")),
    }
}

/// What comes of a request that has come whole, as a HEADERS frame.
fn judge(frame: &[u8], rules: Rules<'_>, has_session: bool) -> Result<Turn, Fault> {
    let fields = match fields::decode(section(frame)?) {
        Ok(fields) => fields,
        Err(SectionError::TooLarge) => return Ok(Turn::Answer(Http3Status::TooLarge)),
        Err(SectionError::Unreadable) => return Err(UNREADABLE),
    };
    if !message::is_well_formed(&fields) {
        return Ok(Turn::Malformed);
    }
    let status = match ConnectRequest::decode(&mut &*frame) {
        Ok(_) if !message::has_one_origin(&fields) => Http3Status::BadRequest,
        Ok(request) if request.url.path() != WEBTRANSPORT_PATH => Http3Status::NotFound,
        Ok(request) if !may_come(&request, rules.origins) => Http3Status::Forbidden,
        Ok(_) if has_session => Http3Status::SecondSession,
        Ok(_) if rules.is_refusing => Http3Status::Draining,
        Ok(_) => Http3Status::Granted,
        // Values that are no text.
        Err(ConnectError::QpackError(_)) => Http3Status::BadRequest,
        Err(ConnectError::WrongMethod(Some(_))) => Http3Status::BadMethod,
        Err(ConnectError::WrongProtocol(_)) => Http3Status::Unsupported,
        // Those that are not malformed are tunnels.
        Err(ConnectError::WrongScheme(None)) => Http3Status::Unsupported,
        Err(ConnectError::WrongScheme(_) | ConnectError::InvalidUrl(_) | ConnectError::InvalidProtocol) => {
            Http3Status::BadRequest
        }
        Err(_) => return Ok(Turn::Malformed),
    };
    Ok(Turn::Answer(status))
}

/// Only browsers name an origin; whoever does not is no page of anybody.
fn may_come(request: &ConnectRequest, origins: &Origins) -> bool {
    request.headers.get(header::ORIGIN).is_none_or(|origin| origins.allows(origin.as_bytes()))
}

/// The stream of the request that was granted: capsules in DATA frames.
pub(super) struct Connect {
    records: Records,
    is_data: bool,
    capsules: Records,
    is_closing: bool,
    /// Capsules that carry datagrams, which are not taken.
    datagrams: u64,
}

/// Whether the session goes on.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Course {
    GoesOn,
    /// The client has closed it.
    Ended,
}

/// RFC 9297, 3.3; with the request the session and so the connection is over.
const NO_CAPSULE: Fault = Fault::new(Code::MessageError, "what cannot be a capsule");

impl Connect {
    /// After the request.
    pub(super) fn new() -> Self {
        Self {
            records: Records::default(),
            is_data: false,
            capsules: Records::default(),
            is_closing: false,
            datagrams: 0,
        }
    }

    /// How many datagrams came in capsules since the last call.
    pub(super) fn take_datagrams(&mut self) -> u64 {
        std::mem::take(&mut self.datagrams)
    }

    pub(super) fn handle_bytes(&mut self, mut bytes: &[u8]) -> Result<Course, Fault> {
        while let Some(piece) = self.records.next(&mut bytes) {
            match piece {
                Piece::Head { kind: HEADERS | OF_SESSION, .. } => {
                    return Err(Fault::new(Code::FrameUnexpected, "no frame of a session"));
                }
                Piece::Head { kind, .. } if is_out_of_place_in_request(kind) => {
                    return Err(Fault::new(Code::FrameUnexpected, "no frame of a session"));
                }
                Piece::Head { kind, .. } => self.is_data = kind == DATA,
                Piece::Payload(payload) if self.is_data => {
                    if self.handle_capsules(payload)? == Course::Ended {
                        return Ok(Course::Ended);
                    }
                }
                Piece::Payload(_) => {}
            }
        }
        Ok(Course::GoesOn)
    }

    fn handle_capsules(&mut self, mut bytes: &[u8]) -> Result<Course, Fault> {
        while let Some(piece) = self.capsules.next(&mut bytes) {
            if let Piece::Head { kind, len } = piece {
                self.datagrams += u64::from(kind == DATAGRAM);
                self.is_closing = kind == CLOSE_SESSION;
                if self.is_closing && !(4..=WEBTRANSPORT_CLOSE_BYTES_MAX as u64).contains(&len) {
                    return Err(NO_CAPSULE);
                }
            }
            // Why a client closes is its own matter.
            if self.is_closing && self.capsules.is_between() {
                return Ok(Course::Ended);
            }
        }
        Ok(Course::GoesOn)
    }

    /// The client says nothing more on it.
    pub(super) fn handle_end(&self) -> Result<Course, Fault> {
        match (self.records.is_between(), self.capsules.is_between()) {
            (false, _) => Err(Fault::new(Code::FrameError, "a frame that is cut off")),
            (true, false) => Err(NO_CAPSULE),
            (true, true) => Ok(Course::Ended),
        }
    }
}
