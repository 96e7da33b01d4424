//! WebTransport: the same conversation as `uproar/1`, within a session of HTTP/3, as browsers need it.
//!
//! ```text
//! connection   client's settings, CONNECT --> 200 --> the session: its first bidirectional stream is the control
//!              stream, rooms come on streams of the server, reactions in datagrams --> a capsule tells its end
//! ```
//! 1. [`client`]: what a client says, without QUIC, made of [`control`] (streams of the connection), [`request`] (who may
//!    have a session, and its end), [`settings`] and [`records`] (frames and capsules in pieces).
//! 2. This file: joins that with the streams of a QUIC connection.
//!
//! Invariant: a connection has one session at most. Not here: what is said in the session ([`super::session`]).

mod client;
mod control;
mod error;
mod records;
mod request;
mod settings;

pub use client::{Client, Step};
pub use error::{Code, Fault};

use crate::limits;
use crate::origins::Origins;
use bytes::{Buf, Bytes};
use quinn_proto::{Connection, Dir, ReadError, StreamId, VarInt, WriteError};
use records::encode_varint;
use std::time::Instant;
use uproar_wire::hello::CloseCode;
use web_transport_proto::http::StatusCode;
use web_transport_proto::{Capsule, ConnectResponse, Frame, StreamUni};

/// Who may have a session now.
#[derive(Clone, Copy)]
pub(super) struct Doors<'a> {
    pub(super) origins: &'a Origins,
    pub(super) is_refusing: bool,
}

/// What the owner of the connection has to act on.
#[derive(Debug)]
pub(super) enum Notice {
    /// A request was answered with this status.
    Answered(u16),
    /// This is the session's control stream from here on.
    Control(StreamId),
    /// The session has a second stream.
    Second,
    /// The client closed the session.
    Ended,
}

/// HTTP/3 on one connection.
#[derive(Default)]
pub(super) struct WebTransport {
    client: Client,
    /// The server's control stream.
    control: Option<StreamId>,
    /// What streams of HTTP/3 did not take yet.
    unsent: Vec<Unsent>,
    /// Set once the session was closed: how long its end is waited for.
    farewell_until: Option<Instant>,
}

struct Unsent {
    stream: StreamId,
    bytes: Bytes,
    is_last: bool,
}

impl WebTransport {
    /// Says the settings, and permits the streams that HTTP/3 needs.
    pub(super) fn begin(&mut self, connection: &mut Connection) {
        if self.control.is_some() {
            return;
        }
        connection.set_max_concurrent_streams(Dir::Bi, VarInt::from_u32(limits::WEBTRANSPORT_BIDI_STREAMS));
        connection.set_max_concurrent_streams(Dir::Uni, VarInt::from_u32(limits::WEBTRANSPORT_UNI_STREAMS));
        self.control = connection.streams().open(Dir::Uni);
        if let Some(control) = self.control {
            self.send(connection, Unsent { stream: control, bytes: settings::control_stream().into(), is_last: false });
        }
    }

    /// Until when the end of the session is waited for.
    pub(super) fn farewell_until(&self) -> Option<Instant> {
        self.farewell_until
    }

    /// Nothing is waited for any more; whether it was.
    pub(super) fn take_farewell(&mut self) -> bool {
        self.farewell_until.take().is_some()
    }

    /// Whether this stream carries the session's request and its end.
    pub(super) fn is_session(&self, stream: StreamId) -> bool {
        self.client.session() == Some(stream.into())
    }

    /// Whether this stream lasts as long as the connection.
    pub(super) fn is_critical(&self, stream: StreamId) -> bool {
        self.control == Some(stream)
    }

    /// The client opened a stream.
    pub(super) fn handle_opened(
        &mut self,
        connection: &mut Connection,
        stream: StreamId,
        doors: Doors<'_>,
    ) -> Result<Vec<Notice>, Fault> {
        self.client.handle_opened(stream.into(), stream.dir() == Dir::Uni);
        self.handle_readable(connection, stream, doors)
    }

