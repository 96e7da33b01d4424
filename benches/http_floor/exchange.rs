//! One reaction and its reply, as bytes: what both ends of every connection agree on.
//!
//! All requests are the same, so a bare loop finds their boundaries by counting bytes: honest about requests that come
//! in pieces or many at once, and the least that any server could do.

use std::net::{SocketAddr, TcpListener};
use std::sync::LazyLock;
use uproar::ingest::http::{Date, Manner, Readers};

const LISTEN_BACKLOG: i32 = 4096;

/// As a small client writes it. Only the appliance looks at the path.
const HEAD: &str = "POST /v1/rooms/1/reactions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n";
const BODY: &str = r#"{"emoji":"🔥","count":1}"#;

/// Bytes of one receive of a server, as the appliance has them.
pub(crate) const RECEIVE_LEN: usize = uproar::limits::TCP_BUFFER;

/// A bare loop's listener on loopback; prints where, which is what whoever started it waits for.
pub(crate) fn listen() -> TcpListener {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    // Connections inherit it.
    socket.set_tcp_nodelay(true).expect("a socket takes options");
    socket.listen(LISTEN_BACKLOG).expect("a bound socket listens");
    let listener = TcpListener::from(socket);
    println!("{}", listener.local_addr().expect("it is bound"));
    listener
}

/// One request.
pub(crate) fn request() -> Vec<u8> {
    format!("{HEAD}Content-Length: {}\r\n\r\n{BODY}", BODY.len()).into_bytes()
}

/// The reply of the appliance.
fn reply() -> Vec<u8> {
    let mut reply = Vec::new();
    // Of any time: all are equally long.
    let date = Date::new(0);
    let manner = Manner { keep_alive: true, head_only: false, readers: Readers::Any, date: &date };
    uproar::ingest::http::reply::accepted(&mut reply, manner);
    reply
}

/// As many replies as one receive can ask for, one after the other; a bare loop sends from their beginning.
pub(crate) struct Replies {
    bytes: &'static [u8],
    reply_len: usize,
}

impl Replies {
    /// They stay until the process ends, so that the kernel may read them at any time.
    pub(crate) fn new() -> Self {
        let reply = reply();
        // A receive may also complete a request that began in the one before.
        let bytes = reply.repeat(RECEIVE_LEN / *REQUEST_LEN + 1).leak();
        Self { bytes, reply_len: reply.len() }
    }

    /// The bytes of `count` replies.
    pub(crate) fn of(&self, count: usize) -> &'static [u8] {
        &self.bytes[..count * self.reply_len]
    }
}

static REQUEST_LEN: LazyLock<usize> = LazyLock::new(|| request().len());

/// Where in a request a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boundaries {
    request_len: usize,
    partial_len: usize,
}

impl Boundaries {
    /// At the start of a connection.
    pub(crate) fn new() -> Self {
        Self { request_len: *REQUEST_LEN, partial_len: 0 }
    }

    /// Requests that `received_len` more bytes complete.
    pub(crate) fn advance(&mut self, received_len: usize) -> usize {
        let len = self.partial_len + received_len;
        self.partial_len = len % self.request_len;
        len / self.request_len
    }
}
