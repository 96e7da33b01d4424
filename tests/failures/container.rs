//! `deploy/oci/seccomp.json`: it allows what the server needs, and nothing that a container should not do.

use crate::compiler::compile;
use crate::support::{Http, Server, Tapper, Viewer, http};
use serde_json::Value;
use std::fmt::Write as _;

const ROOM: u32 = 1;
const RINGS: [&str; 3] = ["io_uring_enter", "io_uring_register", "io_uring_setup"];
/// Ways out of a container, or into others.
const FORBIDDEN: [&str; 20] = [
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "setns",
    "unshare",
    "clone3",
    "ptrace",
    "process_vm_readv",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "init_module",
    "finit_module",
    "kexec_load",
    "open_by_handle_at",
    "reboot",
    "settimeofday",
];

fn profile() -> Value {
    serde_json::from_str(include_str!("../../deploy/oci/seccomp.json")).unwrap()
}

/// What is allowed, whatever its arguments are.
fn allowed(profile: &Value) -> Vec<&str> {
    let rules = profile["syscalls"].as_array().unwrap();
    let names = rules.iter().inspect(|rule| assert_eq!(rule["action"], "SCMP_ACT_ALLOW", "{rule}"));
    names.flat_map(|rule| rule["names"].as_array().unwrap()).map(|name| name.as_str().unwrap()).collect()
}

/// A program that runs another under these calls alone; what else it tries has `default` as its consequence.
fn jail(names: &[&str], default: &str, name: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let header = directory.path().join("names.h");
    // Some architectures lack the older ones.
    let numbers = names.iter().fold(String::new(), |mut text, name| {
        writeln!(text, "#ifdef __NR_{name}\n__NR_{name},\n#endif").unwrap();
        text
    });
    std::fs::write(&header, numbers).unwrap();
    let options = [format!("-DNAMES=\"{}\"", header.display()), format!("-DDEFAULT={default}")];
    compile("jail.c", &options, name).to_str().unwrap().to_owned()
}

#[test]
fn the_profile_allows_rings_and_refuses_what_leads_out() {
    let profile = profile();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    assert_eq!(profile["defaultErrnoRet"], 38, "ENOSYS: the C library then uses what there is");
    let names = allowed(&profile);
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "each is named once");
    assert!(RINGS.iter().all(|ring| names.contains(ring)));
    for forbidden in FORBIDDEN {
        assert!(!names.contains(&forbidden), "{forbidden}");
    }
    let clone = profile["syscalls"].as_array().unwrap().iter().find(|rule| rule["names"][0] == "clone").unwrap();
    const NEW_NAMESPACES: u64 = 0x7e02_0000;
    assert_eq!((&clone["args"][0]["op"], &clone["args"][0]["valueTwo"]), (&"SCMP_CMP_MASKED_EQ".into(), &0.into()));
    assert_eq!(clone["args"][0]["value"], NEW_NAMESPACES);
}

#[test]
fn a_server_lives_its_whole_life_within_the_profile() {
    let jail = jail(&allowed(&profile()), "SECCOMP_RET_KILL_PROCESS", "jail");
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("uproar.toml");
    let key_file = directory.path().join("keys");
    std::fs::write(&config, format!("[quic]\nkey_file = {:?}\n", key_file.display().to_string())).unwrap();
    let args = ["--shards", "2", "--window", "100ms", "--config", config.to_str().unwrap()];
    let server = Server::start_by(&[&jail], &args);
    let mut viewer = Viewer::watching(&server, &[ROOM]);
    let tapper = Tapper::to(server.reactions());
    viewer.see_taps(ROOM, |_| tapper.tap(ROOM, 0, 1));
    viewer.see_taps(ROOM, |viewer| viewer.tap(ROOM, &[(1, 1)]));
    let mut public = Http::to(server.http());
    viewer.see_taps(ROOM, |_| {
        assert_eq!(public.ask(&http::reactions(ROOM, r#"{"emoji":"fire"}"#)).status, 202);
    });
    assert!(server.shard_metrics().sum("uproar_loop_turns_total") > 0);
    server.reload("done");
    let tapped = server.metric("uproar_reactions_total");
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((tapped, tapped))), "{}", ended.log);
}

#[test]
fn a_profile_without_rings_is_named_as_the_reason_not_to_start() {
    let profile = profile();
    let names: Vec<_> = allowed(&profile).into_iter().filter(|name| !RINGS.contains(name)).collect();
    let jail = jail(&names, "(SECCOMP_RET_ERRNO | EPERM)", "jail-without-rings");
    let ended = Server::begin_by(&[&jail], &["--shards", "2"]).wait_for_end();
    assert_eq!((ended.code, ended.drained), (Some(1), None), "{}", ended.log);
    assert!(ended.log.contains("error: io_uring is not available"), "{}", ended.log);
    assert!(ended.log.contains("seccomp"), "{}", ended.log);
}
