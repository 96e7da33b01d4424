//! Room streams: whole or not yet, every refusal, and archives that somebody has tampered with.

use crate::{any, plain, samples};
use proptest::collection::vec;
use proptest::prelude::*;
use uproar_wire::frame::{Frame, InvalidArchive, Palette};
use uproar_wire::stream::{self, MESSAGE_MAX, PREFIX_LEN, RoomMessage, StreamError};

const ALL: [&str; 4] = [samples::PALETTE, samples::FRAME_EMPTY, samples::FRAME_TOP8, samples::FRAME_LARGE];

/// What rkyv lets through is in bounds: the bounds-checked reader finds the same value there. Whether it let
/// anything through.
fn check_archive(archive: &[u8]) -> bool {
    let (frame, palette) = (Frame::decode(archive), Palette::decode(archive));
    let accepted = frame.is_ok() || palette.is_ok();
    if let Ok(frame) = frame {
        assert_eq!(plain::read_frame(archive), Some(frame));
    }
    if let Ok(palette) = palette {
        assert_eq!(plain::read_palette(archive), Some(palette));
    }
    accepted
}

#[test]
fn nothing_until_whole_at_each_split() {
    for sample in ALL {
        let bytes = samples::bytes(sample);
        for len in 0..bytes.len() {
            assert_eq!(stream::decode(&bytes[..len]), Ok(None), "{len} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn messages_follow_one_another() {
    let bytes: Vec<u8> = ALL.into_iter().flat_map(samples::bytes).collect();
    let mut rest = bytes.as_slice();
    let mut messages = Vec::new();
    while let Some((message, taken)) = stream::decode(rest).expect("golden samples") {
        messages.push(message);
        rest = &rest[taken..];
    }
    assert!(rest.is_empty());
    let frames = [samples::frame_empty(), samples::frame_top8(), samples::frame_large()].map(RoomMessage::Frame);
    assert_eq!(messages[0], RoomMessage::Palette(samples::palette()));
    assert_eq!(messages[1..], frames);
}

#[test]
fn bad_length_is_told_by_the_first_four_bytes() {
    for length in [0, MESSAGE_MAX as u32 + 1, u32::MAX] {
        assert_eq!(stream::decode(&length.to_le_bytes()), Err(StreamError::BadLength(length)));
    }
    assert_eq!(stream::decode(&(MESSAGE_MAX as u32).to_le_bytes()), Ok(None));
}

#[test]
fn unknown_kind() {
    for kind in (0..=u8::MAX).filter(|kind| ![1, 2].contains(kind)) {
        assert_eq!(stream::decode(&[1, 0, 0, 0, kind]), Err(StreamError::UnknownKind(kind)));
    }
}

#[test]
fn an_archive_cut_short_is_invalid() {
    let invalid = Err(StreamError::InvalidArchive(InvalidArchive));
    for kind in [1, 2] {
        assert_eq!(stream::decode(&[1, 0, 0, 0, kind]), invalid, "no archive at all");
    }
    for sample in ALL {
        let bytes = samples::bytes(sample);
        let archive = &bytes[PREFIX_LEN..];
        for len in 0..archive.len() {
            // From the front: the elements are gone. From the back: another root.
            check_archive(&archive[..len]);
            check_archive(&archive[archive.len() - len..]);
        }
        for len in 0..20 {
            assert_eq!(Frame::decode(&archive[..len]), Err(InvalidArchive));
            assert_eq!(Palette::decode(&archive[..len]), Err(InvalidArchive));
        }
    }
}

#[test]
fn a_flipped_byte_is_refused_or_in_bounds() {
    for sample in ALL {
        let bytes = samples::bytes(sample);
        let (mut accepted, mut refused) = (0, 0);
        for at in PREFIX_LEN..bytes.len() {
            for flip in (0..8).map(|bit| 1 << bit).chain([0xff]) {
                let mut tampered = bytes.clone();
                tampered[at] ^= flip;
                let outcome = if check_archive(&tampered[PREFIX_LEN..]) { &mut accepted } else { &mut refused };
                *outcome += 1;
            }
        }
        assert!(accepted > 0, "most bytes are numbers, where every value is allowed");
        assert!(refused > 0, "pointers and lengths are not");
    }
}

#[test]
fn a_top_that_points_outside_is_refused() {
    let bytes = samples::bytes(samples::FRAME_TOP8);
    let pointer = bytes.len() - 8;
    for offset in [i32::MIN, -1_000_000, -138, 5, i32::MAX] {
        let mut tampered = bytes.clone();
        tampered[pointer..pointer + 4].copy_from_slice(&offset.to_le_bytes());
        assert_eq!(stream::decode(&tampered), Err(StreamError::InvalidArchive(InvalidArchive)), "offset {offset}");
    }
    for len in [9u32, 1_000_000, u32::MAX] {
        let mut tampered = bytes.clone();
        tampered[pointer + 4..].copy_from_slice(&len.to_le_bytes());
        assert_eq!(stream::decode(&tampered), Err(StreamError::InvalidArchive(InvalidArchive)), "{len} elements");
    }
}

#[test]
fn a_label_that_is_not_utf8_is_refused() {
    let mut bytes = samples::bytes(samples::PALETTE);
    bytes[PREFIX_LEN] = 0xff;
    assert_eq!(stream::decode(&bytes), Err(StreamError::InvalidArchive(InvalidArchive)));
}

proptest! {
    #[test]
    fn round_trips(frame in any::any_frame(), palette in any::any_palette()) {
        let mut bytes = Vec::new();
        stream::encode_palette(&palette, &mut bytes);
        let first = bytes.len();
        stream::encode_frame(&frame, &mut bytes);
        prop_assert_eq!(stream::decode(&bytes), Ok(Some((RoomMessage::Palette(palette), first))));
        let second = bytes.len() - first;
        prop_assert_eq!(stream::decode(&bytes[first..]), Ok(Some((RoomMessage::Frame(frame), second))));
    }

    #[test]
    fn arbitrary_archives_are_refused_or_in_bounds(archive in vec(any::<u8>(), 0..300)) {
        check_archive(&archive);
    }

    #[test]
    fn arbitrary_messages_take_no_more_than_is_there(bytes in vec(any::<u8>(), 0..300), kind in 1u8..=2, framed: bool) {
        let mut bytes = bytes;
        if framed && bytes.len() >= PREFIX_LEN {
            let length = (bytes.len() - 4) as u32;
            bytes[..4].copy_from_slice(&length.to_le_bytes());
            bytes[4] = kind;
        }
        if let Ok(Some((_, taken))) = stream::decode(&bytes) {
            prop_assert!((PREFIX_LEN..=bytes.len()).contains(&taken));
        }
    }
}
