//! A batch as the bytes of a request.
//!
//! Invariant: a body says what its batch says, by the names of the room's palette.

use crate::crowd::Tap;
use std::fmt::Display;
use std::io::Write;
use uproar_wire::RoomId;

/// How each emoji of each room is written: the start of its JSON object, up to its count.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names(Vec<Vec<Box<[u8]>>>);

impl Names {
    /// From the names of each room's palette, in the order of the scenario's rooms and of the emoji's ids.
    pub fn new<R, N>(rooms: R) -> Self
    where
        R: IntoIterator<Item: IntoIterator<Item = N>>,
        N: AsRef<str>,
    {
        let object = |name: N| {
            let Ok(name) = serde_json::to_string(name.as_ref()) else { unreachable!("every text is a JSON string") };
            format!("{{\"emoji\":{name},\"count\":").into_bytes().into_boxed_slice()
        };
        Self(rooms.into_iter().map(|palette| palette.into_iter().map(object).collect()).collect())
    }

    /// The body of some taps: an object, or an array of several.
    pub(super) fn encode_body(&self, room: usize, taps: &[Tap], body: &mut Vec<u8>) {
        body.clear();
        let is_array = taps.len() > 1;
        for (at, tap) in taps.iter().enumerate() {
            if is_array {
                body.push(if at == 0 { b'[' } else { b',' });
            }
            body.extend_from_slice(&self.0[room][usize::from(tap.emoji.0)]);
            push(body, format_args!("{}}}", tap.count));
        }
        if is_array {
            body.push(b']');
        }
    }
}

/// A whole request.
pub(super) fn encode(room: RoomId, host: &str, client: u64, body: &[u8], request: &mut Vec<u8>) {
    request.clear();
    let length = body.len();
    push(
        request,
        format_args!(
            "POST /v1/rooms/{room}/reactions HTTP/1.1\r\nHost: {host}\r\nX-Client-Id: {client}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        ),
    );
    request.extend_from_slice(body);
}

fn push(to: &mut Vec<u8>, text: impl Display) {
    write!(to, "{text}").unwrap_or_else(|_| unreachable!("writing into memory cannot fail"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use uproar_wire::EmojiId;
    use uproar_wire::http::ReactionBody;

    fn tap(emoji: u16, count: u16) -> Tap {
        Tap { person: 0, emoji: EmojiId(emoji), count }
    }

    #[test]
    fn one_reaction_is_an_object_and_several_are_an_array() {
        let names = Names::new([["six"].as_slice(), &["fire", "\"quoted\""]]);
        let mut body = Vec::new();
        names.encode_body(1, &[tap(0, 3)], &mut body);
        assert_eq!(serde_json::from_slice::<ReactionBody<'_>>(&body).unwrap().count, 3);
        assert_eq!(body, br#"{"emoji":"fire","count":3}"#);
        names.encode_body(1, &[tap(0, 3), tap(1, 1)], &mut body);
        assert_eq!(body, br#"[{"emoji":"fire","count":3},{"emoji":"\"quoted\"","count":1}]"#);
    }

    #[test]
    fn a_request_says_how_long_its_body_is() {
        let mut request = Vec::new();
        encode(RoomId(7), "localhost:80", 3, b"body", &mut request);
        let text = String::from_utf8(request).unwrap();
        assert!(text.starts_with("POST /v1/rooms/7/reactions HTTP/1.1\r\nHost: localhost:80\r\n"), "{text}");
        assert!(text.ends_with("Content-Length: 4\r\n\r\nbody"), "{text}");
    }
}
