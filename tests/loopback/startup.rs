//! Starting: what a server refuses to start with, and how it says so.

use crate::support::hostile::Identity;
use crate::support::{Ended, Http, Server, http};
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;

#[test]
fn a_second_server_on_a_port_is_refused_and_the_port_is_named() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    for (flag, port) in [
        ("--reactions", server.reactions()),
        ("--quic", server.quic()),
        ("--http", server.http()),
        ("--admin", server.admin()),
    ] {
        let ended = Server::refused(&["--log", "error", flag, &port.to_string()]);
        assert_names_the_port(&ended, flag, port);
    }
    assert_eq!(Http::to(server.http()).ask(&http::get("/readyz")).status, 200);
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_port_that_a_stranger_holds_is_named() {
    for flag in ["--reactions", "--quic"] {
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = stranger.local_addr().unwrap();
        let ended = Server::refused(&["--log", "error", flag, &port.to_string()]);
        assert_names_the_port(&ended, flag, port);
    }
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap();
    let ended = Server::refused(&["--log", "error", "--http", &port.to_string()]);
    assert_names_the_port(&ended, "--http", port);
}

fn assert_names_the_port(ended: &Ended, flag: &str, port: SocketAddr) {
    assert_eq!((ended.code, ended.drained), (Some(1), None), "{}", ended.log);
    assert_eq!(ended.log.lines().count(), 1, "one line: {}", ended.log);
    let what = flag.trim_start_matches('-');
    assert!(ended.log.starts_with(&format!("error: {what} port {port}: ")), "{}", ended.log);
    assert!(ended.log.to_lowercase().contains("already in use by another server or program"), "{}", ended.log);
    assert!(ended.log.contains(flag), "{}", ended.log);
}

#[test]
fn two_ports_that_collide_are_not_taken_for_another_server() {
    for (flags, said) in [
        (
            ["--reactions", "127.0.0.1:7400", "--quic", "0.0.0.0:7400"],
            ["listen.quic", "listen.reactions", "UDP as well"],
        ),
        (["--http", "[::]:8080", "--admin", "127.0.0.1:8080"], ["listen.admin", "listen.http", "TCP as well"]),
    ] {
        let ended = Server::refused(&flags);
        assert_refuses(&ended, &said);
        assert!(!ended.log.contains("another server"), "{}", ended.log);
    }
}

#[test]
fn an_open_admin_port_and_an_expired_certificate_are_warned_of_at_every_reading() {
    let identity = Identity::expired();
    let [certificate, key] = identity.flags();
    let flags = ["--admin", "0.0.0.0:0", "--shards", "1", &certificate, &key];
    let server = Server::configured("", &flags);
    let gaps = [" WARN  admin_open: ", " WARN  certificate_validity: the certificate "];
    gaps.iter().for_each(|gap| server.await_log(gap));
    server.reload("done");
    gaps.iter().for_each(|gap| server.await_log_times(gap, 2));
    assert_eq!(server.terminate().code, Some(0));
    let strict = Server::refused(&[&flags[..], &["--strict"]].concat());
    assert_eq!(strict.code, Some(2), "{}", strict.log);
    for gap in ["  admin_open: ", "  certificate_validity: "] {
        assert!(strict.log.contains(gap), "{gap}: {}", strict.log);
    }
    let config = tempfile::NamedTempFile::new().unwrap();
    let paths = [certificate, key].map(|flag| flag.split_once('=').unwrap().1.to_owned());
    let tls = format!("certificate = {:?}\nprivate_key = {:?}\n", paths[0], paths[1]);
    std::fs::write(config.path(), format!("[listen]\nadmin = \"0.0.0.0:9100\"\n[quic]\n{tls}")).unwrap();
    for (strict, code, said) in [(&[][..], 0, "warning: "), (&["--strict"], 2, "error: the node is strict")] {
        let mut check = Command::new(env!("CARGO_BIN_EXE_uproar"));
        let output = check.env_clear().args(["config", "check"]).args(strict).arg(config.path()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.starts_with(said) && text.contains("expired on 2001-02-01T"), "{text}");
        assert!(text.contains("admin_open: the admin port listens on all addresses (0.0.0.0:9100)"), "{text}");
    }
}

#[test]
fn ports_are_free_again_after_the_end() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    // Established connections of the process before must not be in the way.
    let mut open = Http::to(server.http());
    assert_eq!(open.ask(&http::get("/livez")).status, 200);
    let ports = [server.reactions(), server.quic(), server.http(), server.admin()].map(|port| port.to_string());
    assert_eq!(server.terminate().code, Some(0));
    let [reactions, quic, http, admin] = &ports;
    let flags = ["--reactions", reactions, "--quic", quic, "--http", http, "--admin", admin];
    let server = Server::start(&[&["--shards", "2", "--window", "100ms"][..], &flags].concat());
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_wrong_configuration_names_key_value_and_range() {
    for (args, said) in [
        (["--window", "50ms"], ["--window", "window is \"50ms\"", "100ms to 1m"]),
        (["--shards", "129"], ["--shards", "shards is \"129\"", "\"all\" or 1 to 128"]),
        (["--top-k", "0"], ["--top-k", "top_k is \"0\"", "1 to 64"]),
        (["--quic", "here"], ["--quic", "listen.quic is \"here\"", "an address and a port"]),
    ] {
        assert_refuses(&Server::refused(&args), &said);
    }
}

#[test]
fn a_wrong_line_of_the_file_is_named() {
    for (toml, said) in [
        ("top_k = 8\nwindow = \"2h\"\n", [":2:", "window is \"2h\"", "100ms to 1m"]),
        ("[http]\n\nidle_timout = \"1s\"\n", [":3:", "unknown key http.idle_timout", "uproar config default"]),
        ("[[rooms]]\nid = 1\nname = \"a\"\npalette = []\n", [":1:", "palette is 0 emoji", "1 to 1024 emoji"]),
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(toml.as_bytes()).unwrap();
        assert_refuses(&Server::refused(&["--config", file.path().to_str().unwrap()]), &said);
    }
}

fn assert_refuses(ended: &Ended, said: &[&str]) {
    assert_eq!((ended.code, ended.drained), (Some(2), None), "{}", ended.log);
    assert_eq!(ended.log.lines().count(), 1, "one line: {}", ended.log);
    for part in said {
        assert!(ended.log.contains(part), "{part} is not in: {}", ended.log);
    }
}
