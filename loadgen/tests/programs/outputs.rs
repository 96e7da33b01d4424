//! What becomes of a result that cannot be written, or that nobody reads.

use crate::support::{Running, Server, loadgen};
use std::fs::OpenOptions;
use std::process::{Command, Stdio};

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/steady.toml");
const COMMANDS: [&[&str]; 5] =
    [&["--help"], &["run", "--help"], &["--version"], &["schema"], &["plan", SCENARIO, "--crowd", "1000"]];

/// Ends with its standard output there.
fn end_with(mut command: Command, stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let output = command.stdout(stdout).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_that_has_gone_ends_a_command_quietly() {
    for args in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(end_with(loadgen(args), writer), (Some(141), String::new()), "{args:?}");
    }
}

#[test]
fn a_result_that_does_not_fit_is_an_error() {
    for args in COMMANDS {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (code, error) = end_with(loadgen(args), full);
        assert_eq!(code, Some(1), "{args:?}");
        assert!(error.starts_with("error: standard output: No space left on device"), "{error}");
    }
}

#[test]
fn descriptors_that_are_closed_at_the_start_do_no_harm() {
    for args in COMMANDS {
        let program = loadgen(args);
        let closing = r#"exec "$@" >&- 2>&- <&-"#;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", closing, "sh"]).arg(program.get_program()).args(program.get_args());
        assert_eq!(shell.status().unwrap().code(), Some(0), "{args:?}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in [folder.path().join("no/report.json"), folder.path().to_owned()] {
        let flag = format!("--json={}", wrong.display());
        let ended = Running::start(loadgen(&["run", SCENARIO, &flag, "--http=localhost:1"])).wait();
        assert_eq!(ended.code(), Some(2), "{ended:?}");
        assert!(ended.err.starts_with("error: --json "), "{ended:?}");
        let ended = Running::start(loadgen(&["fleet", &flag, "--quic=localhost:1"])).wait();
        assert_eq!(ended.code(), Some(2), "{ended:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_fleet_that_nobody_looks_at_leaves_in_order() {
    let server = Server::start();
    let quic = format!("--quic={}", server.quic);
    let (running, stdout, _stderr) = Running::unread(loadgen(&["fleet", &quic, "--subscribers=5", "--seconds=3600"]));
    drop(stdout);
    assert_eq!(running.wait().code(), Some(141));
    server.await_goodbyes();
}

#[test]
fn a_name_that_has_no_address_is_named_with_its_flag() {
    for (command, flag) in [(&["run", SCENARIO][..], "--admin"), (&["watch"], "--quic"), (&["fleet"], "--quic")] {
        let arg = format!("{flag}=no-such-host.invalid:1");
        let ended = Running::start(loadgen(&[command, &[&arg]].concat())).wait();
        assert_eq!(ended.code(), Some(1), "{ended:?}");
        assert!(ended.err.contains(&format!("error: {flag} no-such-host.invalid:1: ")), "{ended:?}");
    }
}
