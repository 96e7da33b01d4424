//! One HTTP/1.1 exchange after the other over a connection that stays open: made when it is needed, and again when it was
//! closed.
//!
//! Invariant: after an error the connection is closed, so that no reply is taken for that of another request. A
//! connection that the server closed while nothing was asked is noticed before the next request leaves, which would
//! otherwise be of unknown fate. Deliberately not here: pipelining, which phones and gateways do not do.

mod reply;

use reply::Reply;
pub use reply::ReplyError;

use futures_util::FutureExt;
use rustix::io::Errno;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// How long a reply may take before its request's fate is unknown.
const REPLY_MAX: Duration = Duration::from_secs(10);
/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Bytes of a reply's body at most; the largest are the metrics of many shards.
const BODY_MAX: usize = 64 << 20;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// There is no connection; nothing was sent.
    #[error("cannot connect to {0}")]
    Connect(io::Error),
    /// The connection ended in the middle.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// What came is no reply.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The body is longer than any that is expected.
    #[error("a reply body of more than {BODY_MAX} bytes")]
    TooLong,
    /// Nothing came.
    #[error("no reply within {} s", REPLY_MAX.as_secs())]
    Silent,
}

/// How connections are made.
pub trait Connect: Send + Sync {
    /// What they are.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send;

    /// Makes one.
    fn connect(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Makes TCP connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tcp {
    /// To here.
    pub server: SocketAddr,
    /// From here; the kernel's choice if none.
    pub from: Option<SocketAddr>,
}

impl Connect for Tcp {
    type Stream = TcpStream;

    async fn connect(&self) -> io::Result<TcpStream> {
        self.try_connect().await.map_err(|error| self.explained(&error))
    }
}

impl Tcp {
    /// The same error with the address, and what to change where this machine is the reason.
    fn explained(&self, error: &io::Error) -> io::Error {
        let remedy = match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE) => {
                "; raise `ulimit -n` or open fewer connections (http.connections)".into()
            }
            Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => match self.from {
                Some(from) => {
                    let from = from.ip();
                    format!(
                        "; {from} has no free port or is not an address of this machine: list more addresses, or others \
                         (http.from)"
                    )
                }
                None => "; no free port: send from more addresses (http.from)".into(),
            },
            _ => String::new(),
        };
        io::Error::new(error.kind(), format!("{}: {error}{remedy}", self.server))
    }

    async fn try_connect(&self) -> io::Result<TcpStream> {
        let socket = if self.server.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
        if let Some(from) = self.from {
            socket.bind(from)?;
        }
        let stream = socket.connect(self.server).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection<C: Connect = Tcp> {
    by: C,
    stream: Option<C::Stream>,
    /// What came, from the start of the reply under way, or of the last one.
    received: Vec<u8>,
    /// Bytes of the last reply, which are done with when the next request leaves.
    replied: usize,
}

/// A reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer<'a> {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: &'a [u8],
}

impl Connection<Tcp> {
    /// To a server, from wherever the kernel chooses; not yet connected.
    pub fn new(server: SocketAddr) -> Self {
        Self::by(Tcp { server, from: None })
    }
}

impl<C: Connect> Connection<C> {
    /// Not yet connected.
    pub fn by(by: C) -> Self {
        Self { by, stream: None, received: Vec::new(), replied: 0 }
    }

    /// Connects, unless it is.
    ///
    /// # Errors
    /// [`ExchangeError::Connect`].
    pub async fn open(&mut self) -> Result<(), ExchangeError> {
        if self.stream.is_none() {
            self.received.clear();
            self.replied = 0;
            let connected = tokio::time::timeout(CONNECT_MAX, self.by.connect()).await;
            let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            self.stream = Some(connected.map_err(ExchangeError::Connect)?);
        }
        Ok(())
    }

    /// Closes it, if the server has, or says what nobody asked for. Costs no system call while nothing came.
    fn close_if_stale(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        if stream.read(&mut [0]).now_or_never().is_some() {
            self.stream = None;
        }
    }

    /// Sends a request and returns its reply's status and body.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn exchange(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>), ExchangeError> {
        self.ask(request).await.map(|answer| (answer.status, answer.body.to_vec()))
    }

