//! Which reports are of one match: different parts of one division of the same crowd, started together.
//!
//! Invariant: what people do is the same for all machines; by which sockets and threads is each machine's own affair.

use crate::crowd::Part;
use crate::report::{HistogramError, Report};
use crate::scenario::{Http, Quic, Scenario, Sources, Subscribers, Udp};
use std::collections::BTreeMap;

/// How far apart parts of one match may start, where no report tells how long a window is.
const START_APART_MAX_MS: u64 = 1000;

/// Why reports are not parts of one match.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// There is none.
    #[error("nothing to merge; name at least one report")]
    Nothing,
    /// A report does not say which parts it has.
    #[error("a report has the part {0:?}, which is none")]
    Part(String),
    /// They are of different divisions of the crowd.
    #[error("parts of different divisions: {one} and {other}; all must be of the same number of parts")]
    Division {
        /// A part.
        one: String,
        /// A part of another division.
        other: String,
    },
    /// A part is there more than once.
    #[error("part {0} is there more than once; each person's taps would count twice")]
    Twice(String),
    /// They are of different matches.
    #[error("the reports of parts {one} and {other} are of different scenarios, which differ in {keys}")]
    Scenario {
        /// Parts of a report.
        one: String,
        /// Parts of another one.
        other: String,
        /// Knobs that differ.
        keys: String,
    },
    /// They are of different times.
    #[error(
        "the reports start {apart_ms} ms apart, and parts of one match start within {most_ms} ms, the length of a window; give all \
         machines the same --start-at"
    )]
    Apart {
        /// From the first start to the last, in milliseconds.
        apart_ms: u64,
        /// How much it may be, in milliseconds.
        most_ms: u64,
    },
    /// A histogram cannot be read.
    #[error("latency {measure}: {source}")]
    Histogram {
        /// Which.
        measure: String,
        /// What is wrong with it.
        source: HistogramError,
    },
}

/// Whether they are different parts of one match.
///
/// # Errors
/// Says what does not fit.
pub(super) fn check(reports: &[Report]) -> Result<(), MergeError> {
    if reports.is_empty() {
        return Err(MergeError::Nothing);
    }
    check_parts(reports)?;
    for pair in reports.windows(2) {
        let [one, other] = [&pair[0], &pair[1]].map(|report| of_match(&report.scenario));
        if one != other {
            let keys = differing_knobs(&one, &other).join(", ");
            let [one, other] = [&pair[0], &pair[1]].map(|report| report.parts.join(", "));
            return Err(MergeError::Scenario { one, other, keys });
        }
    }
    check_starts(reports)
}

fn check_parts(reports: &[Report]) -> Result<(), MergeError> {
    let texts = || reports.iter().flat_map(|report| &report.parts);
    let mut seen: BTreeMap<u32, Part> = BTreeMap::new();
    for text in texts() {
        let part: Part = text.parse().map_err(|_| MergeError::Part(text.clone()))?;
        if let Some(other) = seen.values().find(|other| other.of != part.of) {
            return Err(MergeError::Division { one: other.to_string(), other: text.clone() });
        }
        if seen.insert(part.number, part).is_some() {
            return Err(MergeError::Twice(text.clone()));
        }
    }
    Ok(())
}

/// Windows are the server's, so parts that start further apart than one play different moments in the same window.
fn check_starts(reports: &[Report]) -> Result<(), MergeError> {
    let starts = || reports.iter().map(|report| report.start_unix_ms);
    let apart_ms = starts().max().unwrap_or(0) - starts().min().unwrap_or(0);
    let most_ms = reports.iter().filter_map(Report::window_ms).min().unwrap_or(START_APART_MAX_MS);
    if apart_ms > most_ms { Err(MergeError::Apart { apart_ms, most_ms }) } else { Ok(()) }
}

/// What all machines of a match have in common: sockets, connections, threads and addresses are each machine's own.
fn of_match(scenario: &Scenario) -> Scenario {
    let mut of_match = scenario.clone();
    if let Some(udp) = &mut of_match.udp {
        let usual = Udp::default();
        *udp = Udp {
            sockets: usual.sockets,
            from: usual.from,
            threads: usual.threads,
            trains: usual.trains,
            share: udp.share,
            records_per_datagram: udp.records_per_datagram,
        };
    }
    if let Some(http) = &mut of_match.http {
        let usual = Http::default();
        (http.connections, http.from) = (usual.connections, usual.from);
    }
    if let Some(quic) = &mut of_match.quic {
        let usual = Quic::default();
        (quic.connections, quic.endpoints, quic.from) = (usual.connections, usual.endpoints, usual.from);
    }
    if let Some(hostile) = &mut of_match.hostile {
        hostile.from = Sources::default();
    }
    of_match.subscribers.connecting_max = Subscribers::default().connecting_max;
    of_match
}

/// Names of the scenario's knobs, or tables of them, that differ between two matches.
pub(in crate::report) fn differing_knobs(one: &Scenario, other: &Scenario) -> Vec<String> {
    let knobs = |scenario: &Scenario| match serde_json::to_value(scenario) {
        Ok(serde_json::Value::Object(knobs)) => knobs,
        _ => serde_json::Map::new(),
    };
    let (one, other) = (knobs(one), knobs(other));
    one.iter().filter(|(name, value)| other.get(*name) != Some(value)).map(|(name, _)| name.clone()).collect()
}
