//! Reactions by HTTP: `POST` with a JSON body, on keep-alive connections, one request at a time on each. A request
//! that waits for the one before it is late, and its latency counts from when it was meant to go.
//!
//! Deliberately not here: pipelining, which phones and gateways do not do.

use super::{Lane, Reply, ReplyError};
use crate::ledger::{Ledger, Outcome};
use crate::schedule::Batch;
use std::borrow::Cow;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uproar_wire::http::ReactionBody;

/// How long a reply may take before its request's fate is unknown.
const REPLY_MAX: Duration = Duration::from_secs(10);
/// Bytes of a reply's body at most.
const BODY_MAX: usize = 64 << 20;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("cannot connect to {0}: {1}")]
    Connect(SocketAddr, io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error(transparent)]
    Reply(#[from] ReplyError),
    #[error("a reply body of more than {BODY_MAX} bytes")]
    TooLong,
    #[error("no reply within {} s", REPLY_MAX.as_secs())]
    Silent,
}

/// A connection, made when it is needed and again when it was closed.
#[derive(Debug)]
pub(crate) struct Connection {
    server: SocketAddr,
    stream: Option<TcpStream>,
    received: Vec<u8>,
}

impl Connection {
    /// Not yet connected.
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self { server, stream: None, received: Vec::new() }
    }

    /// Connects, unless it is.
    pub(crate) async fn open(&mut self) -> Result<&mut TcpStream, ExchangeError> {
        if self.stream.is_none() {
            let failed = |error| ExchangeError::Connect(self.server, error);
            let stream = TcpStream::connect(self.server).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            self.received.clear();
            self.stream = Some(stream);
        }
        self.stream.as_mut().ok_or_else(|| unreachable!("just connected"))
    }

    /// Sends a request and returns its reply's status and body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>), ExchangeError> {
        let reply = match tokio::time::timeout(REPLY_MAX, self.try_exchange(request)).await {
            Ok(reply) => reply,
            Err(_) => Err(ExchangeError::Silent),
        };
        if reply.is_err() {
            self.stream = None;
        }
        reply
    }

    async fn try_exchange(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>), ExchangeError> {
        self.open().await?.write_all(request).await?;
        let reply = loop {
            if let Some(reply) = Reply::parse(&self.received)? {
                if reply.body_len > BODY_MAX {
                    return Err(ExchangeError::TooLong);
                }
                if self.received.len() >= reply.len() {
                    break reply;
                }
            }
            let Some(stream) = &mut self.stream else { unreachable!("open until the exchange is over") };
            if stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        };
        let body = self.received[reply.head_len..reply.len()].to_vec();
        self.received.drain(..reply.len());
        if reply.closes {
            self.stream = None;
        }
        Ok((reply.status, body))
    }
}

/// Plays a lane over one connection; `names` are the emoji of each room, as its palette calls them.
pub(crate) async fn send_all(mut lane: Lane, mut connection: Connection, names: Arc<Vec<Vec<String>>>) -> Ledger {
    let (mut batch, mut body, mut request) = (Batch::default(), Vec::new(), Vec::new());
    while let Some(due) = lane.poll_batch(&mut batch) {
        encode_body(&batch, &names[batch.room], &mut body);
        encode_request(&lane, &batch, connection.server, &body, &mut request);
        tokio::time::sleep_until(due.into()).await;
        lane.handle_departure(due);
        let outcome = match connection.exchange(&request).await {
            Ok((202, _)) => {
                lane.handle_confirmation(due);
                Outcome::Sent
            }
            Ok((status, _)) => Outcome::Refused(format!("http {status}")),
            Err(error @ ExchangeError::Connect(..)) => Outcome::Refused(format!("http: {error}")),
            Err(_) => Outcome::Unconfirmed,
        };
        lane.handle_outcome(&batch, outcome);
    }
    lane.into_ledger()
}

fn encode_body(batch: &Batch, names: &[String], body: &mut Vec<u8>) {
    body.clear();
    let reaction = |record: &crate::schedule::PlannedRecord| ReactionBody {
        emoji: Cow::Borrowed(names[usize::from(record.emoji.0)].as_str()),
        count: record.taps,
    };
    let written = match batch.records.as_slice() {
        [record] => serde_json::to_writer(&mut *body, &reaction(record)),
        records => serde_json::to_writer(&mut *body, &records.iter().map(reaction).collect::<Vec<_>>()),
    };
    written.unwrap_or_else(|_| unreachable!("strings and numbers into memory cannot fail"));
}

fn encode_request(lane: &Lane, batch: &Batch, server: SocketAddr, body: &[u8], request: &mut Vec<u8>) {
    request.clear();
    let room = lane.of().room(batch.room);
    let (client, length) = (lane.client, body.len());
    write!(
        request,
        "POST /v1/rooms/{room}/reactions HTTP/1.1\r\nHost: {server}\r\nX-Client-Id: {client}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap_or_else(|_| unreachable!("writing into memory cannot fail"));
    request.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::PlannedRecord;
    use tokio::net::TcpListener;
    use uproar_wire::EmojiId;

    #[test]
    fn one_reaction_is_an_object_and_several_are_an_array() {
        let record = |emoji, taps| PlannedRecord { person: 0, emoji: EmojiId(emoji), taps };
        let names = ["fire".to_owned(), "\"quoted\"".to_owned()];
        let mut body = Vec::new();
        let mut batch = Batch { records: vec![record(0, 3)], ..Batch::default() };
        encode_body(&batch, &names, &mut body);
        assert_eq!(body, br#"{"emoji":"fire","count":3}"#);
        batch.records.push(record(1, 1));
        encode_body(&batch, &names, &mut body);
        assert_eq!(body, br#"[{"emoji":"fire","count":3},{"emoji":"\"quoted\"","count":1}]"#);
    }

    #[tokio::test]
    async fn a_connection_that_the_server_closes_is_made_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = Connection::new(listener.local_addr().unwrap());
        let server = async {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.read_exact(&mut [0; 4]).await.unwrap();
                let reply = b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(reply).await.unwrap();
            }
        };
        let client = async {
            for _ in 0..2 {
                assert_eq!(connection.exchange(b"ping").await.unwrap(), (202, b"ok".to_vec()));
            }
        };
        tokio::join!(server, client);
    }
}
