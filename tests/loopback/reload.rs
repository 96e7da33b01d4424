//! SIGHUP: the configuration and the certificate are read again while everybody stays connected.

use crate::support::hostile::{HostilePeer, Identity};
use crate::support::{Audience, Http, Server, Tapper, Viewer, http};
use uproar_wire::hello::{CloseCode, RoomStatus};

const ROOM: u32 = 1;
const SHARDS: usize = 2;
const FLAGS: [&str; 4] = ["--shards", "2", "--window", "100ms"];

/// A server whose certificate is in the files of `identity`.
fn server_of(identity: &Identity, toml: &str) -> Server {
    let [certificate, key] = identity.flags();
    Server::configured(toml, &[&FLAGS[..], &[&certificate, &key]].concat())
}

/// Whether somebody who trusts only `identity` is let in, whichever shard they come to.
fn is_served(server: &Server, identity: &Identity) -> bool {
    let peers: Vec<_> = (0..8).map(|_| HostilePeer::connect(server, identity, b"uproar/1").is_ok()).collect();
    assert!(peers.iter().all(|peer| *peer == peers[0]), "not all shards have the same certificate: {peers:?}");
    peers[0]
}

fn accepted(server: &Server) -> u64 {
    server.metric("uproar_connections_total{proto=\"quic\",outcome=\"accepted\"}")
}

/// Connections that were there and have ended, for whatever reason.
fn ended(server: &Server) -> u64 {
    let ends = ["done", "draining", "timed_out", "reset", "transport_error"];
    let of = |end| server.metric(&format!("uproar_connections_total{{proto=\"quic\",outcome=\"{end}\"}}"));
    ends.iter().map(of).sum()
}

#[test]
fn a_new_certificate_is_for_new_connections_and_the_old_ones_keep_their_frames() {
    let (old, new) = (Identity::new(), Identity::new());
    let server = server_of(&old, "");
    let mut viewer = Viewer::watching(&server, &[ROOM]);
    let audience = Audience::on_every_shard(&server, SHARDS, ROOM);
    let last = viewer.next_frame();
    assert_eq!((is_served(&server, &old), is_served(&server, &new)), (true, false));

    old.serve_instead(&new);
    let (accepted_before, ended_before) = (accepted(&server), ended(&server));
    server.reload("done");
    server.await_log("reload: the certificate, now SHA-256 ");
    let frame = viewer.see_taps(ROOM, |viewer| viewer.tap(ROOM, &[(3, 1)]));
    assert!(frame.window > last.window);
    assert_eq!((accepted(&server), ended(&server)), (accepted_before, ended_before), "nobody came again, nobody went");
    assert_eq!((is_served(&server, &old), is_served(&server, &new)), (false, true));

    // The audience has seen every tap, before and after.
    let (code, drained) = (server.terminate().code, viewer.watch_to_the_end().1);
    assert_eq!((code, drained), (Some(0), Some(CloseCode::Draining)));
    let seen = audience.frames_to_the_end();
    assert!(seen.values().map(|frame| frame.total).sum::<u64>() >= 1);
}

#[test]
fn what_cannot_be_used_changes_nothing_and_is_said_once() {
    let (old, new) = (Identity::new(), Identity::new());
    let toml = "[http]\nidle_timeout = \"50s\"\n";
    let server = server_of(&old, toml);
    let mut viewer = Viewer::watching(&server, &[ROOM]);
    type Spoil<'a> = (&'a dyn Fn(), &'a [&'a str]);
    let cases: [Spoil<'_>; 6] = [
        (&|| old.spoil("certificate.pem", "no certificate"), &["quic.certificate", "it holds no certificate"]),
        (&|| old.spoil("key.pem", "no key"), &["quic.private_key", "key.pem"]),
        (&|| old.copy_from(&new, "certificate.pem"), &["use a chain and the key of its first certificate"]),
        (&|| server.rewrite("[http]\nidle_timeout = \"0s\"\n"), &[":2:", "http.idle_timeout is \"0s\"", "1s to 2h"]),
        (&|| server.rewrite("[quic]\nretry_above = 7\n[[rooms]]\nid = 5\nname = \"\"\npalette = []\n"), &["rooms[0]"]),
        (&|| server.rewrite("no TOML"), &[":1:"]),
    ];
    let kept = Identity::new();
    kept.serve_instead(&old);
    for (round, (spoil, said)) in cases.iter().enumerate() {
        spoil();
        let log = server.reload_and_log("refused");
        // Whatever else a busy machine has the server warn of.
        let lines: Vec<_> = log.lines().filter(|line| line.contains("WARN") && line.contains("reload")).collect();
        assert_eq!(lines.len(), 1, "round {round}: {log}");
        assert!(lines[0].contains("the configuration in force stays"), "{log}");
        said.iter().for_each(|said| assert!(lines[0].contains(said), "{said} is not in: {log}"));
        assert!(is_served(&server, &old), "round {round}: the certificate of before is served");
        viewer.see_taps(ROOM, |viewer| viewer.tap(ROOM, &[(3, 1)]));
        assert_eq!(rooms_of(&server), [1]);
        old.serve_instead(&kept);
        server.rewrite(toml);
    }
    assert_eq!(server.metric("uproar_reloads_total{outcome=\"done\"}"), 0);
    server.reload("done");
    server.await_log("reload: nothing has changed");
    assert_eq!((server.metric("uproar_subscribers"), server.terminate().code), (1, Some(0)));
}

