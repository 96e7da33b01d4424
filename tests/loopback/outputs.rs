//! What becomes of what the programs print, when it cannot be written or nobody reads it any more.

use crate::support::{DEADLINE, Server};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const COMMANDS: [&[&str]; 7] = [
    &["--help"],
    &["serve", "--help"],
    &["--version"],
    &["version"],
    &["config", "default"],
    &["tune", "list", "--profile", "dev"],
    &["tune", "script", "--profile", "dev", "--json"],
];

fn uproar(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uproar"));
    command.env_clear().args(args).stdin(Stdio::null());
    command
}

/// Ends with its standard output there: the exit code, and what standard error says.
fn end_with(mut command: Command, stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let output = command.stdout(stdout).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_that_has_gone_ends_a_command_quietly() {
    for args in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(end_with(uproar(args), writer), (Some(141), String::new()), "{args:?}");
    }
}

#[test]
fn a_result_that_does_not_fit_is_an_error() {
    for args in COMMANDS {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (code, error) = end_with(uproar(args), full);
        assert_eq!(code, Some(1), "{args:?}");
        assert!(error.starts_with("error: standard output: No space left on device"), "{error}");
    }
}

#[test]
fn descriptors_that_are_closed_at_the_start_do_no_harm() {
    for args in COMMANDS {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", r#"exec "$@" >&- 2>&- <&-"#, "sh", env!("CARGO_BIN_EXE_uproar")]).args(args);
        assert_eq!(shell.status().unwrap().code(), Some(0), "{args:?}");
    }
}

#[test]
fn top_ends_quietly_with_its_reader() {
    let server = Server::start(&["--shards=1"]);
    let admin = server.admin().to_string();
    for flags in [&["--once"][..], &["--json"], &[]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let args = [&["top", "--interval=100ms", "--admin", &admin], flags].concat();
        assert_eq!(end_with(uproar(&args), writer), (Some(141), String::new()), "{flags:?}");
    }
}

#[test]
fn a_server_that_nobody_reads_serves_on_and_drains() {
    let mut command = uproar(&["serve", "--shards=1"]);
    for port in ["--reactions", "--quic", "--http", "--admin"] {
        command.args([port, "127.0.0.1:0"]);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    assert!(stdout.lines().map_while(Result::ok).any(|line| line == "ready"), "it did not come up");
    // Both readers are gone from here on.
    drop(child.stderr.take());
    let hup_and_term = format!("kill -HUP {0} && kill -TERM {0}", child.id());
    assert!(Command::new("sh").args(["-c", &hup_and_term]).status().unwrap().success());
    let ended = crate::support::eventually(|| child.try_wait().unwrap(), || format!("it does not end in {DEADLINE:?}"));
    assert_eq!(ended.code(), Some(0));
}
