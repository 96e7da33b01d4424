//! The command line: what was asked for, and the exit code that says how it went.
//!
//! Invariant: 0 is done, 1 is a failure while running, 2 is wrong usage or configuration, 141 is a reader of standard output
//! that has gone ([`output`]). While serving, standard
//! output carries only the `listening` lines and `ready`; the log and every error go to standard error.
//!
//! Not here: ranges of values. Flags are texts that [`crate::config`] judges, so that a wrong flag, variable or line
//! of the file reads alike.

mod check;
mod reload;
mod serve;
mod top;
mod tune;

use crate::config::Config;
use crate::edge::{output, terminal};
use clap::{CommandFactory as _, Parser, Subcommand};
use serve::ServeArgs;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::ExitCode;

const FAILURE: u8 = 1;
const USAGE: u8 = 2;

#[derive(Parser)]
#[command(name = "uproar", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take taps, count them, and show every subscriber the frames.
    Serve(Box<ServeArgs>),
    /// Show what a running server does.
    Top(top::TopArgs),
    /// Write or check a configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check the configuration, have a running server read it again, and say what came of it.
    Reload(reload::ReloadArgs),
    /// Compare the machine's settings with a profile, and set or restore them.
    Tune(tune::TuneArgs),
    /// Print the version.
    Version,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print a file with every knob, its default and its range.
    Default,
    /// Say whether `serve` would start with this file: its values, those of the environment, and the files that it names.
    Check(check::CheckArgs),
}

/// The command line, as clap knows it: every subcommand and flag.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Does what `args` (the program's name first) ask for.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(answer) => return answered(&answer),
    };
    match cli.command {
        Command::Serve(args) => serve::run(*args),
        Command::Top(args) => top::run(args),
        Command::Config(ConfigCommand::Default) => print(&Config::default_toml()),
        Command::Config(ConfigCommand::Check(args)) => check::run(args),
        Command::Reload(args) => reload::run(args),
        Command::Tune(args) => tune::run(&args),
        Command::Version => print(concat!("uproar ", env!("CARGO_PKG_VERSION"), "\n")),
    }
}

/// Prints what the parser of a command line answers instead of a command: help and version, or what is wrong with it.
pub fn answered(answer: &clap::Error) -> ExitCode {
    let text = answer.render();
    let show = |is_terminal: bool| match is_terminal && terminal::has_colours() {
        true => text.ansi().to_string(),
        false => text.to_string(),
    };
    if answer.use_stderr() {
        output::say(&show(std::io::stderr().is_terminal()).trim_end());
        return ExitCode::from(USAGE);
    }
    print(&show(std::io::stdout().is_terminal()))
}

fn print(text: &str) -> ExitCode {
    match output::print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.exit_code().into(),
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    output::complain(error);
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::level_filters::LevelFilter;

    /// The exit code of a command line.
    fn uproar(args: &[&str]) -> ExitCode {
        run(["uproar"].iter().chain(args).map(OsString::from))
    }

    #[test]
    fn what_is_asked_for_and_done_exits_with_0() {
        for args in [&["version"][..], &["--version"], &["--help"], &["serve", "--help"], &["config", "default"]] {
            assert_eq!(uproar(args), ExitCode::SUCCESS, "{args:?}");
        }
    }

    #[test]
    fn wrong_usage_exits_with_2() {
        for args in
            [&[][..], &["dance"], &["serve", "--loud"], &["serve", "--window"], &["config"], &["config", "check"]]
        {
            assert_eq!(uproar(args), ExitCode::from(2), "{args:?}");
        }
    }

    #[test]
    fn a_wrong_configuration_exits_with_2_before_anything_is_served() {
        for args in [
            &["serve", "--window", "1h"][..],
            &["serve", "--shards", "0"],
            &["serve", "--http", "nowhere"],
            &["serve", "--certificate", "c.pem"],
            &["serve", "--config", "/nonexistent/uproar.toml"],
            &["serve", "--config", ""],
            &["config", "check", "/nonexistent/uproar.toml"],
            &["reload", "--config", "/nonexistent/uproar.toml", "--pid", "0"],
            &["serve", "--certificate", "/nonexistent/c.pem", "--private-key", "/nonexistent/key.pem"],
        ] {
            assert_eq!(uproar(args), ExitCode::from(2), "{args:?}");
        }
    }

    #[test]
    fn the_default_file_passes_the_check() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), Config::default_toml()).unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(uproar(&["config", "check", path]), ExitCode::SUCCESS);
        std::fs::write(file.path(), "top_k = 65").unwrap();
        assert_eq!(uproar(&["config", "check", path]), ExitCode::from(2));
    }

    #[test]
    fn every_flag_sets_the_knob_it_names() {
        let flags = ["--reactions=127.0.0.1:1", "--quic=127.0.0.1:2", "--http=127.0.0.1:3", "--admin=127.0.0.1:4"];
        let more = ["--shards=5", "--window=6s", "--top-k=7", "--certificate=c", "--private-key=k"];
        let last = ["--drain-timeout=8s", "--log=error", "--log-format=json", "--strict"];
        let args = ["uproar", "serve"].into_iter().chain(flags).chain(more).chain(last);
        let Command::Serve(args) = Cli::try_parse_from(args).unwrap_or_else(|error| panic!("{error}")).command else {
            panic!("not serve");
        };
        let config = Config::load(None, std::iter::empty(), args.overrides()).unwrap();
        let ports = [config.listen.reactions, config.listen.quic, config.listen.http, config.listen.admin];
        assert_eq!(ports.map(|address| address.port()), [1, 2, 3, 4]);
        assert_eq!((config.shards, config.window.as_secs(), config.top_k), (Some(5), 6, 7));
        assert_eq!(config.quic.certificate, Some("c".into()));
        assert_eq!(config.quic.private_key, Some("k".into()));
        assert_eq!((config.drain.timeout.as_secs(), config.log), (8, LevelFilter::ERROR));
        assert_eq!((config.log_format, config.strict), (crate::config::LogFormat::Json, true));
    }
}
