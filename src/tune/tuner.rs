//! A tuner: one thing of the machine that can be checked and set.
//!
//! Invariant: what this machine does not have is unsupported, never a gap. Not here: setting it ([`super::apply`]).

use super::device::Devices;
use super::profile::{self, Profile, Setting};
use super::rule::Rule;
use crate::edge::machine::Machine;
use std::io;

/// What a profile wants of one file of the machine, and what is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tuner {
    /// A sysctl's name with dots; otherwise the path.
    pub name: String,
    /// The file, below the machine's root.
    pub path: String,
    /// What the profile wants.
    pub wanted: String,
    /// How the two are compared.
    pub rule: Rule,
    /// Why it is wanted.
    pub reason: String,
    /// What is there.
    pub state: State,
}

/// What is in a tuner's file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// This value.
    Is(String),
    /// Only root may read it: why, as the system said.
    Unreadable(String),
    /// This value, and only the operator can say what to put there.
    ByHand {
        /// The value.
        current: String,
        /// What to type, as root.
        remedy: String,
    },
    /// This machine does not have it, for this reason.
    Unsupported(String),
}

/// Who may use io_uring: 0 everybody, 1 the group of [`IO_URING_GROUP`], 2 nobody.
pub(super) const IO_URING_DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";
/// That group's number; -1 for none.
const IO_URING_GROUP: &str = "/proc/sys/kernel/io_uring_group";

/// The tuners of a profile on a machine, in the order of the profile's files.
pub fn tuners(profile: Profile, devices: &Devices<'_>) -> Vec<Tuner> {
    let machine = devices.machine;
    let mut tuners: Vec<_> = settings(profile.sysctl_file()).map(|setting| of_sysctl(machine, setting)).collect();
    for setting in settings(profile.device_file()) {
        match devices.places(&setting.name, &setting.value) {
            Ok(places) => tuners.extend(places.into_iter().map(|place| {
                let state = read(machine, &place.path);
                Tuner::new(place.path.clone(), place.path, place.wanted, setting.reason.clone(), state)
            })),
            Err(why) => {
                let state = State::Unsupported(why);
                tuners.push(Tuner::new(setting.name.clone(), setting.name, setting.value, setting.reason, state));
            }
        }
    }
    tuners
}

impl Tuner {
    fn new(name: String, path: String, wanted: String, reason: String, state: State) -> Self {
        Self { rule: Rule::of(&name), name, path, wanted, reason, state }
    }

    /// Whether the machine is not as the profile wants it.
    pub fn is_gap(&self) -> bool {
        match &self.state {
            State::Is(current) => !self.rule.is_met(current, &self.wanted),
            State::Unreadable(_) | State::ByHand { .. } => true,
            State::Unsupported(_) => false,
        }
    }

    /// The value to write into a gap.
    pub fn target(&self) -> String {
        match &self.state {
            State::Is(current) => self.rule.target(current, &self.wanted),
            State::Unreadable(_) | State::ByHand { .. } | State::Unsupported(_) => self.wanted.clone(),
        }
    }

    /// What to type to close the gap, as root.
    pub fn remedy(&self) -> String {
        match &self.state {
            State::Unreadable(_) => "ask again as root".to_owned(),
            State::ByHand { remedy, .. } => remedy.clone(),
            _ if self.name == self.path => format!("echo {} > {}", self.target(), self.path),
            _ => format!("sysctl -w {}={}", self.name, quoted(&self.target())),
        }
    }
}

/// In quotes where a shell would see several words.
fn quoted(value: &str) -> String {
    if value.contains(' ') { format!("\"{value}\"") } else { value.to_owned() }
}

/// # Panics
/// Never on files that passed the tests of [`profile`]; they are part of the program.
fn settings(file: &'static str) -> impl Iterator<Item = Setting> {
    profile::parse(file).expect("the profiles are built in and tested").into_iter()
}

fn of_sysctl(machine: &Machine, setting: Setting) -> Tuner {
    let path = format!("/proc/sys/{}", setting.name.replace('.', "/"));
    let state = read(machine, &path);
    Tuner::new(setting.name, path, setting.value, setting.reason, state)
}

