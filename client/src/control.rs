//! The control stream: the hello, and every change of rooms after it, each with its answer.
//!
//! Invariant: a call that is dropped half way loses nothing for the next one. What it had to send is sent, and the
//! answer to it is passed over, as answers come in the order of the requests.

use crate::error::Error;
use quinn::{RecvStream, SendStream};
use tokio::sync::Mutex;
use uproar_wire::RoomId;
use uproar_wire::control::{ControlMessage, RoomsRequest};
use uproar_wire::hello::{Hello, MESSAGE_MAX, RoomStatus, Welcome};

/// Held by the client and its subscription, to the end of both: letting go of a stream tells the server to stop it.
#[derive(Debug)]
pub(crate) struct Control {
    streams: Mutex<Streams>,
}

#[derive(Debug)]
struct Streams {
    send: SendStream,
    receive: RecvStream,
    unsent: Vec<u8>,
    unread: Vec<u8>,
    /// Answers that have not come.
    owed: usize,
}

impl Control {
    /// Opens the stream and says hello.
    pub(crate) async fn open(connection: &quinn::Connection, hello: &Hello) -> Result<(Self, Welcome), Error> {
        let (send, receive) = connection.open_bi().await?;
        let mut streams = Streams { send, receive, unsent: Vec::new(), unread: Vec::new(), owed: 0 };
        hello.encode(&mut streams.unsent);
        streams.flush().await?;
        let welcome = streams.welcome().await?;
        Ok((Self { streams: Mutex::new(streams) }, welcome))
    }

    /// Asks for a change of rooms; what became of each. Several calls take turns.
    pub(crate) async fn request(&self, request: &RoomsRequest) -> Result<Vec<(RoomId, RoomStatus)>, Error> {
        let mut streams = self.streams.lock().await;
        request.encode(&mut streams.unsent);
        streams.owed += 1;
        streams.flush().await?;
        loop {
            let answer = streams.answer().await?;
            streams.owed -= 1;
            if streams.owed == 0 {
                return Ok(answer);
            }
        }
    }
}

impl Streams {
    async fn flush(&mut self) -> Result<(), Error> {
        while !self.unsent.is_empty() {
            let sent = self.send.write(&self.unsent).await.map_err(write_error)?;
            self.unsent.drain(..sent);
        }
        Ok(())
    }

    async fn welcome(&mut self) -> Result<Welcome, Error> {
        loop {
            if let Some((welcome, taken)) = Welcome::decode(&self.unread)? {
                self.unread.drain(..taken);
                return Ok(welcome);
            }
            self.read().await?;
        }
    }

    async fn answer(&mut self) -> Result<Vec<(RoomId, RoomStatus)>, Error> {
        loop {
            match ControlMessage::decode(&self.unread).map_err(Error::BadAnswer)? {
                Some((message, taken)) => {
                    self.unread.drain(..taken);
                    // A later version may say more than this one understands.
                    if let ControlMessage::Answer(answer) = message {
                        return Ok(answer.rooms);
                    }
                }
                None => self.read().await?,
            }
        }
    }

    async fn read(&mut self) -> Result<(), Error> {
        match self.receive.read_chunk(MESSAGE_MAX, true).await.map_err(read_error)? {
            Some(chunk) => self.unread.extend_from_slice(&chunk.bytes),
            None => return Err(Error::NoWelcome),
        }
        Ok(())
    }
}

pub(crate) fn read_error(error: quinn::ReadError) -> Error {
    match error {
        quinn::ReadError::ConnectionLost(lost) => lost.into(),
        quinn::ReadError::Reset(code) => Error::StreamReset { code: code.into_inner() },
        quinn::ReadError::ClosedStream | quinn::ReadError::IllegalOrderedRead | quinn::ReadError::ZeroRttRejected => {
            Error::Connection(quinn::ConnectionError::LocallyClosed)
        }
    }
}

fn write_error(error: quinn::WriteError) -> Error {
    match error {
        quinn::WriteError::ConnectionLost(lost) => lost.into(),
        quinn::WriteError::Stopped(code) => Error::StreamReset { code: code.into_inner() },
        quinn::WriteError::ClosedStream | quinn::WriteError::ZeroRttRejected => {
            Error::Connection(quinn::ConnectionError::LocallyClosed)
        }
    }
}
