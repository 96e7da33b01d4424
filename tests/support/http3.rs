//! An HTTP/3 peer that says what it likes: bytes of frames, settings and field sections (RFC 9114, RFC 9204), and
//! connections that carry them in whatever order a test wants.
//!
//! All connections share a runtime, so that a thousand of them are cheap. Not here: what the server should answer.

use super::hostile::Identity;
use super::web_session::WebClient;
use super::{DEADLINE, Server};
use std::net::SocketAddr;
use tokio::runtime::Runtime;
use web_transport_quinn::proto::{self, ConnectResponse};

/// Types of unidirectional streams.
pub(crate) const CONTROL: u64 = 0x0;
pub(crate) const PUSH: u64 = 0x1;
pub(crate) const ENCODER: u64 = 0x2;
pub(crate) const DECODER: u64 = 0x3;
pub(crate) const OF_SESSION_UNI: u64 = 0x54;
/// Types of frames.
pub(crate) const DATA: u64 = 0x0;
pub(crate) const HEADERS: u64 = 0x1;
pub(crate) const CANCEL_PUSH: u64 = 0x3;
pub(crate) const SETTINGS: u64 = 0x4;
pub(crate) const PUSH_PROMISE: u64 = 0x5;
pub(crate) const GOAWAY: u64 = 0x7;
pub(crate) const MAX_PUSH_ID: u64 = 0xd;
pub(crate) const OF_SESSION: u64 = 0x41;

/// The `n`th type that is reserved to be ignored (RFC 9114, 7.2.8).
pub(crate) fn grease(n: u64) -> u64 {
    0x21 + 0x1f * n
}

/// A number as QUIC writes it, in as few bytes as it takes.
pub(crate) fn varint(number: u64) -> Vec<u8> {
    match number {
        0..0x40 => vec![number as u8],
        0x40..0x4000 => (number as u16 | 0x4000).to_be_bytes().to_vec(),
        0x4000..0x4000_0000 => (number as u32 | 0x8000_0000).to_be_bytes().to_vec(),
        _ => (number | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
    }
}

/// A type, a length and a payload: a frame, or a capsule.
pub(crate) fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    [varint(kind), varint(payload.len() as u64), payload.to_vec()].concat()
}

/// A frame that claims to be longer than what comes of it.
pub(crate) fn cut_frame(kind: u64, claimed: u64, payload: &[u8]) -> Vec<u8> {
    [varint(kind), varint(claimed), payload.to_vec()].concat()
}

/// A SETTINGS frame.
pub(crate) fn settings(pairs: &[(u64, u64)]) -> Vec<u8> {
    let payload: Vec<u8> = pairs.iter().flat_map(|&(id, value)| [varint(id), varint(value)].concat()).collect();
    frame(SETTINGS, &payload)
}

/// The settings of a client that wants a session.
pub(crate) const USUAL: [(u64, u64); 4] = [(0x8, 1), (0x33, 1), (0x2b60_3742, 1), (0xc671_706a, 1)];

/// A unidirectional stream from its beginning.
pub(crate) fn uni(kind: u64, rest: &[u8]) -> Vec<u8> {
    [&varint(kind)[..], rest].concat()
}

/// A control stream with the usual settings, and more.
pub(crate) fn control(more: &[u8]) -> Vec<u8> {
    uni(CONTROL, &[settings(&USUAL), more.to_vec()].concat())
}

/// A HEADERS frame of field lines that are written out.
pub(crate) fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let lines: Vec<u8> = fields.iter().flat_map(|(name, value)| line(name, value)).collect();
    section(&lines)
}

/// A HEADERS frame of encoded field lines, which claim to need no dynamic table.
pub(crate) fn section(lines: &[u8]) -> Vec<u8> {
    frame(HEADERS, &[&[0, 0], lines].concat())
}

/// A field line, name and value written out.
pub(crate) fn line(name: &str, value: &str) -> Vec<u8> {
    [prefixed(0x20, 3, name.len()), name.into(), prefixed(0, 7, value.len()), value.into()].concat()
}

/// A number of QPACK: the low `bits` of the first byte, and as many more as it takes.
pub(crate) fn prefixed(first: u8, bits: u32, number: usize) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if number < most {
        return vec![first | number as u8];
    }
    let (mut bytes, mut rest) = (vec![first | most as u8], number - most);
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// The fields of a request that is granted.
pub(crate) const CONNECT: [(&str, &str); 5] = [
    (":method", "CONNECT"),
    (":scheme", "https"),
    (":authority", "localhost"),
    (":path", "/v1/webtransport"),
    (":protocol", "webtransport"),
];

