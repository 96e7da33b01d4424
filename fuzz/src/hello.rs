//! Control messages of QUIC: one that is taken is the one that its sender encoded, and the verdict on the first bytes of
//! a message is never taken back.

use std::fmt::Debug;
use uproar_wire::control::{self, ControlMessage};
use uproar_wire::hello::{Hello, HelloError, MESSAGE_MAX, ROOMS_MAX, TOKEN_MAX, Welcome};

/// Decodes `bytes` as a hello, as a welcome, and as any message of a control stream.
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
    if let Some((message, taken)) = decode_as_it_comes(bytes, ControlMessage::decode) {
        check_any(&message, &bytes[..taken]);
    }
}

fn check_any(message: &ControlMessage, bytes: &[u8]) {
    assert_eq!(control::message_len(bytes), Ok(Some(bytes.len())));
    let mut encoded = Vec::new();
    match message {
        ControlMessage::Hello(hello) => hello.encode(&mut encoded),
        ControlMessage::Welcome(welcome) => welcome.encode(&mut encoded),
        ControlMessage::Request(request) => {
            assert!((1..=ROOMS_MAX).contains(&request.rooms.len()));
            request.encode(&mut encoded);
        }
        ControlMessage::Answer(answer) => answer.encode(&mut encoded),
        // Its body is not looked at.
        ControlMessage::Reactions(datagram) => uproar_wire::control::encode_reactions(datagram, &mut encoded),
        ControlMessage::Unknown(kind) => {
            assert_eq!(bytes[2], *kind);
            return;
        }
    }
    assert_eq!(encoded, bytes);
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
