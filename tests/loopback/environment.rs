//! What a server takes from its environment, and where its lines go.

use crate::support::{Server, eventually};
use serde_json::Value;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Output};

const FAST: [&str; 4] = ["--shards", "1", "--window", "100ms"];

/// What `uproar config check` says of a file with every default, with some variables.
fn check(variables: &[(&str, &[u8])], more: &[&str]) -> (Option<i32>, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    // Without a word on the certificate, which is not in question.
    std::fs::write(file.path(), "[listen]\nquic = \"127.0.0.1:0\"\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_uproar"));
    command.env_clear().args(["config", "check"]).args(more).arg(file.path());
    command.envs(variables.iter().map(|(name, value)| (name, std::ffi::OsStr::from_bytes(value))));
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_misspelt_variable_is_a_warning_and_for_a_strict_node_an_error() {
    let env = |variable| ["/usr/bin/env", variable];
    let server = Server::start_by(&env("UPROAR_WINDOWS=1s"), &FAST);
    let warned = server.terminate().log;
    let line = warned.lines().find(|line| line.contains("WARN") && line.contains(" environment: ")).expect("a warning");
    assert!(line.contains("UPROAR_WINDOWS") && line.contains("did you mean UPROAR_WINDOW?"), "{line}");
    let strict = Server::begin_by(&env("UPROAR_WINDOWS=1s"), &[&FAST[..], &["--strict"]].concat()).wait_for_end();
    assert_eq!(strict.code, Some(2), "{}", strict.log);
    assert!(strict.log.contains("environment: environment variable UPROAR_WINDOWS"), "{}", strict.log);

    let (code, said) = check(&[("UPROAR_WINDOWS", b"1s")], &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("warning: environment: ") && said.contains("did you mean UPROAR_WINDOW?"), "{said}");
    assert_eq!(check(&[("UPROAR_WINDOWS", b"1s")], &["--strict"]).0, Some(2));
    assert_eq!(check(&[("UPROAR_WINDOWS", b"1s")], &["--file-only", "--strict"]), (Some(0), String::new()));
}

#[test]
fn a_variable_that_is_empty_is_not_set_and_one_that_is_wrong_is_named() {
    for variable in ["UPROAR_WINDOW=", "UPROAR_CONFIG=", "UPROAR_SHARDS=", "UPROAR_STRICT="] {
        let server = Server::start_by(&["/usr/bin/env", variable], &["--shards", "1"]);
        let ended = server.terminate();
        assert_eq!(ended.code, Some(0), "{variable}: {}", ended.log);
        assert!(!ended.log.contains("UPROAR_"), "{variable}: {}", ended.log);
    }
    for (value, said) in [(&b"50ms"[..], "window is \"50ms\"; allowed: 100ms to 1m"), (b"2s\xff", "is not UTF-8")] {
        let (code, log) = check(&[("UPROAR_WINDOW", value)], &[]);
        assert_eq!(code, Some(2), "{log}");
        assert!(log.starts_with("error: environment variable UPROAR_WINDOW: ") && log.contains(said), "{log}");
    }
    let script = r#"export UPROAR_WINDOW="$(printf '2s\377')"; exec "$@""#;
    let ended = Server::begin_by(&["/bin/sh", "-c", script, "sh"], &["--shards", "1"]).wait_for_end();
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.log.starts_with("error: environment variable UPROAR_WINDOW: "), "{}", ended.log);
}

#[test]
fn variables_of_a_service_of_kubernetes_are_not_spoken_of() {
    let variables: [(&str, &[u8]); 6] = [
        ("UPROAR_PORT", b"tcp://10.0.0.1:8080"),
        ("UPROAR_SERVICE_HOST", b"10.0.0.1"),
        ("UPROAR_SERVICE_PORT_HTTP", b"8080"),
        ("UPROAR_PORT_7400_UDP_ADDR", b"10.0.0.1"),
        ("UPROAR_QUIC_SERVICE_HOST", b"10.0.0.1"),
        ("UPROAR_QUIC_PORT_7443_UDP", b"udp://10.0.0.1:7443"),
    ];
    assert_eq!(check(&variables, &["--strict"]), (Some(0), String::new()));
}

/// Every line that a server writes whose two outputs lead to one file.
fn lines_of_both(arguments: &[&str]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal");
    let script = format!(r#"exec "$@" >>{file} 2>>{file}"#, file = file.display());
    let mut server = Server::begin_by(&["/bin/sh", "-c", &script, "sh"], &[&FAST[..], arguments].concat());
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    eventually(|| text().contains("serving reactions").then_some(()), text);
    server.send_sigterm();
    assert_eq!(server.wait_for_end().code, Some(0));
    text().lines().map(String::from).collect()
}

#[test]
fn a_journal_in_json_has_no_other_lines() {
    let lines = lines_of_both(&["--log-format", "json"]);
    let objects: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let drained = objects.iter().find(|object| object["event"] == "drained").expect("what was counted");
    assert_eq!((&drained["reactions"], &drained["frame_taps"]), (&0.into(), &0.into()));
    assert!(objects.iter().any(|object| object["event"] == "ready"));
    // In words for people the lines of standard output are no trouble.
    let lines = lines_of_both(&[]);
    assert!(
        lines.iter().any(|line| line == "ready") && lines.iter().any(|line| line.starts_with("drained reactions 0"))
    );
}

#[test]
fn where_standard_output_is_the_journal_it_stays_empty_with_json() {
    let script = r#"PATH=/usr/bin:/bin; exec 3>&1
        export JOURNAL_STREAM="$(stat -L -c %d:%i /proc/self/fd/3)"; exec "$@" 3>&-"#;
    let mut server =
        Server::begin_by(&["/bin/sh", "-c", script, "sh"], &[&FAST[..], &["--log-format", "json"]].concat());
    server.await_log("\"event\":\"ready\"");
    server.send_sigterm();
    let ended = server.wait_for_end();
    assert_eq!((ended.code, ended.drained), (Some(0), None), "{}", ended.log);
}

#[test]
fn a_server_that_shall_not_announce_itself_writes_nothing_on_standard_output() {
    let mut server = Server::begin_by(&["/usr/bin/env", "UPROAR_ANNOUNCE=false"], &FAST);
    server.await_log(" ready: ");
    server.send_sigterm();
    let ended = server.wait_for_end();
    assert_eq!((ended.code, ended.drained), (Some(0), None), "{}", ended.log);
    assert!(ended.log.contains(" drained: "), "{}", ended.log);
}
