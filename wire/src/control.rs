//! What the control stream carries after hello and welcome: a subscriber changes what it watches, the server answers.
//!
//! ```text
//! any message: 0  u16  length of what follows      2  u8  kind      3  ...  body
//!
//! kind 3, subscribe; kind 4, unsubscribe           kind 5, rooms
//!              0  u16  room count n, 1..=64                     0  u16  room count n
//!              2  n x u32 room id                               2  n x { u32 room id, u8 status }
//!
//! kind 6, reactions
//!              0  ...  one reaction datagram: 16 bytes at least
//! ```
//! All numbers are little-endian. The version is that of the hello. Reactions are never answered. Each request is
//! answered once, in the order of the requests, with one status a room in the request's order. Kinds that a reader does
//! not know are skipped by their length, so that a later version may say more.

use crate::hello::{self, Hello, HelloError, MESSAGE_MAX, ROOMS_MAX, RoomStatus, Welcome};
use crate::ids::RoomId;
use crate::reaction::{DATAGRAM_MAX, HEADER_LEN};

pub(crate) const KIND_HELLO: u8 = 1;
pub(crate) const KIND_WELCOME: u8 = 2;
const KIND_SUBSCRIBE: u8 = 3;
const KIND_UNSUBSCRIBE: u8 = 4;
const KIND_ROOMS: u8 = 5;
const KIND_REACTIONS: u8 = 6;

const _: () = assert!(3 + DATAGRAM_MAX <= MESSAGE_MAX, "reactions fit a message");

/// Any message of a control stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControlMessage {
    /// The first that a subscriber says.
    Hello(Hello),
    /// The first that the server says.
    Welcome(Welcome),
    /// A subscriber changes what it watches.
    Request(RoomsRequest),
    /// The server's answer to that.
    Answer(RoomsAnswer),
    /// A subscriber's reactions, where no datagram brings them: the bytes of one, which [`crate::reaction`] reads.
    Reactions(Vec<u8>),
    /// Of a kind that this version does not know: to be skipped.
    Unknown(u8),
}

/// What a request wants of its rooms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Watch them too.
    Subscribe,
    /// Watch them no longer.
    Unsubscribe,
}

/// A subscriber's request while it is connected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomsRequest {
    /// What to do with the rooms.
    pub change: Change,
    /// Which, 1 to [`ROOMS_MAX`], each once.
    pub rooms: Vec<RoomId>,
}

/// The server's answer: one status a room, in the request's order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomsAnswer {
    /// What became of each room.
    pub rooms: Vec<(RoomId, RoomStatus)>,
}

impl ControlMessage {
    /// The message at the start of `bytes` and how many bytes it took; `None` until it has come whole.
    ///
    /// # Errors
    /// When the length is out of range, or a message of a known kind is not what that kind says.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, HelloError> {
        let Some(ControlBytes { kind, body, len }) = control_message(bytes)? else { return Ok(None) };
        let Some(body) = body else { return Ok(None) };
        let message = match kind {
            KIND_HELLO => return Ok(Hello::decode(bytes)?.map(|(hello, taken)| (Self::Hello(hello), taken))),
            KIND_WELCOME => return Ok(Welcome::decode(bytes)?.map(|(welcome, taken)| (Self::Welcome(welcome), taken))),
            KIND_SUBSCRIBE => Self::Request(RoomsRequest::decode_body(Change::Subscribe, body)?),
            KIND_UNSUBSCRIBE => Self::Request(RoomsRequest::decode_body(Change::Unsubscribe, body)?),
            KIND_ROOMS => Self::Answer(RoomsAnswer::decode_body(body)?),
            // Nobody sends them but to have hundreds of messages read in one packet.
            KIND_REACTIONS if body.len() < HEADER_LEN => return Err(HelloError::Malformed),
            KIND_REACTIONS => Self::Reactions(body.to_vec()),
            unknown => Self::Unknown(unknown),
        };
        Ok(Some((message, len)))
    }
}

impl RoomsRequest {
    /// Appends the message to `out`.
    ///
    /// # Panics
    /// When there are no rooms, or too many.
    pub fn encode(&self, out: &mut Vec<u8>) {
        assert!((1..=ROOMS_MAX).contains(&self.rooms.len()), "a request names 1 to {ROOMS_MAX} rooms");
        let kind = match self.change {
            Change::Subscribe => KIND_SUBSCRIBE,
            Change::Unsubscribe => KIND_UNSUBSCRIBE,
        };
        encode_head(kind, self.rooms.len(), 4, out);
        hello::encode_rooms(&self.rooms, out);
    }

    fn decode_body(change: Change, body: &[u8]) -> Result<Self, HelloError> {
        let (count, rooms) = split_count(body)?;
        if count == 0 || usize::from(count) > ROOMS_MAX {
            return Err(HelloError::BadRooms);
        }
        if rooms.len() != usize::from(count) * 4 {
            return Err(HelloError::Malformed);
        }
        Ok(Self { change, rooms: hello::decode_rooms(rooms)? })
    }
}

impl RoomsAnswer {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_head(KIND_ROOMS, self.rooms.len(), 5, out);
        hello::encode_statuses(&self.rooms, out);
    }

    fn decode_body(body: &[u8]) -> Result<Self, HelloError> {
        let (count, rooms) = split_count(body)?;
        Ok(Self { rooms: hello::decode_statuses(count, rooms)? })
    }
}

/// Appends the message that carries one reaction datagram to `out`.
///
/// # Panics
/// When it is longer than a message can be.
pub fn encode_reactions(datagram: &[u8], out: &mut Vec<u8>) {
    assert!(3 + datagram.len() <= MESSAGE_MAX, "a control message has at most {MESSAGE_MAX} bytes");
    out.extend_from_slice(&(1 + datagram.len() as u16).to_le_bytes());
    out.push(KIND_REACTIONS);
    out.extend_from_slice(datagram);
}

fn encode_head(kind: u8, count: usize, entry_bytes: usize, out: &mut Vec<u8>) {
    let length = 1 + 2 + count * entry_bytes;
    out.extend_from_slice(&(length as u16).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(&(count as u16).to_le_bytes());
}

fn split_count(body: &[u8]) -> Result<(u16, &[u8]), HelloError> {
    let (count, rest) = body.split_first_chunk::<2>().ok_or(HelloError::Malformed)?;
    Ok((u16::from_le_bytes(*count), rest))
}

/// The start of a message.
pub(crate) struct ControlBytes<'a> {
    pub(crate) kind: u8,
    /// None until it has come whole.
    pub(crate) body: Option<&'a [u8]>,
    /// Of the whole message.
    pub(crate) len: usize,
}

/// Length and kind of the message at the start of `bytes`; `None` until both have come.
pub(crate) fn control_message(bytes: &[u8]) -> Result<Option<ControlBytes<'_>>, HelloError> {
    let Some(len) = message_len(bytes)? else { return Ok(None) };
    Ok(bytes.get(2).map(|&kind| ControlBytes { kind, body: bytes.get(3..len), len }))
}

/// Bytes of the whole message that `bytes` begin, with its length; `None` until the length has come. Who reads only so
/// many at a time keeps nothing between messages.
///
/// # Errors
/// [`HelloError::BadLength`] when it is out of range.
pub fn message_len(bytes: &[u8]) -> Result<Option<usize>, HelloError> {
    let Some((length, _)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
    let length = u16::from_le_bytes(*length);
    if length == 0 || usize::from(length) > MESSAGE_MAX - 2 {
        return Err(HelloError::BadLength(length));
    }
    Ok(Some(2 + usize::from(length)))
}
