//! TLS as one connection among a hundred thousand needs it: everything that only the handshake uses is given back when
//! it is over, and keys are kept as the bytes they are made of.
//!
//! A connection of rustls is 4 KB, of which an established subscriber needs the secrets that follow the present ones,
//! 200 bytes ([`session`]). A key that is ready for use is 600 bytes and lies in a dozen cache lines that one frame a
//! window never finds in the cache; preparing it again from its 16 bytes costs less than fetching it ([`keys`]).
//!
//! Not here: which certificates, groups and suites ([`super::transport`]).

mod keys;
mod session;

pub(super) use keys::lean_aes_128;
pub(super) use session::AgreedHttp3;
pub use session::ServerCrypto;
