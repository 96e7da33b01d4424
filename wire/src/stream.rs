//! A room's stream: server-opened, unidirectional, one per subscribed room. First the palette, then frames.
//!
//! ```text
//! 0   u32  length of what follows (kind and payload), little-endian
//! 4   u8   kind: 1 palette, 2 frame
//! 5   ...  payload: the rkyv archive
//! ```
//! A palette can come again when the room is replaced; the frames after it refer to it.

use crate::frame::{Frame, InvalidArchive, Palette};

/// Bytes before a payload.
pub const PREFIX_LEN: usize = 5;
/// Bytes of a message at most, after its length: a full palette with the longest labels fits.
pub const MESSAGE_MAX: usize = 1 << 20;

const KIND_PALETTE: u8 = 1;
const KIND_FRAME: u8 = 2;

// A full palette: per emoji two labels and 16 bytes of archived strings.
const _: () = assert!(crate::frame::PALETTE_MAX * (2 * crate::frame::LABEL_MAX + 16) + 4096 < MESSAGE_MAX);

/// What a room's stream carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoomMessage {
    /// What emoji ids mean from here on.
    Palette(Palette),
    /// The newest picture of the room.
    Frame(Frame),
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StreamError {
    /// Longer than [`MESSAGE_MAX`], or empty.
    #[error("message of {0} bytes; 1 to {MESSAGE_MAX} are allowed")]
    BadLength(u32),
    /// A kind that this version does not know.
    #[error("unknown message kind {0}")]
    UnknownKind(u8),
    /// The payload is not a valid archive.
    #[error(transparent)]
    InvalidArchive(#[from] InvalidArchive),
}

/// Appends a palette's message to `out`.
pub fn encode_palette(palette: &Palette, out: &mut Vec<u8>) {
    with_prefix(KIND_PALETTE, out, |out| palette.encode(out));
}

/// Appends a frame's message to `out`.
pub fn encode_frame(frame: &Frame, out: &mut Vec<u8>) {
    with_prefix(KIND_FRAME, out, |out| frame.encode(out));
}

fn with_prefix(kind: u8, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind]);
    payload(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// The first whole message of `bytes` and how many bytes it took; `None` until it has come whole.
pub fn decode(bytes: &[u8]) -> Result<Option<(RoomMessage, usize)>, StreamError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length);
    if length == 0 || length as usize > MESSAGE_MAX {
        return Err(StreamError::BadLength(length));
    }
    let Some(message) = rest.get(..length as usize) else {
        return Ok(None);
    };
    let (kind, payload) = (message[0], &message[1..]);
    let message = match kind {
        KIND_PALETTE => RoomMessage::Palette(Palette::decode(payload)?),
        KIND_FRAME => RoomMessage::Frame(Frame::decode(payload)?),
        other => return Err(StreamError::UnknownKind(other)),
    };
    Ok(Some((message, 4 + length as usize)))
}

/// The archive inside a frame's whole message, without its prefix.
pub fn frame_archive(message: &[u8]) -> &[u8] {
    &message[PREFIX_LEN..]
}
