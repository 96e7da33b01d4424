//! The command line. Exit codes: 0 done, 1 failed run (something was lost, a limit is not kept, the generator lagged, a
//! server is not there, a result could not be written), 2 wrong usage or scenario, 3 interrupted by a signal, 141 the reader of
//! standard output has gone.

mod address;
mod files;
mod run;

use crate::audience::auditors::QuicTarget;
use crate::demo::{self, DemoError};
use crate::fan_out::{self, FanOutError};
use crate::interrupt::Interrupt;
use crate::plan;
use crate::play::{self, RunError};
use crate::report::{Report, file};
use crate::watch::{self, WatchError};
use address::Address;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use std::ffi::OsString;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use uproar::edge::output::{self, Unwritten};
use uproar::edge::sys::descriptor;
use uproar::input::Input;
use uproar::limits::{PEM_BYTES_MAX, PIPE_PATIENCE};
use uproar_client::{Client, Trust};
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
        /// The process without which it does not serve.
        #[arg(long)]
        parent: Option<u32>,
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
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7443")]
    quic: Address,
    /// Name the server's certificate is for [default: the host of --quic if that is a name, else localhost].
    #[arg(long)]
    server_name: Option<String>,
    /// Certificate authorities to believe, as PEM. On loopback any certificate is believed without.
    #[arg(long)]
    ca: Option<PathBuf>,
}

impl Quic {
    /// Looks up where the server is. Of several addresses the first one is used at which it welcomes a connection.
    fn target(&self, known: &[SocketAddr]) -> Result<QuicTarget, Failure> {
        let name = self.server_name.clone().or_else(|| self.quic.name().map(str::to_owned));
        let name = name.unwrap_or_else(|| "localhost".into());
        let welcomes = |address: &SocketAddr| {
            self.trust(*address)
                .is_ok_and(|trust| is_welcome(QuicTarget { address: *address, name: name.clone(), trust }))
        };
        let address = self.quic.resolve("--quic", known, welcomes).map_err(Failure::Run)?;
        let trust = self.trust(address).map_err(Failure::Usage)?;
        Ok(QuicTarget { address, name, trust })
    }

    fn trust(&self, address: SocketAddr) -> Result<Trust, String> {
        match &self.ca {
            Some(file) => {
                let pem = Input::file_or_pipe(PEM_BYTES_MAX, PIPE_PATIENCE).read(file);
                let pem = pem.map_err(|error| format!("--ca {}: {error}", file.display()))?;
                Trust::roots_from_pem(&pem).map_err(|error| format!("--ca {}: {error}", file.display()))
            }
            None if address.ip().is_loopback() => Ok(Trust::DangerAnyCertificate),
            None => Err(format!("--quic {} is not on loopback: say with --ca FILE whom to believe", self.quic)),
        }
    }
}

/// Whether a server completes a handshake there.
fn is_welcome(target: QuicTarget) -> bool {
    let Ok(runtime) = play::runtime() else { return false };
    runtime.block_on(async move {
        let connecting = Client::connect(target.address, &target.name, target.trust);
        match tokio::time::timeout(address::TRY_MAX, connecting).await {
            Ok(Ok(client)) => {
                client.close().await;
                true
            }
            _ => false,
        }
    })
}

/// Why a command did not do what was asked for.
enum Failure {
    /// What was asked for cannot be meant.
    Usage(String),
    /// It went wrong.
    Run(String),
    /// A signal came before there was anything to tell.
    Interrupted(String),
    /// Its result could not be written.
    Unwritten(Unwritten),
}

impl From<Unwritten> for Failure {
    fn from(error: Unwritten) -> Self {
        Self::Unwritten(error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Interrupted => Self::Interrupted(error.to_string()),
            error => Self::Run(error.to_string()),
        }
    }
}

/// How a command ended that has told what it found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// Nothing is wrong.
    Passed,
    /// Something is wrong.
    Failed,
    /// A signal ended it before its time.
    Interrupted,
}

impl Ended {
    fn of(report: &Report) -> Self {
        match report.passed {
            _ if report.interrupted.is_some() => Self::Interrupted,
            true => Self::Passed,
            false => Self::Failed,
        }
    }

    fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => FAILED,
            Self::Interrupted => INTERRUPTED,
        }
    }
}

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const INTERRUPTED: u8 = 3;

/// The command line, as clap knows it: every subcommand and flag.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the process's arguments and does what they say.
pub fn run() -> ExitCode {
    // Thousands of connections need as many; who needs more than may be had is told where they are opened.
    let _ = descriptor::raise_open_files();
    match Cli::try_parse() {
        Ok(cli) => dispatch(cli.command).unwrap_or_else(|failure| failure.exit_code().into()),
        Err(answer) => uproar::cli::answered(&answer),
    }
}

impl Failure {
    /// Says what it is; the exit code.
    fn exit_code(&self) -> u8 {
        let (code, error) = match self {
            Self::Unwritten(error) => return error.exit_code(),
            Self::Usage(error) => (USAGE, error),
            Self::Run(error) => (FAILED, error),
            Self::Interrupted(error) => (INTERRUPTED, error),
        };
        output::complain(error);
        code
    }
}

