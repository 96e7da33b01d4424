//! What the kernel drops at a full socket is seen: sent is taken plus dropped, exactly.

use crate::support::{Server, Tapper, eventually};

const ROOM: u32 = 1;
/// Datagrams, several times as many as the smallest receive buffer holds.
const SENT: u64 = 3000;
const TAKEN: &str = "uproar_datagrams_total";
const DROPPED: &str = "uproar_socket_drops_total{socket=\"reactions\"}";

#[test]
fn what_a_stalled_server_has_no_room_for_is_counted_as_dropped() {
    let server = Server::configured("[socket]\nreceive_buffer_bytes = 65536\n", &["--shards", "1"]);
    let tapper = Tapper::to(server.reactions());
    assert_eq!(server.metric(DROPPED), 0);
    server.stop();
    (0..SENT).for_each(|_| tapper.tap(ROOM, 3, 1));
    server.resume();

    let seen = || [TAKEN, DROPPED].map(|name| server.metric(name));
    let [taken, dropped] =
        eventually(|| Some(seen()).filter(|seen| seen.iter().sum::<u64>() >= SENT), || format!("{:?}", seen()));
    assert_eq!(taken + dropped, SENT);
    assert!(taken > 0 && dropped > 0, "{taken} taken, {dropped} dropped");
    server.await_log("WARN  shard 0: reactions_dropped: ");
    // The socket has room again, and nothing is counted twice.
    tapper.tap(ROOM, 3, 1);
    server.await_metric(TAKEN, taken + 1);
    assert_eq!((server.metric(DROPPED), server.metric("uproar_rejected_total")), (dropped, 0));
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((taken + 1, taken + 1))), "{}", ended.log);
}
