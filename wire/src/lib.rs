//! The contract between Uproar and the outside: what a reaction, a hello, a palette and a frame look like as bytes.
//!
//! Layer 0 of the project: bytes only, no clock, no state, no runtime. It is everything an SDK needs, and
//! `docs/WIRE.md` describes it to readers in other languages. In the order of a reaction's life:
//!
//! 1. [`ids`]: the words that everything else is keyed by.
//! 2. [`reaction`]: the datagram that carries taps in.
//! 3. [`http`]: the JSON bodies of the HTTP interface.
//! 4. [`hello`]: what a subscriber says first on its control stream, and the answer.
//! 5. [`control`]: how it changes what it watches while it is connected.
//! 6. [`frame`]: the picture of one room and one window, and the palette it refers to.
//! 7. [`label`]: when two names or glyphs of emoji are the same.
//! 8. [`stream`]: how palettes and frames follow one another on a room's stream.

pub mod control;
pub mod frame;
pub mod hello;
pub mod http;
pub mod ids;
pub mod label;
pub mod reaction;
pub mod stream;

pub use ids::{ClientId, EmojiId, RoomId, WindowSeq};

/// Version of the whole contract; the first byte of a reaction datagram and of a hello.
pub const VERSION: u8 = 1;

/// ALPN of the native protocol: [`hello`] and [`stream`] over QUIC.
pub const ALPN: &[u8] = b"uproar/1";
