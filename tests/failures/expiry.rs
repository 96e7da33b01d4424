//! A certificate whose time is over.

use crate::support::hostile::{HostilePeer, Identity};
use crate::support::{Http, Server, Viewer, http};
use quinn::ConnectionError;

#[test]
fn an_expired_certificate_keeps_out_who_checks_it_and_nobody_else() {
    let identity = Identity::expired();
    let [certificate, key] = identity.flags();
    let server = Server::start(&["--shards", "2", "--window", "100ms", &certificate, &key]);
    let refused = HostilePeer::connect(&server, &identity, b"uproar/1").err().expect("the peer checks");
    let ConnectionError::TransportError(refusal) = refused else { panic!("{refused}") };
    assert!(refusal.reason.to_lowercase().contains("expired"), "{refusal}");
    // A viewer that does not check, and taps by HTTP, which is not encrypted.
    let mut viewer = Viewer::watching(&server, &[1]);
    let tap = http::reactions(1, r#"{"emoji":"fire"}"#);
    viewer.see_taps(1, |_| assert_eq!(Http::to(server.http()).ask(&tap).status, 202));
    let of = |outcome| server.metric(&format!("uproar_connections_total{{proto=\"quic\",outcome=\"{outcome}\"}}"));
    assert_eq!(of("handshake_failed"), 1, "which is how an operator sees it");
}