/// Prints a result. What was found wrong counts more than that nobody could read it.
fn show(text: &dyn Display, ended: Ended) -> Result<Ended, Failure> {
    match output::print(text) {
        Ok(()) => Ok(ended),
        Err(error) if ended == Ended::Passed => Err(error.into()),
        Err(error) => {
            let _ = error.exit_code();
            Ok(ended)
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    let ended = match command {
        Command::Run(args) => run::run(&args)?,
        Command::Merge(args) => files::merge(&args)?,
        Command::Compare(args) => files::compare(&args)?,
        Command::Plan { what, json } => show(&plan::text(what.scenario()?, what.part, json), Ended::Passed)?,
        Command::Schema => show(&crate::report::schema::to_json(), Ended::Passed)?,
        Command::Demo { seconds, taps_per_second, shards } => {
            let interrupt = interrupt()?;
            let report = demo::run(seconds, taps_per_second, shards, &interrupt)?;
            Ended::of(&report)
        }
        Command::Watch { quic, room } => {
            watch::run(&quic.target(&[])?, RoomId(room), &interrupt()?)?;
            Ended::Passed
        }
        Command::Fleet(args) => fleet(*args)?,
        Command::Appliance { parent, args } => return Ok(crate::appliance::serve(parent, args)),
    };
    Ok(ended.exit_code().into())
}

fn interrupt() -> Result<Interrupt, Failure> {
    Interrupt::by_signals().map_err(|error| Failure::Run(error.to_string()))
}

impl From<WatchError> for Failure {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Unwritten(error) => Self::Unwritten(error),
            error => Self::Run(error.to_string()),
        }
    }
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::Unwritten(error) => Self::Unwritten(error),
            DemoError::Run(error) => error.into(),
            error => Self::Run(error.to_string()),
        }
    }
}

fn fleet(args: FleetArgs) -> Result<Ended, Failure> {
    let rooms = args.rooms.into_iter().map(RoomId).collect();
    let QuicTarget { address, name, trust } = args.quic.target(&[])?;
    let config = FleetConfig {
        trust,
        server_name: name,
        connecting_max: args.connecting_max as usize,
        core: args.core,
        resume: args.resume,
        ..FleetConfig::new(address, rooms, args.subscribers as usize)
    };
    config.check().map_err(Failure::Usage)?;
    if let Some(path) = &args.json {
        file::check(path).map_err(|error| Failure::Usage(format!("--json {}: {error}", path.display())))?;
    }
    let interrupt = interrupt()?;
    let watch = Duration::from_secs(args.seconds.into());
    match fan_out::run(config, watch, args.json.as_deref(), &interrupt) {
        Ok(_) if interrupt.is_raised() => Ok(Ended::Interrupted),
        Ok(true) => Ok(Ended::Passed),
        Ok(false) => Ok(Ended::Failed),
        Err(FanOutError::Unwritten(error)) => Err(error.into()),
        Err(error @ FanOutError::Interrupted) => Err(Failure::Interrupted(error.to_string())),
        Err(error) => Err(Failure::Run(error.to_string())),
    }
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
        let trust = |address: &str| {
            let quic = Quic { quic: address.parse().unwrap(), server_name: None, ca: None };
            quic.trust(address.parse().unwrap())
        };
        assert!(trust("127.0.0.1:7443").is_ok() && trust("[::1]:7443").is_ok());
        assert!(trust("192.0.2.1:7443").unwrap_err().contains("--ca"));
    }

    #[test]
    fn a_certificate_is_for_the_name_that_was_given() {
        let name = |flags: &[&str]| {
            let cli = Cli::try_parse_from([&["x", "watch"], flags].concat()).unwrap_or_else(|error| panic!("{error}"));
            let Command::Watch { quic, .. } = cli.command else { panic!("another command") };
            quic.target(&[]).map(|target| target.name).unwrap_or_else(|_| panic!("no target"))
        };
        assert_eq!(name(&[]), "localhost");
        assert_eq!(name(&["--quic", "[::1]:1"]), "localhost");
        assert_eq!(name(&["--quic", "[::1]:1", "--server-name", "node.example"]), "node.example");
    }

    #[test]
    fn the_appliance_gets_its_arguments_untouched() {
        let cli = Cli::try_parse_from(["x", "appliance", "--", "uproar", "serve", "--shards", "2"]).unwrap();
        let Command::Appliance { parent: None, args } = cli.command else { panic!("another command") };
        assert_eq!(args, ["uproar", "serve", "--shards", "2"]);
    }

    #[test]
    fn a_part_is_a_fraction() {
        let parsed = |part: &str| Cli::try_parse_from(["x", "run", "match.toml", "--part", part]).is_ok();
        assert_eq!(["3/10", "1/1", "11/10", "3"].map(parsed), [true, true, false, false]);
    }
}
