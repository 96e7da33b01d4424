//! One subscriber's conversation: hello out, welcome in, then per room a palette and frames.
//!
//! Messages are read where QUIC put them; only one that comes in pieces is collected first. Every frame is validated whole.
//! Not here: what frames add up to ([`super::arrivals`]).

use super::arrivals::{Arrivals, Moment, Place};
use bytes::Bytes;
use foldhash::fast::FixedState;
use quinn_proto::{Connection, Dir, StreamId};
use std::hash::{BuildHasher, Hasher};
use uproar_wire::RoomId;
use uproar_wire::frame::access_frame;
use uproar_wire::hello::{self, RoomStatus, Welcome};
use uproar_wire::stream::{MESSAGE_MAX, PREFIX_LEN, frame_archive};

/// What subscribers of the same rooms have in common.
pub(super) struct Wishes {
    /// Place of the first of them among all rooms of the fleet.
    pub(super) first: u32,
    /// The rooms that each watches.
    pub(super) rooms: Box<[RoomId]>,
    /// The hello that asks for them, as bytes.
    pub(super) hello: Bytes,
}

/// Why a server's words cannot be understood.
pub(super) type Fault = &'static str;

/// How far one subscriber has come.
pub(super) struct Viewer {
    control: Option<StreamId>,
    welcome: Vec<u8>,
    is_welcome: bool,
    palettes: usize,
    /// By the order in which the server opened them.
    streams: Box<[RoomStream]>,
    opened: usize,
}

struct RoomStream {
    place: Place,
    /// Bytes of the message that has not come whole.
    partial: Vec<u8>,
    has_palette: bool,
}

impl Viewer {
    /// One that has said nothing.
    pub(super) fn new(rooms: usize) -> Self {
        let stream = || RoomStream { place: Place::default(), partial: Vec::new(), has_palette: false };
        let streams = (0..rooms).map(|_| stream()).collect();
        Self { control: None, welcome: Vec::new(), is_welcome: false, palettes: 0, streams, opened: 0 }
    }

    /// Whether it is welcome, and each of its rooms has sent its palette.
    pub(super) fn is_subscribed(&self) -> bool {
        self.is_welcome && self.palettes == self.streams.len()
    }

    /// The handshake is complete: says hello.
    pub(super) fn handle_connected(&mut self, connection: &mut Connection, wishes: &Wishes) -> Result<(), Fault> {
        let control = connection.streams().open(Dir::Bi).ok_or("no control stream is permitted")?;
        self.control = Some(control);
        let mut stream = connection.send_stream(control);
        let written = stream.write_chunks(&mut [wishes.hello.clone()]);
        match written {
            Ok(written) if written.bytes == wishes.hello.len() => {}
            _ => return Err("the hello is not taken"),
        }
        stream.finish().map_err(|_| "the hello is not wanted")
    }

    /// Reads what has come on `stream`.
    pub(super) fn handle_readable(
        &mut self,
        connection: &mut Connection,
        stream: StreamId,
        wishes: &Wishes,
        at: Moment,
        arrivals: &mut Arrivals,
    ) -> Result<(), Fault> {
        if Some(stream) == self.control {
            return self.read_welcome(connection, stream);
        }
        let Some(room) = self.streams.get_mut(stream.index() as usize) else { return Ok(()) };
        let has_palette = room.has_palette;
        let read = room.read(connection, stream, wishes, at, arrivals);
        self.palettes += usize::from(room.has_palette) - usize::from(has_palette);
        read
    }

    /// Takes the streams that the server opened, and reads what has come on any.
    pub(super) fn read_rooms(
        &mut self,
        connection: &mut Connection,
        wishes: &Wishes,
        at: Moment,
        arrivals: &mut Arrivals,
    ) -> Result<(), Fault> {
        while connection.streams().accept(Dir::Uni).is_some() {
            self.opened += 1;
        }
        for index in 0..self.opened {
            let stream = StreamId::new(quinn_proto::Side::Server, Dir::Uni, index as u64);
            self.handle_readable(connection, stream, wishes, at, arrivals)?;
        }
        Ok(())
    }

    /// From here on it is not expected to have any frame.
    pub(super) fn leave(&mut self, arrivals: &mut Arrivals) {
        for stream in &mut self.streams {
            arrivals.leave(&mut stream.place);
        }
    }

