//! `uproar tune`: what a profile wants of this machine, where the machine differs, and the way there and back.
//!
//! Invariant: only `apply` and `revert` write anything. Not here: what is looked at, and how ([`crate::tune`]).

use super::{FAILURE, USAGE, fail, print};
use crate::edge::machine::Machine;
use crate::tune::apply::{self, Outcome};
use crate::tune::device::Devices;
use crate::tune::left::{Left, hash_on_ports};
use crate::tune::profile::Profile;
use crate::tune::queues::{Interface, IrqMode};
use crate::tune::saved::STATE_DIR;
use crate::tune::script::script;
use crate::tune::tuner::{State, Tuner, tuners};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to do, and on which machine.
#[derive(Args)]
pub(super) struct TuneArgs {
    #[command(subcommand)]
    command: TuneCommand,
    /// What the machine is for: edge (takes taps), fanout (has viewers, or does everything), loadgen or dev.
    #[arg(long, global = true, value_name = "PROFILE", default_value = "edge")]
    profile: Profile,
    /// The network interface that carries the traffic [default: that of the default route].
    #[arg(long, global = true, value_name = "IF")]
    interface: Option<String>,
    /// Which processors take its interrupts: mq, sq_split, sq or no_irq_restrictions.
    #[arg(long, global = true, value_name = "MODE", default_value = "mq")]
    irq_mode: IrqMode,
    /// Where the machine's /proc and /sys are; another directory than / is a machine to try on.
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Where overwritten values are kept [default: /var/lib/uproar-tune, below the root].
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum TuneCommand {
    /// Print every tuner of the profile: whether this machine has it, its value, the wanted one, and why.
    List,
    /// Print what is not as the profile wants it, with the remedy; exit code 1 if there is anything.
    Check,
    /// Print a shell script that closes the gaps; it needs only sh, and can be reverted.
    Script,
    /// Close the gaps, saving what is overwritten. Lasts until the next boot.
    Apply,
    /// Restore the files that `apply` or the script overwrote.
    Revert,
}

/// Does what was asked.
pub(super) fn run(args: &TuneArgs) -> ExitCode {
    let root = match std::path::absolute(&args.root) {
        Ok(root) if root.is_dir() => root,
        _ => return fail(USAGE, &format_args!("--root {}: not a directory", args.root.display())),
    };
    let machine = Machine::at(root);
    let state_dir = args.state_dir.clone().unwrap_or_else(|| machine.path(STATE_DIR));
    if let TuneCommand::Revert = args.command {
        return match apply::revert(&machine, &state_dir) {
            Ok(outcome) => report(args, &outcome, "restored", None),
            Err(error) => fail(FAILURE, &error),
        };
    }
    let interface = match Interface::choose(&machine, args.interface.as_deref()) {
        Ok(interface) => interface,
        Err(error) => return fail(USAGE, &error),
    };
    let devices = Devices { machine: &machine, interface: interface.clone(), mode: args.irq_mode };
    let tuners = tuners(args.profile, &devices);
    let left = hash_on_ports(args.profile, interface.as_ref());
    match args.command {
        TuneCommand::List if args.json => print_json(&tuners_json(args.profile, &tuners, left.as_ref())),
        TuneCommand::List => print(&list(&tuners)),
        TuneCommand::Check => check(args, tuners, left.as_ref()),
        TuneCommand::Script => print(&script(&machine, args.profile, &tuners, interface.as_ref(), &state_dir)),
        TuneCommand::Apply => match apply::apply(&machine, &tuners, &state_dir) {
            Ok(outcome) => report(args, &outcome, "changed", left.as_ref()),
            Err(error) => fail(FAILURE, &error),
        },
        TuneCommand::Revert => unreachable!("done above, as it needs no profile"),
    }
}

fn check(args: &TuneArgs, tuners: Vec<Tuner>, left: Option<&Left>) -> ExitCode {
    let unsupported = tuners.iter().filter(|tuner| matches!(tuner.state, State::Unsupported(_))).count();
    let gaps: Vec<_> = tuners.into_iter().filter(Tuner::is_gap).collect();
    let printed = if args.json {
        print_json(&tuners_json(args.profile, &gaps, left))
    } else {
        print(&check_text(args.profile, &gaps, unsupported, left))
    };
    if gaps.is_empty() { printed } else { ExitCode::from(FAILURE) }
}

fn list(tuners: &[Tuner]) -> String {
    let heading = ["TUNER", "SUPPORTED", "CURRENT", "WANTED", "REASON"].map(str::to_owned);
    let rows = tuners.iter().map(|tuner| {
        let (supported, current) = match &tuner.state {
            State::Is(current) | State::ByHand { current, .. } => ("yes", plain(current)),
            State::Unreadable(_) => ("yes", "unreadable".to_owned()),
            State::Unsupported(_) => ("no", "-".to_owned()),
        };
        let reason = match &tuner.state {
            State::Unsupported(why) | State::Unreadable(why) => format!("({why}) {}", tuner.reason),
            State::Is(_) | State::ByHand { .. } => tuner.reason.clone(),
        };
        [tuner.name.clone(), supported.to_owned(), current, wanted(tuner), reason]
    });
    table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
}

/// Columns as wide as their widest cell, but the last, which ends the line.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(widths).take(N - 1) {
            // Writing to a String does not fail.
            let _ = write!(text, "{cell:width$}  ");
        }
        text.push_str(&row[N - 1]);
        text.push('\n');
    }
    text
}

