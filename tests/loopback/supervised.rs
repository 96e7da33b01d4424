//! What a supervisor is told by sd_notify(3): it listens here on a socket of its own.

use crate::support::hostile::Identity;
use crate::support::{Http, Server, Supervisor, http};
use std::process::{Command, Stdio};

#[test]
fn the_supervisor_hears_of_the_start_of_reloads_and_of_the_end() {
    let (supervisor, identity) = (Supervisor::new(), Identity::new());
    let [certificate, key] = identity.flags();
    let drain = ["--drain-timeout", "7s"];
    let mut server = supervisor.start(&[], &[&["--shards", "2", &certificate, &key][..], &drain].concat());
    assert_eq!(supervisor.next(), ["READY=1", "STATUS=serving on 2 shards"]);

    server.send_sighup();
    let reloading = supervisor.next();
    assert_eq!(reloading[0], "RELOADING=1");
    let since = reloading[1].strip_prefix("MONOTONIC_USEC=").expect("when it began");
    assert!(since.parse::<u64>().unwrap() > 0);
    assert_eq!(supervisor.next(), ["READY=1", "STATUS=serving on 2 shards"]);

    identity.spoil("key.pem", "no key");
    server.send_sighup();
    assert_eq!(supervisor.next()[0], "RELOADING=1");
    let refused = supervisor.next();
    assert_eq!(refused[0], "READY=1", "it serves as before");
    assert!(refused[1].starts_with("STATUS=serving on 2 shards; the last reload was refused: quic.private_key"));

    server.send_sigterm();
    let stopping = supervisor.next();
    assert_eq!(stopping[..2], ["STOPPING=1", "EXTEND_TIMEOUT_USEC=12000000"], "5 s more than the drain may take");
    assert_eq!(server.wait_for_end().code, Some(0));
}

#[test]
fn the_watchdog_is_fed_while_every_shard_turns() {
    let supervisor = Supervisor::new();
    for shards in ["1", "3"] {
        // Idle shards, which are woken for it.
        let mut server = supervisor.start(&["WATCHDOG_USEC=200000"], &["--shards", shards, "--window", "60s"]);
        assert_eq!(supervisor.next()[0], "READY=1");
        supervisor.await_beats(5);
        server.send_sigterm();
        assert_eq!(supervisor.next_but_beats()[0], "STOPPING=1");
        assert_eq!(server.wait_for_end().code, Some(0));
        // What was on its way when it ended is not for the next one.
        supervisor.waiting();
    }
}