fn read(machine: &Machine, path: &str) -> State {
    match machine.read(path) {
        Ok(current) if path == IO_URING_DISABLED && current != "0" => io_uring_state(machine, current),
        Ok(current) => State::Is(current),
        // A queue that cannot be told apart from others answers NotFound when it is read, not when it is opened.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            State::Unsupported("this kernel, or this network namespace, does not have it".to_owned())
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => State::Unreadable(error.to_string()),
        Err(error) => State::Unsupported(format!("it cannot be read: {error}")),
    }
}

/// A machine that keeps io_uring from everybody is not opened to everybody: its operator names the group that may, which
/// is the server's own where it runs as the packaged unit does.
fn io_uring_state(machine: &Machine, current: String) -> State {
    if machine.read(IO_URING_GROUP).is_ok_and(|group| group != "-1") {
        return State::Is(current);
    }
    let lower = if current == "1" { "" } else { " kernel.io_uring_disabled=1" };
    let remedy = format!("sysctl -w kernel.io_uring_group=\"$(id -g uproar)\"{lower}");
    State::ByHand { current, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::queues::IrqMode;

    fn tuner(name: &str, wanted: &str, state: State) -> Tuner {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        Tuner::new(name.to_owned(), path, wanted.to_owned(), "why".to_owned(), state)
    }

    #[test]
    fn a_gap_has_a_remedy_that_takes_nothing_away() {
        let low = tuner("net.ipv4.udp_mem", "10 20 30", State::Is("5\t99\t30".to_owned()));
        assert!(low.is_gap());
        assert_eq!(low.remedy(), "sysctl -w net.ipv4.udp_mem=\"10 99 30\"");
        let file = "/sys/class/net/eth0/gro_flush_timeout".to_owned();
        let state = State::Is("0".to_owned());
        let device = Tuner::new(file.clone(), file, "20000".to_owned(), "why".to_owned(), state);
        assert_eq!(device.remedy(), "echo 20000 > /sys/class/net/eth0/gro_flush_timeout");
    }

    #[test]
    fn what_cannot_be_read_is_a_gap_and_what_is_not_there_is_none() {
        let name = "kernel.numa_balancing";
        assert!(tuner(name, "0", State::Unreadable("Permission denied".to_owned())).is_gap());
        assert!(!tuner(name, "0", State::Unsupported("no such thing".to_owned())).is_gap());
    }

    #[test]
    fn only_root_can_help_where_permission_is_missing() {
        let root = tempfile::tempdir().unwrap();
        // A directory can be opened, and not read, whoever asks.
        std::fs::create_dir(root.path().join("file")).unwrap();
        let state = read(&Machine::at(root.path()), "/file");
        assert!(matches!(&state, State::Unsupported(why) if why.starts_with("it cannot be read")), "{state:?}");
    }

    #[test]
    fn io_uring_for_a_group_is_enough_and_without_one_the_operator_decides() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("proc/sys/kernel")).unwrap();
        let of = |disabled: &str, group: &str| {
            std::fs::write(root.path().join("proc/sys/kernel/io_uring_disabled"), disabled).unwrap();
            std::fs::write(root.path().join("proc/sys/kernel/io_uring_group"), group).unwrap();
            let machine = Machine::at(root.path());
            let devices = Devices { machine: &machine, interface: None, mode: IrqMode::Mq };
            let mut tuners = tuners(Profile::Dev, &devices).into_iter();
            tuners.find(|tuner| tuner.name == IO_URING_DISABLED).unwrap()
        };
        assert!(!of("0\n", "-1\n").is_gap() && !of("1\n", "998\n").is_gap());
        let forbidden = of("2\n", "998\n");
        assert!(forbidden.is_gap() && forbidden.target() == "1", "opened to the group, not to everybody");
        for disabled in ["1\n", "2\n"] {
            let tuner = of(disabled, "-1\n");
            assert!(tuner.is_gap() && tuner.remedy().contains("io_uring_group"), "{tuner:?}");
        }
    }

    #[test]
    fn an_empty_machine_supports_nothing_and_has_no_gaps() {
        let machine = Machine::at("/nonexistent");
        let devices = Devices { machine: &machine, interface: None, mode: IrqMode::Mq };
        for profile in Profile::ALL {
            let tuners = tuners(profile, &devices);
            assert!(!tuners.is_empty());
            assert!(tuners.iter().all(|tuner| matches!(tuner.state, State::Unsupported(_)) && !tuner.is_gap()));
        }
    }
}
