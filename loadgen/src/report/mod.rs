//! Everything a run found out, as JSON for programs. [`Report`] is what is published; its schema is in
//! `loadgen/schema/report.schema.json`.
//!
//! 1. This file and [`rows`]: the shape. [`Latency`] keeps whole histograms, so that results of several machines add up.
//! 2. [`agreement`]: a window's frame beside what was sent. `server`: what its counters say. `sums`: what follows from the
//!    rows.
//! 3. `judge`: what the limits say. `locate`: where lost taps were last seen.
//! 4. [`merge`]: several machines' reports as one. [`compare`]: two reports, side by side.
//! 5. `visitors`: who taps and is no part of the crowd.
//! 6. `text`: for people. [`hgrm`] and [`hlog`]: for HdrHistogram's tools. [`schema`]: the shape, for programs. [`mod@file`]: how
//!    all of them are written.
//!
//! Invariant: a run passes only if there is no finding. A finding says how much, and where it was last seen.

pub mod agreement;
pub mod compare;
pub mod file;
pub mod hgrm;
pub mod hlog;
mod judge;
mod latency;
mod locate;
pub mod merge;
pub mod rows;
pub mod schema;
pub mod server;
mod sums;
#[cfg(test)]
pub(crate) mod synthetic;
pub mod text;
mod visitors;

pub use latency::{HistogramError, Latency, Quantiles};
pub use rows::{
    Act, EmojiRow, Environment, Generator, Hostile, Interrupted, Loss, Place, Rates, Real, RoomRow, Server,
    Subscribers, Threshold, TransportRow, Verdict, WindowRow,
};

use crate::crowd::Part;
use crate::scenario::Scenario;
use crate::server_watch::ServerSeries;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use uproar::input::{Input, InputError};
use uproar::limits::PIPE_PATIENCE;

/// Bytes of a report that is read: a match of a day in a thousand rooms.
const REPORT_BYTES_MAX: u64 = 512 << 20;

/// Version of the format; another major number means that old readers do not understand it.
pub const FORMAT: &str = "uproar-loadgen/1.1";

/// The result of a run, or of several parts of one.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The format: `uproar-loadgen/MAJOR.MINOR`. Readers refuse another major number.
    pub format: String,
    /// What the run is worth.
    pub verdict: Verdict,
    /// Whether it passed: the same in one bit.
    pub passed: bool,
    /// What is wrong, a sentence each.
    pub findings: Vec<String>,
    /// What a reader should know that is not wrong, a sentence each.
    pub notes: Vec<String>,
    /// The limits, each with what was measured.
    pub thresholds: Vec<Threshold>,
    /// Where what is in no frame was last seen.
    pub losses: Vec<Loss>,
    /// The parts of the crowd that are in it, as `3/10`; `1/1` is all of it.
    pub parts: Vec<String>,
    /// When the match started, as Unix time in milliseconds.
    pub start_unix_ms: u64,
    /// People simulated: of all parts that are in this report.
    pub people: u64,
    /// Of these, who tapped at least once.
    pub people_acted: u64,
    /// Taps the plan had.
    pub taps_planned: u64,
    /// Taps sent: handed to the kernel, or confirmed where the transport confirms.
    pub taps_sent: u64,
    /// Taps sent by requests that were never answered: counted or not.
    pub taps_unconfirmed: u64,
    /// Taps refused or failed.
    pub taps_refused: u64,
    /// Taps that were given up, as their moment was long over.
    pub taps_unsent: u64,
    /// Taps in frames of the match's windows; also those of others who tapped.
    pub taps_framed: u64,
    /// Taps sent that are in no frame, room by room.
    pub taps_lost: u64,
    /// Taps in frames of the match's windows that visitors made, where some are invited; `null` where nobody else may tap.
    #[serde(default)]
    pub visitors: Option<u64>,
    /// What ended the match before its end; `null` when it was played to its end. What was not played is in no other figure: it
    /// does not count as planned.
    #[serde(default)]
    pub interrupted: Option<Interrupted>,
    /// `taps_sent` over `taps_planned`.
    pub achieved_ratio: f64,
    /// 99th percentile of how late the generator itself was, in microseconds.
    pub generator_lag_p99_us: u64,
    /// What was not simulated.
    pub real: Real,
    /// What was concluded from less than was asked for, a sentence each. Nothing ever is, unless it says so here.
    pub extrapolated: Vec<String>,
    /// By way in.
    pub transports: Vec<TransportRow>,
    /// By room.
    pub rooms: Vec<RoomRow>,
    /// By room and window.
    pub windows: Vec<WindowRow>,
    /// Subscribers and what they got.
    pub subscribers: Subscribers,
    /// What subscribers did beside watching.
    pub acts: Vec<Act>,
    /// Input that was sent to be refused, if any was.
    pub hostile: Option<Hostile>,
    /// Latencies by name, in microseconds: `tap_to_frame`, `tap_to_202`, `window_end_to_frame`, `frame_spread`, `frame_staleness`, `handshake`,
    /// `subscribe`, `generator_lag`. One that was not measured is not there.
    pub latency: BTreeMap<String, Latency>,
    /// Rates over the match.
    pub rates: Rates,
    /// What the server's metrics say, unless they could not be read.
    pub server: Option<Server>,
    /// Why the server's metrics could not be read, if that was asked for and failed.
    pub server_error: Option<String>,
    /// Whether its metrics could be read before the match and not after it: it ended, or no longer answers.
    #[serde(default)]
    pub server_lost: bool,
    /// The server's metrics over the match.
    pub server_series: Option<ServerSeries>,
    /// What it cost to generate.
    pub generator: Generator,
    /// Where it ran.
    pub environment: Environment,
    /// The scenario as it was played.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub scenario: Scenario,
}

