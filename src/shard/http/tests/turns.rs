//! What one turn of a shard does of what is asked of the admin port, counted.

use super::*;
use crate::room::Room;
use crate::shard::RoomChanges;
use uproar_wire::RoomId;
use uproar_wire::http::RoomSpec;

fn spec(name: &str) -> RoomSpec {
    let spec = serde_json::json!({"name": "n", "palette": [{"name": name, "glyph": name}]});
    serde_json::from_value(spec).unwrap()
}

/// One turn, as far as this shard's own messages and slices of work go.
fn turn(shard: &mut Shard, now: Now) -> bool {
    let has_more = shard.serve(now);
    assert!(shard.poll_mesh(now).is_none(), "there is no other shard");
    has_more || shard.has_heard_itself() || shard.has_messages()
}

#[test]
fn many_scrapes_take_turns() {
    const SCRAPES: u32 = 5 * limits::SCRAPES_PER_TURN as u32;
    let (mut shard, now) = (shard(), now());
    for slot in 0..SCRAPES {
        let conn = HttpConn { slot, generation: 0 };
        shard.http_opened(conn, HttpPort::Admin);
        let request = ask("GET", "/metrics", "HTTP/1.1");
        assert!(shard.handle_http(conn, request.as_bytes(), &mut Vec::new()) == HttpNext::Wait);
    }
    let mut answered = Vec::new();
    loop {
        let has_more = turn(&mut shard, now);
        let ready: Vec<_> = std::iter::from_fn(|| shard.poll_http_ready()).map(|conn| conn.slot).collect();
        assert!(ready.len() <= limits::SCRAPES_PER_TURN, "{ready:?}");
        answered.extend(ready);
        if !has_more {
            break;
        }
    }
    assert_eq!(answered, (0..SCRAPES).collect::<Vec<_>>(), "each once, in the order in which they came");
}

#[test]
fn a_list_of_many_rooms_is_written_over_turns_and_each_room_once() {
    const ROOMS: u32 = 2 * limits::ROOM_LIST_SLICE as u32 + 7;
    let mut config = config(1);
    let room = |id| Arc::new(Room::new(RoomId(id), spec("f")).unwrap());
    config.rooms = (0..ROOMS).map(room).collect();
    let (mut shard, now) = (Shard::new(config, now()), now());
    let conns = [0, 1, 2].map(|slot| HttpConn { slot, generation: 0 });
    let request = |method| ask(method, "/v1/rooms", "HTTP/1.1");
    let begin = |shard: &mut Shard, conn, method| {
        shard.http_opened(conn, HttpPort::Admin);
        assert!(shard.handle_http(conn, request(method).as_bytes(), &mut Vec::new()) == HttpNext::Wait);
    };
    begin(&mut shard, conns[0], "GET");
    begin(&mut shard, conns[1], "HEAD");
    assert!(turn(&mut shard, now));
    // Comes too late for the first list, in which a room may be missing that has come meanwhile.
    begin(&mut shard, conns[2], "GET");
    let mut turns = 1;
    while turn(&mut shard, now) {
        turns += 1;
    }
    assert!(turns >= 2 * ROOMS as usize / limits::ROOM_LIST_SLICE);
    for conn in conns {
        assert_eq!(shard.poll_http_ready(), Some(conn));
        let mut reply = Vec::new();
        assert!(shard.handle_http(conn, &[], &mut reply) != HttpNext::Close);
        while let Some(piece) = shard.take_http_body(conn) {
            assert!(piece.len() <= limits::PAGE_SLICE_BYTES + 1000);
            reply.extend_from_slice(&piece);
        }
        assert!(shard.handle_http(conn, &[], &mut Vec::new()) == HttpNext::Read);
        let reply = String::from_utf8(reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        if conn == conns[1] {
            assert_eq!(body, "", "a HEAD has a length and no body");
            continue;
        }
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        let listed: Vec<serde_json::Value> = serde_json::from_str(body).unwrap();
        let ids: Vec<_> = listed.iter().map(|room| room["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, (0..u64::from(ROOMS)).collect::<Vec<_>>());
    }
}

#[test]
fn a_reload_of_many_rooms_takes_many_turns() {
    const ROOMS: usize = 10 * limits::MESH_SLICE;
    let (mut shard, now) = (shard(), now());
    let put = (0..ROOMS).map(|id| Arc::new(Room::new(RoomId(1000 + id as u32), spec("f")).unwrap())).collect();
    shard.change_rooms(RoomChanges { gone: Vec::new(), put });
    let mut turns = 0;
    let mut rooms = shard.rooms.len();
    while shard.poll_rooms_changed().is_none() {
        assert!(turn(&mut shard, now), "the reload does not stand still");
        turns += 1;
        // A change takes a message at least.
        assert!(shard.rooms.len() - rooms <= limits::MESH_SLICE);
        rooms = shard.rooms.len();
    }
    assert_eq!(rooms, 1 + ROOMS);
    assert!(turns >= ROOMS / limits::MESH_SLICE);
}