/// [`CONNECT`] with `value` for `name`; without it if that is `None`.
pub(crate) fn connect_but(name: &str, value: Option<&str>) -> Vec<u8> {
    let fields: Vec<_> = CONNECT
        .into_iter()
        .filter_map(|(known, usual)| if known == name { Some((known, value?)) } else { Some((known, usual)) })
        .collect();
    headers(&fields)
}

const NOT_FOUND: u16 = 404;

/// One thing that a peer does.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// Opens a unidirectional stream and writes on it.
    Uni(Vec<u8>),
    /// As [`Deed::Uni`], and ends it.
    UniEnded(Vec<u8>),
    /// As [`Deed::Uni`], and gives it up.
    UniReset(Vec<u8>),
    /// Opens a bidirectional stream and writes on it.
    Bi(Vec<u8>),
    /// As [`Deed::Bi`], and ends it.
    BiEnded(Vec<u8>),
    /// As [`Deed::BiEnded`], and takes no answer.
    BiUnheard(Vec<u8>),
    /// Sends a QUIC DATAGRAM frame.
    Datagram(Vec<u8>),
    /// Waits until the newest bidirectional stream is answered with 200, and writes on it.
    More(Vec<u8>),
    /// As [`Deed::More`], and ends it.
    MoreEnded(Vec<u8>),
}

/// What a server did about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Closed the connection, with this code.
    Closed(u64),
    /// Answered the newest request, with this status.
    Answered(u16),
    /// Gave up the newest bidirectional stream, with this code.
    Refused(u64),
    /// Does not know the connection: it had closed it, and the close was lost.
    Forgotten,
}

/// Whoever connects.
pub(crate) struct Http3Peers {
    runtime: Runtime,
    client: WebClient,
    quic: SocketAddr,
}

impl Http3Peers {
    /// Peers of a server.
    pub(crate) fn of(server: &Server, identity: &Identity) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async { WebClient::new(identity.certificate()) });
        Self { runtime, client, quic: server.quic() }
    }

    /// Awaits something that a well-behaved session does.
    pub(crate) fn within<T>(&self, future: impl Future<Output = T>) -> T {
        let limited = async { tokio::time::timeout(DEADLINE, future).await };
        self.runtime.block_on(limited).unwrap_or_else(|_| panic!("nothing came within {DEADLINE:?}"))
    }

    /// Who opens sessions as they should be.
    pub(crate) fn client(&self) -> &WebClient {
        &self.client
    }

    /// Does something in the background.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(future)
    }

    /// A connection on which nothing was said.
    pub(crate) fn connect(&self) -> Http3Peer<'_> {
        let connection = self.within(self.client.connect(self.quic)).unwrap();
        Http3Peer { peers: self, connection, streams: Streams::default() }
    }

    /// A connection that does all this, in this order, and what came of it.
    pub(crate) fn outcome_of(&self, deeds: &[Deed]) -> Outcome {
        let mut peer = self.connect();
        peer.act(deeds);
        match peer.outcome() {
            Outcome::Closed(code) => Outcome::Closed(code),
            // Whatever was wrong besides has been read before what comes now.
            first => match peer.asks_on() {
                Outcome::Answered(NOT_FOUND) => first,
                other => other,
            },
        }
    }
}

/// One connection.
pub(crate) struct Http3Peer<'a> {
    peers: &'a Http3Peers,
    connection: quinn::Connection,
    streams: Streams,
}

/// Kept, as letting go of a stream ends it.
#[derive(Default)]
struct Streams {
    unidirectional: Vec<quinn::SendStream>,
    /// Newest last.
    bidirectional: Vec<(quinn::SendStream, quinn::RecvStream)>,
    /// Whether the newest of these has been answered with 200.
    is_granted: bool,
}

impl Drop for Http3Peer<'_> {
    fn drop(&mut self) {
        // Streams that are let go of would end first, and the control stream must not.
        self.connection.close(0x100_u32.into(), b"");
    }
}

impl Http3Peer<'_> {
    /// Does all this. What cannot be done any more since the connection is closed is left out.
    pub(crate) fn act(&mut self, deeds: &[Deed]) {
        for deed in deeds {
            self.peers.within(act(&self.connection, &mut self.streams, deed));
        }
    }

    /// Asks for what is nowhere, as one still may.
    fn asks_on(&mut self) -> Outcome {
        self.act(&[Deed::Bi(connect_but(":path", Some("/")))]);
        self.outcome()
    }

    /// What became of it: whatever of [`Outcome`] comes first.
    pub(crate) fn outcome(&mut self) -> Outcome {
        let Self { connection, streams, .. } = self;
        self.peers.within(async {
            match streams.bidirectional.last_mut() {
                Some((_, answers)) if !streams.is_granted => match answer(answers).await {
                    Ok(status) => Outcome::Answered(status),
                    Err(Some(code)) => Outcome::Refused(code),
                    Err(None) => closed(connection).await,
                },
                _ => closed(connection).await,
            }
        })
    }

    /// What the server says on its control stream first.
    pub(crate) fn settings(&self) -> Vec<(u64, u64)> {
        self.peers.within(async {
            let mut control = self.connection.accept_uni().await.unwrap();
            let mut bytes = Vec::new();
            loop {
                let mut rest = &bytes[..];
                if let Some(settings) = read_settings(&mut rest) {
                    return settings;
                }
                bytes.extend_from_slice(&control.read_chunk(usize::MAX, true).await.unwrap().unwrap().bytes);
            }
        })
    }
}

