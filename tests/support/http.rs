//! HTTP byte by byte, over a plain socket: tests decide how requests are cut, and see replies as they are framed.

use super::DEADLINE;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
pub(crate) struct Http {
    stream: TcpStream,
    /// Bytes of replies that have not been asked for.
    unread: Vec<u8>,
}

/// One reply.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Status code.
    pub(crate) status: u16,
    /// Status line and header fields.
    pub(crate) head: String,
    /// Body.
    pub(crate) body: String,
}

impl Reply {
    /// The value of a header field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(field, value)| field.eq_ignore_ascii_case(name).then(|| value.trim()))
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The stable word of a problem.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.json()["status"], self.status, "{self:?}");
        self.json()["code"].as_str().unwrap_or_else(|| panic!("no code: {self:?}")).to_owned()
    }
}

/// A request with a body of a content type, or none when both are empty.
pub(crate) fn request(method: &str, path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    if !content_type.is_empty() {
        bytes += &format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len());
    }
    bytes += "\r\n";
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// `POST` of JSON reactions to a room.
pub(crate) fn reactions(room: u32, json: &str) -> Vec<u8> {
    request("POST", &format!("/v1/rooms/{room}/reactions"), "application/json", json.as_bytes())
}

/// `POST` of a reaction datagram to a room.
pub(crate) fn octets(room: u32, datagram: &[u8]) -> Vec<u8> {
    request("POST", &format!("/v1/rooms/{room}/reactions"), "application/octet-stream", datagram)
}

/// `GET`.
pub(crate) fn get(path: &str) -> Vec<u8> {
    request("GET", path, "", b"")
}

impl Http {
    /// Connects.
    pub(crate) fn to(port: SocketAddr) -> Self {
        Self::try_to(port).unwrap()
    }

    /// Connects, if the server listens.
    pub(crate) fn try_to(port: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect_timeout(&port, DEADLINE)?)
    }

    /// Connects from an address of this machine, such as 127.0.0.2.
    pub(crate) fn from(source: [u8; 4], port: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.connect_timeout(&port.into(), DEADLINE).unwrap();
        Self::over(socket.into()).unwrap()
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Its own address, as the server sees it.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends bytes to a peer that may have closed: that it has is seen when reading.
    pub(crate) fn send_into_the_dark(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends bytes again and again, without reading, until the server has ended the connection.
    pub(crate) fn send_until_ended(&mut self, bytes: &[u8]) {
        let error = loop {
            if let Err(error) = self.stream.write_all(bytes) {
                break error;
            }
        };
        let is_ended = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
        assert!(is_ended, "the connection did not end: {error}");
    }

    /// Sends one request and reads its reply.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Reply {
        self.send(request);
        self.reply()
    }

    /// As [`Self::ask`], of a server that may end meanwhile.
    pub(crate) fn try_ask(&mut self, request: &[u8]) -> io::Result<Reply> {
        self.stream.write_all(request)?;
        self.read_reply(true)
    }

    /// The next reply.
    pub(crate) fn reply(&mut self) -> Reply {
        self.read_reply(true).unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    /// The next reply, which answers HEAD: it has a length and no body.
    pub(crate) fn reply_to_head(&mut self) -> Reply {
        self.read_reply(false).unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    /// Waits until the server has ended the connection, having sent nothing more.
    pub(crate) fn expect_end(&mut self) {
        let mut rest = std::mem::take(&mut self.unread);
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            // Bytes that the server did not read make its end a reset.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection did not end: {error}"),
        }
        assert_eq!(String::from_utf8_lossy(&rest), "", "bytes after the last reply");
    }

    /// As [`Self::to`], with room for few bytes that have not been read.
    pub(crate) fn narrow(port: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::for_address(port), socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect_timeout(&port.into(), DEADLINE).unwrap();
        Self::over(socket.into()).unwrap()
    }

    /// The next event of a stream, without the empty line that ends it; `None` once the server has ended the stream.
    ///
    /// # Panics
    /// When the stream ends within an event.
    pub(crate) fn event(&mut self) -> Option<String> {
        let mut seen = 0;
        loop {
            if let Some(at) = self.unread[seen..].windows(2).position(|window| window == b"\n\n") {
                let event: Vec<u8> = self.unread.drain(..seen + at + 2).collect();
                return Some(String::from_utf8(event).unwrap().trim_end_matches('\n').to_owned());
            }
            seen = self.unread.len().saturating_sub(1);
            match self.read_more() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.unread.is_empty() => return None,
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&self.unread)),
            }
        }
    }

    /// Says that nothing more comes, and still reads.
    pub(crate) fn end_sending(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset, as a crashing client or a firewall does.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn read_reply(&mut self, has_body: bool) -> io::Result<Reply> {
        let head_len = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more()?;
        };
        let head: Vec<u8> = self.unread.drain(..head_len).collect();
        let head = String::from_utf8(head).map_err(io::Error::other)?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut reply =
            Reply { status: status.unwrap_or_else(|| panic!("not a reply: {head}")), head, body: String::new() };
        let length = reply.field("content-length").map_or(0, |length| length.parse().unwrap());
        if has_body {
            while self.unread.len() < length {
                self.read_more()?;
            }
            let body = self.unread.drain(..length).collect();
            reply.body = String::from_utf8(body).map_err(io::Error::other)?;
        }
        Ok(reply)
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let len = self.stream.read(&mut buffer)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unread.extend_from_slice(&buffer[..len]);
        Ok(())
    }
}
