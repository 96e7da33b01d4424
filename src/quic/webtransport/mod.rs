//! WebTransport: the same conversation as `uproar/1`, within a session of HTTP/3, as browsers need it.
//!
//! ```text
//! connection   client's settings, CONNECT --> 200 --> the session: its first bidirectional stream is the control
//!              stream, rooms come on streams of the server, reactions in datagrams --> a capsule tells its end
//! ```
//! 1. `client`: what a client says, without QUIC, made of `control` (streams of the connection), `request` (who may
//!    have a session, and its end), `fields` and `message` (what a request is made of, and whether it is malformed),
//!    `settings` and `records` (frames and capsules in pieces).
//! 2. This file: joins that with the streams of a QUIC connection. `farewell`: how a session ends.
//!
//! Invariant: a connection has one session at most. Not here: what is said in the session (`session`).

mod client;
mod control;
mod error;
mod farewell;
mod fields;
mod message;
mod records;
mod request;
mod settings;

pub use client::{Client, Step};
pub use error::{Code, Fault};
pub(super) use farewell::without_error;
pub use request::Rules;

use crate::limits::WEBTRANSPORT_BIDI_STREAMS;
use crate::metrics::{Http3Refusal, Http3Status};
use bytes::{Buf, Bytes};
use farewell::Farewell;
use quinn_proto::{Connection, Dir, ReadError, StreamEvent, StreamId, VarInt, WriteError};
use records::encode_varint;
use web_transport_proto::http::StatusCode;
use web_transport_proto::{ConnectResponse, StreamUni};

/// What the owner of the connection has to act on.
#[derive(Debug)]
pub(super) enum Notice {
    /// A request was answered so.
    Answered(Http3Status),
    /// A stream was cut off.
    Refused(Http3Refusal),
    /// So many datagrams came in capsules, which are not taken.
    Stray(u64),
    /// The client opened this stream in the session.
    SessionStream(StreamId),
    /// The client closed the session.
    Ended,
}

/// What became of an event of a stream.
#[derive(PartialEq, Eq)]
pub(super) enum Seen {
    /// It was of HTTP/3.
    Taken,
    /// It is of the session's rooms.
    Left,
}

/// HTTP/3 on one connection.
#[derive(Default)]
pub(super) struct WebTransport {
    client: Client,
    /// The server's control stream.
    control: Option<StreamId>,
    /// What streams did not take yet of what HTTP/3 says on them.
    unsent: Vec<Unsent>,
    /// Set once the session is over.
    farewell: Option<Farewell>,
}

struct Unsent {
    stream: StreamId,
    bytes: Bytes,
    is_last: bool,
}

impl WebTransport {
    /// Says the settings, and permits the streams that a session needs. False as long as the client permits no stream for
    /// that.
    pub(super) fn begin(&mut self, connection: &mut Connection) -> bool {
        if self.control.is_some() {
            return true;
        }
        connection.set_max_concurrent_streams(Dir::Bi, VarInt::from_u32(WEBTRANSPORT_BIDI_STREAMS));
        self.control = connection.streams().open(Dir::Uni);
        if let Some(control) = self.control {
            self.send(connection, Unsent { stream: control, bytes: settings::control_stream().into(), is_last: false });
        }
        self.control.is_some()
    }

