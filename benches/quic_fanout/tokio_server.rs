//! The obvious way: quinn on tokio, one endpoint, one task a subscriber, a broadcast channel for the frames.
//!
//! It speaks the contract as the appliance does (hello, welcome, a stream of palette and frames) with the same TLS, and
//! shares each frame's bytes among its subscribers, as a careful program would. One thread, kept on one core by whoever
//! starts it. Not here: counting, rooms; its frames are made up.

use crate::frame;
use crate::process::Process;
use crate::window;
use bytes::Bytes;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, Incoming, RecvStream, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::convert::Infallible;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use uproar::edge::sys::socket_option;
use uproar_wire::hello::{Hello, MESSAGE_MAX, RoomStatus, Welcome};

/// Argument that makes this program the server.
const TOKIO: &str = "--tokio";
/// As the appliance has them.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;
/// Longer than it is stopped while others take their turns.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Frames that a task may fall behind before it misses some.
const FRAMES_BEHIND: usize = 2;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Starts it in a process of its own; where it listens.
pub(crate) fn start(window_ms: u64, core: usize) -> (Process, SocketAddr) {
    let program = std::env::current_exe().expect("this program has a path");
    let mut process = Process::start(program, &[TOKIO, &window_ms.to_string()], Some(core));
    let line = process.line();
    let address = line.strip_prefix("listening quic ").and_then(|address| address.parse().ok());
    assert_eq!(process.line(), "ready");
    (process, address.unwrap_or_else(|| panic!("not an address: {line}")))
}

/// Becomes the server, and never returns, if this program was started for that.
pub(crate) fn run_if_asked(args: &[String]) {
    let [flag, window_ms] = args else { return };
    if flag == TOKIO {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let Err(failure) = runtime.block_on(serve(window_ms.parse().expect("milliseconds")));
        panic!("the server does not serve: {failure}");
    }
}

async fn serve(window_ms: u64) -> Result<Infallible, Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket_option::set_receive_buffer(&socket, SOCKET_BUFFER_BYTES)?;
    socket_option::set_send_buffer(&socket, SOCKET_BUFFER_BYTES)?;
    let runtime = Arc::new(TokioRuntime);
    let endpoint = quinn::Endpoint::new(EndpointConfig::default(), Some(server_config()?), socket, runtime)?;
    println!("listening quic {}", endpoint.local_addr()?);
    println!("ready");
    let frames = broadcast::Sender::new(FRAMES_BEHIND);
    tokio::spawn(accept(endpoint, frames.clone()));
    loop {
        let (window, time) = window::until_next(window_ms);
        tokio::time::sleep(time).await;
        // Nobody may be watching yet.
        let _ = frames.send(Bytes::from(frame::message(window - 1, window_ms)));
    }
}

async fn accept(endpoint: quinn::Endpoint, frames: broadcast::Sender<Bytes>) {
    let palette = Bytes::from(frame::palette_message());
    while let Some(incoming) = endpoint.accept().await {
        let (palette, frames) = (palette.clone(), frames.clone());
        tokio::spawn(async move {
            if let Err(error) = attend(incoming, palette, &frames).await {
                eprintln!("a subscriber is lost: {error}");
            }
        });
    }
}

/// One subscriber, until it goes.
async fn attend(incoming: Incoming, palette: Bytes, frames: &broadcast::Sender<Bytes>) -> Result<(), Failure> {
    let connection = incoming.await?;
    let (mut control, receive) = connection.accept_bi().await?;
    let hello = read_hello(receive).await?;
    let mut welcome = Vec::new();
    Welcome { rooms: hello.rooms.iter().map(|&room| (room, status(room))).collect() }.encode(&mut welcome);
    control.write_all(&welcome).await?;
    let mut stream = connection.open_uni().await?;
    let mut frames = frames.subscribe();
    stream.write_chunk(palette).await?;
    loop {
        match frames.recv().await {
            Ok(frame) => stream.write_chunk(frame).await?,
            // The newest frame wins.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return Ok(()),
        }
    }
}

async fn read_hello(mut receive: RecvStream) -> Result<Hello, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = receive.read_chunk(MESSAGE_MAX, true).await? {
        bytes.extend_from_slice(&chunk.bytes);
        if let Some((hello, _)) = Hello::decode(&bytes)? {
            return Ok(hello);
        }
    }
    Err("no hello".into())
}

fn status(room: uproar_wire::RoomId) -> RoomStatus {
    if room == frame::ROOM { RoomStatus::Subscribed } else { RoomStatus::UnknownRoom }
}

fn server_config() -> Result<ServerConfig, Failure> {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())?;
    tls.alpn_protocols = vec![uproar::quic::ALPN.to_vec()];
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(IDLE_TIMEOUT.try_into()?))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0));
    config.transport_config(Arc::new(transport));
    Ok(config)
}
