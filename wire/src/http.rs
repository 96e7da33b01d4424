//! The JSON bodies of the HTTP interface. Strings are borrowed where the receiver's buffer allows it.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The path at which the QUIC port takes WebTransport sessions, and at which the public HTTP port says where that is.
pub const WEBTRANSPORT_PATH: &str = "/v1/webtransport";

/// Where a browser finds WebTransport: the answer of `GET /v1/webtransport`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WebTransportBody<'a> {
    /// The whole address; `null`: it is `https://`, the host that was asked, [`Self::port`] and [`WEBTRANSPORT_PATH`].
    #[serde(borrow)]
    pub url: Option<Cow<'a, str>>,
    /// The UDP port.
    pub port: u16,
    /// SHA-256 of the certificate in hexadecimal, when it is one made for development, which no browser trusts otherwise;
    /// else empty.
    #[serde(borrow)]
    pub certificate_hashes: Vec<Cow<'a, str>>,
}

/// One reaction as HTTP clients write it: `{"emoji":"🔥","count":3}`. `emoji` is a glyph or a name of the palette.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReactionBody<'a> {
    /// Glyph or name.
    #[serde(borrow)]
    pub emoji: Cow<'a, str>,
    /// Taps, 1 to 65,535.
    #[serde(default = "one")]
    pub count: u16,
}

fn one() -> u16 {
    1
}

/// A room and its palette: the answer of `GET /v1/rooms/{room}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoomBody<'a> {
    /// Its id.
    pub id: u32,
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Every emoji that it has had, in the order of their ids.
    #[serde(borrow)]
    pub palette: Vec<EmojiBody<'a>>,
}

/// One emoji of a [`RoomBody`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EmojiBody<'a> {
    /// Its place in the palette.
    pub id: u16,
    /// Its name; empty when it is retired.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// The emoji itself, or the address of an image.
    #[serde(borrow)]
    pub glyph: Cow<'a, str>,
    /// Whether it can no longer be tapped; frames may still name it, for taps that were counted before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub retired: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What `PUT /v1/rooms/{id}` takes, and a room of the configuration file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomSpec {
    /// Name of the room.
    pub name: String,
    /// Its emoji. Those that are new to the room are given ids in this order, from 0 in a new room.
    pub palette: Vec<EmojiSpec>,
}

/// One emoji of a [`RoomSpec`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmojiSpec {
    /// What people call it, unique in the palette.
    pub name: String,
    /// The emoji itself, or the address of an image; unique in the palette.
    pub glyph: String,
}

/// A frame as JSON: the answer of `GET /v1/rooms/{room}/frame`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FrameBody<'a> {
    /// Room id.
    pub room: u32,
    /// Window number.
    pub window: u64,
    /// Unix time at which the window began, in milliseconds.
    pub start_ms: u64,
    /// Length of the window, in milliseconds.
    pub window_ms: u32,
    /// Taps of the whole room in the window.
    pub total: u64,
    /// `total` against the room's recent peak, 0..=255.
    pub intensity: u8,
    /// The most tapped emoji, most tapped first.
    #[serde(borrow)]
    pub top: Vec<TopBody<'a>>,
}

/// One of a [`FrameBody`]'s most tapped emoji.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TopBody<'a> {
    /// The glyph.
    #[serde(borrow)]
    pub emoji: Cow<'a, str>,
    /// Its place in the palette.
    pub id: u16,
    /// Taps in the window.
    pub count: u64,
    /// Basis points of the frame's total.
    pub share: u16,
    /// `count` against the room's recent peak, 0..=255.
    pub intensity: u8,
}

/// An `application/problem+json` answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProblemBody<'a> {
    /// HTTP status code.
    pub status: u16,
    /// Stable word for programs.
    #[serde(borrow)]
    pub code: Cow<'a, str>,
    /// One sentence for people.
    #[serde(borrow)]
    pub detail: Cow<'a, str>,
}
