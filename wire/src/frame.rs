//! The frame: the picture of one room and one window; and the palette that its emoji ids refer to.
//!
//! Both travel as rkyv archives: little-endian, 32-bit relative pointers, no alignment, so that a receiver reads
//! them in place wherever they lie in its buffer. The root object stands at the *end* of the archive. `docs/WIRE.md`
//! draws the bytes for readers without rkyv, and golden samples keep them from moving.

use crate::ids::{EmojiId, RoomId, WindowSeq};
use rkyv::rancor::Failure;

/// Top entries of a frame at most, whatever the configuration says.
pub const TOP_MAX: usize = 64;
/// Emoji of a palette at most.
pub const PALETTE_MAX: usize = 1024;
/// Bytes of an emoji's name, of its glyph (or image address), and of a room's name at most.
pub const LABEL_MAX: usize = 256;

/// Bytes are not a valid archive of what was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a valid archive of version {}", crate::VERSION)]
pub struct InvalidArchive;

/// What the audience of one room did in one window.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(attr(repr(C)), derive(Debug))]
pub struct Frame {
    /// [`RoomId`] of the room.
    pub room: u32,
    /// Length of the window in milliseconds.
    pub window_ms: u32,
    /// [`WindowSeq`] of the window.
    pub window: u64,
    /// Unix time at which the window began, in milliseconds.
    pub start_ms: u64,
    /// Taps of the whole room in this window, of all emoji, also those that are not in `top`.
    pub total: u64,
    /// `total` against the room's recent peak, 0 (still) to 255 (as loud as it has been of late).
    pub intensity: u8,
    /// The most tapped emoji, by count descending, then id ascending.
    pub top: Vec<TopEntry>,
}

/// One of a frame's most tapped emoji.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(attr(repr(C)), derive(Debug))]
pub struct TopEntry {
    /// Taps of this emoji in the window.
    pub count: u64,
    /// [`EmojiId`] in the room's palette.
    pub emoji: u16,
    /// `count` against the frame's `total`, in basis points, 0..=10000, rounded down.
    pub share: u16,
    /// `count` against the room's recent peak, 0..=255; never more than the frame's `intensity`.
    pub intensity: u8,
}

/// What the emoji ids of a room's frames mean.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(attr(repr(C)), derive(Debug))]
pub struct Palette {
    /// [`RoomId`] of the room.
    pub room: u32,
    /// Name of the room.
    pub name: String,
    /// Every emoji that the room has had, in the order of their ids from 0; see [`PaletteEntry::is_retired`].
    pub emoji: Vec<PaletteEntry>,
}

/// One emoji of a palette; its id is its place.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(attr(repr(C)), derive(Debug))]
pub struct PaletteEntry {
    /// What people call it, unique in the palette; empty when it is retired.
    pub name: String,
    /// The emoji itself, or the address of an image; unique in the palette.
    pub glyph: String,
}

impl PaletteEntry {
    /// Whether it can no longer be tapped. Frames may still name it, for taps that were counted before.
    pub fn is_retired(&self) -> bool {
        self.name.is_empty()
    }
}

/// Bytes of an archive's parts, as `docs/WIRE.md` draws them: without padding, whatever machine compiled this.
const _: () = {
    use std::mem::{align_of, offset_of, size_of};
    assert!(size_of::<ArchivedFrame>() == 41 && align_of::<ArchivedFrame>() == 1);
    assert!(offset_of!(ArchivedFrame, room) == 0 && offset_of!(ArchivedFrame, window_ms) == 4);
    assert!(offset_of!(ArchivedFrame, window) == 8 && offset_of!(ArchivedFrame, start_ms) == 16);
    assert!(offset_of!(ArchivedFrame, total) == 24 && offset_of!(ArchivedFrame, intensity) == 32);
    assert!(offset_of!(ArchivedFrame, top) == 33);
    assert!(size_of::<ArchivedTopEntry>() == 13 && align_of::<ArchivedTopEntry>() == 1);
    assert!(offset_of!(ArchivedTopEntry, count) == 0 && offset_of!(ArchivedTopEntry, emoji) == 8);
    assert!(offset_of!(ArchivedTopEntry, share) == 10 && offset_of!(ArchivedTopEntry, intensity) == 12);
    assert!(size_of::<ArchivedPalette>() == 20 && align_of::<ArchivedPalette>() == 1);
    assert!(offset_of!(ArchivedPalette, name) == 4 && offset_of!(ArchivedPalette, emoji) == 12);
    assert!(size_of::<ArchivedPaletteEntry>() == 16 && align_of::<ArchivedPaletteEntry>() == 1);
    assert!(offset_of!(ArchivedPaletteEntry, name) == 0 && offset_of!(ArchivedPaletteEntry, glyph) == 8);
};

impl Frame {
    /// The room as a typed id.
    pub fn room_id(&self) -> RoomId {
        RoomId(self.room)
    }
    /// The window as a typed number.
    pub fn window_seq(&self) -> WindowSeq {
        WindowSeq(self.window)
    }
    /// Appends the archive to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        append_archive(out, |bytes| rkyv::api::high::to_bytes_in::<_, Failure>(self, bytes));
    }
    /// Reads a whole archive into an owned frame.
    pub fn decode(archive: &[u8]) -> Result<Self, InvalidArchive> {
        rkyv::from_bytes::<Self, Failure>(archive).map_err(|_| InvalidArchive)
    }
}

impl TopEntry {
    /// The emoji as a typed id.
    pub fn emoji_id(&self) -> EmojiId {
        EmojiId(self.emoji)
    }
}

impl Palette {
    /// The emoji that can be tapped, with their ids.
    pub fn active(&self) -> impl Iterator<Item = (EmojiId, &PaletteEntry)> {
        let ids = (0..).map(EmojiId);
        ids.zip(&self.emoji).filter(|(_, entry)| !entry.is_retired())
    }
    /// Appends the archive to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        append_archive(out, |bytes| rkyv::api::high::to_bytes_in::<_, Failure>(self, bytes));
    }
    /// Reads a whole archive into an owned palette.
    pub fn decode(archive: &[u8]) -> Result<Self, InvalidArchive> {
        rkyv::from_bytes::<Self, Failure>(archive).map_err(|_| InvalidArchive)
    }
}

/// Validates a frame's archive and reads it in place, at any alignment.
pub fn access_frame(archive: &[u8]) -> Result<&ArchivedFrame, InvalidArchive> {
    rkyv::access::<ArchivedFrame, Failure>(archive).map_err(|_| InvalidArchive)
}

fn append_archive(out: &mut Vec<u8>, archive: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, Failure>) {
    // Serialising into growing memory fails only where memory itself does, which aborts.
    *out = archive(std::mem::take(out)).unwrap_or_else(|_| unreachable!("archives into memory cannot fail"));
}
