//! Reads the server's `/metrics`, so that a loss can be located: before the server, in it, or on the way out.
//!
//! Deliberately not here: the rest of the exposition format. Types, help, timestamps and exemplars are skipped.

use crate::exchange::{Connection, ExchangeError};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Why the metrics could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// Nobody answered.
    #[error("metrics of {0}: {1}")]
    Exchange(SocketAddr, ExchangeError),
    /// Somebody refused.
    #[error("metrics of {0}: status {1}; is it the admin port?")]
    Status(SocketAddr, u16),
}

/// Samples by name and labels as they are scraped: `uproar_windows_total`, `uproar_reactions_total{proto="udp"}`.
pub type Samples = BTreeMap<String, f64>;

/// One reading of all counters.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Scrape(Samples);

impl Scrape {
    /// Asks the server.
    pub async fn read(admin: SocketAddr) -> Result<Self, ScrapeError> {
        Self::ask(&mut Connection::new(admin), admin, "Connection: close\r\n").await
    }

    /// Asks the server over a connection that stays, for the next time.
    pub async fn read_over(connection: &mut Connection, admin: SocketAddr) -> Result<Self, ScrapeError> {
        Self::ask(connection, admin, "").await
    }

    async fn ask(connection: &mut Connection, admin: SocketAddr, fields: &str) -> Result<Self, ScrapeError> {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\n{fields}\r\n");
        let reply = connection.exchange(request.as_bytes()).await;
        match reply.map_err(|error| ScrapeError::Exchange(admin, error))? {
            (200, body) => Ok(Self::parse(&String::from_utf8_lossy(&body))),
            (status, _) => Err(ScrapeError::Status(admin, status)),
        }
    }

    /// Reads a page.
    pub fn parse(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((series, value)) = sample(line) {
                scrape.0.insert(series.into(), value);
            }
        }
        scrape
    }

    /// All samples.
    pub fn samples(&self) -> Samples {
        self.0.clone()
    }

    /// The sum of all samples of a name; `None` when there are none.
    pub fn total(&self, name: &str) -> Option<f64> {
        series_of(&self.0, name).map(|(_, _, value)| value).reduce(|sum, value| sum + value)
    }

    /// A counter, per value of one label. Samples without the label come under "".
    pub fn totals(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        growth_by(&Samples::new(), &self.0, name, label)
    }

    /// How much a counter grew since `before`, per value of one label. Samples without the label come under "".
    pub fn growth(&self, before: &Self, name: &str, label: &str) -> BTreeMap<String, u64> {
        growth_by(&before.0, &self.0, name, label)
    }
}

/// How much a counter grew between two looks, per value of one label. Samples without the label come under "".
pub(crate) fn growth_by(before: &Samples, after: &Samples, name: &str, label: &str) -> BTreeMap<String, u64> {
    growth(before, after, name).fold(BTreeMap::new(), |mut sums, (labels, growth)| {
        *sums.entry(label_value(labels, label).to_owned()).or_default() += growth;
        sums
    })
}

/// How much each sample of a counter grew between two looks, by its labels as they stand between the braces. One that was
/// not there before was 0; one that fell, as after a restart, did not grow.
pub(crate) fn growth<'a>(
    before: &'a Samples,
    after: &'a Samples,
    name: &'a str,
) -> impl Iterator<Item = (&'a str, u64)> {
    series_of(after, name).map(|(series, labels, value)| {
        let earlier = before.get(series).copied().unwrap_or(0.0);
        (labels, (value - earlier).max(0.0) as u64)
    })
}

/// All samples of a name: what they are called, their labels and their values.
fn series_of<'a>(samples: &'a Samples, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str, f64)> {
    samples.iter().filter_map(move |(series, value)| {
        let labels = match series.strip_prefix(name)? {
            "" => "",
            labels => labels.strip_prefix('{')?.strip_suffix('}')?,
        };
        Some((series.as_str(), labels, *value))
    })
}

/// The value of a label, empty where it is not there.
pub(crate) fn label_value<'a>(labels: &'a str, label: &str) -> &'a str {
    let value = labels.split(',').find_map(|pair| pair.trim().strip_prefix(label)?.strip_prefix("=\""));
    value.and_then(|value| value.strip_suffix('"')).unwrap_or_default()
}

fn sample(line: &str) -> Option<(&str, f64)> {
    let (series, value) = match line.rfind('}') {
        // Label values may hold spaces.
        Some(end) => (&line[..=end], line[end + 1..].trim()),
        None => line.split_once(' ')?,
    };
    let value = value.split(' ').next()?.parse().ok()?;
    (series.contains('{') == series.ends_with('}')).then_some((series, value))
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
        assert_eq!(after.totals("uproar_reactions_total", "proto"), [("http".into(), 4), ("udp".into(), 25)].into());
        assert_eq!((after.total("uproar_reactions_total"), after.total("uproar_nothing_total")), (Some(29.0), None));
    }
}
