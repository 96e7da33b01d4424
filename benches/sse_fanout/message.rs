//! What every server here delivers: one event a window, of as many bytes as the appliance's own.
//!
//! The room is the one that the appliance has without a configuration, and all its emoji are tapped, so that the event has
//! the size that frames have as JSON. Invariant: events of all servers have the same length. Not here: when.

use uproar_wire::reaction::{self, Record};
use uproar_wire::{ClientId, EmojiId, RoomId};

/// The room that is there without a configuration.
pub(crate) const ROOM: RoomId = RoomId(1);
/// Emoji of that room.
pub(crate) const EMOJI: u16 = 12;
/// Of each emoji in each window.
const TAPS: u16 = 3;
/// What events of frames begin with, and no other event does: their window's number.
const FRAME: &[u8] = b"id:";
/// The empty line at an event's end.
pub(crate) const END_LEN: usize = 2;

/// Whether an event is one of a frame, and not a palette, a comment or a greeting.
pub(crate) fn is_frame(event: &[u8]) -> bool {
    event.starts_with(FRAME)
}

/// One datagram that taps every emoji, so that the next frame names as many as frames do.
pub(crate) fn taps() -> Vec<u8> {
    let records: Vec<_> = (0..EMOJI).map(|id| Record { emoji: EmojiId(id), count: TAPS }).collect();
    let mut datagram = Vec::new();
    reaction::encode(ROOM, ClientId(1), &records, &mut datagram);
    datagram
}

/// The floor's event, with the empty line at its end.
pub(crate) fn event(event_bytes: usize) -> Vec<u8> {
    let mut event = b"id: 1\nevent: frame\ndata: ".to_vec();
    assert!(event.len() + END_LEN < event_bytes, "an event of {event_bytes} bytes");
    event.resize(event_bytes - END_LEN, b'x');
    event.extend_from_slice(b"\n\n");
    event
}
