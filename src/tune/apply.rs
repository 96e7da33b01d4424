//! Closing gaps, and restoring what was there.
//!
//! Invariant: a value is saved before it is overwritten, and forgotten only when it is back or was never overwritten; one
//! file that fails stops no other. Both directions may be taken twice. Not here: which gaps there are
//! ([`super::tuner`]).

use super::rule::same_words;
use super::saved::{Saved, SavedError};
use super::tuner::{State, Tuner};
use crate::edge::machine::Machine;
use std::io;
use std::path::Path;

/// What was done.
#[derive(Default, Debug)]
pub struct Outcome {
    /// Files with another value than before.
    pub changed: Vec<Change>,
    /// Files that are not as they should be.
    pub failed: Vec<Failure>,
    /// Saved files that the machine no longer has, or whose values a boot brought back.
    pub gone: Vec<String>,
    /// Whether the saved values were of an earlier boot.
    pub outlived: bool,
}

/// A file that got another value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The tuner, or the file when restoring.
    pub name: String,
    /// The value before.
    pub from: String,
    /// The value after.
    pub to: String,
}

/// A file that did not take its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The tuner, or the file when restoring.
    pub name: String,
    /// Why.
    pub error: String,
}

/// Closes the gaps among `tuners`, saving in `state_dir` what it overwrites.
///
/// # Errors
/// When nothing can be saved; then nothing was changed.
pub fn apply(machine: &Machine, tuners: &[Tuner], state_dir: &Path) -> Result<Outcome, SavedError> {
    let mut saved = Saved::load(machine, state_dir)?;
    let mut outcome = Outcome { outlived: saved.is_outlived(), ..Outcome::default() };
    let gaps: Vec<_> = tuners.iter().filter(|tuner| tuner.is_gap()).collect();
    let mut added = Vec::new();
    for tuner in &gaps {
        if let State::Is(current) = &tuner.state
            && saved.add(&tuner.path, current)
        {
            added.push(tuner.path.as_str());
        }
    }
    if !gaps.is_empty() {
        saved.store()?;
    }
    for tuner in gaps {
        match close(machine, tuner) {
            Ok(change) => outcome.changed.push(change),
            Err(error) => {
                // A value that was refused changed nothing; one that was bent did, and can be restored.
                if added.contains(&tuner.path.as_str()) && is_as_before(machine, tuner) {
                    saved.forget(&tuner.path);
                }
                outcome.failed.push(Failure { name: tuner.name.clone(), error });
            }
        }
    }
    saved.store()?;
    Ok(outcome)
}

/// Restores every value saved in `state_dir`, the last one overwritten first.
///
/// # Errors
/// When what is saved cannot be read, or the values that failed cannot be kept.
pub fn revert(machine: &Machine, state_dir: &Path) -> Result<Outcome, SavedError> {
    let mut saved = Saved::load(machine, state_dir)?;
    let mut outcome = Outcome { outlived: saved.is_outlived(), ..Outcome::default() };
    for value in saved.values().to_vec().into_iter().rev() {
        let name = value.path.clone();
        match restore(machine, &value.path, &value.value) {
            Ok(Some(change)) => outcome.changed.push(change),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => outcome.gone.push(name),
            Err(error) => {
                outcome.failed.push(Failure { name, error: error.to_string() });
                continue;
            }
        }
        saved.forget(&value.path);
    }
    saved.store()?;
    Ok(outcome)
}

fn close(machine: &Machine, tuner: &Tuner) -> Result<Change, String> {
    let from = match &tuner.state {
        State::Is(current) => current.clone(),
        State::Unreadable(why) | State::Unsupported(why) => return Err(why.clone()),
        State::ByHand { current, remedy } => return Err(format!("it is {current}, and only by hand: {remedy}")),
    };
    let target = tuner.target();
    machine.write(&tuner.path, &target).map_err(|error| error.to_string())?;
    let to = machine.read(&tuner.path).map_err(|error| error.to_string())?;
    if !tuner.rule.is_met(&to, &tuner.wanted) {
        return Err(format!("the kernel made {to} of {target}"));
    }
    Ok(Change { name: tuner.name.clone(), from, to })
}

fn is_as_before(machine: &Machine, tuner: &Tuner) -> bool {
    matches!((&tuner.state, machine.read(&tuner.path)), (State::Is(before), Ok(now)) if *before == now)
}

