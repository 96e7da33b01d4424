//! The machine as files: what the kernel shows and takes under `/proc` and `/sys`.
//!
//! Invariant: every path goes through one root, so that all that reads or tunes a machine can be tried on a directory
//! that only looks like one. Not here: what the values mean.

use crate::input::{Input, InputError};
use crate::limits::MACHINE_FILE_BYTES_MAX;
use std::io;
use std::path::{Path, PathBuf};

/// A machine, or a directory that looks like one.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
}

impl Machine {
    /// The machine whose `/proc` and `/sys` are below `root`; `/` is this one.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether it is the machine this process runs on, and not a copy.
    pub fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where the file of an absolute `path` lies.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The text of a file, without the white space around it.
    ///
    /// # Errors
    /// As of reading a file; `NotFound` means that this kernel does not have it.
    pub fn read(&self, path: &str) -> io::Result<String> {
        let text = Input::file(MACHINE_FILE_BYTES_MAX).read_text(&self.path(path)).map_err(|error| match error {
            InputError::Io(error) => error,
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        })?;
        Ok(text.trim().to_owned())
    }

    /// Gives a file that exists another text, as `echo` does.
    ///
    /// # Errors
    /// As of writing a file; the kernel refuses values that it does not know.
    pub fn write(&self, path: &str, text: &str) -> io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).truncate(true).open(self.path(path))?;
        io::Write::write_all(&mut file, format!("{text}\n").as_bytes())
    }

    /// The names in a directory, sorted; none if there is no such directory.
    pub fn list(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(path)) else { return Vec::new() };
        let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }
}

/// The numbers of a list as the kernel writes it: `0-3,8` (cpuset(7), "List format"); `None` for another text.
pub fn cpu_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last < first || last - first >= CPUS_MAX {
            return None;
        }
        cpus.extend(first..=last);
        if cpus.len() > CPUS_MAX {
            return None;
        }
    }
    Some(cpus)
}

/// More processors than a kernel can be built for.
const CPUS_MAX: usize = 8192;

/// A directory that looks like a machine with these files.
#[cfg(test)]
pub(crate) fn with_files(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let machine = Machine::at(root.path());
    (root, machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stands_for_a_machine() {
        let (_root, machine) = with_files(&[("/proc/sys/net/core/rmem_max", "212992\n")]);
        assert!(!machine.is_this() && Machine::at("/").is_this());
        assert_eq!(machine.read("/proc/sys/net/core/rmem_max").unwrap(), "212992");
        machine.write("/proc/sys/net/core/rmem_max", "8388608").unwrap();
        assert_eq!(machine.read("/proc/sys/net/core/rmem_max").unwrap(), "8388608");
        assert_eq!(machine.list("/proc/sys/net"), ["core"]);
        assert!(machine.list("/sys/class/net").is_empty());
        let missing = machine.write("/proc/sys/net/core/wmem_max", "1").unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound, "a knob that the kernel lacks is not made up");
    }

    #[test]
    fn lists_of_processors_are_read_as_the_kernel_writes_them() {
        assert_eq!(cpu_list("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(cpu_list("5"), Some(vec![5]));
        assert_eq!(cpu_list(""), Some(vec![]));
        assert_eq!(cpu_list(&"0-4095,".repeat(3)), None, "more than there can be, however written");
        for wrong in ["3-1", "a", "0-", "-2", "0-99999999999"] {
            assert_eq!(cpu_list(wrong), None, "{wrong:?}");
        }
    }
}
