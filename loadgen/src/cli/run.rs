//! `run`: plays a scenario and writes the report in every form that was asked for.

use super::address::{self, Address};
use super::{Ended, Failure, Quic};
use crate::audience::auditors::QuicTarget;
use crate::crowd::Part;
use crate::html;
use crate::live::Live;
use crate::play::{self, Options, Targets};
use crate::report::{Report, file, hgrm, hlog};
use crate::scenario::{Scenario, ScenarioError};
use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(super) struct Run {
    #[command(flatten)]
    what: What,
    /// When the match starts, as Unix time in seconds, for several machines at once; as soon as all are seated without.
    #[arg(long)]
    start_at: Option<u64>,
    /// UDP port for reaction datagrams.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7400")]
    reactions: Address,
    /// Public HTTP port.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    http: Address,
    /// Admin port, whose metrics the run is checked against.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9100")]
    admin: Address,
    #[command(flatten)]
    quic: Quic,
    #[command(flatten)]
    files: Files,
}

/// What is played.
#[derive(Args)]
pub(super) struct What {
    /// The scenario, see loadgen/scenarios/.
    scenario: PathBuf,
    /// People in the crowd, instead of the scenario's.
    #[arg(long)]
    crowd: Option<u32>,
    /// The part of the crowd that this machine plays, as in 3/10; ten such parts are the whole crowd.
    #[arg(long, default_value_t = Part::WHOLE)]
    pub(super) part: Part,
}

/// Where a report goes, beside the terminal.
#[derive(Args)]
pub(super) struct Files {
    /// Write the report as JSON; its schema is loadgen/schema/report.schema.json.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the delay from tap to frame as an HdrHistogram percentile distribution, other latencies beside it.
    #[arg(long)]
    hgrm: Option<PathBuf>,
    /// Write all latencies over time as an HdrHistogram interval log.
    #[arg(long)]
    hlog: Option<PathBuf>,
    /// Write the report as one HTML page with plots.
    #[arg(long)]
    html: Option<PathBuf>,
}

/// Plays; what the run was.
pub(super) fn run(args: &Run) -> Result<Ended, Failure> {
    let scenario = args.what.scenario()?;
    args.files.check()?;
    let targets = args.targets()?;
    let options = Options {
        part: args.what.part,
        start_unix_ms: args.start_at.map(|seconds| seconds.saturating_mul(1000)),
        visitors: false,
        interrupt: super::interrupt()?,
    };
    let mut live = Live::on_stderr();
    let runtime = play::runtime().map_err(|error| Failure::Run(error.to_string()))?;
    let played = runtime.block_on(play::play(scenario, &targets, &options, &mut live, None));
    // Threads that still send are not waited for.
    runtime.shutdown_background();
    drop(live);
    let report = played?;
    let written = args.files.write(&report);
    let shown = super::show(&report, Ended::of(&report));
    written.and(shown)
}

impl Run {
    /// The ports of TCP are found by asking them, and the others where those are.
    fn targets(&self) -> Result<Targets, Failure> {
        let tcp = |address: &Address, flag, known: &[SocketAddr]| {
            address.resolve(flag, known, address::takes_tcp).map_err(Failure::Run)
        };
        let http = tcp(&self.http, "--http", &[])?;
        let admin = tcp(&self.admin, "--admin", &[http])?;
        let QuicTarget { address: quic, name, trust } = self.quic.target(&[http, admin])?;
        let reactions = self.reactions.resolve("--reactions", &[quic, http, admin], SocketAddr::is_ipv4);
        Ok(Targets { reactions: reactions.map_err(Failure::Run)?, http, admin, quic, server_name: name, trust })
    }
}

impl What {
    /// Reads and checks the scenario; `crowd` goes over its people.
    pub(super) fn scenario(&self) -> Result<Scenario, Failure> {
        let usage = |error: ScenarioError| Failure::Usage(error.to_string());
        let mut scenario = Scenario::load(&self.scenario).map_err(usage)?;
        scenario.people = self.crowd.unwrap_or(scenario.people);
        scenario.check().map_err(usage)?;
        Ok(scenario)
    }
}

impl Files {
    /// Whether they can be written at all, before a long match is played for nothing.
    pub(super) fn check(&self) -> Result<(), Failure> {
        for (flag, file) in [("json", &self.json), ("hgrm", &self.hgrm), ("hlog", &self.hlog), ("html", &self.html)] {
            let Some(file) = file else { continue };
            let checked = file::check(file);
            checked.map_err(|error| Failure::Usage(format!("--{flag} {}: {error}", file.display())))?;
        }
        Ok(())
    }

    /// Writes what was asked for.
    pub(super) fn write(&self, report: &Report) -> Result<(), Failure> {
        type Write = fn(&Report, &Path) -> Result<(), String>;
        let files: [(&str, &Option<PathBuf>, Write); 4] = [
            ("json", &self.json, |report, to| report.write(to).map_err(|error| error.to_string())),
            ("hgrm", &self.hgrm, |report, to| hgrm::write(report, to).map(drop).map_err(|error| error.to_string())),
            ("hlog", &self.hlog, |report, to| hlog::write(report, to).map_err(|error| error.to_string())),
            ("html", &self.html, |report, to| {
                file::write(to, html::page(report).as_bytes()).map_err(|error| error.to_string())
            }),
        ];
        // One that cannot be written takes none of the others with it.
        let mut failures = Vec::new();
        for (flag, file, write) in files {
            if let Some(file) = file
                && let Err(error) = write(report, file)
            {
                failures.push(format!("--{flag} {}: {error}", file.display()));
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(Failure::Run(failures.join("; "))) }
    }
}