/// `None` when the value is there already.
fn restore(machine: &Machine, path: &str, value: &str) -> io::Result<Option<Change>> {
    let from = machine.read(path)?;
    if from == value {
        return Ok(None);
    }
    machine.write(path, value)?;
    let to = machine.read(path)?;
    if !same_words(&to, value) {
        return Err(io::Error::other(format!("the kernel made {to} of {value}")));
    }
    Ok(Some(Change { name: path.to_owned(), from, to }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::machine::with_files;
    use crate::tune::device::Devices;
    use crate::tune::profile::Profile;
    use crate::tune::queues::IrqMode;
    use crate::tune::saved::FILE;
    use crate::tune::tuner::tuners;

    const RMEM: &str = "/proc/sys/net/core/rmem_max";
    const WMEM: &str = "/proc/sys/net/core/wmem_max";

    struct Copy(tempfile::TempDir);

    impl Copy {
        fn new(files: &[(&str, &str)]) -> Self {
            Self(with_files(files).0)
        }

        fn machine(&self) -> Machine {
            Machine::at(self.0.path())
        }

        fn state_dir(&self) -> std::path::PathBuf {
            self.0.path().join("state")
        }

        fn apply(&self, profile: Profile) -> Outcome {
            let machine = self.machine();
            let devices = Devices { machine: &machine, interface: None, mode: IrqMode::Mq };
            apply(&machine, &tuners(profile, &devices), &self.state_dir()).unwrap()
        }

        fn revert(&self) -> Outcome {
            revert(&self.machine(), &self.state_dir()).unwrap()
        }

        fn holds(&self, path: &str) -> String {
            self.machine().read(path).unwrap()
        }
    }

    #[test]
    fn the_machine_is_as_before_after_any_number_of_profiles() {
        let copy = Copy::new(&[(RMEM, "4194304"), (WMEM, "999999999"), ("/proc/sys/net/ipv4/udp_mem", "1\t2\t3")]);
        assert_eq!(copy.apply(Profile::Dev).changed.len(), 1);
        assert_eq!(copy.holds(RMEM), "8388608");
        assert_eq!(copy.apply(Profile::Edge).changed.len(), 2);
        assert_eq!(copy.holds(RMEM), "67108864");
        assert!(copy.apply(Profile::Edge).changed.is_empty(), "applied already");
        assert_eq!(copy.revert().changed.len(), 2);
        assert_eq!(copy.holds(RMEM), "4194304", "not what the first profile made of it");
        assert_eq!(copy.holds("/proc/sys/net/ipv4/udp_mem"), "1\t2\t3");
        assert_eq!(copy.holds(WMEM), "999999999");
        assert!(!copy.state_dir().join(FILE).exists());
        let again = copy.revert();
        assert!(again.changed.is_empty() && again.failed.is_empty());
    }

    #[test]
    fn a_file_that_refuses_is_named_and_the_others_are_set() {
        let copy = Copy::new(&[(WMEM, "1")]);
        // Can be read, and refuses to be written whoever asks.
        std::os::unix::fs::symlink("/proc/version", copy.machine().path(RMEM)).unwrap();
        let outcome = copy.apply(Profile::Dev);
        assert_eq!(
            outcome.failed.iter().map(|failure| failure.name.as_str()).collect::<Vec<_>>(),
            ["net.core.rmem_max"]
        );
        assert_eq!(outcome.changed.len(), 1);
        let reverted = copy.revert();
        assert!(reverted.failed.is_empty(), "what was never changed is not restored: {reverted:?}");
        assert_eq!(copy.holds(WMEM), "1");
    }

    #[test]
    fn what_cannot_be_restored_is_kept_for_another_time() {
        let copy = Copy::new(&[(RMEM, "1"), (WMEM, "2")]);
        copy.apply(Profile::Dev);
        let rmem = copy.machine().path(RMEM);
        std::fs::remove_file(&rmem).unwrap();
        std::os::unix::fs::symlink("/proc/version", &rmem).unwrap();
        assert_eq!(copy.revert().failed.len(), 1);
        assert_eq!(copy.holds(WMEM), "2");
        std::fs::remove_file(&rmem).unwrap();
        std::fs::write(&rmem, "8388608\n").unwrap();
        assert_eq!(copy.revert().changed.len(), 1);
        assert_eq!(copy.holds(RMEM), "1");
    }

    #[test]
    fn a_file_that_is_gone_needs_no_restoring() {
        let copy = Copy::new(&[(RMEM, "1")]);
        copy.apply(Profile::Dev);
        std::fs::remove_file(copy.machine().path(RMEM)).unwrap();
        assert_eq!(copy.revert().gone, [RMEM]);
        assert!(!copy.state_dir().join(FILE).exists());
    }

    #[test]
    fn nothing_is_changed_when_nothing_can_be_saved() {
        let copy = Copy::new(&[(RMEM, "1")]);
        std::fs::write(copy.state_dir(), "a file where a directory should be").unwrap();
        let machine = copy.machine();
        let devices = Devices { machine: &machine, interface: None, mode: IrqMode::Mq };
        assert!(apply(&machine, &tuners(Profile::Dev, &devices), &copy.state_dir()).is_err());
        assert_eq!(copy.holds(RMEM), "1");
    }
}
