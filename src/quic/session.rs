//! The control stream of one connection: hello in, welcome out.
//!
//! Invariant: at most one hello is ever reported, and at most [`hello::MESSAGE_MAX`] bytes are kept while it comes.
//! Whether the rooms exist is the shard's to judge; when time is up is the connection's.

use bytes::Bytes;
use quinn_proto::{Connection, ReadError, StreamId, VarInt, WriteError};
use uproar_wire::hello::{self, Hello, Welcome};

/// What reading the control stream led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing that anybody must act on.
    Nothing,
    /// The hello.
    Hello(Hello),
    /// Close the connection, for this reason.
    Malformed(&'static str),
}

/// How far the conversation has come.
#[derive(Default)]
pub(super) struct Session {
    control: Option<StreamId>,
    /// Bytes of the message that has not come whole.
    unread: Vec<u8>,
    said_hello: bool,
    /// What the peer's window did not take of the welcome.
    unwritten: Bytes,
}

impl Session {
    /// Whether the hello has come.
    pub(super) fn said_hello(&self) -> bool {
        self.said_hello
    }

    /// Whether `stream` is the control stream.
    pub(super) fn is_control(&self, stream: StreamId) -> bool {
        self.control == Some(stream)
    }

    /// The peer opened a bidirectional stream.
    pub(super) fn handle_opened(&mut self, connection: &mut Connection, stream: StreamId) -> Heard {
        if self.control.is_some() {
            return Heard::Malformed("a second bidirectional stream");
        }
        self.control = Some(stream);
        self.handle_readable(connection)
    }

    /// The control stream has bytes, or has ended.
    pub(super) fn handle_readable(&mut self, connection: &mut Connection) -> Heard {
        let Some(control) = self.control else { return Heard::Nothing };
        let mut heard = Heard::Nothing;
        loop {
            let ended = self.read(connection, control);
            match self.take_message() {
                Message::Hello(_) if self.said_hello => return Heard::Malformed("a second hello"),
                Message::Hello(hello) => {
                    self.said_hello = true;
                    heard = Heard::Hello(hello);
                }
                Message::Other if self.said_hello => {
                    // A later version may say more than this one understands; it need not be sent.
                    self.unread = Vec::new();
                    let _ = connection.recv_stream(control).stop(VarInt::from_u32(0));
                    return heard;
                }
                Message::Other => return Heard::Malformed("not a hello"),
                Message::Partial if ended && !self.said_hello => return Heard::Malformed("ended before a hello"),
                Message::Partial => return heard,
            }
        }
    }

    /// Reads what has come, up to the longest message; returns whether the stream has ended.
    fn read(&mut self, connection: &mut Connection, control: StreamId) -> bool {
        let mut stream = connection.recv_stream(control);
        // It was read to its end or stopped before: nothing more comes of it.
        let Ok(mut chunks) = stream.read(true) else { return false };
        let mut ended = false;
        while self.unread.len() < hello::MESSAGE_MAX {
            match chunks.next(hello::MESSAGE_MAX - self.unread.len()) {
                Ok(Some(chunk)) => self.unread.extend_from_slice(&chunk.bytes),
                Ok(None) | Err(ReadError::Reset(_)) => {
                    ended = true;
                    break;
                }
                Err(ReadError::Blocked) => break,
            }
        }
        // Says whether credit is due; this connection is asked for output anyway.
        let _ = chunks.finalize();
        ended
    }

    fn take_message(&mut self) -> Message {
        match Hello::decode(&self.unread) {
            Ok(None) => Message::Partial,
            Err(_) => Message::Other,
            Ok(Some((hello, taken))) if taken == self.unread.len() => {
                // Given back, as most connections say nothing after it.
                self.unread = Vec::new();
                Message::Hello(hello)
            }
            Ok(Some((hello, taken))) => {
                self.unread.drain(..taken);
                Message::Hello(hello)
            }
        }
    }

    /// Queues the answer to the hello.
    pub(super) fn welcome(&mut self, connection: &mut Connection, welcome: &Welcome) {
        let mut bytes = Vec::new();
        welcome.encode(&mut bytes);
        self.unwritten = bytes.into();
        self.handle_writable(connection);
    }

    /// The control stream may take bytes again.
    pub(super) fn handle_writable(&mut self, connection: &mut Connection) {
        let Some(control) = self.control else { return };
        while !self.unwritten.is_empty() {
            match connection.send_stream(control).write_chunks(std::slice::from_mut(&mut self.unwritten)) {
                Ok(_) => {}
                Err(WriteError::Blocked) => return,
                // A peer that does not want the answer has stopped the stream.
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => self.unwritten = Bytes::new(),
            }
        }
    }
}

enum Message {
    Hello(Hello),
    Partial,
    Other,
}
