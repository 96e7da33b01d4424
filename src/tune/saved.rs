//! The values that tuning overwrote, in a file, so that they come back exactly.
//!
//! The file is text: `# boot ID`, then `file = value` for each file of the machine, in the order in which they were
//! overwritten. The script of [`super::script`] writes the same. Root reads the file and writes what it says, so
//! it is trusted only where nobody else could have written it, and only for files that a profile knows. Invariant: the
//! first value saved for a file stays, whatever is saved later; values of an earlier boot are not used, as a boot brings
//! all of them back by itself. Not here: writing to the machine.

use super::known::is_known;
use super::owned;
use crate::edge::machine::Machine;
use std::io;
use std::path::{Path, PathBuf};

/// Where values are kept unless the operator says otherwise, below the machine's root; not in the server's directory,
/// as a server that was broken into could write there what root restores.
pub const STATE_DIR: &str = "/var/lib/uproar-tune";
/// The file in that directory.
pub const FILE: &str = "saved";

/// A file of the machine, and the value that it had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// Below the machine's root.
    pub path: String,
    /// As the kernel wrote it, without the white space around it.
    pub value: String,
}

/// The saved values of this boot.
#[derive(Debug)]
pub struct Saved {
    file: PathBuf,
    boot: String,
    values: Vec<Value>,
    outlived: bool,
}

/// Saved values that cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The file or its directory.
    #[error("{}: {error}; run as root, or choose a directory of yours (--state-dir)", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A line that tuning did not write.
    #[error("{}:{line}: not a saved value of a file that a profile knows; mend the line, or move the file away to give these values up", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
    },
}

impl Saved {
    /// Reads what is saved in `directory`; nothing if there is no file.
    ///
    /// # Errors
    /// A file that cannot be read, that others could have written, or that tuning did not write.
    pub fn load(machine: &Machine, directory: &Path) -> Result<Self, SavedError> {
        let file = directory.join(FILE);
        let boot = boot(machine);
        let text = match owned::read(directory, &file) {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => return Err(SavedError::Io { file, error }),
        };
        let mut lines = text.lines();
        let outlived = lines.next().is_some_and(|first| first != heading(&boot));
        let mut values = Vec::new();
        // What an earlier boot brought back needs no reading: another version may have written it.
        for (line, text) in (2..).zip(lines).filter(|_| !outlived) {
            let value = parse(text).ok_or_else(|| SavedError::Malformed { file: file.clone(), line })?;
            values.push(value);
        }
        Ok(Self { file, boot, values, outlived })
    }

    /// The values, in the order in which they were overwritten.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Whether there were values of an earlier boot, which brought them back.
    pub fn is_outlived(&self) -> bool {
        self.outlived
    }

    /// Adds a value unless that file has one; tells whether it did.
    pub fn add(&mut self, path: &str, value: &str) -> bool {
        let is_new = self.values.iter().all(|saved| saved.path != path);
        if is_new {
            self.values.push(Value { path: path.to_owned(), value: value.to_owned() });
        }
        is_new
    }

    /// Forgets a file's value.
    pub fn forget(&mut self, path: &str) {
        self.values.retain(|saved| saved.path != path);
    }

    /// Writes the values down, in place of what was there; without values there is no file.
    ///
    /// # Errors
    /// A directory that cannot be made, or a file that cannot be written; then the old file is whole.
    pub fn store(&self) -> Result<(), SavedError> {
        let stored = if self.values.is_empty() { self.remove() } else { self.replace() };
        stored.map_err(|error| SavedError::Io { file: self.file.clone(), error })
    }

    fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn replace(&self) -> io::Result<()> {
        let mut text = heading(&self.boot);
        text.push('\n');
        for Value { path, value } in &self.values {
            text.extend([path, " = ", value, "\n"]);
        }
        owned::replace(&self.file, &text)
    }
}

