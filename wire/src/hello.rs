//! How the control stream begins: the first bidirectional stream that a subscriber opens. It says hello, the server
//! answers with a welcome. What is said after that is in [`crate::control`].
//!
//! ```text
//! any message: 0  u16  length of what follows      2  u8  kind: 1 hello, 2 welcome      3  ...  body
//!
//! hello        0  u8   version = 1                 welcome      0  u8   version = 1
//!              1  u8   0                                        1  u8   0
//!              2  u16  room count n, 1..=64                     2  u16  room count n
//!              4  u16  token length t, 0..=1024                 4  n x { u32 room id, u8 status }
//!              6  n x u32 room id
//!              .  t x u8 token
//! ```
//! All numbers are little-endian. Statuses are those of [`RoomStatus`].

use crate::control::{KIND_HELLO, KIND_WELCOME, control_message};
use crate::ids::RoomId;

/// Rooms of one message at most, and rooms that one connection watches at most.
pub const ROOMS_MAX: usize = 64;
/// Bytes of a token at most.
pub const TOKEN_MAX: usize = 1024;
/// Bytes of a whole control message at most, with its length.
pub const MESSAGE_MAX: usize = 3 + 6 + ROOMS_MAX * 4 + TOKEN_MAX;

/// What a subscriber asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The rooms to watch, 1 to [`ROOMS_MAX`], each once.
    pub rooms: Vec<RoomId>,
    /// Proof that it may; empty where none is needed.
    pub token: Vec<u8>,
}

/// The server's answer: one status a room, in the order they were asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Welcome {
    /// What became of each room.
    pub rooms: Vec<(RoomId, RoomStatus)>,
}

/// What became of one room that was asked for. A welcome has only those of subscribing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum RoomStatus {
    /// Its stream follows.
    Subscribed = 0,
    /// The server has no such room.
    UnknownRoom = 1,
    /// The client permits the server too few streams: raise `initial_max_streams_uni`, or read the streams of rooms
    /// that were unsubscribed to their ends.
    NoStream = 2,
    /// The connection watches it, on the stream that it has.
    AlreadySubscribed = 3,
    /// The connection watches as many rooms as the server lets it: unsubscribe from another first.
    TooManyRooms = 4,
    /// Its stream ends; nothing of the room follows.
    Unsubscribed = 5,
    /// The connection does not watch it.
    NotSubscribed = 6,
    /// The server has as many subscribers as it is configured for. Only for a connection that watches no room: a hello
    /// is refused with [`CloseCode::Full`].
    Full = 7,
}

impl RoomStatus {
    /// Every status, by its number.
    pub const ALL: [Self; 8] = [
        Self::Subscribed,
        Self::UnknownRoom,
        Self::NoStream,
        Self::AlreadySubscribed,
        Self::TooManyRooms,
        Self::Unsubscribed,
        Self::NotSubscribed,
        Self::Full,
    ];
}

/// Why bytes are not a control message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HelloError {
    /// The length field is out of range.
    #[error("control message of {0} bytes; 1 to {max} are allowed", max = MESSAGE_MAX - 2)]
    BadLength(u16),
    /// Another kind than the one expected here.
    #[error("unexpected control message kind {0}")]
    UnexpectedKind(u8),
    /// A version other than [`crate::VERSION`].
    #[error("version {0} is not spoken here; use {ours}", ours = crate::VERSION)]
    BadVersion(u8),
    /// Counts and length disagree, a reserved byte is set, or a value is out of range.
    #[error("malformed control message")]
    Malformed,
    /// No room, too many, or one of them twice.
    #[error("a hello or a request names 1 to {ROOMS_MAX} rooms, each once")]
    BadRooms,
}

/// Why the server closed a connection: the QUIC application error code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CloseCode {
    /// Nothing is wrong.
    Done = 0,
    /// The server is going away; connect again, possibly elsewhere.
    Draining = 1,
    /// The control stream did not carry a valid hello, or carried a malformed message after it.
    BadHello = 2,
    /// No hello came in time.
    HelloTimeout = 3,
    /// No room of the hello exists.
    NoRooms = 4,
    /// The server holds as many subscribers as it is configured for.
    Full = 5,
    /// The room was deleted.
    RoomDeleted = 6,
}

impl Hello {
    /// Appends the message to `out`.
    ///
    /// # Panics
    /// When rooms or token are beyond their limits.
    pub fn encode(&self, out: &mut Vec<u8>) {
        assert!((1..=ROOMS_MAX).contains(&self.rooms.len()), "a hello names 1 to {ROOMS_MAX} rooms");
        assert!(self.token.len() <= TOKEN_MAX, "a token has at most {TOKEN_MAX} bytes");
        let length = 1 + 6 + self.rooms.len() * 4 + self.token.len();
        out.extend_from_slice(&(length as u16).to_le_bytes());
        out.extend_from_slice(&[KIND_HELLO, crate::VERSION, 0]);
        out.extend_from_slice(&(self.rooms.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.token.len() as u16).to_le_bytes());
        encode_rooms(&self.rooms, out);
        out.extend_from_slice(&self.token);
    }

