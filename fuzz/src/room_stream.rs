//! A room's stream as a subscriber reads it: whatever a server sends, reading stays within the message, and what is
//! taken can be sent on.

use uproar_wire::frame::{Frame, Palette, access_frame};
use uproar_wire::stream::{self, MESSAGE_MAX, PREFIX_LEN, RoomMessage, frame_archive};

/// Lengths of a message's first part at which the verdict is asked for, besides each of the first bytes.
const PREFIXES: usize = 64;

/// Decodes `bytes` as the start of a room's stream, and as a bare archive of either kind.
///
/// # Panics
/// When a message reaches beyond `bytes`, changes by being encoded and decoded, reads differently in place, or when a
/// verdict changes as more bytes come.
pub fn check(bytes: &[u8]) {
    check_archive(bytes);
    let whole = stream::decode(bytes);
    for len in (0..bytes.len().min(PREFIXES)).chain((0..bytes.len()).step_by(bytes.len() / PREFIXES + 1)) {
        let first = stream::decode(&bytes[..len]);
        assert!(first == Ok(None) || first == whole, "{first:?} after {len} bytes, then {whole:?}");
    }
    let Ok(Some((message, taken))) = whole else { return };
    assert!((PREFIX_LEN..=bytes.len().min(4 + MESSAGE_MAX)).contains(&taken));
    if let RoomMessage::Frame(frame) = &message {
        check_in_place(frame_archive(&bytes[..taken]), frame);
    }
    assert_eq!(stream::decode(&encode(&message)).map(|again| again.map(|(message, _)| message)), Ok(Some(message)));
}

fn check_archive(archive: &[u8]) {
    if let Ok(frame) = Frame::decode(archive) {
        check_in_place(archive, &frame);
    }
    if let Ok(palette) = Palette::decode(archive) {
        // Overlapping strings would let a small archive unfold into a large palette.
        let text_len: usize = palette.emoji.iter().map(|entry| entry.name.len() + entry.glyph.len()).sum();
        assert!(text_len + palette.name.len() <= archive.len());
    }
}

/// Reads every field where it lies.
fn check_in_place(archive: &[u8], frame: &Frame) {
    let read = access_frame(archive).expect("what decodes can be accessed");
    assert_eq!((read.room.to_native(), read.window_ms.to_native()), (frame.room, frame.window_ms));
    assert_eq!((read.window.to_native(), read.start_ms.to_native()), (frame.window, frame.start_ms));
    assert_eq!((read.total.to_native(), read.intensity), (frame.total, frame.intensity));
    assert_eq!(read.top.len(), frame.top.len());
    for (entry, owned) in read.top.iter().zip(&frame.top) {
        assert_eq!((entry.count.to_native(), entry.emoji.to_native()), (owned.count, owned.emoji));
        assert_eq!((entry.share.to_native(), entry.intensity), (owned.share, owned.intensity));
    }
}

fn encode(message: &RoomMessage) -> Vec<u8> {
    let mut encoded = Vec::new();
    match message {
        RoomMessage::Palette(palette) => stream::encode_palette(palette, &mut encoded),
        RoomMessage::Frame(frame) => stream::encode_frame(frame, &mut encoded),
    }
    encoded
}
