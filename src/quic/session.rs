//! The control stream of one connection: hello in, welcome out; then requests in, an answer out for each.
//!
//! ```text
//! reading --hello, request--> owed --answer--> unwritten --taken by the stream--> reading
//! reading --reactions--> reading
//! ```
//! Invariants: at most one hello is ever reported, and nothing is read between a message that has an answer and that
//! answer taken by the stream. So a peer that asks and does not read holds up itself: what it sends on waits in its own
//! memory, beyond the receive window. Reactions have no answer; of those a turn takes what the receive window holds,
//! which is two hundred, as a message of them has a datagram's head at least. Kept is at most one message that has not
//! come whole, and nothing when none is on its way.
//! Whether the rooms exist is the shard's to judge; when time is up is the connection's.

use bytes::Bytes;
use quinn_proto::{Connection, Dir, ReadError, StreamId, VarInt, WriteError};
use uproar_wire::control::{self, ControlMessage, RoomsAnswer, RoomsRequest};
use uproar_wire::hello::{Hello, HelloError, Welcome};

/// What reading the control stream led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing that anybody must act on.
    Nothing,
    /// The hello; the welcome is owed.
    Hello(Hello),
    /// It wants to watch more rooms, or fewer; the answer is owed.
    Request(RoomsRequest),
    /// A reaction datagram that came here, not looked at yet. What follows it is to be read on for.
    Reactions(Bytes),
    /// Close the connection, for this reason.
    Malformed(&'static str),
}

/// How far the conversation has come.
#[derive(Default)]
pub(super) struct Session {
    control: Option<StreamId>,
    /// Bytes of the message that has not come whole.
    unread: Vec<u8>,
    /// What the peer's window did not take of the last answer.
    unwritten: Bytes,
    said_hello: bool,
    owes_answer: bool,
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

    /// The peer opened a stream.
    pub(super) fn handle_opened(&mut self, connection: &mut Connection, stream: StreamId) -> Heard {
        if stream.dir() == Dir::Uni {
            return Heard::Malformed("a unidirectional stream");
        }
        if self.control.is_some() {
            return Heard::Malformed("a second bidirectional stream");
        }
        self.control = Some(stream);
        self.handle_readable(connection)
    }

    /// The control stream has bytes, or has ended.
    pub(super) fn handle_readable(&mut self, connection: &mut Connection) -> Heard {
        let Some(control) = self.control else { return Heard::Nothing };
        while !self.owes_answer && self.unwritten.is_empty() {
            match self.read_message(connection, control) {
                Read::Message(ControlMessage::Hello(_)) if self.said_hello => {
                    return Heard::Malformed("a second hello");
                }
                Read::Message(ControlMessage::Hello(hello)) => {
                    (self.said_hello, self.owes_answer) = (true, true);
                    return Heard::Hello(hello);
                }
                Read::Message(ControlMessage::Request(request)) => {
                    self.owes_answer = true;
                    return Heard::Request(request);
                }
                Read::Message(ControlMessage::Reactions(datagram)) => return Heard::Reactions(datagram.into()),
                // A later version may say more than this one understands.
                Read::Message(ControlMessage::Unknown(_)) => {}
                Read::Message(ControlMessage::Welcome(_) | ControlMessage::Answer(_)) => {
                    return Heard::Malformed("a message that only the server sends");
                }
                Read::Malformed if self.said_hello => return Heard::Malformed("a malformed control message"),
                Read::Malformed => return Heard::Malformed("not a hello"),
                Read::Ended if !self.said_hello => return Heard::Malformed("ended before a hello"),
                // It asks for no other rooms from here on.
                Read::Ended | Read::Nothing => return Heard::Nothing,
            }
        }
        Heard::Nothing
    }

    /// Reads up to the end of one message, and not a byte of the next.
    fn read_message(&mut self, connection: &mut Connection, control: StreamId) -> Read {
        let mut stream = connection.recv_stream(control);
        // It was read to its end or stopped before: nothing more comes of it.
        let Ok(mut chunks) = stream.read(true) else { return Read::Nothing };
        let read = loop {
            match self.decode() {
                Ok(Some((message, _))) => break Read::Message(message),
                Ok(None) => {}
                Err(_) => break Read::Malformed,
            }
            match chunks.next(self.missing()) {
                Ok(Some(chunk)) => self.unread.extend_from_slice(&chunk.bytes),
                Ok(None) | Err(ReadError::Reset(_)) => break Read::Ended,
                Err(ReadError::Blocked) => break Read::Nothing,
            }
        };
        // Says whether credit is due; this connection is asked for output anyway.
        let _ = chunks.finalize();
        if read != Read::Nothing {
            self.unread = Vec::new();
        }
        read
    }

    fn decode(&self) -> Result<Option<(ControlMessage, usize)>, HelloError> {
        if self.said_hello {
            return ControlMessage::decode(&self.unread);
        }
        // Refuses another kind as soon as it shows.
        Ok(Hello::decode(&self.unread)?.map(|(hello, taken)| (ControlMessage::Hello(hello), taken)))
    }

    /// Bytes to the end of the message, or of its length while that is not known.
    fn missing(&self) -> usize {
        let len = control::message_len(&self.unread).ok().flatten().unwrap_or(2);
        len.saturating_sub(self.unread.len())
    }

    /// Queues the answer to the hello.
    pub(super) fn welcome(&mut self, connection: &mut Connection, welcome: &Welcome) -> Heard {
        let mut bytes = Vec::new();
        welcome.encode(&mut bytes);
        self.reply(connection, bytes)
    }

    /// Queues the answer to a request.
    pub(super) fn answer(&mut self, connection: &mut Connection, answer: &RoomsAnswer) -> Heard {
        let mut bytes = Vec::new();
        answer.encode(&mut bytes);
        self.reply(connection, bytes)
    }

    fn reply(&mut self, connection: &mut Connection, bytes: Vec<u8>) -> Heard {
        if !std::mem::replace(&mut self.owes_answer, false) {
            return Heard::Nothing;
        }
        self.unwritten = bytes.into();
        self.handle_writable(connection)
    }

    /// The control stream may take bytes again; once it has taken the answer, what came meanwhile is read.
    pub(super) fn handle_writable(&mut self, connection: &mut Connection) -> Heard {
        let Some(control) = self.control else { return Heard::Nothing };
        while !self.unwritten.is_empty() {
            match connection.send_stream(control).write_chunks(std::slice::from_mut(&mut self.unwritten)) {
                Ok(_) => {}
                Err(WriteError::Blocked) => return Heard::Nothing,
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => {
                    // A peer that does not want answers may not ask: they are what holds up one that asks too much.
                    self.unwritten = Bytes::new();
                    let _ = connection.recv_stream(control).stop(VarInt::from_u32(0));
                }
            }
        }
        self.handle_readable(connection)
    }
}

/// What reading for one message came to.
#[derive(PartialEq, Eq)]
enum Read {
    Message(ControlMessage),
    Malformed,
    Ended,
    /// Nothing more for now.
    Nothing,
}
