//! Control messages of QUIC: a hello or a welcome that is taken is the one that its sender encoded, and the verdict on
//! the first bytes of a message is never taken back.

use std::fmt::Debug;
use uproar_wire::hello::{Hello, HelloError, MESSAGE_MAX, ROOMS_MAX, TOKEN_MAX, Welcome};

/// Decodes `bytes` as what a client sends and as what a server answers.
///
/// # Panics
/// When a message is taken that does not encode to the same bytes or is beyond its limits, or when a verdict changes as
/// more bytes come.
pub fn check(bytes: &[u8]) {
    if let Some((hello, taken)) = decode_as_it_comes(bytes, Hello::decode) {
        assert!((1..=ROOMS_MAX).contains(&hello.rooms.len()) && hello.token.len() <= TOKEN_MAX);
        let mut encoded = Vec::new();
        hello.encode(&mut encoded);
        assert_eq!(encoded, bytes[..taken]);
    }
    if let Some((welcome, taken)) = decode_as_it_comes(bytes, Welcome::decode) {
        let mut encoded = Vec::new();
        welcome.encode(&mut encoded);
        assert_eq!(encoded, bytes[..taken]);
    }
}

type Decoded<T> = Result<Option<(T, usize)>, HelloError>;

fn decode_as_it_comes<T: PartialEq + Debug>(bytes: &[u8], decode: impl Fn(&[u8]) -> Decoded<T>) -> Option<(T, usize)> {
    let whole = decode(bytes);
    // A message is no longer than this, so that what follows is not looked at.
    for len in 0..=bytes.len().min(MESSAGE_MAX) {
        let first = decode(&bytes[..len]);
        assert!(first == Ok(None) || first == whole, "{first:?} after {len} bytes, then {whole:?}");
    }
    let decoded = whole.ok().flatten();
    if let Some((_, taken)) = decoded {
        assert!(taken <= bytes.len().min(MESSAGE_MAX));
    }
    decoded
}