    /// A stream of the client has bytes, or has ended.
    pub(super) fn handle_readable(
        &mut self,
        connection: &mut Connection,
        stream: StreamId,
        doors: Doors<'_>,
    ) -> Result<Vec<Notice>, Fault> {
        let mut notices = Vec::new();
        let could_ask = self.client.has_settings();
        self.read(connection, stream, doors, &mut notices)?;
        if !could_ask && self.client.has_settings() {
            for request in self.client.requests() {
                self.read(connection, stream_id(request), doors, &mut notices)?;
            }
        }
        while let Some((stream, step)) = self.client.poll_waiting() {
            self.act(connection, stream_id(stream), step, &mut notices);
        }
        Ok(notices)
    }

    fn read(
        &mut self,
        connection: &mut Connection,
        stream: StreamId,
        doors: Doors<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Fault> {
        while let Some(most) = self.client.wants(stream.into()) {
            let mut receiver = connection.recv_stream(stream);
            let Ok(mut chunks) = receiver.read(true) else { return Ok(()) };
            let chunk = chunks.next(most);
            // Says whether credit is due; this connection is asked for output anyway.
            let _ = chunks.finalize();
            let step = match chunk {
                Ok(Some(chunk)) => {
                    self.client.handle_bytes(stream.into(), &chunk.bytes, doors.origins, doors.is_refusing)?
                }
                Ok(None) => self.client.handle_end(stream.into())?,
                Err(ReadError::Reset(_)) => self.client.handle_loss(stream.into())?,
                Err(ReadError::Blocked) => return Ok(()),
            };
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
            Step::Refuse(code) => {
                let _ = connection.recv_stream(stream).stop(code.into());
                if stream.dir() == Dir::Bi {
                    let _ = connection.send_stream(stream).reset(code.into());
                }
            }
            Step::Answer(status) => {
                let is_granted = status == StatusCode::OK;
                self.send(connection, Unsent { stream, bytes: response(status), is_last: !is_granted });
                notices.push(Notice::Answered(status.as_u16()));
                if is_granted {
                    return false;
                }
                // Whatever it has to say besides, it has its answer.
                let _ = connection.recv_stream(stream).stop(Code::NoError.into());
            }
            Step::Handed => notices.push(Notice::Control(stream)),
            Step::Second => notices.push(Notice::Second),
            Step::Ended => notices.push(Notice::Ended),
        }
        true
    }

    /// A stream takes bytes again.
    pub(super) fn handle_writable(&mut self, connection: &mut Connection, stream: StreamId) {
        if let Some(at) = self.unsent.iter().position(|unsent| unsent.stream == stream) {
            let unsent = self.unsent.swap_remove(at);
            self.send(connection, unsent);
        }
    }

    /// The client wants nothing more of a stream.
    pub(super) fn handle_stopped(&mut self, connection: &mut Connection, stream: StreamId, code: VarInt) {
        self.unsent.retain(|unsent| unsent.stream != stream);
        let _ = connection.send_stream(stream).reset(code);
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
                // Who stops it is told nothing; whether that breaks anything is judged where the stop is seen.
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => return,
            }
        }
        if unsent.is_last {
            let _ = stream.finish();
        }
    }

    /// What every room stream of the session begins with; `None` before there is one.
    pub(super) fn room_header(&self) -> Option<Bytes> {
        let session = self.client.session()?;
        let mut header = Vec::new();
        StreamUni::WEBTRANSPORT.encode(&mut header);
        encode_varint(session, &mut header);
        Some(header.into())
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

    /// Tells the client why its session ends, as the last that is said in it. False when there is no session.
    pub(super) fn close_session(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        code: CloseCode,
        reason: &'static str,
    ) -> bool {
        let Some(session) = self.client.session() else { return false };
        let mut capsule = Vec::new();
        Capsule::CloseWebTransportSession { code: code as u32, reason: reason.to_owned() }.encode(&mut capsule);
        let mut frame = Vec::new();
        Frame::DATA.encode(&mut frame);
        encode_varint(capsule.len() as u64, &mut frame);
        frame.extend_from_slice(&capsule);
        self.send(connection, Unsent { stream: stream_id(session), bytes: frame.into(), is_last: true });
        self.farewell_until = Some(now + limits::WEBTRANSPORT_FAREWELL);
        true
    }
}

fn stream_id(stream: u64) -> StreamId {
    VarInt::from_u64(stream).unwrap_or(VarInt::MAX).into()
}

fn response(status: StatusCode) -> Bytes {
    let mut bytes = Vec::new();
    ConnectResponse::new(status).encode(&mut bytes).expect("two short fields are not too large");
    bytes.into()
}