/// Why a file is not a report.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: InputError,
    },
    /// It is no report; the parser says where it stopped.
    #[error("{file} is not a report: {source}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It is of another major version.
    #[error("{file} has the format {format}, which this program cannot read; it reads {FORMAT}")]
    Format {
        /// The file.
        file: String,
        /// Its format.
        format: String,
    },
}

/// Why a report cannot be written to a file.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A histogram cannot be read.
    #[error("latency {measure}: {source}")]
    Histogram {
        /// Which.
        measure: String,
        /// What is wrong with it.
        source: HistogramError,
    },
    /// A file cannot be written.
    #[error("{file}: {source}")]
    Unwritable {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
}

/// What is read first, as the rest depends on it.
#[derive(Deserialize)]
struct Head {
    format: String,
}

impl Report {
    /// Reads a file.
    ///
    /// # Errors
    /// Says which file, and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ReadError> {
        let file = || path.display().to_string();
        let read = Input::file_or_pipe(REPORT_BYTES_MAX, PIPE_PATIENCE).read_text(path);
        let text = read.map_err(|source| ReadError::Unreadable { file: file(), source })?;
        let malformed = |source| ReadError::Malformed { file: file(), source };
        let head: Head = serde_json::from_str(&text).map_err(malformed)?;
        if major(&head.format) != major(FORMAT) {
            return Err(ReadError::Format { file: file(), format: head.format });
        }
        serde_json::from_str(&text).map_err(malformed)
    }

    /// Writes it to a file, as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), WriteError> {
        file::write(path, self.to_json().as_bytes())
            .map_err(|source| WriteError::Unwritable { file: path.display().to_string(), source })
    }

    /// As it is written to a file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|error| unreachable!("keys are text: {error}"))
    }

    /// Whether all parts of the crowd are in it.
    pub fn is_whole(&self) -> bool {
        let of = |text: &String| text.parse().ok().map(|part: Part| part.of);
        self.parts.first().and_then(of).is_some_and(|of| of as usize == self.parts.len())
    }
}

fn major(format: &str) -> &str {
    format.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic::Play;

    #[test]
    fn a_report_survives_its_file() {
        let (folder, report) = (tempfile::tempdir().unwrap(), Play::new(1).report(Part::WHOLE));
        let path = folder.path().join("report.json");
        report.write(&path).unwrap();
        assert_eq!(Report::load(&path).unwrap(), report);
        assert!(
            report.write(&folder.path().join("no/report.json")).unwrap_err().to_string().contains("no/report.json")
        );
    }

    #[test]
    fn what_is_not_a_report_is_named_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.json");
        for (text, says) in [
            ("{\"format\": \"uproar-loadgen/2.0\", \"new\": 1}", "uproar-loadgen/2.0"),
            ("{\"format\": \"uproar-loadgen/1.7\"}", "is not a report: missing field"),
            ("no", "is not a report"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Report::load(&path).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("other.json"), "{error}");
        }
        assert!(Report::load(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
        for (path, said) in [("/dev/zero", "it is a device"), ("/", "it is a directory")] {
            let error = Report::load(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(path) && error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_whole_has_all_its_parts() {
        let of = |parts: &[&str]| Report {
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
            ..Play::new(1).report(Part::WHOLE)
        };
        assert!(of(&["1/1"]).is_whole() && of(&["1/2", "2/2"]).is_whole());
        assert!(!of(&["1/2"]).is_whole() && !of(&[]).is_whole());
    }

    #[test]
    fn the_agreed_names_are_at_the_top_level() {
        let json = serde_json::to_value(Play::new(1).report(Part::WHOLE)).unwrap();
        for key in ["people", "people_acted", "taps_sent", "taps_framed", "achieved_ratio", "generator_lag_p99_us"] {
            assert!(json[key].is_number(), "{key}");
        }
        for key in ["machines", "udp_sockets", "http_connections", "quic_connections"] {
            assert!(json["real"][key].is_number(), "{key}");
        }
    }
}
