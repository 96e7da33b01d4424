//! Asks the admin port of a running server.
//!
//! Invariant: a server that is slow, gone or something else is an error that says what to do, and every request ends
//! within [`ANSWER_TIMEOUT`]. The list of rooms is asked for seldom, and never of a node with more than [`ROOMS_LISTED_MAX`]:
//! making it is work for a shard. Not here: what the answers mean ([`super::figures`]).

use super::figures::{Reading, Room, SHARD_FAMILIES, State, rooms_count};
use super::samples::Samples;
use serde::Deserialize;
use std::time::{Duration, Instant, SystemTime};
use ureq::Agent;

/// How long a server has for one answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Rooms of a node that are still listed.
pub const ROOMS_LISTED_MAX: u64 = 1000;
/// The list is asked for again after this long, also when there are as many rooms as before: they may have new names.
const ROOMS_EVERY: Duration = Duration::from_secs(10);
/// Bytes of one answer: the metrics of 128 shards are about 2 MB.
const PAGE_BYTES_MAX: u64 = 16 << 20;

/// Where a server's admin port is: a host and a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminAddress(String);

/// What was given is no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no address: give a host and a port, such as 127.0.0.1:9100")]
pub struct BadAddress(String);

/// Why a server could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// Nobody answers there.
    #[error("{address} does not answer ({why}); does the server run, and is this its admin port (--admin)?")]
    NoAnswer {
        /// Who was asked.
        address: String,
        /// What went wrong.
        why: String,
    },
    /// Somebody answers, but refuses.
    #[error("{address} answers {path} with {status}{detail}")]
    Refused {
        /// Who was asked.
        address: String,
        /// What for.
        path: &'static str,
        /// Status code.
        status: u16,
        /// What a problem document says.
        detail: String,
    },
    /// Somebody answers who is no Uproar.
    #[error(
        "{address} answers, but not as the admin port of an uproar server; which port it has stands in its log (--admin)"
    )]
    Stranger {
        /// Who was asked.
        address: String,
    },
}

impl ScrapeError {
    /// What went wrong, in a few words.
    pub fn brief(&self) -> String {
        match self {
            Self::NoAnswer { why, .. } => why.clone(),
            Self::Refused { path, status, .. } => format!("{path}: {status}"),
            Self::Stranger { .. } => "not an admin port".into(),
        }
    }
}

impl std::str::FromStr for AdminAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let uri: Option<ureq::http::Uri> = format!("http://{text}/").parse().ok();
        let authority = uri.as_ref().and_then(ureq::http::Uri::authority);
        match authority {
            // Whatever belongs to another part of an address is no host.
            Some(whole)
                if whole.as_str() == text
                    && !whole.host().is_empty()
                    && !text.contains('@')
                    && whole.port_u16().is_some() =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(BadAddress(text.into())),
        }
    }
}

impl From<std::net::SocketAddr> for AdminAddress {
    fn from(address: std::net::SocketAddr) -> Self {
        Self(address.to_string())
    }
}

impl std::fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One server, and what is known of its rooms.
#[derive(Debug)]
pub struct Scraper {
    agent: Agent,
    address: AdminAddress,
    started: Instant,
    rooms: Option<KnownRooms>,
}

#[derive(Clone, Debug)]
struct KnownRooms {
    at: Duration,
    count: u64,
    rooms: Option<Vec<Room>>,
}

#[derive(Deserialize)]
struct ListedRoom {
    id: u32,
    name: String,
    palette: Vec<ListedEmoji>,
}

#[derive(Deserialize)]
struct ListedEmoji {
    #[serde(default)]
    retired: bool,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl Scraper {
    /// Will ask `address`. Time is counted from here.
    #[allow(clippy::disallowed_methods, reason = "a program of its own beside the server reads its own clock")]
    pub fn new(address: AdminAddress) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(ANSWER_TIMEOUT))
            .http_status_as_error(false)
            // The environment's proxy is for the world outside, not for a port that only this network reaches.
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("uproar-top/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), address, started: Instant::now(), rooms: None }
    }

    /// Who is asked.
    pub fn address(&self) -> &AdminAddress {
        &self.address
    }

    /// Reads the server.
    ///
    /// # Errors
    /// When it does not answer in time, or not as an uproar server does.
    #[allow(clippy::disallowed_methods, reason = "a program of its own beside the server reads its own clock")]
    pub fn read(&mut self) -> Result<Reading, ScrapeError> {
        let node = self.node()?;
        let (at, wall) = (self.started.elapsed(), SystemTime::now().duration_since(SystemTime::UNIX_EPOCH));
        let shards = Samples::parse_only(&self.page("/metrics/shards")?, &SHARD_FAMILIES);
        let state = self.state()?;
        let rooms = self.rooms(at, rooms_count(&shards));
        Ok(Reading { at, wall: wall.unwrap_or_default(), state, node, shards, rooms })
    }

