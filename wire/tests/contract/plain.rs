//! A reader of frames and palettes written from `docs/WIRE.md` alone: byte offsets and relative pointers, as an SDK
//! in another language has it. Deliberately without rkyv. `None` wherever the bytes lead outside the archive.

use uproar_wire::frame::{Frame, Palette, PaletteEntry, TopEntry};

const FRAME_LEN: usize = 41;
const TOP_ENTRY_LEN: usize = 13;
const PALETTE_LEN: usize = 20;
const PALETTE_ENTRY_LEN: usize = 16;
const STRING_IN_PLACE_MAX: usize = 8;

/// The reaction datagram in a control message of kind 6.
pub(crate) fn read_reactions(message: &[u8]) -> Option<&[u8]> {
    let (body, kind) = (message.get(3..)?, *message.get(2)?);
    (kind == 6 && usize::from(u16_at(message, 0)?) == 1 + body.len()).then_some(body)
}

/// Reads a frame's archive.
pub(crate) fn read_frame(archive: &[u8]) -> Option<Frame> {
    let root = archive.len().checked_sub(FRAME_LEN)?;
    let (first, len) = elements(archive, root + 33)?;
    let top = (0..len).map(|index| read_top_entry(archive, first + index * TOP_ENTRY_LEN));
    Some(Frame {
        room: u32_at(archive, root)?,
        window_ms: u32_at(archive, root + 4)?,
        window: u64_at(archive, root + 8)?,
        start_ms: u64_at(archive, root + 16)?,
        total: u64_at(archive, root + 24)?,
        intensity: *archive.get(root + 32)?,
        top: top.collect::<Option<_>>()?,
    })
}

fn read_top_entry(archive: &[u8], at: usize) -> Option<TopEntry> {
    Some(TopEntry {
        count: u64_at(archive, at)?,
        emoji: u16_at(archive, at + 8)?,
        share: u16_at(archive, at + 10)?,
        intensity: *archive.get(at + 12)?,
    })
}

/// Reads a palette's archive.
pub(crate) fn read_palette(archive: &[u8]) -> Option<Palette> {
    let root = archive.len().checked_sub(PALETTE_LEN)?;
    let (first, len) = elements(archive, root + 12)?;
    let emoji = (0..len).map(|index| {
        let at = first + index * PALETTE_ENTRY_LEN;
        Some(PaletteEntry { name: string_at(archive, at)?, glyph: string_at(archive, at + 8)? })
    });
    Some(Palette {
        room: u32_at(archive, root)?,
        name: string_at(archive, root + 4)?,
        emoji: emoji.collect::<Option<_>>()?,
    })
}

/// Where the elements of a list begin, and how many there are.
fn elements(archive: &[u8], at: usize) -> Option<(usize, usize)> {
    Some((pointed_to(archive, at, at)?, u32_at(archive, at + 4)? as usize))
}

fn string_at(archive: &[u8], at: usize) -> Option<String> {
    let field = archive.get(at..at + STRING_IN_PLACE_MAX)?;
    let text = if field[0] & 0xc0 == 0x80 {
        let first = pointed_to(archive, at, at + 4)?;
        let tagged = u32_at(archive, at)? as usize;
        let len = (tagged & 0x3f) | ((tagged >> 8) << 6);
        archive.get(first..first.checked_add(len)?)?
    } else {
        let len = field.iter().position(|&byte| byte == 0xff).unwrap_or(STRING_IN_PLACE_MAX);
        &field[..len]
    };
    Some(std::str::from_utf8(text).ok()?.to_owned())
}

/// The place that the i32 at `pointer_at` names, counted from `base`.
fn pointed_to(archive: &[u8], base: usize, pointer_at: usize) -> Option<usize> {
    base.checked_add_signed(u32_at(archive, pointer_at)?.cast_signed() as isize)
}

fn u16_at(archive: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*archive.get(at..)?.first_chunk()?))
}

fn u32_at(archive: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*archive.get(at..)?.first_chunk()?))
}

fn u64_at(archive: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*archive.get(at..)?.first_chunk()?))
}
