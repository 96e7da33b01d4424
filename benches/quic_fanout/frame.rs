//! What every server here delivers: one room's palette, then a frame a window of as near to 300 bytes as frames come.
//!
//! Invariant: all servers deliver the same number of bytes, in the format of the wire. Not here: when.

use std::fmt::Write as _;
use uproar_wire::frame::{Frame, Palette, PaletteEntry, TopEntry};
use uproar_wire::reaction::{self, Record};
use uproar_wire::{ClientId, EmojiId, RoomId, stream};

/// Bytes that the bench is about.
pub(crate) const BYTES: usize = 300;
/// The only room.
pub(crate) const ROOM: RoomId = RoomId(1);
/// Emoji of the room, all of them named by every frame.
pub(crate) const EMOJI: u16 = 20;
/// Bytes of one emoji in a frame; sizes between are not to be had.
const ENTRY_BYTES: usize = 13;
/// Of each emoji in each window.
const TAPS: u16 = 3;

/// A frame's message on the stream.
pub(crate) fn message(window: u64, window_ms: u64) -> Vec<u8> {
    let share = 10_000 / EMOJI;
    let entry = |emoji| TopEntry { count: TAPS.into(), emoji, share, intensity: 255 };
    let frame = Frame {
        room: ROOM.0,
        window_ms: window_ms as u32,
        window,
        start_ms: window * window_ms,
        total: u64::from(EMOJI * TAPS),
        intensity: 255,
        top: (0..EMOJI).map(entry).collect(),
    };
    let mut message = Vec::new();
    stream::encode_frame(&frame, &mut message);
    let is_nearest = message.len().abs_diff(BYTES) <= ENTRY_BYTES / 2;
    assert!(is_nearest, "a frame of {EMOJI} emoji has {} bytes", message.len());
    message
}

/// The palette's message on the stream.
pub(crate) fn palette_message() -> Vec<u8> {
    let emoji = (0..EMOJI).map(|id| PaletteEntry { name: name(id), glyph: glyph(id).into() }).collect();
    let mut message = Vec::new();
    stream::encode_palette(&Palette { room: ROOM.0, name: "bench".into(), emoji }, &mut message);
    message
}

/// The same room, for the appliance's configuration file.
pub(crate) fn room_toml() -> String {
    let mut text = format!("[[rooms]]\nid = {}\nname = \"bench\"\npalette = [", ROOM.0);
    for id in 0..EMOJI {
        write!(text, "{{ name = \"{}\", glyph = \"{}\" }}, ", name(id), glyph(id)).expect("memory takes text");
    }
    text + "]\n"
}

/// One datagram that taps every emoji, so that the next frame names them all.
pub(crate) fn taps() -> Vec<u8> {
    let records: Vec<_> = (0..EMOJI).map(|id| Record { emoji: EmojiId(id), count: TAPS }).collect();
    let mut datagram = Vec::new();
    reaction::encode(ROOM, ClientId(1), &records, &mut datagram);
    datagram
}

/// The emoji with id 0; the others follow it in Unicode.
const FIRST_GLYPH: u32 = 0x1f600;

fn name(id: u16) -> String {
    format!("emoji {id}")
}

fn glyph(id: u16) -> char {
    char::from_u32(FIRST_GLYPH + u32::from(id)).expect("Unicode has emoji there")
}
