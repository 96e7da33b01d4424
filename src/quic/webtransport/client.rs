//! What a client says on all its streams, without QUIC: which stream is what, and what follows from it.
//!
//! Invariants: of a stream never more is taken in than [`Client::wants`] says, so that the bytes behind the header of a
//! session's stream are left to the session. What is refused of one client is bounded, and so is what it costs. Requests
//! are read once the client's settings have come; until a session begins, one stream at most waits for it, and its bytes
//! wait with QUIC.

use super::control::{self, Control, Decoder};
use super::error::{Code, Fault};
use super::records::Number;
use super::request::{Connect, Course, Request, Rules, Turn};
use crate::limits::HTTP3_REFUSALS_MAX;
use crate::metrics::{Http3Refusal, Http3Status};

const CONTROL: u64 = 0x0;
const PUSH: u64 = 0x1;
const QPACK_ENCODER: u64 = 0x2;
const QPACK_DECODER: u64 = 0x3;
const OF_SESSION: u64 = 0x54;

/// The streams of one client that are not the session's own, each known by its id.
#[derive(Default)]
pub struct Client {
    streams: Vec<(u64, Part)>,
    has_control: bool,
    has_encoder: bool,
    has_decoder: bool,
    has_settings: bool,
    session: Option<u64>,
    /// Whether the session has its stream.
    has_stream: bool,
    /// Streams that were cut off, and requests that were not granted.
    refusals: usize,
}

/// What a stream is.
enum Part {
    /// Unidirectional, and its type has not come.
    Untyped(Number),
    Control(Box<Control>),
    Encoder,
    Decoder(Decoder),
    Request(Box<Request>),
    /// Of a session that has not begun.
    Waiting(u64),
    Connect(Box<Connect>),
}

/// What follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing.
    More,
    /// Nothing more of the stream is read, and nothing is written to it.
    Refuse(Http3Refusal),
    /// A request is answered so. If granted, the session has begun, else the stream is over.
    Answer(Http3Status),
    /// The rest of the stream is the session's.
    Handed,
    /// The session has a stream already.
    Second,
    /// The client has closed the session.
    Ended,
}

impl Client {
    /// The session's id, which is that of the stream of its request.
    pub fn session(&self) -> Option<u64> {
        self.session
    }

    /// The client opened a stream, which it has not before.
    pub fn handle_opened(&mut self, stream: u64, is_unidirectional: bool) {
        let part = match is_unidirectional {
            true => Part::Untyped(Number::default()),
            false => Part::Request(Box::default()),
        };
        self.streams.push((stream, part));
    }

    /// How many bytes of a stream to take in next at most; `None` while none.
    pub fn wants(&self, stream: u64) -> Option<usize> {
        match self.part(stream)? {
            Part::Untyped(number) => Some(number.wants()),
            Part::Request(request) => self.has_settings.then(|| request.wants()),
            Part::Waiting(_) => None,
            Part::Control(_) | Part::Encoder | Part::Decoder(_) | Part::Connect(_) => Some(usize::MAX),
        }
    }

    /// Streams that may be read now, and could not before the settings came.
    pub fn requests(&self) -> Vec<u64> {
        let requests = self.streams.iter().filter(|(_, part)| matches!(part, Part::Request(_)));
        requests.map(|&(stream, _)| stream).collect()
    }

    /// Whether requests are read.
    pub fn has_settings(&self) -> bool {
        self.has_settings
    }

    /// How many datagrams came in capsules since the last call.
    pub fn take_datagrams(&mut self) -> u64 {
        let connects = self.streams.iter_mut().filter_map(|(_, part)| match part {
            Part::Connect(connect) => Some(connect),
            _ => None,
        });
        connects.map(|connect| connect.take_datagrams()).sum()
    }

    /// Bytes of a stream, not more than it [wants](Self::wants). Requests are judged by `rules`.
    ///
    /// # Errors
    /// When the client broke a rule for which its connection ends, or was refused too often; so with the others that may
    /// fail.
    pub fn handle_bytes(&mut self, stream: u64, bytes: &[u8], rules: Rules<'_>) -> Result<Step, Fault> {
        let has_session = self.session.is_some();
        let Some(at) = self.streams.iter().position(|&(known, _)| known == stream) else { return Ok(Step::More) };
        match &mut self.streams[at].1 {
            Part::Untyped(number) => match bytes.iter().find_map(|&byte| number.push(byte)) {
                Some(kind) => self.handle_type(at, kind),
                None => Ok(Step::More),
            },
            Part::Control(control) => {
                control.handle_bytes(bytes)?;
                self.has_settings = control.has_settings();
                Ok(Step::More)
            }
            Part::Encoder => control::check_encoder(bytes).map(|()| Step::More),
            Part::Decoder(decoder) => decoder.handle_bytes(bytes).map(|()| Step::More),
            Part::Request(request) => {
                let turn = request.handle_bytes(bytes, rules, has_session)?;
                self.handle_turn(at, turn)
            }
            Part::Waiting(_) => Ok(Step::More),
            Part::Connect(connect) => Ok(of_course(&connect.handle_bytes(bytes)?)),
        }
    }

    /// The client says nothing more on a stream.
    ///
    /// # Errors
    /// As [`Self::handle_bytes`].
    pub fn handle_end(&mut self, stream: u64) -> Result<Step, Fault> {
        match self.part(stream) {
            Some(Part::Connect(connect)) => Ok(of_course(&connect.handle_end()?)),
            Some(Part::Request(request)) => {
                request.check_end()?;
                self.forget(stream);
                self.refuse(Http3Refusal::RequestIncomplete)
            }
            _ => self.handle_loss(stream),
        }
    }