    /// An event of a stream that is not the session's control stream.
    pub(super) fn handle_stream_event(
        &mut self,
        connection: &mut Connection,
        event: &StreamEvent,
        rules: Rules<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<Seen, Fault> {
        let id = match *event {
            StreamEvent::Opened { dir } => {
                while let Some(stream) = connection.streams().accept(dir) {
                    self.client.handle_opened(stream.into(), dir == Dir::Uni);
                    self.handle_readable(connection, stream, rules, notices)?;
                }
                return Ok(Seen::Taken);
            }
            StreamEvent::Available { .. } => return Ok(Seen::Left),
            StreamEvent::Readable { id } => {
                self.handle_readable(connection, id, rules, notices)?;
                return Ok(Seen::Taken);
            }
            StreamEvent::Writable { id } => {
                self.handle_writable(connection, id);
                id
            }
            StreamEvent::Finished { id } => id,
            StreamEvent::Stopped { id, error_code } => {
                self.unsent.retain(|unsent| unsent.stream != id);
                if self.is_of_http3(id) {
                    self.handle_stopped(connection, id, error_code, notices)?;
                }
                id
            }
        };
        Ok(if self.is_of_http3(id) { Seen::Taken } else { Seen::Left })
    }

    /// Whether a stream that the server sends on is not a room's.
    fn is_of_http3(&self, stream: StreamId) -> bool {
        stream.dir() == Dir::Bi || self.control == Some(stream)
    }

    fn handle_readable(
        &mut self,
        connection: &mut Connection,
        stream: StreamId,
        rules: Rules<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Fault> {
        let could_ask = self.client.has_settings();
        self.read(connection, stream, rules, notices)?;
        if !could_ask && self.client.has_settings() {
            for request in self.client.requests() {
                self.read(connection, stream_id(request), rules, notices)?;
            }
        }
        while let Some((stream, step)) = self.client.poll_waiting() {
            self.act(connection, stream_id(stream), step, notices);
        }
        Ok(())
    }

    fn read(
        &mut self,
        connection: &mut Connection,
        stream: StreamId,
        rules: Rules<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Fault> {
        while let Some(most) = self.client.wants(stream.into()) {
            let mut receiver = connection.recv_stream(stream);
            let Ok(mut chunks) = receiver.read(true) else { return Ok(()) };
            let chunk = chunks.next(most);
            // Says whether credit is due; this connection is asked for output anyway.
            let _ = chunks.finalize();
            let step = match chunk {
                Ok(Some(chunk)) => self.client.handle_bytes(stream.into(), &chunk.bytes, rules),
                Ok(None) => self.client.handle_end(stream.into()),
                Err(ReadError::Reset(_)) => self.client.handle_loss(stream.into()),
                Err(ReadError::Blocked) => return Ok(()),
            };
            let strays = self.client.take_datagrams();
            if strays > 0 {
                notices.push(Notice::Stray(strays));
            }
            let step = step?;
            if self.act(connection, stream, step, notices) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// True when nothing more is to be read of the stream.
    fn act(&mut self, connection: &mut Connection, stream: StreamId, step: Step, notices: &mut Vec<Notice>) -> bool {
        match step {
            Step::More => return false,
            Step::Refuse(refusal) => {
                let code = Code::from(refusal);
                let _ = connection.recv_stream(stream).stop(code.into());
                if stream.dir() == Dir::Bi {
                    let _ = connection.send_stream(stream).reset(code.into());
                }
                notices.push(Notice::Refused(refusal));
            }
            Step::Answer(status) => {
                let is_granted = status == Http3Status::Granted;
                self.send(connection, Unsent { stream, bytes: response(status), is_last: !is_granted });
                notices.push(Notice::Answered(status));
                if is_granted {
                    return false;
                }
                // Whatever it has to say besides, it has its answer.
                let _ = connection.recv_stream(stream).stop(Code::NoError.into());
            }
            Step::Handed | Step::Second => notices.push(Notice::SessionStream(stream)),
            Step::Ended => notices.push(Notice::Ended),
        }
        true
    }

    /// A stream takes bytes again.
    fn handle_writable(&mut self, connection: &mut Connection, stream: StreamId) {
        if let Some(at) = self.unsent.iter().position(|unsent| unsent.stream == stream) {
            let unsent = self.unsent.swap_remove(at);
            self.send(connection, unsent);
        }
    }

    /// The client takes nothing more of a stream that is not a room's.
    fn handle_stopped(
        &mut self,
        connection: &mut Connection,
        stream: StreamId,
        code: VarInt,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Fault> {
        if self.control == Some(stream) {
            return Err(Fault::new(Code::ClosedCriticalStream, "the control stream was stopped"));
        }
        let _ = connection.send_stream(stream).reset(code);
        let step = self.client.handle_stopped(stream.into())?;
        self.act(connection, stream, step, notices);
        Ok(())
    }

    fn send(&mut self, connection: &mut Connection, mut unsent: Unsent) {
        if let Some(before) = self.unsent.iter_mut().find(|before| before.stream == unsent.stream) {
            before.bytes = [&before.bytes[..], &unsent.bytes].concat().into();
            before.is_last = unsent.is_last;
            return;
        }
        let mut stream = connection.send_stream(unsent.stream);
        while !unsent.bytes.is_empty() {
            match stream.write_chunks(std::slice::from_mut(&mut unsent.bytes)) {
                Ok(_) => {}
                Err(WriteError::Blocked) => return self.unsent.push(unsent),
                // Who stopped it is told nothing.
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => return,
            }
        }
        if unsent.is_last {
            let _ = stream.finish();
        }
    }

    /// Begins a room's stream, which may take the beginning later. True when it has.
    pub(super) fn begin_room(&mut self, connection: &mut Connection, stream: StreamId) -> bool {
        let mut header = Vec::new();
        StreamUni::WEBTRANSPORT.encode(&mut header);
        encode_varint(self.client.session().unwrap_or_default(), &mut header);
        self.send(connection, Unsent { stream, bytes: header.into(), is_last: false });
        !self.is_beginning(stream)
    }

    /// Whether a room's stream has not taken its beginning.
    pub(super) fn is_beginning(&self, stream: StreamId) -> bool {
        self.unsent.iter().any(|unsent| unsent.stream == stream)
    }

    /// Nothing more is said on a room's stream.
    pub(super) fn finish_room(&mut self, connection: &mut Connection, stream: StreamId) {
        match self.unsent.iter_mut().find(|unsent| unsent.stream == stream) {
            Some(beginning) => beginning.is_last = true,
            // One that the client has stopped is over already.
            None => _ = connection.send_stream(stream).finish(),
        }
    }

    /// Cuts off a room's stream, as its session is over.
    pub(super) fn cut_off_room(&mut self, connection: &mut Connection, stream: StreamId) {
        self.unsent.retain(|unsent| unsent.stream != stream);
        let _ = connection.send_stream(stream).reset(Code::SessionGone.into());
        // What the room had not sent has made room for the last words.
        if let Some(session) = self.client.session() {
            self.handle_writable(connection, stream_id(session));
        }
    }

    /// What a datagram says to the session; `None` when it is of none.
    pub(super) fn datagram(&self, mut datagram: Bytes) -> Result<Option<Bytes>, Fault> {
        /// Streams that one client can begin, so also the sessions that a datagram can name.
        const SESSIONS: u64 = 1 << 60;
        match web_transport_proto::VarInt::decode(&mut datagram) {
            Ok(quarter) if quarter.into_inner() < SESSIONS => {
                let is_ours = self.client.session() == Some(quarter.into_inner() * 4);
                Ok(is_ours.then(|| datagram.copy_to_bytes(datagram.remaining())))
            }
            _ => Err(Fault::new(Code::DatagramError, "a datagram of nothing that can be")),
        }
    }
}

fn stream_id(stream: u64) -> StreamId {
    VarInt::from_u64(stream).unwrap_or(VarInt::MAX).into()
}

fn response(status: Http3Status) -> Bytes {
    let code = match status {
        Http3Status::Granted => StatusCode::OK,
        Http3Status::BadRequest => StatusCode::BAD_REQUEST,
        Http3Status::Forbidden => StatusCode::FORBIDDEN,
        Http3Status::NotFound => StatusCode::NOT_FOUND,
        Http3Status::BadMethod => StatusCode::METHOD_NOT_ALLOWED,
        Http3Status::SecondSession => StatusCode::TOO_MANY_REQUESTS,
        Http3Status::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Http3Status::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Http3Status::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut bytes = Vec::new();
    ConnectResponse::new(code).encode(&mut bytes).expect("two short fields are not too large");
    bytes.into()
}
