//! What depends on settings of the kernel's network or on other servers of the machine: tried in a network namespace of its own,
//! where this process may make one.

use crate::support::{Http, Server, Tapper, http};
use std::net::SocketAddr;
use std::process::Command;

/// Set within such a namespace.
const INSIDE: &str = "TEST_IS_IN_A_NETWORK_OF_ITS_OWN";

/// Runs the test of this name once more, in a network that `setup` has set up; whether this is that run.
fn is_inside(test: &str, setup: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let unshare = ["--user", "--map-root-user", "--net"];
    let may = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    if !may(Command::new("unshare").args(unshare).args(["sh", "-c", &format!("ip link set lo up && {setup}")])) {
        eprintln!("skipped: no network namespace can be made and set up here (unshare, ip)");
        return false;
    }
    let script = format!(r#"ip link set lo up && {setup} && exec "$@""#);
    let mut command = Command::new("unshare");
    command.args(unshare).args(["sh", "-c", &script, "sh"]).arg(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

#[test]
fn all_addresses_are_those_of_both_families_whatever_the_kernel_would_do() {
    let test = "network::all_addresses_are_those_of_both_families_whatever_the_kernel_would_do";
    if !is_inside(test, "echo 1 >/proc/sys/net/ipv6/bindv6only") {
        return;
    }
    let all = "[::]:0";
    let flags = ["--reactions", all, "--quic", all, "--http", all, "--admin", all];
    let server = Server::start(&[&["--shards", "2", "--window", "100ms"][..], &flags].concat());
    for host in ["127.0.0.1", "[::1]"] {
        let at = |port: SocketAddr| format!("{host}:{}", port.port()).parse::<SocketAddr>().unwrap();
        assert_eq!(Http::to(at(server.http())).ask(&http::reactions(1, r#"{"emoji":"fire"}"#)).status, 202, "{host}");
        assert_eq!(Http::to(at(server.admin())).ask(&http::get("/livez")).status, 200, "{host}");
    }
    let here: SocketAddr = format!("127.0.0.1:{}", server.reactions().port()).parse().unwrap();
    Tapper::several(here)[0].tap(1, 0, 1);
    server.await_metric("uproar_reactions_total", 3);
    assert_eq!(server.terminate().drained, Some((3, 3)));
}

#[test]
fn two_servers_on_one_core_say_so() {
    if !is_inside("network::two_servers_on_one_core_say_so", "true") {
        return;
    }
    let flags = ["--shards", "1", "--window", "100ms"];
    let first = Server::start(&flags);
    let second = Server::start(&flags);
    second.await_log(" cores_taken: another server has shards on the same core: ");
    assert!(!first.terminate().log.contains("cores_taken"));
    assert_eq!(second.terminate().code, Some(0));
    let third = Server::start(&flags);
    assert!(!third.terminate().log.contains("cores_taken"), "the claim ends with its server");
}