    /// It comes back to what it watched: frames older than the newest one are not what it waits for.
    pub(super) fn come_back(&mut self, arrivals: &Arrivals) {
        for stream in &mut self.streams {
            arrivals.come_back(&mut stream.place);
        }
    }

    fn read_welcome(&mut self, connection: &mut Connection, control: StreamId) -> Result<(), Fault> {
        let mut stream = connection.recv_stream(control);
        let Ok(mut chunks) = stream.read(true) else { return Ok(()) };
        while let Ok(Some(chunk)) = chunks.next(hello::MESSAGE_MAX) {
            if !self.is_welcome {
                self.welcome.extend_from_slice(&chunk.bytes);
            }
        }
        let _ = chunks.finalize();
        if self.is_welcome || self.welcome.is_empty() {
            return Ok(());
        }
        let Some((welcome, _)) = Welcome::decode(&self.welcome).map_err(|_| "not a welcome")? else { return Ok(()) };
        self.welcome = Vec::new();
        match welcome.rooms.iter().find(|(_, status)| *status != RoomStatus::Subscribed) {
            None if welcome.rooms.len() == self.streams.len() => self.is_welcome = true,
            Some((_, RoomStatus::UnknownRoom)) => return Err("a room does not exist"),
            _ => return Err("a room has no stream"),
        }
        Ok(())
    }
}

impl RoomStream {
    fn read(
        &mut self,
        connection: &mut Connection,
        stream: StreamId,
        wishes: &Wishes,
        at: Moment,
        arrivals: &mut Arrivals,
    ) -> Result<(), Fault> {
        let mut stream = connection.recv_stream(stream);
        let Ok(mut chunks) = stream.read(true) else { return Ok(()) };
        let mut heard = Ok(());
        while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
            heard = heard.and_then(|()| self.hear(&chunk.bytes, wishes, at, arrivals));
        }
        // Credit that is due leaves with what else the connection has to say.
        let _ = chunks.finalize();
        heard
    }

    fn hear(&mut self, bytes: &[u8], wishes: &Wishes, at: Moment, arrivals: &mut Arrivals) -> Result<(), Fault> {
        let Self { place, partial, has_palette } = self;
        let mut hear = |message: &[u8]| match Message::of(message, wishes)? {
            Message::Palette => {
                *has_palette = true;
                Ok(())
            }
            Message::Frame(picture) => {
                arrivals.handle_frame(at, place, picture);
                Ok(())
            }
        };
        if partial.is_empty() {
            let taken = split(bytes, &mut hear)?;
            partial.extend_from_slice(&bytes[taken..]);
            return Ok(());
        }
        partial.extend_from_slice(bytes);
        let taken = split(partial, &mut hear)?;
        if taken == partial.len() {
            // Given back, as messages in pieces are rare.
            *partial = Vec::new();
        } else {
            partial.drain(..taken);
        }
        Ok(())
    }
}

/// Calls `hear` with each whole message, and says how many bytes they took.
fn split(bytes: &[u8], hear: &mut impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<usize, Fault> {
    let mut taken = 0;
    while let Some((length, rest)) = bytes[taken..].split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 || length > MESSAGE_MAX {
            return Err("a message's length is out of range");
        }
        if rest.len() < length {
            break;
        }
        hear(&bytes[taken..taken + 4 + length])?;
        taken += 4 + length;
    }
    Ok(taken)
}

/// What a frame says about when it was made, and what it says in sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picture {
    /// Place of the room among all of the fleet.
    pub(super) room: u32,
    pub(super) window: u64,
    /// Unix time at which the window ended.
    pub(super) end_unix_us: u64,
    pub(super) window_us: u64,
    /// Of the archive's bytes.
    pub(super) hash: u64,
}

enum Message {
    Palette,
    Frame(Picture),
}

