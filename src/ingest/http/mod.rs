//! HTTP/1.1, in the order of a request's life: found in the bytes of a connection, read, and answered.
//!
//! 1. [`decoder`]: bytes of one connection become requests, or one refusal. It uses `scan` (where a head ends), `head`
//!    (what it says) and `body` (chunked framing).
//! 2. [`reactions`]: the JSON of a request becomes reactions, nearly always by way of `plain`.
//! 3. [`reply`]: replies become bytes, with the `date` of the turn.
//!
//! Invariant: what could be framed in two ways is refused, so that no proxy in front sees other requests than we do.
//! Not here: routes, time-outs, connections.

mod body;
mod date;
mod head;
mod plain;
mod refusal;
mod request;
mod scan;

pub mod decoder;
pub mod reactions;
pub mod reply;

pub use date::Date;
pub use decoder::{DecoderLimits, Flow, Progress, RequestDecoder};
pub use reactions::{ReactionsError, parse_reactions};
pub use refusal::Refusal;
pub use reply::{Manner, Readers};
pub use request::{Coding, ContentKind, EntityTag, Method, Request, is_field_list};

#[cfg(test)]
mod tests;