fn check_text(profile: Profile, gaps: &[Tuner], unsupported: usize, left: Option<&Left>) -> String {
    let mut text = String::new();
    for tuner in gaps {
        let current = match &tuner.state {
            State::Is(current) | State::ByHand { current, .. } => format!("is {}", plain(current)),
            State::Unreadable(why) | State::Unsupported(why) => format!("cannot be read: {why}"),
        };
        let _ = writeln!(text, "{} {current}, wanted {}", tuner.name, wanted(tuner));
        let _ = writeln!(text, "    why:    {}\n    remedy: {}", tuner.reason, tuner.remedy());
    }
    if unsupported > 0 {
        let _ = writeln!(text, "{unsupported} not supported by this machine: uproar tune list --profile {profile}");
    }
    text.push_str(&left_text(left));
    let _ = match gaps.len() {
        0 if left.is_some() => {
            writeln!(text, "no gaps to profile {profile} in what files can set; what is left to you was not looked at")
        }
        0 => writeln!(text, "no gaps: this machine is as profile {profile} wants it"),
        count => writeln!(
            text,
            "{count} {} to profile {profile}. All at once, as root: uproar tune apply, with the same flags",
            if count == 1 { "gap" } else { "gaps" }
        ),
    };
    text
}

/// What the program neither looks at nor sets, with its command.
fn left_text(left: Option<&Left>) -> String {
    left.map_or_else(String::new, |left| {
        format!("{} is left to you\n    why:    {}\n    remedy: {}\n", left.name, left.reason, left.remedy)
    })
}

/// What was done, and exit code 1 if anything failed.
fn report(args: &TuneArgs, outcome: &Outcome, done: &str, left: Option<&Left>) -> ExitCode {
    let text = || outcome_text(outcome, done) + &left_text(left);
    let printed = if args.json { print_json(&outcome_json(outcome, left)) } else { print(&text()) };
    for failure in outcome.failed.iter().filter(|_| !args.json) {
        fail(FAILURE, &format_args!("{}: {}", failure.name, failure.error));
    }
    if outcome.failed.is_empty() { printed } else { ExitCode::from(FAILURE) }
}

fn outcome_text(outcome: &Outcome, done: &str) -> String {
    let mut text = String::new();
    if outcome.outlived {
        text.push_str("the machine was booted since values were saved, which brought them back; those are given up\n");
    }
    for change in &outcome.changed {
        let _ = writeln!(text, "{}: {} -> {}", change.name, plain(&change.from), plain(&change.to));
    }
    for path in &outcome.gone {
        let _ = writeln!(text, "{path}: this machine no longer has it");
    }
    let (changed, failed) = (outcome.changed.len(), outcome.failed.len());
    let _ = match failed {
        0 => writeln!(text, "{changed} {done}"),
        _ => writeln!(text, "{changed} {done}, {failed} failed"),
    };
    text
}

fn tuners_json(profile: Profile, tuners: &[Tuner], left: Option<&Left>) -> Value {
    let tuners: Vec<_> = tuners
        .iter()
        .map(|tuner| {
            let (current, unsupported, unreadable) = match &tuner.state {
                State::Is(current) | State::ByHand { current, .. } => (Some(plain(current)), None, None),
                State::Unsupported(why) => (None, Some(why), None),
                State::Unreadable(why) => (None, None, Some(why)),
            };
            json!({
                "name": tuner.name, "path": tuner.path, "supported": unsupported.is_none(), "unsupported": unsupported,
                "unreadable": unreadable, "current": current, "wanted": tuner.wanted, "rule": tuner.rule.name(),
                "reason": tuner.reason, "gap": tuner.is_gap(), "remedy": tuner.is_gap().then(|| tuner.remedy()),
            })
        })
        .collect();
    json!({ "profile": profile.name(), "tuners": tuners, "left": left_json(left) })
}

fn left_json(left: Option<&Left>) -> Vec<Value> {
    let of =
        |left: &Left| json!({ "name": left.name, "reason": left.reason, "remedy": left.remedy, "undo": left.undo });
    left.map(of).into_iter().collect()
}

fn outcome_json(outcome: &Outcome, left: Option<&Left>) -> Value {
    let changed: Vec<_> = outcome
        .changed
        .iter()
        .map(|change| json!({ "name": change.name, "from": plain(&change.from), "to": plain(&change.to) }))
        .collect();
    let failed: Vec<_> =
        outcome.failed.iter().map(|failure| json!({ "name": failure.name, "error": failure.error })).collect();
    json!({ "changed": changed, "failed": failed, "gone": outcome.gone, "outlived": outcome.outlived,
            "left": left_json(left) })
}

fn print_json(value: &Value) -> ExitCode {
    print(&format!("{value:#}\n"))
}

fn wanted(tuner: &Tuner) -> String {
    format!("{}{}", tuner.rule.words(), tuner.wanted)
}

/// The kernel's tabs as spaces.
fn plain(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}