#[test]
fn a_file_that_takes_its_time_starves_no_watchdog() {
    let supervisor = Supervisor::new();
    let server = supervisor.start_configured(&["WATCHDOG_USEC=200000"], "", &["--shards", "2", "--window", "100ms"]);
    assert_eq!(supervisor.next_but_beats()[0], "READY=1");
    let pipe = server.read_from_pipe();
    server.send_sighup();
    assert_eq!(supervisor.next_but_beats()[0], "RELOADING=1");
    supervisor.await_beats(5);
    assert_eq!(Http::to(server.http()).ask(&http::reactions(1, r#"{"emoji":"fire"}"#)).status, 202);
    pipe.fill("[http]\nidle_timeout = \"7s\"\n");
    assert_eq!(supervisor.next_but_beats()[0], "READY=1");
    server.await_log("reload: http.idle_timeout from \"10m 20s\" to \"7s\"");
    assert_eq!(server.terminate().drained, Some((1, 1)));
}

#[test]
fn a_certificate_that_takes_its_time_does_not_hold_up_the_end() {
    let (supervisor, directory) = (Supervisor::new(), tempfile::tempdir().unwrap());
    let [certificate, key] = ["certificate", "key"].map(|name| directory.path().join(name));
    let identity = Identity::new();
    identity.copy_to(&certificate, &key);
    let flags = ["--certificate", certificate.to_str().unwrap(), "--private-key", key.to_str().unwrap()];
    let mut server = supervisor.start(&[], &[&["--shards", "2", "--window", "100ms"][..], &flags].concat());
    assert_eq!(supervisor.next()[0], "READY=1");
    std::fs::remove_file(&certificate).unwrap();
    assert!(Command::new("mkfifo").arg(&certificate).status().unwrap().success());
    server.send_sighup();
    assert_eq!(supervisor.next()[0], "RELOADING=1");
    // Nobody ever writes to it.
    server.send_sighup();
    server.await_log("reload_waits: ");
    server.send_sigterm();
    assert_eq!(supervisor.next()[0], "STOPPING=1");
    server.await_log("a SIGHUP that waited for the reload before it is ignored");
    assert_eq!(server.wait_for_end().code, Some(0));
    assert_eq!(supervisor.waiting(), Vec::<Vec<String>>::new());
}

#[test]
fn who_drains_is_neither_ready_nor_reloading_any_more() {
    for (text, said) in [("\n", "the new configuration is ignored"), ("no TOML", "the new configuration is ignored")] {
        let supervisor = Supervisor::new();
        let flags = ["--shards", "2", "--window", "100ms", "--drain-duration", "10m"];
        let mut server = supervisor.start_configured(&[], "", &flags);
        assert_eq!(supervisor.next()[0], "READY=1");
        let pipe = server.read_from_pipe();
        server.send_sighup();
        assert_eq!(supervisor.next()[0], "RELOADING=1");
        // This one would follow.
        server.send_sighup();
        server.send_sigterm();
        assert_eq!(supervisor.next()[0], "STOPPING=1");
        pipe.fill(text);
        server.await_log(said);
        server.send_sigterm();
        assert_eq!(server.wait_for_end().code, Some(1));
        assert_eq!(supervisor.waiting(), Vec::<Vec<String>>::new());
    }
}

#[test]
fn a_drain_takes_as_long_as_shards_have_come_to_know() {
    let supervisor = Supervisor::new();
    let mut server = supervisor.start_configured(&[], "[drain]\ntimeout = \"7s\"\n", &["--shards", "2"]);
    assert_eq!(supervisor.next()[0], "READY=1");
    server.rewrite("[drain]\ntimeout = \"9s\"\n");
    server.send_sighup();
    assert_eq!(supervisor.next()[0], "RELOADING=1");
    assert_eq!(supervisor.next()[0], "READY=1");
    server.send_sigterm();
    assert_eq!(supervisor.next()[..2], ["STOPPING=1", "EXTEND_TIMEOUT_USEC=14000000"]);
    assert_eq!(server.wait_for_end().code, Some(0));
}

#[test]
fn a_supervisor_that_does_not_read_harms_nobody() {
    let supervisor = Supervisor::new();
    let server = supervisor.start(&["WATCHDOG_USEC=2000"], &["--shards", "1", "--window", "100ms"]);
    // A queue of datagrams is a few hundred long at most, and every beat is one.
    server.await_log("cannot be told how the server is");
    server.reload("done");
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_watchdog_whose_time_makes_no_sense_is_warned_of_and_harms_nobody() {
    for (time, is_said) in [("soon", true), ("-1", true), ("1", false), ("18446744073709551615", false), ("0", false)] {
        let variable = format!("WATCHDOG_USEC={time}");
        let server = Server::start_by(&["/usr/bin/env", &variable], &["--shards", "1", "--window", "100ms"]);
        let ended = server.terminate();
        assert_eq!(ended.code, Some(0), "{time}: {}", ended.log);
        assert_eq!(ended.log.contains("is no number, so no watchdog is fed"), is_said, "{time}: {}", ended.log);
    }
}

#[test]
fn a_supervisor_at_a_place_that_makes_no_sense_is_warned_of_and_harms_nobody() {
    let long = format!("/{}", "x".repeat(200));
    for place in ["nowhere", "@", "/dev/null", "/", "vsock:2:1234", &long] {
        let variable = format!("NOTIFY_SOCKET={place}");
        let server = Server::start_by(&["/usr/bin/env", &variable], &["--shards", "1", "--window", "100ms"]);
        server.reload_and_log("done");
        let log = server.log();
        assert_eq!(log.matches("cannot be told how the server is").count(), 1, "{place}: {log}");
        assert_eq!(server.terminate().code, Some(0), "{place}");
    }
}

#[test]
fn a_supervisor_may_have_a_name_that_is_no_file() {
    let name = format!("uproar-test-{}", std::process::id());
    let supervisor = Supervisor::named(&name);
    let variable = format!("NOTIFY_SOCKET=@{name}");
    let server = Server::start_by(&["/usr/bin/env", &variable], &["--shards", "1"]);
    assert_eq!(supervisor.next()[0], "READY=1");
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_supervisor_that_is_gone_harms_nobody() {
    let supervisor = Supervisor::new();
    supervisor.go();
    let server = supervisor.start(&[], &["--shards", "1", "--window", "100ms"]);
    server.reload_and_log("done");
    assert_eq!(server.log().matches("NOTIFY_SOCKET").count(), 1, "said once: {}", server.log());
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn the_unit_runs_commands_that_exist_and_waits_for_a_drain() {
    let unit = include_str!("../../deploy/systemd/uproar.service");
    let settings: Vec<_> = unit.lines().filter_map(|line| line.split_once('=')).collect();
    let of = |name| settings.iter().filter(move |(key, _)| *key == name).map(|&(_, value)| value);
    let commands: Vec<_> = ["ExecStart", "ExecReload"]
        .into_iter()
        .flat_map(of)
        .filter_map(|line| line.strip_prefix("/usr/bin/uproar "))
        .collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        let words: Vec<_> =
            command.split(' ').map(|word| word.replace("$MAINPID", "1")).chain(["--help".into()]).collect();
        let status = Command::new(env!("CARGO_BIN_EXE_uproar")).args(&words).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "uproar {words:?}");
    }
    assert!(of("SystemCallFilter").any(|calls| calls == "io_uring_setup io_uring_enter io_uring_register"));
    assert!(of("RestrictAddressFamilies").any(|families| families.contains("AF_UNIX")), "sd_notify goes that way");
    let stop_s: u64 = of("TimeoutStopSec").next().unwrap().parse().unwrap();
    assert!(stop_s > uproar::config::Config::default().drain.timeout.as_secs());
}
