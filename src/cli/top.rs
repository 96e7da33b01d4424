//! `uproar top`: its flags, and which of its forms they ask for.

use super::{FAILURE, fail, print};
use crate::edge::{output, terminal};
use crate::top::scrape::{AdminAddress, Scraper};
use crate::top::{self, INTERVAL, INTERVAL_LIVE, INTERVAL_ONCE};
use clap::Args;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

/// What to look at, and how.
#[derive(Args)]
pub(super) struct TopArgs {
    /// Admin port of the server.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9100")]
    admin: AdminAddress,
    /// How often the server is read, 100ms to 1h [default: 1s; 2.5s with --once].
    #[arg(long, value_name = "TIME", value_parser = interval)]
    interval: Option<Duration>,
    /// Read the server twice, print what it did in between, and end.
    #[arg(long)]
    once: bool,
    /// The same as JSON; implies --once.
    #[arg(long)]
    json: bool,
}

/// Shows the server.
pub(super) fn run(args: TopArgs) -> ExitCode {
    let mut scraper = Scraper::new(args.admin);
    if args.once || args.json {
        return once(&mut scraper, args.interval.unwrap_or(INTERVAL_ONCE), args.json);
    }
    // Keys come from standard input, or from the terminal itself when that is something else.
    if !std::io::stdout().is_terminal() || !terminal::moves_cursor() {
        return follow(&mut scraper, args.interval.unwrap_or(INTERVAL_ONCE));
    }
    match top::watch::run(scraper, args.interval.unwrap_or(INTERVAL_LIVE)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILURE, &error),
    }
}

fn once(scraper: &mut Scraper, interval: Duration, json: bool) -> ExitCode {
    let figures = match top::once(scraper, interval) {
        Ok(figures) => figures,
        Err(error) => return fail(FAILURE, &error),
    };
    if !json {
        return print(&terminal::shown(&top::text::page(&scraper.address().to_string(), &figures)));
    }
    match serde_json::to_string_pretty(&figures) {
        Ok(text) => print(&(text + "\n")),
        Err(error) => fail(FAILURE, &error),
    }
}

/// Page after page, until a signal or the reader ends it.
fn follow(scraper: &mut Scraper, interval: Duration) -> ExitCode {
    match top::follow::follow(scraper, interval, |page| output::print(&terminal::shown(page))) {
        Ok(unwritten) => unwritten.exit_code().into(),
        Err(error) => fail(FAILURE, &error),
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).ok().filter(|time| INTERVAL.contains(time));
    time.ok_or_else(|| "give a time from 100ms to 1h, such as 2s".into())
}