#[test]
fn a_certificate_made_for_development_stays() {
    let server = Server::configured("", &FLAGS);
    let identity = Identity::new();
    let mut viewer = Viewer::watching(&server, &[ROOM]);
    server.reload("done");
    server.await_log("reload: nothing has changed");
    // It gives way to one that is configured.
    let [certificate, key] = identity.flags().map(|flag| flag.split_once('=').unwrap().1.to_owned());
    server.rewrite(&format!("[quic]\ncertificate = {certificate:?}\nprivate_key = {key:?}\n"));
    server.reload("done");
    assert!(is_served(&server, &identity));
    server.rewrite("");
    server.reload("done");
    server.await_log("what has changed of quic.certificate, quic.private_key is not in force; restart the server");
    assert!(is_served(&server, &identity));
    viewer.see_taps(ROOM, |viewer| viewer.tap(ROOM, &[(3, 1)]));
}

fn room(id: u32, emoji: &[&str]) -> String {
    let palette: Vec<_> = emoji.iter().map(|name| format!("{{ name = \"{name}\", glyph = \"{name}\" }}")).collect();
    format!("[[rooms]]\nid = {id}\nname = \"Room {id}\"\npalette = [{}]\n", palette.join(", "))
}

fn rooms_of(server: &Server) -> Vec<u64> {
    let rooms = server.ask_admin(&http::get("/v1/rooms")).json();
    rooms.as_array().unwrap().iter().map(|room| room["id"].as_u64().unwrap()).collect()
}