    /// The hello at the start of `bytes` and how many bytes it took; `None` until it has come whole.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, HelloError> {
        let Some((body, taken)) = control_body(bytes, KIND_HELLO)? else {
            return Ok(None);
        };
        let Some((&[version, reserved, n0, n1, t0, t1], rest)) = body.split_first_chunk::<6>() else {
            return Err(HelloError::Malformed);
        };
        check_version(version, reserved)?;
        let count = usize::from(u16::from_le_bytes([n0, n1]));
        let token_len = usize::from(u16::from_le_bytes([t0, t1]));
        if count == 0 || count > ROOMS_MAX {
            return Err(HelloError::BadRooms);
        }
        if token_len > TOKEN_MAX || rest.len() != count * 4 + token_len {
            return Err(HelloError::Malformed);
        }
        let (rooms, token) = rest.split_at(count * 4);
        let rooms = decode_rooms(rooms)?;
        Ok(Some((Self { rooms, token: token.to_vec() }, taken)))
    }
}

impl Welcome {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let length = 1 + 4 + self.rooms.len() * 5;
        out.extend_from_slice(&(length as u16).to_le_bytes());
        out.extend_from_slice(&[KIND_WELCOME, crate::VERSION, 0]);
        out.extend_from_slice(&(self.rooms.len() as u16).to_le_bytes());
        encode_statuses(&self.rooms, out);
    }

    /// The welcome at the start of `bytes` and how many bytes it took; `None` until it has come whole.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, HelloError> {
        let Some((body, taken)) = control_body(bytes, KIND_WELCOME)? else {
            return Ok(None);
        };
        let Some((&[version, reserved, n0, n1], rest)) = body.split_first_chunk::<4>() else {
            return Err(HelloError::Malformed);
        };
        check_version(version, reserved)?;
        Ok(Some((Self { rooms: decode_statuses(u16::from_le_bytes([n0, n1]), rest)? }, taken)))
    }
}

pub(crate) fn encode_rooms(rooms: &[RoomId], out: &mut Vec<u8>) {
    for room in rooms {
        out.extend_from_slice(&room.0.to_le_bytes());
    }
}

/// Rooms of which each is there once; `bytes` are whole ids.
pub(crate) fn decode_rooms(bytes: &[u8]) -> Result<Vec<RoomId>, HelloError> {
    let (rooms, _) = bytes.as_chunks::<4>();
    let rooms: Vec<RoomId> = rooms.iter().map(|&id| RoomId(u32::from_le_bytes(id))).collect();
    let twice = rooms.iter().enumerate().any(|(at, room)| rooms[..at].contains(room));
    if twice { Err(HelloError::BadRooms) } else { Ok(rooms) }
}

pub(crate) fn encode_statuses(rooms: &[(RoomId, RoomStatus)], out: &mut Vec<u8>) {
    for (room, status) in rooms {
        out.extend_from_slice(&room.0.to_le_bytes());
        out.push(*status as u8);
    }
}

pub(crate) fn decode_statuses(count: u16, bytes: &[u8]) -> Result<Vec<(RoomId, RoomStatus)>, HelloError> {
    let (entries, odd) = bytes.as_chunks::<5>();
    if !odd.is_empty() || entries.len() != usize::from(count) {
        return Err(HelloError::Malformed);
    }
    let statuses = entries.iter().map(|&[r0, r1, r2, r3, status]| {
        let status = *RoomStatus::ALL.get(usize::from(status)).ok_or(HelloError::Malformed)?;
        Ok((RoomId(u32::from_le_bytes([r0, r1, r2, r3])), status))
    });
    statuses.collect()
}

/// The body of the message at the start of `bytes`, which must be of `expected_kind`.
fn control_body(bytes: &[u8], expected_kind: u8) -> Result<Option<(&[u8], usize)>, HelloError> {
    let Some(message) = control_message(bytes)? else { return Ok(None) };
    // The kind is judged as soon as it is there: a peer that speaks something else need not finish.
    if message.kind != expected_kind {
        return Err(HelloError::UnexpectedKind(message.kind));
    }
    Ok(message.body.map(|body| (body, message.len)))
}

fn check_version(version: u8, reserved: u8) -> Result<(), HelloError> {
    if version != crate::VERSION {
        return Err(HelloError::BadVersion(version));
    }
    if reserved != 0 {
        return Err(HelloError::Malformed);
    }
    Ok(())
}
