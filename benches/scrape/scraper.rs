//! Prometheus, as far as a server can tell: both pages, at once and then at a fixed pace, over connections that stay.

use crate::receiver::Receiver;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Scope;
use std::time::Duration;

const PAGES: [&str; 2] = ["/metrics", "/metrics/shards"];
/// Longer than an answer ever takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where to scrape.
pub(crate) struct Scraper {
    admin: SocketAddr,
}

/// Scrapes until it is dropped.
pub(crate) struct Scraping {
    _stop: mpsc::Sender<()>,
}

impl Scraper {
    /// Of an appliance.
    pub(crate) fn of(receiver: &Receiver) -> Self {
        let Receiver::Appliance { appliance, .. } = receiver else { panic!("bare loops have no metrics") };
        Self { admin: appliance.port("admin") }
    }

    /// A connection that stays.
    pub(crate) fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.admin).expect("the admin port answers");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        stream.set_nodelay(true).expect("a socket takes an option");
        Connection { stream: BufReader::new(stream), page: Vec::new() }
    }

    /// Scrapes on a thread of its own, beside the sender.
    pub(crate) fn every<'scope>(&self, pause: Duration, scope: &'scope Scope<'scope, '_>) -> Scraping {
        let (stop, stopped) = mpsc::channel::<()>();
        let mut connection = self.connect();
        scope.spawn(move || {
            loop {
                connection.scrape();
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
        });
        Scraping { _stop: stop }
    }
}

/// To the admin port.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    page: Vec<u8>,
}

impl Connection {
    /// Reads both pages; how many bytes they have.
    pub(crate) fn scrape(&mut self) -> usize {
        PAGES.iter().map(|page| self.read(page)).sum()
    }

    fn read(&mut self, page: &str) -> usize {
        let request = format!("GET {page} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).expect("the admin port reads");
        let mut len = None;
        let mut line = String::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("the admin port answers");
            let Some((field, value)) = line.trim_end().split_once(':') else {
                if line == "\r\n" {
                    break;
                }
                assert!(line.starts_with("HTTP/1.1 200"), "{line}");
                continue;
            };
            if field.eq_ignore_ascii_case("content-length") {
                len = value.trim().parse().ok();
            }
        }
        let len = len.expect("a page has a length");
        self.page.resize(len, 0);
        self.stream.read_exact(&mut self.page).expect("the whole page comes");
        len
    }
}
