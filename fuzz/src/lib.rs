//! What the fuzz targets check, apart from libFuzzer, so that an ordinary test replays the corpora with the same code.
//!
//! Invariant: a `check` takes any bytes, and panics only when the appliance breaks a promise. The checks are
//! deterministic: how bytes are cut follows from the bytes. Not here: where bytes come from (`fuzz_targets/`, and
//! `tests/fuzz_corpora.rs` of the appliance).

pub mod hello;
pub mod http_json;
pub mod http_request;
pub mod reaction_datagram;
pub mod room_stream;
pub mod shard_http;
pub mod webtransport;

mod cut;
mod http_model;

/// A check, and the name of its target and its corpus.
pub type NamedCheck = (&'static str, fn(&[u8]));

/// Every check there is.
pub const CHECKS: [NamedCheck; 7] = [
    ("hello", hello::check),
    ("http_json", http_json::check),
    ("http_request", http_request::check),
    ("reaction_datagram", reaction_datagram::check),
    ("room_stream", room_stream::check),
    ("shard_http", shard_http::check),
    ("webtransport", webtransport::check),
];
