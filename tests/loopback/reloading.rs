//! `uproar reload`, which is what `systemctl reload` runs: its exit code says whether the new configuration is in force.

use crate::support::Server;
use std::process::Command;

const FLAGS: [&str; 4] = ["--shards", "2", "--window", "100ms"];

/// Exit code, standard output, standard error.
fn reload_by(server: &Server, pid: u32, admin: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uproar"));
    command.env_clear().args(["reload", "--pid", &pid.to_string(), "--admin", admin, "--config"]);
    let output = command.arg(server.config_path()).output().unwrap();
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), out, error)
}

fn reload(server: &Server) -> (Option<i32>, String, String) {
    reload_by(server, server.pid(), &server.admin().to_string())
}

fn counted(server: &Server, outcome: &str) -> u64 {
    server.metric(&format!("uproar_reloads_total{{outcome=\"{outcome}\"}}"))
}

#[test]
fn a_reload_that_is_done_says_so_when_it_is() {
    let server = Server::configured("", &FLAGS);
    server.rewrite("[http]\nidle_timeout = \"7s\"\n");
    let (code, out, error) = reload(&server);
    assert_eq!((code, out.as_str()), (Some(0), "reloaded\n"), "{error}");
    assert!(error.lines().all(|line| line.starts_with("warning: ")), "{error}");
    assert!(server.log().contains(" reload: http.idle_timeout "), "before the command ends: {}", server.log());
    assert_eq!((counted(&server, "done"), server.terminate().code), (1, Some(0)));
}

#[test]
fn a_reload_that_is_refused_fails_the_command() {
    let server = Server::configured("", &FLAGS);
    // What a check finds does not disturb the server.
    server.rewrite("[http]\nidle_timeout = \"0s\"\n");
    let (code, _, error) = reload(&server);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("http.idle_timeout is \"0s\""), "{error}");
    server.rewrite("[quic]\ncertificate = \"c.pem\"\nprivate_key = \"k.pem\"\n");
    let (code, _, error) = reload(&server);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("c.pem") && error.contains("there is no such file"), "{error}");
    assert_eq!((counted(&server, "refused"), counted(&server, "done")), (0, 0));
    // It is right by itself, and wrong for the window that this server has until a restart.
    server.rewrite("[fanout]\nspread = \"500ms\"\n");
    let (code, _, error) = reload(&server);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("the server refused the configuration"), "{error}");
    assert_eq!((counted(&server, "refused"), counted(&server, "done")), (1, 0));
    server.rewrite("");
    assert_eq!(reload(&server).0, Some(0));
}

#[test]
fn a_reload_whose_outcome_cannot_be_known_fails_and_says_so() {
    let mut server = Server::configured("", &[&FLAGS[..], &["--drain-duration", "10m"]].concat());
    let (code, _, error) = reload_by(&server, server.pid(), "127.0.0.1:1");
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("what came of it is not known") && error.contains("127.0.0.1:1"), "{error}");
    server.await_metric("uproar_reloads_total{outcome=\"done\"}", 1);
    // More than the kernel ever gives (proc(5), pid_max).
    let (code, _, error) = reload_by(&server, 4_194_305, &server.admin().to_string());
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("process 4194305: No such process"), "{error}");
    server.send_sigterm();
    server.await_log("draining");
    let (code, _, error) = reload(&server);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("the server is draining"), "{error}");
    server.send_sigterm();
    assert_eq!(server.wait_for_end().code, Some(1));
}

#[test]
fn what_waits_for_a_restart_is_not_said_to_be_nothing() {
    let server = Server::configured("", &["--shards", "1"]);
    server.rewrite("top_k = 3\n");
    let log = server.reload_and_log("done");
    assert!(log.contains("restart_needed: what has changed of top_k is not in force"), "{log}");
    assert!(log.contains(" reload: all that has changed waits for a restart"), "{log}");
    assert!(!log.contains("nothing has changed"), "{log}");
}
