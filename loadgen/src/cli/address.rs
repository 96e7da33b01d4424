//! Addresses as people write them: an IP address or a name, and a port.
//!
//! Invariant: a name is looked up once, before anything else happens, and no longer than [`LOOKUP_MAX`]. Where a name has
//! several addresses, the one that is used is said.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::str::FromStr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use uproar::edge::output;

/// How long looking up a name may take.
const LOOKUP_MAX: Duration = Duration::from_secs(10);
/// How long each of several addresses has to take a connection.
pub(crate) const TRY_MAX: Duration = Duration::from_secs(3);

/// A host and a port, as they were written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    host: String,
    port: u16,
}

/// What was given is no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("give a host and a port, such as localhost:{port}, 192.0.2.1:{port} or [2001:db8::1]:{port}", port = .0)]
pub(crate) struct BadAddress(u16);

/// Port of the hint where none was given.
const HINT: u16 = 7443;

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: address.port() });
        }
        let (host, port) = text.rsplit_once(':').ok_or(BadAddress(HINT))?;
        let port: u16 = port.parse().map_err(|_| BadAddress(HINT))?;
        let is_name = !host.is_empty()
            && host.len() <= 253
            && host.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_'));
        if is_name { Ok(Self { host: host.to_owned(), port }) } else { Err(BadAddress(port)) }
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, self.port).fmt(f),
            Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Address {
    /// The name, unless the host is an IP address.
    pub(crate) fn name(&self) -> Option<&str> {
        self.host.parse::<IpAddr>().is_err().then_some(&self.host)
    }

    /// The address to use for `flag`: of several the first one that `takes` accepts, else the first. An address of `preferred`
    /// goes before the others, so that the ports of one node are found on one of its addresses.
    ///
    /// # Errors
    /// A sentence for people, when the name has no address or nobody says in time.
    pub(crate) fn resolve(
        &self,
        flag: &str,
        preferred: &[SocketAddr],
        takes: impl FnMut(&SocketAddr) -> bool,
    ) -> Result<SocketAddr, String> {
        let Some(name) = self.name() else {
            // An IP address, as `name` says.
            return self.to_string().parse().map_err(|_| format!("{flag} {self}: no address"));
        };
        let mut found = look_up(name, self.port, LOOKUP_MAX).map_err(|why| format!("{flag} {self}: {why}"))?;
        found.sort_by_key(|address| !preferred.iter().any(|known| known.ip() == address.ip()));
        let chosen = choose(&found, takes).ok_or_else(|| format!("{flag} {self}: the name has no address"))?;
        if found.len() > 1 {
            let others: Vec<_> = found.iter().map(ToString::to_string).collect();
            output::say(&format_args!("{flag} {self}: using {chosen}, of {}", others.join(", ")));
        }
        Ok(chosen)
    }
}

/// Whether a TCP port takes a connection.
pub(crate) fn takes_tcp(address: &SocketAddr) -> bool {
    TcpStream::connect_timeout(address, TRY_MAX).is_ok()
}

fn choose(found: &[SocketAddr], mut takes: impl FnMut(&SocketAddr) -> bool) -> Option<SocketAddr> {
    match found {
        [] => None,
        // What is wrong with it is told by whoever uses it.
        [only] => Some(*only),
        [first, ..] => Some(*found.iter().find(|address| takes(address)).unwrap_or(first)),
    }
}

/// All addresses of a name, each once, in the system's order.
fn look_up(name: &str, port: u16, longest: Duration) -> Result<Vec<SocketAddr>, String> {
    let (answer, answered) = mpsc::sync_channel(1);
    let asked = (name.to_owned(), port);
    // The system's resolver takes no limit of time, so it is left behind when it takes longer.
    let ask = move || answer.send(asked.to_socket_addrs().map(Iterator::collect::<Vec<_>>));
    std::thread::Builder::new().name("resolver".into()).spawn(ask).map_err(|error| error.to_string())?;
    let mut found = match answered.recv_timeout(longest) {
        Ok(found) => found.map_err(|error| format!("the name cannot be looked up: {error}"))?,
        Err(RecvTimeoutError::Timeout) => {
            return Err(format!("looking up the name took longer than {} s; give an IP address", longest.as_secs()));
        }
        Err(RecvTimeoutError::Disconnected) => return Err("the name cannot be looked up".into()),
    };
    let mut seen = Vec::new();
    found.retain(|address| {
        !seen.contains(address) && {
            seen.push(*address);
            true
        }
    });
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn parse(text: &str) -> Result<Address, BadAddress> {
        text.parse()
    }

    #[test]
    fn a_host_and_a_port_are_an_address() {
        for text in ["127.0.0.1:7400", "[::1]:7443", "localhost:8080", "node-7.example:65535", "my_node.:1"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        for text in
            ["", "localhost", ":8080", "localhost:", "localhost:70000", "http://a:1", "a:1/b", "::1:7443", "a b:1"]
        {
            assert!(parse(text).unwrap_err().to_string().contains("such as localhost:"), "{text}");
        }
        assert_eq!(parse("localhost:1").unwrap().name(), Some("localhost"));
        assert_eq!(parse("[::1]:1").unwrap().name(), None);
    }

    #[test]
    fn localhost_is_found_where_its_port_takes_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = parse(&format!("localhost:{port}")).unwrap();
        let found = address.resolve("--http", &[], takes_tcp).unwrap();
        assert_eq!(found, listener.local_addr().unwrap());
        assert_eq!(address.resolve("--reactions", &[found], |_| true).unwrap().ip(), found.ip());
    }

    #[test]
    fn a_name_that_does_not_exist_is_named_with_its_flag() {
        let error = parse("no-such-host.invalid:1").unwrap().resolve("--quic", &[], takes_tcp).unwrap_err();
        assert!(error.starts_with("--quic no-such-host.invalid:1: "), "{error}");
    }

    #[test]
    fn of_several_addresses_the_first_that_is_taken_is_used() {
        let [a, b]: [SocketAddr; 2] = ["[::1]:1", "127.0.0.1:1"].map(|text| text.parse().unwrap());
        assert_eq!(choose(&[a, b], SocketAddr::is_ipv4), Some(b));
        assert_eq!(choose(&[a, b], |_| false), Some(a));
        assert_eq!(choose(&[a], |_| panic!("the only one is used")), Some(a));
        assert_eq!(choose(&[], takes_tcp), None);
    }
}
