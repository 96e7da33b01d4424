//! Programs that read examples, where they are installed: on the path, or where `tests/documentation/install.sh` puts them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the programs of system administrators are, which are not on everybody's path.
const MORE: [&str; 2] = ["/usr/sbin", "/sbin"];
/// Where `install.sh` unpacks packages, within the target directory, and the directories of programs in it.
const UNPACKED: &str = "checkers";
const UNPACKED_PROGRAMS: [&str; 2] = ["usr/sbin", "usr/bin"];

/// Programs that `install.sh` fetches, and that are there when it says so.
const FETCHED: [&str; 6] = ["nginx", "haproxy", "promtool", "bird", "xxd", "curl"];

/// A command for a program, or none, with a line that says what was skipped.
pub(crate) fn checker(program: &str) -> Option<Command> {
    let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join(UNPACKED);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed =
        std::env::split_paths(&path).chain(MORE.map(PathBuf::from)).map(|directory| directory.join(program));
    if let Some(found) = installed.into_iter().find(|path| path.is_file()) {
        return Some(Command::new(found));
    }
    let places = UNPACKED_PROGRAMS.map(|directory| unpacked.join(directory).join(program));
    if let Some(found) = places.into_iter().find(|path| path.is_file()) {
        let mut command = Command::new(found);
        let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        command.env("LD_LIBRARY_PATH", unpacked.join(libraries));
        return Some(command);
    }
    let skipped =
        format!("examples for {program} are skipped: it is not installed; see tests/documentation/install.sh");
    let is_required = std::env::var_os("UPROAR_REQUIRE_CHECKERS").is_some_and(|value| value == "1");
    assert!(!is_required || !FETCHED.contains(&program), "{skipped}");
    // Past the capture of the test harness, which shows nothing of tests that pass.
    let _ = std::io::stderr().write_all(format!("{skipped}\n").as_bytes());
    None
}

/// Runs a checker: what it said when it was not content.
pub(crate) fn objection(command: &mut Command) -> Option<String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    (!output.status.success()).then(|| format!("{command:?}: {}\n{said}", output.status))
}