    /// The client gave up a stream.
    ///
    /// # Errors
    /// As [`Self::handle_bytes`].
    pub fn handle_loss(&mut self, stream: u64) -> Result<Step, Fault> {
        match self.part(stream) {
            Some(Part::Control(_) | Part::Encoder | Part::Decoder(_)) => {
                Err(Fault::new(Code::ClosedCriticalStream, "a stream ended that lasts as long as the connection"))
            }
            Some(Part::Connect(_)) => Ok(Step::Ended),
            Some(Part::Request(_)) => {
                self.forget(stream);
                self.refuse(Http3Refusal::RequestIncomplete)
            }
            Some(Part::Untyped(_) | Part::Waiting(_)) | None => {
                self.forget(stream);
                Ok(Step::More)
            }
        }
    }

    /// The client takes nothing more of a stream: no answer, if it is a request without one.
    ///
    /// # Errors
    /// As [`Self::handle_bytes`].
    pub fn handle_stopped(&mut self, stream: u64) -> Result<Step, Fault> {
        match self.part(stream) {
            Some(Part::Connect(_)) => Ok(Step::Ended),
            Some(Part::Request(_)) => {
                self.forget(stream);
                self.refuse(Http3Refusal::RequestCancelled)
            }
            _ => Ok(Step::More),
        }
    }

    fn refuse(&mut self, refusal: Http3Refusal) -> Result<Step, Fault> {
        self.count_refusal()?;
        Ok(Step::Refuse(refusal))
    }

    fn count_refusal(&mut self) -> Result<(), Fault> {
        if self.refusals == HTTP3_REFUSALS_MAX {
            return Err(Fault::new(Code::ExcessiveLoad, "refused too often"));
        }
        self.refusals += 1;
        Ok(())
    }

    /// What becomes of a stream that waited for a session, once there is one.
    pub fn poll_waiting(&mut self) -> Option<(u64, Step)> {
        self.session?;
        let waiting = self.streams.iter().find_map(|(stream, part)| match part {
            Part::Waiting(session) => Some((*stream, *session)),
            _ => None,
        });
        let (stream, session) = waiting?;
        self.forget(stream);
        Some((stream, self.of_session(session)))
    }

    fn part(&self, stream: u64) -> Option<&Part> {
        self.streams.iter().find(|&&(known, _)| known == stream).map(|(_, part)| part)
    }

    fn forget(&mut self, stream: u64) {
        self.streams.retain(|&(known, _)| known != stream);
    }

    fn handle_type(&mut self, at: usize, kind: u64) -> Result<Step, Fault> {
        let (known, part) = match kind {
            CONTROL => (&mut self.has_control, Part::Control(Box::default())),
            QPACK_ENCODER => (&mut self.has_encoder, Part::Encoder),
            QPACK_DECODER => (&mut self.has_decoder, Part::Decoder(Decoder::default())),
            PUSH => return Err(Fault::new(Code::StreamCreationError, "a push by a client")),
            _ => {
                self.streams.swap_remove(at);
                return self.refuse(match kind {
                    OF_SESSION => Http3Refusal::BufferedStreamRejected,
                    _ => Http3Refusal::StreamCreationError,
                });
            }
        };
        if std::mem::replace(known, true) {
            return Err(Fault::new(Code::StreamCreationError, "a stream of which there is one"));
        }
        self.streams[at].1 = part;
        Ok(Step::More)
    }

    fn handle_turn(&mut self, at: usize, turn: Turn) -> Result<Step, Fault> {
        let stream = self.streams[at].0;
        match turn {
            Turn::More => Ok(Step::More),
            Turn::Answer(Http3Status::Granted) => {
                self.session = Some(stream);
                self.streams[at].1 = Part::Connect(Box::new(Connect::new()));
                Ok(Step::Answer(Http3Status::Granted))
            }
            Turn::Answer(status) => {
                self.streams.swap_remove(at);
                self.count_refusal()?;
                Ok(Step::Answer(status))
            }
            Turn::Malformed => {
                self.streams.swap_remove(at);
                self.refuse(Http3Refusal::MessageError)
            }
            Turn::OfSession(session) => {
                // Sessions begin on bidirectional streams of the client.
                if !session.is_multiple_of(4) {
                    return Err(Fault::new(Code::IdError, "a session that cannot be"));
                }
                let is_first = !self.streams.iter().any(|(_, part)| matches!(part, Part::Waiting(_)));
                if self.session.is_none() && is_first {
                    self.streams[at].1 = Part::Waiting(session);
                    return Ok(Step::More);
                }
                self.streams.swap_remove(at);
                match self.of_session(session) {
                    Step::Refuse(refusal) => self.refuse(refusal),
                    step => Ok(step),
                }
            }
        }
    }

    fn of_session(&mut self, session: u64) -> Step {
        if self.session != Some(session) {
            return Step::Refuse(Http3Refusal::BufferedStreamRejected);
        }
        match std::mem::replace(&mut self.has_stream, true) {
            false => Step::Handed,
            true => Step::Second,
        }
    }
}

fn of_course(course: &Course) -> Step {
    match course {
        Course::GoesOn => Step::More,
        Course::Ended => Step::Ended,
    }
}

#[cfg(test)]
mod tests;
