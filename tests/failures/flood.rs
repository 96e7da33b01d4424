//! More connections than there is room for, on the port that only operators should reach.

use crate::support::{Http, Server, Viewer, http};
use uproar::limits::ADMIN_CONNECTIONS_MAX;

const ROOM: u32 = 1;

#[test]
fn a_flooded_admin_port_keeps_out_operators_and_nobody_else() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    let mut flood: Vec<_> = (0..ADMIN_CONNECTIONS_MAX).map(|_| Http::to(server.admin())).collect();
    for connection in &mut flood {
        assert_eq!(connection.ask(&http::get("/livez")).status, 200);
    }
    let mut refused = Http::to(server.admin());
    assert_eq!(refused.reply().code(), "full");
    refused.expect_end();
    // Readiness is also on the public port, for whoever decides where traffic goes.
    let mut public = Http::to(server.http());
    assert_eq!(public.ask(&http::get("/readyz")).status, 200);
    let tap = http::reactions(ROOM, r#"{"emoji":"fire"}"#);
    Viewer::watching(&server, &[ROOM]).see_taps(ROOM, |_| assert_eq!(public.ask(&tap).status, 202));
    drop(flood);
    // Once they are gone there is room, and what happened can be read.
    let full = "uproar_connections_total{proto=\"http\",outcome=\"full\"}";
    crate::support::eventually(
        || Http::try_to(server.admin()).ok()?.try_ask(&http::get("/livez")).ok(),
        || "nobody is let in though the others are gone".into(),
    );
    assert!(server.metric(full) >= 1);
}
