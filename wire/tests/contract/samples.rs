//! The golden samples: their bytes, read from `tests/golden/*.hex` (hexadecimal pairs, `#` begins a comment), and the
//! values that they stand for.

use uproar_wire::control::{Change, RoomsAnswer, RoomsRequest};
use uproar_wire::frame::{Frame, Palette, PaletteEntry, TopEntry};
use uproar_wire::hello::{Hello, RoomStatus, Welcome};
use uproar_wire::reaction::{RECORDS_MAX, Record};
use uproar_wire::{EmojiId, RoomId};

pub(crate) const REACTION_ONE: &str = include_str!("../golden/reaction_one.hex");
pub(crate) const REACTION_FULL: &str = include_str!("../golden/reaction_full.hex");
pub(crate) const HELLO: &str = include_str!("../golden/hello.hex");
pub(crate) const WELCOME: &str = include_str!("../golden/welcome.hex");
pub(crate) const SUBSCRIBE: &str = include_str!("../golden/subscribe.hex");
pub(crate) const UNSUBSCRIBE: &str = include_str!("../golden/unsubscribe.hex");
pub(crate) const ROOMS: &str = include_str!("../golden/rooms.hex");
pub(crate) const REACTIONS: &str = include_str!("../golden/reactions.hex");
pub(crate) const PALETTE: &str = include_str!("../golden/palette.hex");
pub(crate) const FRAME_EMPTY: &str = include_str!("../golden/frame_empty.hex");
pub(crate) const FRAME_TOP8: &str = include_str!("../golden/frame_top8.hex");
pub(crate) const FRAME_LARGE: &str = include_str!("../golden/frame_large.hex");

/// The bytes of a sample.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.lines().map(|line| line.split('#').next().unwrap_or_default()).flat_map(str::split_whitespace);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two hexadecimal digits")).collect()
}

pub(crate) fn record(emoji: u16, count: u16) -> Record {
    Record { emoji: EmojiId(emoji), count }
}

pub(crate) fn full_records() -> Vec<Record> {
    (0..RECORDS_MAX as u16).map(|index| record(index, 65_535 - index)).collect()
}

pub(crate) fn hello() -> Hello {
    Hello { rooms: vec![RoomId(7), RoomId(1000)], token: b"secret".to_vec() }
}

pub(crate) fn welcome() -> Welcome {
    Welcome { rooms: vec![(RoomId(7), RoomStatus::Subscribed), (RoomId(1000), RoomStatus::UnknownRoom)] }
}

pub(crate) fn subscribe() -> RoomsRequest {
    RoomsRequest { change: Change::Subscribe, rooms: vec![RoomId(8), RoomId(7)] }
}

pub(crate) fn unsubscribe() -> RoomsRequest {
    RoomsRequest { change: Change::Unsubscribe, rooms: vec![RoomId(7)] }
}

pub(crate) fn rooms() -> RoomsAnswer {
    RoomsAnswer { rooms: vec![(RoomId(8), RoomStatus::Subscribed), (RoomId(7), RoomStatus::AlreadySubscribed)] }
}

pub(crate) fn palette() -> Palette {
    let entry = |name: &str, glyph: &str| PaletteEntry { name: name.to_owned(), glyph: glyph.to_owned() };
    Palette {
        room: 7,
        name: "Cup final 2026".to_owned(),
        emoji: vec![
            entry("fire", "🔥"),
            entry("goal", "⚽"),
            entry("laughing", "😂"),
            entry("standing ovation", "👏"),
            entry("wave", "https://cdn.example/emoji/animated/mexican-wave/v2/large.webp?theme=dark"),
        ],
    }
}

pub(crate) fn frame_empty() -> Frame {
    Frame {
        room: 7,
        window_ms: 2000,
        window: 901_234_567,
        start_ms: 1_802_469_134_000,
        total: 0,
        intensity: 0,
        top: vec![],
    }
}

pub(crate) fn frame_top8() -> Frame {
    let top = [
        (420_000, 2, 4199, 83),
        (250_000, 0, 2499, 49),
        (125_001, 5, 1250, 25),
        (100_000, 1, 999, 19),
        (50_000, 3, 499, 9),
        (50_000, 9, 499, 9),
        (4_999, 1023, 49, 0),
        (1, 300, 0, 0),
    ];
    let top = top.map(|(count, emoji, share, intensity)| TopEntry { count, emoji, share, intensity }).to_vec();
    Frame { total: 1_000_001, intensity: 200, top, ..frame_empty() }
}

/// Numbers that a double, JavaScript's only number, cannot hold.
pub(crate) fn frame_large() -> Frame {
    let large = (1 << 53) + 1;
    Frame {
        room: u32::MAX,
        window_ms: 100,
        window: large,
        start_ms: large * 100,
        total: u64::MAX,
        intensity: 255,
        top: vec![
            TopEntry { count: u64::MAX - large, emoji: 1023, share: 9995, intensity: 254 },
            TopEntry { count: large, emoji: 0, share: 4, intensity: 0 },
        ],
    }
}
