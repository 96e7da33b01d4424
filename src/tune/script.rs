//! The gaps of a machine as a shell script, for people who read before they run, and for machines without this program.
//!
//! Invariant: the script saves each old value as [`super::saved`] does before it overwrites it, so that `uproar tune
//! revert` undoes it; it says each change, goes on after a failure and ends with 1 then; run again it changes nothing. It
//! is POSIX sh. Not here: what only `ethtool` reaches beyond one flag (`tuning/nic.sh`).

use super::left;
use super::profile::Profile;
use super::queues::Interface;
use super::saved::FILE;
use super::tuner::{State, Tuner};
use crate::edge::machine::Machine;
use std::fmt::Write as _;
use std::path::Path;

/// The script that closes the gaps among `tuners`, on the machine that they were read from.
pub fn script(
    machine: &Machine,
    profile: Profile,
    tuners: &[Tuner],
    interface: Option<&Interface>,
    state_dir: &Path,
) -> String {
    let root = if machine.is_this() { String::new() } else { machine.path("/").display().to_string() };
    let mut text = opening(profile, root.trim_end_matches('/'), state_dir);
    for tuner in tuners.iter().filter(|tuner| tuner.is_gap()) {
        if let State::ByHand { current, remedy } = &tuner.state {
            text.push_str(&by_hand(tuner, current, remedy));
            continue;
        }
        let was = match &tuner.state {
            State::Is(current) | State::ByHand { current, .. } => {
                current.split_whitespace().collect::<Vec<_>>().join(" ")
            }
            State::Unreadable(_) | State::Unsupported(_) => "not readable".to_owned(),
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "\n# {} (was {was})", tuner.reason);
        let _ = writeln!(text, "put {} {}", quoted(&tuner.path), quoted(&tuner.target()));
    }
    if let Some(interface) = interface.filter(|interface| left::hash_on_ports(profile, Some(interface)).is_some()) {
        text.push_str(&hash_on_ports(&interface.name));
    }
    text.push_str("\nexit \"$failures\"\n");
    text
}

fn opening(profile: Profile, root: &str, state_dir: &Path) -> String {
    let (root, state) = (quoted(root), quoted(&state_dir.join(FILE).display().to_string()));
    format!(
        "#!/bin/sh\n\
         # Sets this machine up for Uproar, profile {profile}. Run as root; may be run again. Lasts until the next boot.\n\
         # Undo: `uproar tune revert`, or write the values in $state back.\n\
         set -u\n\nroot={root}\nstate={state}\nfailures=0\n\n{OPENING}"
    )
}

/// Said and counted as a failure, since the machine is not as the profile wants it.
fn by_hand(tuner: &Tuner, current: &str, remedy: &str) -> String {
    let said = quoted(&format!("{} is {current}, and only by hand: {remedy}", tuner.name));
    format!("\n# {}\nprintf '%s\\n' {said} >&2\nfailures=1\n", tuner.reason)
}

/// What every script begins with: the saved values' file, and `put`.
const OPENING: &str = include_str!("opening.sh");
/// The function of that name, which `nic.sh` has too.
const HASH_ON_PORTS: &str = include_str!("../../tuning/hash_on_ports.sh");

/// Neither saved nor counted as a failure: a driver that cannot do it is said to be one, and the next boot undoes it.
fn hash_on_ports(interface: &str) -> String {
    let interface = quoted(interface);
    format!(
        "\n{HASH_ON_PORTS}\n# Without ports in the hash all taps of one proxy meet in one queue.\n\
         # Undo: what is printed then; `uproar tune revert` does not know it.\n\
         if [ -z \"$root\" ] && command -v ethtool >/dev/null; then\n    \
             hash_on_ports {interface} udp4\n    \
             hash_on_ports {interface} udp6\n\
         fi\n"
    )
}

/// In single quotes, whatever it is.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::machine::with_files;
    use crate::tune::device::Devices;
    use crate::tune::queues::IrqMode;
    use crate::tune::tuner::tuners;

    #[test]
    fn only_gaps_are_closed_and_each_says_why() {
        let (_root, machine) =
            with_files(&[("/proc/sys/net/core/rmem_max", "4194304\n"), ("/proc/sys/net/core/wmem_max", "99999999\n")]);
        let devices = Devices { machine: &machine, interface: None, mode: IrqMode::Mq };
        let tuners = tuners(Profile::Dev, &devices);
        let script = script(&machine, Profile::Dev, &tuners, None, Path::new("/var/lib/uproar-tune"));
        let reason = &tuners.iter().find(|tuner| tuner.name == "net.core.rmem_max").unwrap().reason;
        let line = "put '/proc/sys/net/core/rmem_max' '8388608'";
        assert!(script.contains(&format!("# {reason} (was 4194304)\n{line}\n")), "{script}");
        assert!(!script.contains("wmem_max") && !script.contains("ethtool"), "{script}");
    }

    #[test]
    fn a_quote_in_a_path_stays_a_letter() {
        assert_eq!(quoted("/it's here"), r"'/it'\''s here'");
    }

    #[test]
    fn only_an_interface_with_a_device_is_asked_to_hash_on_ports() {
        let machine = Machine::at("/");
        let interface = |has_device| Interface { name: "eth0".into(), has_device, receive_queues: 2 };
        let of = |profile, has_device| {
            script(&machine, profile, &[], Some(&interface(has_device)), Path::new("/s")).contains("rx-flow-hash")
        };
        assert!(of(Profile::Edge, true));
        assert!(!of(Profile::Edge, false) && !of(Profile::Dev, true));
    }
}