    /// Sends a request and returns its reply, which is read in place.
    ///
    /// # Errors
    /// [`ExchangeError::Connect`] when nothing was sent; after all others the request's fate is unknown.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>, ExchangeError> {
        self.close_if_stale();
        self.open().await?;
        let reply = match tokio::time::timeout(REPLY_MAX, self.try_exchange(request)).await {
            Ok(reply) => reply,
            Err(_) => Err(ExchangeError::Silent),
        };
        if !matches!(&reply, Ok(reply) if !reply.closes) {
            self.stream = None;
        }
        let reply = reply?;
        self.replied = reply.len();
        Ok(Answer { status: reply.status, body: &self.received[reply.head_len..reply.len()] })
    }

    async fn try_exchange(&mut self, request: &[u8]) -> Result<Reply, ExchangeError> {
        let Some(stream) = &mut self.stream else { unreachable!("open until the exchange is over") };
        self.received.drain(..self.replied);
        self.replied = 0;
        // A server that refuses a request may answer, and close, before it has read all of it.
        let written = stream.write_all(request).await;
        loop {
            if let Some(reply) = Reply::parse(&self.received)? {
                if reply.body_len > BODY_MAX {
                    return Err(ExchangeError::TooLong);
                }
                if self.received.len() >= reply.len() {
                    return Ok(reply);
                }
            }
            if stream.read_buf(&mut self.received).await? == 0 {
                return Err(written.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()).into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const LAST: &[u8] = b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    const MORE: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok";

    /// Takes as many connections as there are replies, and answers each once.
    async fn serve(listener: TcpListener, replies: &[&[u8]]) {
        for reply in replies {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 4]).await.unwrap();
            stream.write_all(reply).await.unwrap();
        }
    }

    async fn server() -> (TcpListener, Connection<Tcp>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connection = Connection::new(listener.local_addr().unwrap());
        (listener, connection)
    }

    #[tokio::test]
    async fn a_connection_that_the_server_says_it_closes_is_made_again() {
        let (listener, mut connection) = server().await;
        let client = async {
            for _ in 0..2 {
                assert_eq!(connection.ask(b"ping").await.unwrap(), Answer { status: 202, body: b"ok" });
            }
        };
        tokio::join!(serve(listener, &[LAST, LAST]), client);
    }

    #[tokio::test]
    async fn a_connection_that_ended_while_idle_costs_no_request() {
        let (listener, mut connection) = server().await;
        let server = tokio::spawn(serve(listener, &[MORE, MORE]));
        assert_eq!(connection.ask(b"ping").await.unwrap().status, 202);
        // The server has dropped it by the time at which it waits for the next; its end is on its way before anything
        // else that this thread does with the socket.
        connection.stream.as_ref().unwrap().readable().await.unwrap();
        assert_eq!(connection.ask(b"ping").await.unwrap().status, 202);
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_no_unknown_fate() {
        let (listener, mut connection) = server().await;
        drop(listener);
        assert!(matches!(connection.ask(b"ping").await, Err(ExchangeError::Connect(_))));
    }

    #[tokio::test]
    async fn errors_of_this_machine_say_what_to_change() {
        let server = "127.0.0.1:9".parse().unwrap();
        // 192.0.2.0/24 is for documentation: nobody's.
        let tcp = Tcp { server, from: Some("192.0.2.7:0".parse().unwrap()) };
        let not_local = Connection::by(tcp).open().await.unwrap_err().to_string();
        assert!(not_local.contains("192.0.2.7") && not_local.contains("http.from"), "{not_local}");
        for (errno, remedy) in [(Errno::MFILE, "ulimit -n"), (Errno::ADDRINUSE, "http.from")] {
            let error = io::Error::from(errno);
            let explained = tcp.explained(&error);
            assert_eq!(explained.kind(), error.kind());
            assert!(explained.to_string().contains(remedy), "{explained}");
        }
        let text = Tcp { server, from: None }.explained(&Errno::CONNREFUSED.into()).to_string();
        assert!(text.starts_with("127.0.0.1:9: ") && !text.contains("http."), "{text}");
    }

    #[tokio::test]
    async fn an_end_before_the_reply_is_an_unknown_fate() {
        let (listener, mut connection) = server().await;
        let client = async { assert!(matches!(connection.ask(b"ping").await, Err(ExchangeError::Broken(_)))) };
        tokio::join!(serve(listener, &[b"HTTP/1.1 202 Acc"]), client);
    }
}
