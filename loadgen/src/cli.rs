//! The command line. Exit codes: 0 done, 1 failed run (something was lost, the generator lagged, a server is not
//! there), 2 wrong usage or scenario.

use crate::play::Targets;
use crate::scenario::Scenario;
use crate::{demo, fan_out, play, watch};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use uproar_client::Trust;
use uproar_loadgen::fleet::{FleetConfig, SUBSCRIBERS_MAX};
use uproar_wire::RoomId;

#[derive(Parser)]
#[command(
    name = "uproar-loadgen",
    version,
    about = "The crowd: plays a match against Uproar and says what was counted"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play a scenario against a running appliance.
    Run {
        /// The scenario, see loadgen/scenarios/.
        scenario: PathBuf,
        /// UDP port for reaction datagrams.
        #[arg(long, default_value = "127.0.0.1:7400")]
        reactions: SocketAddr,
        /// Public HTTP port.
        #[arg(long, default_value = "127.0.0.1:8080")]
        http: SocketAddr,
        /// Admin port, whose metrics the run is checked against.
        #[arg(long, default_value = "127.0.0.1:9100")]
        admin: SocketAddr,
        #[command(flatten)]
        quic: Quic,
        /// Write the report as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Start an appliance on loopback, play a match against it, show its frames, check that nothing was lost.
    Demo {
        /// Length of the match in seconds.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(5..=3600))]
        seconds: u32,
        /// Taps a second while nothing happens; moments multiply them.
        #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
        taps_per_second: u32,
        /// Shards of the appliance.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=128))]
        shards: u32,
    },
    /// Show a room's frames live.
    Watch {
        #[command(flatten)]
        quic: Quic,
        /// The room.
        #[arg(long, default_value_t = 1)]
        room: u32,
    },
    /// Seat many thousand subscribers in one thread and see whether each gets every frame. Believes any certificate.
    Fleet {
        /// QUIC port.
        #[arg(long, default_value = "127.0.0.1:7443")]
        quic: SocketAddr,
        /// Name the server's certificate is asked for.
        #[arg(long, default_value = "localhost")]
        server_name: String,
        /// How many subscribers; on loopback each has its own address.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=SUBSCRIBERS_MAX as i64))]
        subscribers: u32,
        /// What each watches.
        #[arg(long, default_value = "1", value_delimiter = ',')]
        rooms: Vec<u32>,
        /// How long to watch once all are subscribed.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=86_400))]
        seconds: u32,
        /// Subscribers on their way at a time.
        #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
        connecting_max: u32,
        /// Core of the thread.
        #[arg(long)]
        core: Option<usize>,
        /// Resume TLS sessions.
        #[arg(long)]
        resume: bool,
        /// Write windows and totals as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// The demo's server process.
    #[command(hide = true)]
    Appliance {
        /// What `uproar` is given, program name first.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

#[derive(Args)]
struct Quic {
    /// QUIC port, for subscribers and reactions.
    #[arg(long, default_value = "127.0.0.1:7443")]
    quic: SocketAddr,
    /// Name the server's certificate is for.
    #[arg(long, default_value = "localhost")]
    server_name: String,
    /// Certificate authorities to believe, as PEM. On loopback any certificate is believed without.
    #[arg(long)]
    ca: Option<PathBuf>,
}

impl Quic {
    fn trust(&self) -> Result<Trust, String> {
        match &self.ca {
            Some(file) => {
                let pem = std::fs::read(file).map_err(|error| format!("--ca {}: {error}", file.display()))?;
                Trust::roots_from_pem(&pem).map_err(|error| format!("--ca {}: {error}", file.display()))
            }
            None if self.quic.ip().is_loopback() => Ok(Trust::DangerAnyCertificate),
            None => Err(format!("--quic {} is not on loopback: say with --ca FILE whom to believe", self.quic)),
        }
    }
}

/// Parses the process's arguments and does what they say.
pub(crate) fn run() -> ExitCode {
    // clap prints usage errors and exits with 2 by itself.
    match Cli::parse().command {
        Command::Run { scenario, reactions, http, admin, quic, json } => {
            let prepared = Scenario::load(&scenario).map_err(|error| error.to_string()).and_then(|scenario| {
                let trust = quic.trust()?;
                Ok((
                    scenario,
                    Targets { reactions, http, admin, quic: quic.quic, server_name: quic.server_name, trust },
                ))
            });
            match prepared {
                Ok((scenario, targets)) => finish(play::run(&scenario, &targets, json.as_deref())),
                Err(error) => usage(&error),
            }
        }
        Command::Demo { seconds, taps_per_second, shards } => finish(demo::run(seconds, taps_per_second, shards)),
        Command::Watch { quic, room } => match quic.trust() {
            Ok(trust) => finish(watch::run(quic.quic, &quic.server_name, trust, RoomId(room))),
            Err(error) => usage(&error),
        },
        Command::Fleet { quic, server_name, subscribers, rooms, seconds, connecting_max, core, resume, json } => {
            let rooms = rooms.into_iter().map(RoomId).collect();
            let config = FleetConfig {
                server_name,
                connecting_max: connecting_max as usize,
                core,
                resume,
                ..FleetConfig::new(quic, rooms, subscribers as usize)
            };
            match config.check() {
                Ok(()) => finish(fan_out::run(config, Duration::from_secs(seconds.into()), json.as_deref())),
                Err(error) => usage(&error),
            }
        }
        Command::Appliance { args } => crate::appliance::serve(args),
    }
}

fn finish(passed: Result<bool, String>) -> ExitCode {
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(1)
        }
    }
}

fn usage(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn away_from_loopback_an_authority_must_be_named() {
        let quic = |address: &str| Quic { quic: address.parse().unwrap(), server_name: "x".into(), ca: None };
        assert!(quic("127.0.0.1:7443").trust().is_ok());
        assert!(quic("192.0.2.1:7443").trust().unwrap_err().contains("--ca"));
    }

    #[test]
    fn the_appliance_gets_its_arguments_untouched() {
        let cli = Cli::try_parse_from(["x", "appliance", "--", "uproar", "serve", "--shards", "2"]).unwrap();
        let Command::Appliance { args } = cli.command else { panic!("another command") };
        assert_eq!(args, ["uproar", "serve", "--shards", "2"]);
    }
}
