//! Reads the server's `/metrics`, so that a loss can be located: before the server, in it, or on the way out.
//!
//! Deliberately not here: the rest of the exposition format. Types, help, timestamps and exemplars are skipped.

use crate::drivers::http::{Connection, ExchangeError};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Why the metrics could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrapeError {
    #[error("metrics of {0}: {1}")]
    Exchange(SocketAddr, ExchangeError),
    #[error("metrics of {0}: status {1}; is it the admin port?")]
    Status(SocketAddr, u16),
}

/// One reading of all counters: by name, then by labels as they stand between the braces.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Scrape(BTreeMap<String, BTreeMap<String, f64>>);

impl Scrape {
    /// Asks the server.
    pub(crate) async fn read(admin: SocketAddr) -> Result<Self, ScrapeError> {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
        let reply = Connection::new(admin).exchange(request.as_bytes()).await;
        match reply.map_err(|error| ScrapeError::Exchange(admin, error))? {
            (200, body) => Ok(Self::parse(&String::from_utf8_lossy(&body))),
            (status, _) => Err(ScrapeError::Status(admin, status)),
        }
    }

    fn parse(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, labels, value)) = sample(line) {
                scrape.0.entry(name.into()).or_default().insert(labels.into(), value);
            }
        }
        scrape
    }

    /// How much a counter grew since `before`, per value of one label. Samples without the label come under "".
    pub(crate) fn growth(&self, before: &Self, name: &str, label: &str) -> BTreeMap<String, u64> {
        let mut growth = BTreeMap::new();
        for (labels, value) in self.0.get(name).into_iter().flatten() {
            let earlier = before.0.get(name).and_then(|samples| samples.get(labels)).unwrap_or(&0.0);
            *growth.entry(label_value(labels, label).to_owned()).or_default() += (value - earlier).max(0.0) as u64;
        }
        growth
    }
}

fn sample(line: &str) -> Option<(&str, &str, f64)> {
    let (series, value) = match line.rfind('}') {
        // Label values may hold spaces.
        Some(end) => (&line[..=end], line[end + 1..].trim()),
        None => line.split_once(' ')?,
    };
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let value = value.split(' ').next()?.parse().ok()?;
    Some((name, labels.strip_suffix('}')?, value))
}

fn label_value<'a>(labels: &'a str, label: &str) -> &'a str {
    let value = labels.split(',').find_map(|pair| pair.trim().strip_prefix(label)?.strip_prefix("=\""));
    value.and_then(|value| value.strip_suffix('"')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# HELP uproar_reactions_total Taps counted\n# TYPE uproar_reactions_total counter\n\
        uproar_reactions_total{proto=\"udp\"} 10\nuproar_windows_total 3\n";
    const AFTER: &str = "uproar_reactions_total{proto=\"udp\"} 25\nuproar_reactions_total{proto=\"http\"} 4 1700000000\n\
        uproar_rejected_total{proto=\"udp\",reason=\"unknown_room\"} 2\nuproar_windows_total 5.0\nnonsense\n";

    #[test]
    fn counters_grow_per_label() {
        let (before, after) = (Scrape::parse(BEFORE), Scrape::parse(AFTER));
        let growth = |name, label| after.growth(&before, name, label);
        assert_eq!(growth("uproar_reactions_total", "proto"), [("http".into(), 4), ("udp".into(), 15)].into());
        assert_eq!(growth("uproar_rejected_total", "reason"), [("unknown_room".into(), 2)].into());
        assert_eq!(growth("uproar_windows_total", ""), [(String::new(), 2)].into());
        assert!(growth("uproar_nothing_total", "proto").is_empty());
    }
}