#[test]
fn rooms_come_change_and_go_and_those_of_the_admin_port_stay() {
    let before = [room(1, &["a", "b"]), room(2, &["a"]), room(3, &["a"])].concat();
    let server = Server::configured(&before, &FLAGS);
    let put = |id: u32, emoji: &str| {
        let spec = format!(r#"{{"name":"by hand","palette":[{{"name":"{emoji}","glyph":"{emoji}"}}]}}"#);
        let path = format!("/v1/rooms/{id}");
        server.ask_admin(&http::request("PUT", &path, "application/json", spec.as_bytes())).status
    };
    assert_eq!((put(9, "x"), put(2, "y")), (201, 200));
    let mut changing = Viewer::watching(&server, &[1]);
    assert_eq!(changing.next_palette().emoji.len(), 2);
    let going = Viewer::watching(&server, &[3]);

    server.rewrite(&[room(1, &["a", "b", "c"]), room(2, &["a"]), room(4, &["a"])].concat());
    server.reload("done");
    server.await_log("reload: 1 room added; 1 room replaced; 1 room deleted");
    assert_eq!(rooms_of(&server), [1, 2, 4, 9]);
    assert_eq!(changing.next_palette().emoji.len(), 3);
    assert_eq!(going.watch_to_the_end().1, Some(CloseCode::RoomDeleted));
    for _ in 0..8 {
        let mut public = Http::to(server.http());
        let taps = [(1, "c"), (2, "y"), (4, "a"), (9, "x")];
        for (room, emoji) in taps {
            let tap = http::reactions(room, &format!(r#"{{"emoji":"{emoji}"}}"#));
            assert_eq!(public.ask(&tap).status, 202, "room {room} on whichever shard");
        }
        assert_eq!(public.ask(&http::reactions(3, r#"{"emoji":"a"}"#)).status, 404);
    }
    assert_eq!(server.terminate().drained, Some((32, 32)));
}

#[test]
fn a_room_without_ids_for_its_new_emoji_stays_and_the_rest_is_taken() {
    let many = |from: usize, to: usize| {
        let emoji: Vec<_> = (from..to).map(|id| format!("e{id}")).collect();
        room(1, &emoji.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let server = Server::configured(&many(0, 1000), &["--shards", "2", "--window", "100ms"]);
    let mut connection = Http::to(server.http());
    server.rewrite(&[many(1000, 1025), room(2, &["a"])].concat());
    for time in 1..=2 {
        let log = server.reload_and_log("done");
        assert!(
            log.contains("room_kept: room 1 keeps its palette") && log.contains("1025 emoji ids"),
            "time {time}: {log}"
        );
    }
    assert_eq!(rooms_of(&server), [1, 2]);
    assert_eq!(connection.ask(&http::reactions(1, r#"{"emoji":"e999"}"#)).status, 202, "the room is as it was");
    server.rewrite(&[many(1000, 1024), room(2, &["a"])].concat());
    server.reload("done");
    assert_eq!(connection.ask(&http::reactions(1, r#"{"emoji":"e999"}"#)).status, 422);
    assert_eq!(connection.ask(&http::reactions(1, r#"{"emoji":"e1023"}"#)).status, 202);
    assert_eq!(server.terminate().drained, Some((2, 2)));
}

#[test]
fn other_limits_are_for_who_comes_and_nobody_is_cut_off() {
    let server = Server::configured("log = \"warn\"\n", &["--shards", "1", "--window", "100ms"]);
    let mut connections: Vec<_> = (0..3).map(|_| Http::to(server.http())).collect();
    connections.iter_mut().for_each(|connection| assert_eq!(connection.ask(&http::get("/livez")).status, 200));
    let mut watching: Vec<_> = (0..3).map(|_| Viewer::watching(&server, &[ROOM])).collect();
    let mut undecided = Viewer::connect(&server);

    server.rewrite("log = \"info\"\n[http]\nconnections_max = 3\n[quic]\nsubscribers_max = 3\nretry_above = 0\n");
    server.reload("done");
    let mut refused = Http::to(server.http());
    assert_eq!(refused.reply().code(), "full");
    refused.expect_end();
    assert_eq!(server.metric("uproar_connections_total{proto=\"http\",outcome=\"full\"}"), 1);
    assert_eq!(undecided.subscribe(&[ROOM]).unwrap_err().close_code(), Some(CloseCode::Full));
    assert_eq!(server.metric("uproar_connections_total{proto=\"quic\",outcome=\"retried\"}"), 0);
    let _another = Viewer::connect(&server);
    assert_eq!(server.metric("uproar_connections_total{proto=\"quic\",outcome=\"retried\"}"), 1);
    connections.iter_mut().for_each(|connection| assert_eq!(connection.ask(&http::get("/livez")).status, 200));
    watching.iter_mut().for_each(|viewer| drop(viewer.next_frame()));

    server.rewrite("log = \"info\"\n[quic]\nrooms_per_subscriber_max = 1\n");
    server.reload("done");
    server.await_log("reload: http.connections_max from 3 to 10000; quic.subscribers_max from 3 to");
    assert_eq!(Http::to(server.http()).ask(&http::get("/livez")).status, 200);
    let mut viewer = Viewer::connect(&server);
    let statuses = viewer.subscribe(&[ROOM, 7]).unwrap();
    assert!(statuses.contains(&(ROOM, RoomStatus::Subscribed)), "{statuses:?}");
    assert_eq!(viewer.subscribe_more(&[ROOM, 8])[1], (8, RoomStatus::UnknownRoom));
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_shorter_time_limit_is_for_those_who_are_there_too() {
    let server = Server::configured("", &["--shards", "1", "--window", "100ms"]);
    let mut silent = Http::to(server.http());
    assert_eq!(silent.ask(&http::get("/livez")).status, 200);
    server.rewrite("[http]\nidle_timeout = \"1s\"\n");
    server.reload("done");
    silent.expect_end();
    // Those of the admin port, too.
    server.await_shards("uproar_connections_total{proto=\"http\",outcome=\"timed_out\"}", |timed_out| timed_out >= 1);
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn what_takes_a_restart_is_named_and_the_rest_is_taken() {
    let server = Server::configured("", &["--shards", "1"]);
    let text = "window = \"1s\"\ntop_k = 3\n[listen]\nhttp = \"127.0.0.1:1\"\n[socket]\nsend_buffer_bytes = 65536\n";
    server.rewrite(&format!("{text}[http]\nhead_timeout = \"3s\"\n"));
    server.reload("done");
    // The port was given by a flag, which goes over the file.
    let said = "restart_needed: what has changed of window, top_k, socket.send_buffer_bytes is not in force; restart";
    server.await_log(said);
    server.await_log("reload: http.head_timeout from \"5s\" to \"3s\"\n");
    assert_eq!(Http::to(server.http()).ask(&http::get("/readyz")).status, 200);
}

#[test]
fn who_asks_while_a_reload_is_under_way_gets_another_one_after_it() {
    let server = Server::configured("", &FLAGS);
    for last in 10..20 {
        for room_id in [1, 2, 3, last] {
            server.rewrite(&room(room_id, &["a"]));
            server.send_sighup();
        }
        crate::support::eventually(
            || (rooms_of(&server) == [u64::from(last)]).then_some(()),
            || format!("{:?} and not {last}: {}", rooms_of(&server), server.log()),
        );
    }
    assert_eq!(server.metric("uproar_reloads_total{outcome=\"refused\"}"), 0);
    let tappers = Tapper::several(server.reactions());
    tappers.iter().for_each(|tapper| tapper.tap(19, 0, 1));
    server.await_metric("uproar_reactions_total", tappers.len() as u64);
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_server_that_drains_does_not_reload() {
    let mut server = Server::configured("", &["--shards", "2", "--drain-duration", "10m"]);
    server.send_sigterm();
    server.await_log("draining");
    server.rewrite(&room(2, &["a"]));
    server.send_sighup();
    server.await_log("SIGHUP is ignored: the server is draining");
    assert_eq!(rooms_of(&server), [1]);
    server.send_sigterm();
    assert_eq!(server.wait_for_end().code, Some(1));
}