    /// Reads only the metrics of the node.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn node(&self) -> Result<Samples, ScrapeError> {
        let node = Samples::parse(&self.page("/metrics")?);
        match node.sum("uproar_build_info", &[]) {
            Some(_) => Ok(node),
            None => Err(ScrapeError::Stranger { address: self.address.0.clone() }),
        }
    }

    fn state(&self) -> Result<State, ScrapeError> {
        let path = "/readyz";
        match self.get(path)? {
            (200, _) => Ok(State::Ready),
            (503, _) => Ok(State::Draining),
            (status, body) => Err(self.refused(path, status, &body)),
        }
    }

    /// Rooms are the least of what is shown: when they cannot be read, everything else still is.
    fn rooms(&mut self, at: Duration, count: Option<u64>) -> Option<Vec<Room>> {
        let count = count.filter(|&count| count <= ROOMS_LISTED_MAX)?;
        let fresh = |known: &&KnownRooms| known.count == count && at < known.at + ROOMS_EVERY;
        if let Some(known) = self.rooms.as_ref().filter(fresh) {
            return known.rooms.clone();
        }
        let rooms = self.page("/v1/rooms").ok().and_then(|page| listed(&page));
        self.rooms.insert(KnownRooms { at, count, rooms }).rooms.clone()
    }

    fn page(&self, path: &'static str) -> Result<String, ScrapeError> {
        match self.get(path)? {
            (200, body) => Ok(body),
            (404, _) => Err(ScrapeError::Stranger { address: self.address.0.clone() }),
            (status, body) => Err(self.refused(path, status, &body)),
        }
    }

    /// Status and body. Bodies are always read to their end, as only then the connection serves the next request: a
    /// server must not count connections because somebody looks at it.
    fn get(&self, path: &str) -> Result<(u16, String), ScrapeError> {
        let address = &self.address;
        let mut response =
            self.agent.get(format!("http://{address}{path}")).call().map_err(|error| self.no_answer(&error))?;
        let body = response.body_mut().with_config().limit(PAGE_BYTES_MAX).lossy_utf8(true).read_to_string();
        Ok((response.status().as_u16(), body.map_err(|error| self.no_answer(&error))?))
    }

    fn no_answer(&self, error: &ureq::Error) -> ScrapeError {
        let why = match error {
            ureq::Error::Io(error) => error.to_string(),
            ureq::Error::Timeout(_) => format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
            ureq::Error::BodyExceedsLimit(_) => format!("an answer of more than {} MiB", PAGE_BYTES_MAX >> 20),
            error => error.to_string(),
        };
        ScrapeError::NoAnswer { address: self.address.0.clone(), why }
    }

    fn refused(&self, path: &'static str, status: u16, body: &str) -> ScrapeError {
        let problem: Option<Problem> = serde_json::from_str(body).ok();
        let detail = problem.map_or_else(String::new, |problem| format!(": {}", problem.detail));
        ScrapeError::Refused { address: self.address.0.clone(), path, status, detail }
    }
}

/// The rooms of a list, by id.
fn listed(page: &str) -> Option<Vec<Room>> {
    let rooms: Vec<ListedRoom> = serde_json::from_str(page).ok()?;
    let active = |palette: &[ListedEmoji]| palette.iter().filter(|emoji| !emoji.retired).count();
    let room = |room: ListedRoom| Room { emoji: active(&room.palette), id: room.id, name: room.name };
    let mut rooms: Vec<_> = rooms.into_iter().map(room).collect();
    rooms.sort_by_key(|room| room.id);
    Some(rooms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for text in ["127.0.0.1:9100", "[::1]:9100", "localhost:1", "node-7.example:65535"] {
            assert_eq!(text.parse::<AdminAddress>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "9100",
            ":9100",
            "localhost",
            "localhost:",
            "localhost:70000",
            "http://a:1",
            "a:1/b",
            "me@a:1",
            "a b:1",
        ] {
            assert!(text.parse::<AdminAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn rooms_are_listed_by_id() {
        let page = r#"[{"id":9,"name":"final","palette":[{"id":0},{"id":1,"retired":true}]},{"id":2,"name":"a\"b","palette":[],"new":1}]"#;
        let rooms = listed(page).unwrap();
        assert_eq!(rooms[0], Room { id: 2, name: "a\"b".into(), emoji: 0 });
        assert_eq!(rooms[1], Room { id: 9, name: "final".into(), emoji: 1 });
        assert_eq!(listed("<html>"), None);
    }
}
