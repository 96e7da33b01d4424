//! Requests: whether a client may have a session, and what it says on the stream of the one it has.
//!
//! Invariant: kept is at most one field section, and that only until it has come whole. Nothing but CONNECT has an
//! answer with a body.

use super::control::is_out_of_place_in_request;
use super::error::{Code, Fault};
use super::records::{Piece, Records, encode_varint};
use crate::limits::{HTTP3_FIELD_SECTION_BYTES_MAX, WEBTRANSPORT_CLOSE_BYTES_MAX};
use crate::origins::Origins;
use uproar_wire::http::WEBTRANSPORT_PATH;
use web_transport_proto::http::{StatusCode, header};
use web_transport_proto::{ConnectError, ConnectRequest, Frame};

const DATA: u64 = 0x0;
const HEADERS: u64 = 0x1;
/// Not a frame: the rest of the stream is the session's.
const OF_SESSION: u64 = 0x41;
/// The capsule that ends a session.
const CLOSE_SESSION: u64 = 0x2843;

/// What requests are judged by.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    /// Whose pages may have a session.
    pub(super) origins: &'a Origins,
    /// Whether nobody is taken in any more.
    pub(super) is_refusing: bool,
    /// Whether the connection has a session.
    pub(super) has_session: bool,
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
    Answer(StatusCode),
    /// A request that is none.
    Malformed,
    /// The rest of it is of the session with this id.
    OfSession(u64),
}

impl Request {
    pub(super) fn wants(&self) -> usize {
        self.records.wants()
    }

    pub(super) fn handle_bytes(&mut self, mut bytes: &[u8], rules: Rules<'_>) -> Result<Turn, Fault> {
        while let Some(piece) = self.records.next(&mut bytes) {
            match piece {
                Piece::Head { kind: OF_SESSION, len } if !self.has_begun => return Ok(Turn::OfSession(len)),
                Piece::Head { kind, len } => {
                    self.check_head(kind)?;
                    self.has_begun = true;
                    if kind == HEADERS {
                        if len > HTTP3_FIELD_SECTION_BYTES_MAX as u64 {
                            return Ok(Turn::Answer(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
                        }
                        Frame::HEADERS.encode(&mut self.headers);
                        encode_varint(len, &mut self.headers);
                    }
                }
                Piece::Payload(payload) if !self.headers.is_empty() => self.headers.extend_from_slice(payload),
                Piece::Payload(_) => {}
            }
            if self.records.is_between() && !self.headers.is_empty() {
                return judge(ConnectRequest::decode(&mut std::mem::take(&mut self.headers).as_slice()), rules);
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

fn judge(request: Result<ConnectRequest, ConnectError>, rules: Rules<'_>) -> Result<Turn, Fault> {
    let status = match request {
        Ok(request) if request.url.path() != WEBTRANSPORT_PATH => StatusCode::NOT_FOUND,
        Ok(request) if !may_come(&request, rules.origins) => StatusCode::FORBIDDEN,
        Ok(_) if rules.has_session => StatusCode::TOO_MANY_REQUESTS,
        Ok(_) if rules.is_refusing => StatusCode::SERVICE_UNAVAILABLE,
        Ok(_) => StatusCode::OK,
        Err(ConnectError::QpackError(_)) => {
            return Err(Fault::new(Code::QpackDecompressionFailed, "a field section that cannot be read"));
        }
        Err(ConnectError::FieldSectionTooLarge) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Err(ConnectError::WrongMethod(Some(_))) => StatusCode::METHOD_NOT_ALLOWED,
        Err(ConnectError::WrongProtocol(_)) => StatusCode::NOT_IMPLEMENTED,
        Err(ConnectError::WrongScheme(_) | ConnectError::InvalidUrl(_) | ConnectError::InvalidProtocol) => {
            StatusCode::BAD_REQUEST
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
}

/// Whether the session goes on.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Course {
    GoesOn,
    /// The client has closed it.
    Ended,
    /// What the client says cannot be a capsule.
    Broken,
}

impl Connect {
    /// After the request.
    pub(super) fn new() -> Self {
        Self { records: Records::default(), is_data: false, capsules: Records::default(), is_closing: false }
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
                Piece::Payload(payload) if self.is_data => match self.handle_capsules(payload) {
                    Course::GoesOn => {}
                    course => return Ok(course),
                },
                Piece::Payload(_) => {}
            }
        }
        Ok(Course::GoesOn)
    }

    fn handle_capsules(&mut self, mut bytes: &[u8]) -> Course {
        while let Some(piece) = self.capsules.next(&mut bytes) {
            if let Piece::Head { kind, len } = piece {
                self.is_closing = kind == CLOSE_SESSION;
                if self.is_closing && !(4..=WEBTRANSPORT_CLOSE_BYTES_MAX as u64).contains(&len) {
                    return Course::Broken;
                }
            }
            // Why a client closes is its own matter.
            if self.is_closing && self.capsules.is_between() {
                return Course::Ended;
            }
        }
        Course::GoesOn
    }

    /// The client says nothing more on it.
    pub(super) fn handle_end(&self) -> Result<Course, Fault> {
        match (self.records.is_between(), self.capsules.is_between()) {
            (false, _) => Err(Fault::new(Code::FrameError, "a frame that is cut off")),
            (true, false) => Ok(Course::Broken),
            (true, true) => Ok(Course::Ended),
        }
    }
}