fn read_settings(bytes: &mut &[u8]) -> Option<Vec<(u64, u64)>> {
    assert_eq!(read_varint(bytes)?, CONTROL, "the server's first stream is its control stream");
    assert_eq!(read_varint(bytes)?, SETTINGS, "which begins with its settings");
    let len = read_varint(bytes)? as usize;
    let mut payload = bytes.get(..len)?;
    let mut pairs = Vec::new();
    while !payload.is_empty() {
        pairs.push((read_varint(&mut payload).unwrap(), read_varint(&mut payload).unwrap()));
    }
    Some(pairs)
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    proto::VarInt::decode(bytes).ok().map(proto::VarInt::into_inner)
}

async fn act(connection: &quinn::Connection, streams: &mut Streams, deed: &Deed) {
    // Whatever fails here fails since the server has closed or refused, which the outcome shows.
    match deed {
        Deed::Uni(bytes) | Deed::UniEnded(bytes) | Deed::UniReset(bytes) => {
            let Ok(mut stream) = connection.open_uni().await else { return };
            let sent = || connection.stats().frame_tx.stream;
            let before = sent();
            let _ = stream.write_all(bytes).await;
            match deed {
                Deed::UniEnded(_) => _ = stream.finish(),
                Deed::UniReset(_) => {
                    // What has not left by then is given up with the stream.
                    while sent() == before && connection.close_reason().is_none() {
                        tokio::task::yield_now().await;
                    }
                    let _ = stream.reset(0_u32.into());
                }
                _ => streams.unidirectional.push(stream),
            }
        }
        Deed::Bi(bytes) | Deed::BiEnded(bytes) => {
            let Ok((mut stream, answers)) = connection.open_bi().await else { return };
            let _ = stream.write_all(bytes).await;
            if matches!(deed, Deed::BiEnded(_)) {
                let _ = stream.finish();
            }
            streams.bidirectional.push((stream, answers));
            streams.is_granted = false;
        }
        Deed::BiUnheard(bytes) => {
            let Ok((mut stream, mut answers)) = connection.open_bi().await else { return };
            let _ = stream.write_all(bytes).await;
            let _ = stream.finish();
            let _ = answers.stop(0_u32.into());
        }
        Deed::Datagram(bytes) => _ = connection.send_datagram(bytes.clone().into()),
        Deed::More(bytes) | Deed::MoreEnded(bytes) => {
            let (stream, answers) = streams.bidirectional.last_mut().expect("a request came before");
            if !std::mem::replace(&mut streams.is_granted, true) {
                assert_eq!(answer(answers).await, Ok(200));
            }
            let _ = stream.write_all(bytes).await;
            if matches!(deed, Deed::MoreEnded(_)) {
                let _ = stream.finish();
            }
        }
    }
}

/// The status of an answer, or the code with which the stream is given up; no code when the connection is over.
async fn answer(answers: &mut quinn::RecvStream) -> Result<u16, Option<u64>> {
    let mut bytes = Vec::new();
    loop {
        match ConnectResponse::decode(&mut bytes.as_slice()) {
            Ok(response) => return Ok(response.status.as_u16()),
            Err(proto::ConnectError::WrongStatus(Some(status))) => return Ok(status.as_u16()),
            Err(proto::ConnectError::UnexpectedEnd) => {}
            Err(error) => panic!("no answer: {error}: {bytes:?}"),
        }
        match answers.read_chunk(usize::MAX, true).await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk.bytes),
            Ok(None) => panic!("the answer ends without a status: {bytes:?}"),
            Err(quinn::ReadError::Reset(code)) => return Err(Some(code.into_inner())),
            Err(quinn::ReadError::ConnectionLost(_)) => return Err(None),
            Err(error) => panic!("no answer: {error}"),
        }
    }
}

async fn closed(connection: &quinn::Connection) -> Outcome {
    match connection.closed().await {
        quinn::ConnectionError::ApplicationClosed(close) => Outcome::Closed(close.error_code.into_inner()),
        quinn::ConnectionError::Reset => Outcome::Forgotten,
        other => panic!("closed otherwise: {other}"),
    }
}
