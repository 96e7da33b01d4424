//! Cuts a room's stream into messages, however the network chunked it.
//!
//! Invariant: never holds more than one message of the largest kind and the chunk that completed it. Holds nothing
//! between messages, so that a thousand quiet subscribers cost nothing here.

use bytes::{Buf, Bytes};
use uproar_wire::stream::{self, RoomMessage, StreamError};

/// Bytes of a room's stream that are not yet a whole message.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// The newest chunk, or what is left of it: most messages come whole in one, and are read where they lie.
    chunk: Bytes,
    /// The start of a message whose end is still to come.
    partial: Vec<u8>,
}

impl Inbox {
    /// Takes the next chunk. Messages must have been taken out until `None` before.
    pub(crate) fn handle_chunk(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "whole messages are taken out before more bytes come in");
        if self.partial.is_empty() {
            self.chunk = chunk;
        } else {
            self.partial.extend_from_slice(&chunk);
        }
    }

    /// The next whole message.
    pub(crate) fn poll_message(&mut self) -> Result<Option<RoomMessage>, StreamError> {
        if self.partial.is_empty() {
            let message = stream::decode(&self.chunk)?;
            return Ok(match message {
                Some((message, taken)) => {
                    self.chunk.advance(taken);
                    Some(message)
                }
                None => {
                    // A copy of what is left, and not the chunk's own memory, which may be far larger.
                    self.partial = self.chunk.to_vec();
                    self.chunk = Bytes::new();
                    None
                }
            });
        }
        let Some((message, taken)) = stream::decode(&self.partial)? else {
            return Ok(None);
        };
        self.chunk = Bytes::from(std::mem::take(&mut self.partial)).slice(taken..);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uproar_wire::frame::{Frame, Palette, PaletteEntry, TopEntry};

    fn frame(window: u64, entries: u16) -> Frame {
        let top = (0..entries).map(|emoji| TopEntry { count: 9, emoji, share: 100, intensity: 3 }).collect();
        Frame { room: 7, window_ms: 2000, window, start_ms: window * 2000, total: 90, intensity: 4, top }
    }

    fn palette() -> Palette {
        let emoji = (0..300).map(|n| PaletteEntry { name: format!("emoji {n}"), glyph: "🔥".into() }).collect();
        Palette { room: 7, name: "final".into(), emoji }
    }

    proptest! {
        #[test]
        fn messages_survive_any_chunking(cuts in prop::collection::vec(1usize..4000, 1..40)) {
            let mut sent = vec![RoomMessage::Palette(palette())];
            sent.extend((0..20).map(|window| RoomMessage::Frame(frame(window, window as u16 % 5))));
            let mut bytes = Vec::new();
            for message in &sent {
                match message {
                    RoomMessage::Palette(palette) => stream::encode_palette(palette, &mut bytes),
                    RoomMessage::Frame(frame) => stream::encode_frame(frame, &mut bytes),
                }
            }
            let (mut rest, mut cuts) = (Bytes::from(bytes), cuts.iter().cycle());
            let (mut inbox, mut received) = (Inbox::default(), Vec::new());
            while !rest.is_empty() {
                let cut = (*cuts.next().unwrap()).min(rest.len());
                inbox.handle_chunk(rest.split_to(cut));
                while let Some(message) = inbox.poll_message().unwrap() {
                    received.push(message);
                }
            }
            prop_assert_eq!(received, sent);
            prop_assert!(inbox.chunk.is_empty() && inbox.partial.capacity() == 0);
        }
    }

    #[test]
    fn an_endless_message_is_refused_by_its_length() {
        let mut inbox = Inbox::default();
        inbox.handle_chunk(Bytes::from_static(&[0xff, 0xff, 0xff]));
        assert_eq!(inbox.poll_message(), Ok(None));
        inbox.handle_chunk(Bytes::from_static(&[0x7f]));
        assert_eq!(inbox.poll_message(), Err(StreamError::BadLength(0x7fff_ffff)));
    }
}
