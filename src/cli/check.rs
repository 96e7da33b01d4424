//! `uproar config check`: whether a server would start with a configuration.

use super::serve::code_of;
use super::{fail, print};
use crate::appliance;
use crate::config::{ConfigSource, Overrides};
use crate::edge::output;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to check.
#[derive(Args)]
pub(super) struct CheckArgs {
    /// The file.
    file: PathBuf,
    /// Take warnings for errors, as a server with `--strict` does.
    #[arg(long)]
    strict: bool,
    /// Judge only what the file says: not the environment, and not the certificate, the key and the key file, which may be on
    /// another machine.
    #[arg(long)]
    file_only: bool,
}

/// Prints warnings, then that the file is valid, or why it is not.
pub(super) fn run(args: CheckArgs) -> ExitCode {
    let strict = Overrides::default().with("--strict", "strict", args.strict.then(|| "true".into()));
    let name = args.file.display().to_string();
    if args.file_only {
        return match ConfigSource::new(Some(args.file), std::iter::empty(), strict).load() {
            Ok(_) => print(&format!("{name}: valid\n")),
            Err(error) => fail(super::USAGE, &error),
        };
    }
    match appliance::check(&ConfigSource::new(Some(args.file), std::env::vars_os(), strict)) {
        Ok(gaps) => {
            warn_of(&gaps);
            print(&format!("{name}: valid\n"))
        }
        Err(error) => fail(code_of(&error), &error),
    }
}

/// One line a warning on standard error.
pub(super) fn warn_of(gaps: &[impl std::fmt::Display]) {
    for gap in gaps {
        output::say(&format_args!("warning: {gap}"));
    }
}