/// The line that says which boot the values are of.
pub fn heading(boot: &str) -> String {
    format!("# boot {boot}")
}

fn boot(machine: &Machine) -> String {
    machine.read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

fn parse(line: &str) -> Option<Value> {
    let (path, value) = line.split_once(" = ")?;
    is_known(path).then(|| Value { path: path.to_owned(), value: value.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RMEM: &str = "/proc/sys/net/core/rmem_max";
    const UDP: &str = "/proc/sys/net/ipv4/udp_mem";

    fn machine(root: &Path, boot: &str) -> Machine {
        let directory = root.join("proc/sys/kernel/random");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("boot_id"), format!("{boot}\n")).unwrap();
        Machine::at(root)
    }

    #[test]
    fn the_first_value_saved_for_a_file_stays() {
        let root = tempfile::tempdir().unwrap();
        let machine = machine(root.path(), "b1");
        let directory = root.path().join("deep/state");
        let mut saved = Saved::load(&machine, &directory).unwrap();
        assert!(saved.add(RMEM, "4194304") && saved.add(UDP, "1\t2\t3") && !saved.add(RMEM, "8"));
        saved.store().unwrap();
        let mut again = Saved::load(&machine, &directory).unwrap();
        assert!(!again.add(RMEM, "16"));
        let value = |path: &str, value: &str| Value { path: path.into(), value: value.into() };
        assert_eq!(again.values(), [value(RMEM, "4194304"), value(UDP, "1\t2\t3")]);
        let text = std::fs::read_to_string(directory.join(FILE)).unwrap();
        assert_eq!(text, format!("# boot b1\n{RMEM} = 4194304\n{UDP} = 1\t2\t3\n"));
    }

    #[test]
    fn without_values_there_is_no_file() {
        let root = tempfile::tempdir().unwrap();
        let machine = machine(root.path(), "b1");
        let mut saved = Saved::load(&machine, root.path()).unwrap();
        saved.add(RMEM, "1");
        saved.store().unwrap();
        assert!(root.path().join(FILE).exists());
        saved.forget(RMEM);
        saved.store().unwrap();
        assert!(!root.path().join(FILE).exists());
        saved.store().unwrap();
    }

    #[test]
    fn values_of_an_earlier_boot_are_given_up() {
        let root = tempfile::tempdir().unwrap();
        let mut saved = Saved::load(&machine(root.path(), "b1"), root.path()).unwrap();
        saved.add(RMEM, "1");
        saved.store().unwrap();
        let mut later = Saved::load(&machine(root.path(), "b2"), root.path()).unwrap();
        assert!(later.is_outlived() && later.values().is_empty());
        assert!(later.add(RMEM, "2"));
        later.store().unwrap();
        let again = Saved::load(&machine(root.path(), "b2"), root.path()).unwrap();
        assert!(!again.is_outlived());
        assert_eq!(again.values()[0].value, "2");
    }

    #[test]
    fn a_file_that_says_to_write_what_no_profile_sets_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let machine = machine(root.path(), "b1");
        for wrong in [
            "/proc/sys/kernel/core_pattern = |/tmp/x",
            "/etc/passwd = x",
            "/proc/sys/../../etc/passwd = x",
            "net.core.rmem_max = 1",
            "nonsense",
            "",
        ] {
            std::fs::write(root.path().join(FILE), format!("# boot b1\n{RMEM} = 1\n{wrong}\n")).unwrap();
            let error = Saved::load(&machine, root.path()).unwrap_err();
            assert!(matches!(error, SavedError::Malformed { line: 3, .. }), "{wrong:?}: {error}");
            std::fs::write(root.path().join(FILE), format!("# boot b0\n{RMEM} = 1\n{wrong}\n")).unwrap();
            let outlived = Saved::load(&machine, root.path()).unwrap();
            assert!(outlived.is_outlived() && outlived.values().is_empty(), "{wrong:?}");
        }
    }
}
