//! A server that crashed and came back, and who comes back to it.

use crate::support::hostile::{HostilePeer, Identity};
use crate::support::{Server, Viewer};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use uproar_wire::RoomId;
use uproar_wire::hello::Hello;

const ROOM: u32 = 1;

/// With a key file and, unless there is an identity, a new development certificate at each start.
fn start(key_file: &Path, identity: Option<&Identity>, quic: &str) -> Server {
    let toml = format!("[quic]\nkey_file = {:?}\n", key_file.display().to_string());
    let identity = identity.map(Identity::flags);
    let identity: Vec<&str> = identity.iter().flatten().map(String::as_str).collect();
    Server::configured(&toml, &[&["--shards", "2", "--window", "100ms", "--quic", quic], &identity[..]].concat())
}

#[test]
fn after_a_crash_old_connections_are_reset_and_sessions_resumed() {
    let (directory, identity) = (tempfile::tempdir().unwrap(), Identity::new());
    let key_file = directory.path().join("keys");
    let server = start(&key_file, Some(&identity), "127.0.0.1:0");
    let mut hello = Vec::new();
    Hello { rooms: vec![RoomId(ROOM)], token: Vec::new() }.encode(&mut hello);
    let mut peer = HostilePeer::connect(&server, &identity, b"uproar/1").unwrap();
    peer.say(&hello);
    // The ticket came before it.
    let _watched = peer.room_stream();

    let quic = server.quic().to_string();
    assert_eq!(server.kill().code, None);
    // It shows a certificate that the peer does not trust: only who resumes, and is shown none, gets in.
    let server = start(&key_file, None, &quic);
    peer.send_datagram(b"whoever is there now does not know this connection");
    assert_eq!(peer.end(), quinn::ConnectionError::Reset);
    peer.reconnect(&server).expect("the session is resumed");
    peer.say(&hello);
    let _watched = peer.room_stream();
    let stranger = HostilePeer::connect(&server, &identity, b"uproar/1").err();
    assert!(matches!(stranger, Some(quinn::ConnectionError::TransportError(_))), "{stranger:?}");

    // With other keys neither the ticket nor the reset is any good.
    assert_eq!(server.kill().code, None);
    let server = start(&directory.path().join("other"), None, &quic);
    let stranger = peer.reconnect(&server).err();
    assert!(matches!(stranger, Some(quinn::ConnectionError::TransportError(_))), "{stranger:?}");
}

#[test]
fn a_crowd_that_must_prove_its_addresses_and_wait_gets_in() {
    let toml = "[quic]\nretry_above = 0\nhandshakes_per_second = 50\n";
    let server = Server::configured(toml, &["--shards", "2", "--window", "100ms"]);
    let mut crowd: Vec<_> = (0..20).map(|_| Viewer::watching(&server, &[ROOM])).collect();
    for viewer in &mut crowd {
        viewer.next_frame();
    }
    let of = |outcome| server.metric(&format!("uproar_connections_total{{proto=\"quic\",outcome=\"{outcome}\"}}"));
    assert_eq!((of("retried"), of("accepted"), of("dropped")), (20, 20, 0));
    let shards = server.shard_metrics();
    assert_eq!((shards.sum("uproar_handshakes_under_way"), shards.sum("uproar_handshakes_waiting")), (0, 0));
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = Server::refused_with(&format!("[quic]\nkey_file = {:?}\n", file.path().display().to_string()));
    assert_eq!((ended.code, ended.drained), (Some(2), None), "{}", ended.log);
    assert!(ended.log.contains("quic.key_file") && ended.log.contains("chmod 600"), "{}", ended.log);
}
