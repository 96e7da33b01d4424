//! Redis beside the appliance: the same bytes, published to as many subscribers, over plain TCP.
//!
//! Its CPU time a delivery, where `redis-server` is installed. Subscribers are read one after the other: Redis hands
//! everything to the kernel at once and does not wait for them. Not here: TLS, which Redis would pay for on top.

use crate::frame;
use crate::process::{self, Process};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Open files beside the subscribers.
const OTHER_FILES: usize = 256;
/// Windows before those that count: memory and caches come into their usual state.
const WARM_UP: u32 = 2;
/// Longer than any delivery takes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// CPU microseconds a delivery, over so many windows; none without Redis, or where so many files may not be open.
pub(crate) fn cpu_us_delivery(subscribers: usize, windows: u32, window_ms: u64, cores: [usize; 2]) -> Option<f64> {
    let [watching, serving] = cores;
    let files = subscribers + OTHER_FILES;
    if !is_installed() || process::allow_open_files(files) < files {
        return None;
    }
    let (redis, address) = start(serving);
    process::pin(watching);
    let mut connections: Vec<_> = (0..subscribers).map(|_| subscribe(address)).collect();
    let mut publisher = connect(address);
    let mut before_ns = 0;
    for window in 0..WARM_UP + windows {
        if window == WARM_UP {
            before_ns = redis.cpu_ns();
        }
        deliver(&mut publisher, &mut connections);
        process::wait(Duration::from_millis(window_ms));
    }
    let cpu_ns = redis.cpu_ns() - before_ns;
    Some(cpu_ns as f64 / 1e3 / (subscribers as f64 * f64::from(windows)))
}

fn is_installed() -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|path| path.join("redis-server").is_file())
}

fn start(core: usize) -> (Process, SocketAddr) {
    // Free a moment ago; Redis does not choose a port itself.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    let address = free.expect("a free port");
    let port = address.port().to_string();
    let memory_only = ["--save", "", "--appendonly", "no"];
    let args = [&["--port", &port, "--bind", "127.0.0.1", "--maxclients", "20000"][..], &memory_only].concat();
    let mut redis = Process::start("redis-server", &args, Some(core));
    while !redis.line().contains("eady to accept connections") {}
    (redis, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(address).expect("Redis accepts");
    connection.set_read_timeout(Some(TIMEOUT)).expect("a socket takes a timeout");
    connection
}

fn subscribe(address: SocketAddr) -> TcpStream {
    let mut connection = connect(address);
    connection.write_all(b"*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nroom\r\n").expect("Redis reads");
    expect(&mut connection, b"*3\r\n$9\r\nsubscribe\r\n$4\r\nroom\r\n:1\r\n");
    connection
}

/// Publishes one message, and waits until everybody has it.
fn deliver(publisher: &mut TcpStream, subscribers: &mut [TcpStream]) {
    let payload = "x".repeat(frame::BYTES);
    let message = format!("$4\r\nroom\r\n${}\r\n{payload}\r\n", payload.len());
    publisher.write_all(format!("*3\r\n$7\r\nPUBLISH\r\n{message}").as_bytes()).expect("Redis reads");
    expect(publisher, format!(":{}\r\n", subscribers.len()).as_bytes());
    let delivery = format!("*3\r\n$7\r\nmessage\r\n{message}");
    for subscriber in subscribers {
        expect(subscriber, delivery.as_bytes());
    }
}

fn expect(connection: &mut TcpStream, reply: &[u8]) {
    let mut bytes = vec![0; reply.len()];
    connection.read_exact(&mut bytes).expect("Redis answers");
    assert!(bytes == reply, "unexpected: {}", String::from_utf8_lossy(&bytes));
}
