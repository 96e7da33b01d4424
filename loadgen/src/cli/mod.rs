//! The command line. Exit codes: 0 done, 1 failed run (something was lost, a limit is not kept, the generator lagged, a
//! server is not there), 2 wrong usage or scenario.

mod files;
mod run;

use crate::plan;
use crate::{demo, fan_out, watch};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use uproar::edge::sys::descriptor;
use uproar_client::Trust;
use uproar_wire::RoomId;

use crate::fleet::{FleetConfig, SUBSCRIBERS_MAX};

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
    /// Play a scenario against a running appliance, and check every tap.
    Run(Box<run::Run>),
    /// Add up the reports of several machines that each played a part of one match, exactly.
    Merge(files::Merge),
    /// Show two reports side by side, with a verdict for each figure.
    Compare(files::Compare),
    /// Say what a scenario sends, without sending anything: taps, people, and a digest that parts add up to.
    Plan {
        #[command(flatten)]
        what: run::What,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON schema of reports.
    Schema,
    /// Start an appliance on loopback, play a match against it, show its frames, check that nothing was lost.
    Demo {
        /// Length of the match in seconds.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=3600))]
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
    /// Seat many thousand subscribers in one thread and see whether each gets every frame.
    Fleet(Box<FleetArgs>),
    /// The demo's server process.
    #[command(hide = true)]
    Appliance {
        /// What `uproar` is given, program name first.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

#[derive(Args)]
struct FleetArgs {
    #[command(flatten)]
    quic: Quic,
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

/// Why a command did not do what was asked for.
enum Failure {
    /// What was asked for cannot be meant.
    Usage(String),
    /// It went wrong.
    Run(String),
}

/// The command line, as clap knows it: every subcommand and flag.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the process's arguments and does what they say.
pub fn run() -> ExitCode {
    // Thousands of connections need as many; who needs more than may be had is told where they are opened.
    let _ = descriptor::raise_open_files();
    // clap prints usage errors and exits with 2 by itself.
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(Failure::Usage(error)) => failed(2, &error),
        Err(Failure::Run(error)) => failed(1, &error),
    }
}

/// Prints something on stdout. Whoever reads it may have gone, which is no failure of a match.
fn show(text: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn failed(code: u8, error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(code)
}

fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    let passed = match command {
        Command::Run(args) => run::run(&args)?,
        Command::Merge(args) => files::merge(&args)?,
        Command::Compare(args) => files::compare(&args)?,
        Command::Plan { what, json } => {
            plan::run(what.scenario()?, what.part, json);
            true
        }
        Command::Schema => {
            print!("{}", crate::report::schema::to_json());
            true
        }
        Command::Demo { seconds, taps_per_second, shards } => {
            demo::run(seconds, taps_per_second, shards).map_err(Failure::Run)?
        }
        Command::Watch { quic, room } => {
            let trust = quic.trust().map_err(Failure::Usage)?;
            watch::run(quic.quic, &quic.server_name, trust, RoomId(room)).map_err(Failure::Run)?
        }
        Command::Fleet(args) => fleet(*args)?,
        Command::Appliance { args } => return Ok(crate::appliance::serve(args)),
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn fleet(args: FleetArgs) -> Result<bool, Failure> {
    let rooms = args.rooms.into_iter().map(RoomId).collect();
    let config = FleetConfig {
        trust: args.quic.trust().map_err(Failure::Usage)?,
        server_name: args.quic.server_name,
        connecting_max: args.connecting_max as usize,
        core: args.core,
        resume: args.resume,
        ..FleetConfig::new(args.quic.quic, rooms, args.subscribers as usize)
    };
    config.check().map_err(Failure::Usage)?;
    fan_out::run(config, Duration::from_secs(args.seconds.into()), args.json.as_deref()).map_err(Failure::Run)
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

    #[test]
    fn a_part_is_a_fraction() {
        let parsed = |part: &str| Cli::try_parse_from(["x", "run", "match.toml", "--part", part]).is_ok();
        assert_eq!(["3/10", "1/1", "11/10", "3"].map(parsed), [true, true, false, false]);
    }
}
