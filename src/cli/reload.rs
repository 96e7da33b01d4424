//! `uproar reload`: what `systemctl reload` runs, so that it fails when the server goes on with the configuration of before.
//!
//! A signal brings no answer. So the configuration is checked first as a start would check it, and then the server's own count of
//! reloads says what came of the signal.

use super::check::warn_of;
use super::serve::{code_of, config_file};
use super::{FAILURE, fail, print};
use crate::appliance;
use crate::config::{ConfigSource, Overrides};
use crate::edge::sys::system;
use crate::top::scrape::{AdminAddress, ScrapeError, Scraper};
use clap::Args;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Which server, and what it reads.
#[derive(Args)]
pub(super) struct ReloadArgs {
    /// Configuration file that the server was started with [env: UPROAR_CONFIG].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Process of the server; systemd has it in $MAINPID.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pid: u32,
    /// Admin port of the server, which tells what came of it [default: that of the configuration].
    #[arg(long, value_name = "ADDR")]
    admin: Option<AdminAddress>,
    /// How long the server may take, 1s to 1h.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = timeout)]
    timeout: Duration,
}

/// How often the server is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// What the server has counted.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Counted {
    done: f64,
    refused: f64,
    is_draining: bool,
}

/// Checks, signals, and waits for the outcome.
pub(super) fn run(args: ReloadArgs) -> ExitCode {
    let source = ConfigSource::new(config_file(args.config), std::env::vars_os(), Overrides::default());
    let admin = match appliance::check(&source).and_then(|gaps| Ok((gaps, source.load()?))) {
        Ok((gaps, loaded)) => {
            warn_of(&gaps);
            args.admin.unwrap_or_else(|| reachable(loaded.config.listen.admin))
        }
        Err(error) => return fail(code_of(&error), &error),
    };
    let scraper = Scraper::new(admin);
    let before = counted(&scraper);
    if let Err(error) = system::send_sighup(args.pid) {
        return fail(
            FAILURE,
            &format!("process {}: {error}; is the server running, and yours to signal (--pid)?", args.pid),
        );
    }
    let before = match before {
        Ok(before) => before,
        Err(error) => return fail(FAILURE, &unheard(args.pid, &error)),
    };
    match outcome(&scraper, before, args.timeout) {
        Ok(()) => print("reloaded\n"),
        Err(why) => fail(FAILURE, &why),
    }
}

/// Waits until the server has counted one reload more.
#[allow(clippy::disallowed_methods, reason = "a program of its own beside the server reads its own clock and waits")]
fn outcome(scraper: &Scraper, before: Counted, longest: Duration) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let now = counted(scraper).map_err(|error| format!("{error}; whether it was reloaded is in its log"))?;
        match now {
            now if now.refused > before.refused => {
                return Err("the server refused the configuration and goes on with the one before; its log says why \
                            (reload_refused)"
                    .into());
            }
            now if now.done > before.done => return Ok(()),
            now if now.is_draining => return Err("the server is draining, and reads nothing any more".into()),
            _ if began.elapsed() >= longest => {
                let longest = humantime::format_duration(longest);
                return Err(format!(
                    "the server was not done within {longest}; its log says what it waits for (--timeout)"
                ));
            }
            _ => std::thread::sleep(ASK_EVERY),
        }
    }
}

fn counted(scraper: &Scraper) -> Result<Counted, ScrapeError> {
    let node = scraper.node()?;
    let of = |outcome| node.sum("uproar_reloads_total", &[("outcome", outcome)]).unwrap_or_default();
    Ok(Counted { done: of("done"), refused: of("refused"), is_draining: node.sum("uproar_ready", &[]) == Some(0.0) })
}

fn unheard(pid: u32, error: &ScrapeError) -> String {
    format!("process {pid} has been told to reload, but what came of it is not known, except in its log: {error}")
}

/// Where an address that may stand for all is asked.
fn reachable(admin: SocketAddr) -> AdminAddress {
    let ip = match admin.ip() {
        ip if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    AdminAddress::from(SocketAddr::new(ip, admin.port()))
}

fn timeout(text: &str) -> Result<Duration, String> {
    let range = Duration::from_secs(1)..=Duration::from_secs(3600);
    let time = humantime::parse_duration(text).ok().filter(|time| range.contains(time));
    time.ok_or_else(|| "give a time from 1s to 1h, such as 60s".into())
}
