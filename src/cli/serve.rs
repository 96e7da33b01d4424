//! `uproar serve`: its flags, and the way from them to a running appliance.

use super::{FAILURE, USAGE, fail};
use crate::appliance::{self, ServeError};
use crate::config::{CONFIG_VARIABLE, ConfigSource, Overrides};
use crate::edge::{last_words, log};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Values that go over the environment (UPROAR_...), which goes over the configuration file.
#[derive(Args)]
pub(super) struct ServeArgs {
    /// Configuration file, TOML [env: UPROAR_CONFIG].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Reaction datagrams, UDP [default: 0.0.0.0:7400].
    #[arg(long, value_name = "ADDR")]
    reactions: Option<String>,
    /// Subscribers and reactions by QUIC, UDP [default: 0.0.0.0:7443].
    #[arg(long, value_name = "ADDR")]
    quic: Option<String>,
    /// Public HTTP, TCP [default: 0.0.0.0:8080].
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
    /// Metrics, health and rooms, TCP [default: 127.0.0.1:9100].
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Cores to use [default: all].
    #[arg(long, value_name = "N")]
    shards: Option<String>,
    /// Length of a counting window [default: 2s].
    #[arg(long, value_name = "TIME")]
    window: Option<String>,
    /// Emoji that a frame names [default: 8].
    #[arg(long, value_name = "N")]
    top_k: Option<String>,
    /// TLS certificate chain, PEM [default: a self-signed one for development].
    #[arg(long, value_name = "FILE")]
    certificate: Option<String>,
    /// Private key of the certificate, PEM.
    #[arg(long, value_name = "FILE")]
    private_key: Option<String>,
    /// How long the node goes on while subscribers are sent away, before it drains [default: 0s].
    #[arg(long, value_name = "TIME")]
    drain_duration: Option<String>,
    /// How long connections have to take the last frames when draining [default: 10s].
    #[arg(long, value_name = "TIME")]
    drain_timeout: Option<String>,
    /// How much is logged: off, error, warn, info, debug or trace [default: info].
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// How the log is written: text or json [default: text].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Refuse to start where the start-up checks find something to warn of.
    #[arg(long)]
    strict: bool,
}

impl ServeArgs {
    /// The same as values of knobs.
    pub(super) fn overrides(self) -> Overrides {
        Overrides::default()
            .with("--reactions", "listen.reactions", self.reactions)
            .with("--quic", "listen.quic", self.quic)
            .with("--http", "listen.http", self.http)
            .with("--admin", "listen.admin", self.admin)
            .with("--shards", "shards", self.shards)
            .with("--window", "window", self.window)
            .with("--top-k", "top_k", self.top_k)
            .with("--certificate", "quic.certificate", self.certificate)
            .with("--private-key", "quic.private_key", self.private_key)
            .with("--drain-duration", "drain.duration", self.drain_duration)
            .with("--drain-timeout", "drain.timeout", self.drain_timeout)
            .with("--log", "log", self.log)
            .with("--log-format", "log_format", self.log_format)
            .with("--strict", "strict", self.strict.then(|| "true".into()))
    }
}

/// Serves until told to stop.
pub(super) fn run(mut args: ServeArgs) -> ExitCode {
    let source = ConfigSource::new(config_file(args.config.take()), std::env::vars_os(), args.overrides());
    let loaded = match source.load() {
        Ok(loaded) => loaded,
        Err(error) => return fail(USAGE, &error),
    };
    let format = loaded.config.log_format;
    let log = log::start(loaded.config.log, format);
    let served = appliance::serve(loaded, source, &log, FAILURE);
    // What was logged comes before what the process ends with.
    drop(log);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::say_failure(format, &error);
            last_words::await_backtraces();
            ExitCode::from(code_of(&error))
        }
    }
}

/// The file of the flag, or of the environment. A variable that is empty names none.
pub(super) fn config_file(flag: Option<PathBuf>) -> Option<PathBuf> {
    flag.or_else(|| std::env::var_os(CONFIG_VARIABLE).filter(|file| !file.is_empty()).map(PathBuf::from))
}

/// What the process ends with: a supervisor that starts it again helps where nobody has to mend the configuration first.
pub(super) fn code_of(error: &ServeError) -> u8 {
    if error.is_of_configuration() { USAGE } else { FAILURE }
}