impl Message {
    /// The message that `bytes` are, length included.
    fn of(bytes: &[u8], wishes: &Wishes) -> Result<Self, Fault> {
        match bytes[PREFIX_LEN - 1] {
            1 => Ok(Self::Palette),
            2 => {
                let archive = frame_archive(bytes);
                let frame = access_frame(archive).map_err(|_| "not a frame")?;
                let id = RoomId(frame.room.into());
                let place = wishes.rooms.iter().position(|room| *room == id);
                let room = wishes.first + place.ok_or("a frame of a room that was not asked for")? as u32;
                let window_ms = u64::from(u32::from(frame.window_ms));
                let end_ms = u64::from(frame.start_ms).saturating_add(window_ms);
                Ok(Self::Frame(Picture {
                    room,
                    window: frame.window.into(),
                    end_unix_us: end_ms.saturating_mul(1000),
                    window_us: window_ms * 1000,
                    hash: hash(archive),
                }))
            }
            _ => Err("a message of an unknown kind"),
        }
    }
}

/// One that is the same wherever it is computed, to tell pictures apart; nobody attacks it.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uproar_wire::frame::{Frame, Palette, TopEntry};
    use uproar_wire::stream::{encode_frame, encode_palette};

    const ROOM: u32 = 7;

    fn wishes() -> Wishes {
        Wishes { first: 5, rooms: Box::new([RoomId(3), RoomId(ROOM)]), hello: Bytes::new() }
    }

    fn frame(room: u32, window: u64) -> Vec<u8> {
        let top = vec![TopEntry { count: 3, emoji: 1, share: 10_000, intensity: 9 }];
        let mut bytes = Vec::new();
        let frame = Frame { room, window_ms: 2000, window, start_ms: window * 2000, total: 3, intensity: 9, top };
        encode_frame(&frame, &mut bytes);
        bytes
    }

    fn stream() -> RoomStream {
        RoomStream { place: Place::default(), partial: Vec::new(), has_palette: false }
    }

    proptest! {
        #[test]
        fn messages_are_heard_however_they_are_cut(cuts in prop::collection::vec(1..80usize, 1..40)) {
            let mut bytes = Vec::new();
            encode_palette(&Palette { room: ROOM, name: "Final".into(), emoji: vec![] }, &mut bytes);
            (10..15).for_each(|window| bytes.extend(frame(ROOM, window)));
            let (mut arrivals, _records) = Arrivals::new(7);
            let (mut room, mut rest, mut cuts) = (stream(), &bytes[..], cuts.into_iter().cycle());
            while let Some(cut) = cuts.next().filter(|_| !rest.is_empty()) {
                let (piece, left) = rest.split_at(cut.min(rest.len()));
                room.hear(piece, &wishes(), Moment::now(), &mut arrivals).unwrap();
                rest = left;
            }
            prop_assert!(room.has_palette && room.partial.is_empty());
            prop_assert_eq!((arrivals.frames, arrivals.gaps, arrivals.duplicates), (5, 0, 0));
        }
    }

    #[test]
    fn what_is_no_frame_of_the_room_is_a_fault() {
        let (mut arrivals, _records) = Arrivals::new(7);
        let mut hear = |bytes: &[u8]| stream().hear(bytes, &wishes(), Moment::now(), &mut arrivals);
        assert!(hear(&frame(ROOM, 1)).is_ok());
        assert!(hear(&frame(ROOM + 1, 1)).is_err());
        assert!(hear(&[0; 4]).is_err(), "an empty message");
        assert!(hear(&u32::MAX.to_le_bytes()).is_err(), "a message without end");
        assert!(hear(&[2, 0, 0, 0, 2, 0]).is_err(), "a frame without an archive");
        assert!(hear(&[1, 0, 0, 0, 9]).is_err(), "an unknown kind");
        assert!(hear(&[9, 0, 0, 0, 9]).is_ok(), "not whole yet");
    }

    #[test]
    fn the_same_bytes_are_the_same_picture() {
        let picture = |bytes: &[u8]| match Message::of(bytes, &wishes()) {
            Ok(Message::Frame(picture)) => picture,
            _ => panic!("a frame"),
        };
        let (bytes, mut other) = (frame(ROOM, 1), frame(ROOM, 1));
        let first = picture(&bytes);
        assert_eq!((first.room, first.window, first.end_unix_us, first.window_us), (6, 1, 4_000_000, 2_000_000));
        assert_eq!(first.hash, picture(&other).hash);
        // The count of the only entry.
        other[PREFIX_LEN] ^= 1;
        assert_ne!(first.hash, picture(&other).hash);
    }
}
