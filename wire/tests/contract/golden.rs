//! Every sample: encoding gives its bytes, decoding gives its value, and so does the reader without rkyv.

use crate::{any, plain, samples};
use proptest::prelude::*;
use uproar_wire::control::{self, ControlMessage};
use uproar_wire::frame::{Frame, Palette, access_frame};
use uproar_wire::hello::{Hello, Welcome};
use uproar_wire::reaction::{self, ReactionBatch, Record};
use uproar_wire::stream::{self, PREFIX_LEN, RoomMessage};
use uproar_wire::{ClientId, RoomId};

fn check_reaction(golden: &str, room: RoomId, client: ClientId, records: &[Record]) {
    let golden = samples::bytes(golden);
    let mut encoded = Vec::new();
    reaction::encode(room, client, records, &mut encoded);
    assert_eq!(encoded, golden);
    let batch = ReactionBatch::parse(&golden).expect("a golden sample");
    assert_eq!((batch.room, batch.client), (room, client));
    assert_eq!(batch.records().collect::<Vec<_>>(), records);
}

#[test]
fn reaction_of_one_record() {
    check_reaction(samples::REACTION_ONE, RoomId(7), ClientId(0x1122_3344_5566_7788), &[samples::record(2, 3)]);
}

#[test]
fn reaction_of_296_records() {
    check_reaction(samples::REACTION_FULL, RoomId(u32::MAX), ClientId(0), &samples::full_records());
}

#[test]
fn hello() {
    let golden = samples::bytes(samples::HELLO);
    let mut encoded = Vec::new();
    samples::hello().encode(&mut encoded);
    assert_eq!(encoded, golden);
    assert_eq!(Hello::decode(&golden), Ok(Some((samples::hello(), golden.len()))));
}

#[test]
fn welcome() {
    let golden = samples::bytes(samples::WELCOME);
    let mut encoded = Vec::new();
    samples::welcome().encode(&mut encoded);
    assert_eq!(encoded, golden);
    assert_eq!(Welcome::decode(&golden), Ok(Some((samples::welcome(), golden.len()))));
}

fn check_control(golden: &str, encode: impl FnOnce(&mut Vec<u8>), value: &ControlMessage) {
    let golden = samples::bytes(golden);
    let mut encoded = Vec::new();
    encode(&mut encoded);
    assert_eq!(encoded, golden);
    assert_eq!(ControlMessage::decode(&golden), Ok(Some((value.clone(), golden.len()))));
}

#[test]
fn requests_and_their_answer() {
    for (golden, request) in
        [(samples::SUBSCRIBE, samples::subscribe()), (samples::UNSUBSCRIBE, samples::unsubscribe())]
    {
        check_control(golden, |out| request.encode(out), &ControlMessage::Request(request.clone()));
    }
    let answer = samples::rooms();
    check_control(samples::ROOMS, |out| answer.encode(out), &ControlMessage::Answer(answer.clone()));
}

#[test]
fn reactions_on_the_control_stream() {
    let datagram = samples::bytes(samples::REACTION_ONE);
    let value = ControlMessage::Reactions(datagram.clone());
    check_control(samples::REACTIONS, |out| control::encode_reactions(&datagram, out), &value);
    assert_eq!(plain::read_reactions(&samples::bytes(samples::REACTIONS)), Some(&datagram[..]));
}

#[test]
fn palette() {
    let golden = samples::bytes(samples::PALETTE);
    let value = samples::palette();
    let mut encoded = Vec::new();
    stream::encode_palette(&value, &mut encoded);
    assert_eq!(encoded, golden);
    assert_eq!(Palette::decode(&golden[PREFIX_LEN..]), Ok(value.clone()));
    assert_eq!(plain::read_palette(&golden[PREFIX_LEN..]), Some(value.clone()));
    assert_eq!(stream::decode(&golden), Ok(Some((RoomMessage::Palette(value), golden.len()))));
}

fn check_frame(golden: &str, value: &Frame) {
    let golden = samples::bytes(golden);
    let mut encoded = Vec::new();
    stream::encode_frame(value, &mut encoded);
    assert_eq!(encoded, golden);
    let archive = stream::frame_archive(&golden);
    assert_eq!(Frame::decode(archive).as_ref(), Ok(value));
    assert_eq!(plain::read_frame(archive).as_ref(), Some(value));
    assert_eq!(stream::decode(&golden), Ok(Some((RoomMessage::Frame(value.clone()), golden.len()))));
}

#[test]
fn frame_without_taps() {
    check_frame(samples::FRAME_EMPTY, &samples::frame_empty());
}

#[test]
fn frame_with_a_full_top() {
    check_frame(samples::FRAME_TOP8, &samples::frame_top8());
}

#[test]
fn frame_with_counts_beyond_a_double() {
    check_frame(samples::FRAME_LARGE, &samples::frame_large());
}

#[test]
fn a_frame_is_read_in_place_at_any_alignment() {
    let mut archive = Vec::new();
    samples::frame_top8().encode(&mut archive);
    for shift in 0..16 {
        let mut buffer = vec![0xaa; shift];
        buffer.extend_from_slice(&archive);
        let frame = access_frame(&buffer[shift..]).expect("the same bytes");
        assert_eq!(frame.total.to_native(), 1_000_001);
        assert_eq!(frame.top[6].emoji.to_native(), 1023);
    }
}

proptest! {
    #[test]
    fn any_frame_is_read_alike_with_and_without_rkyv(frame in any::any_frame(), before in 0usize..9) {
        // What stands before the archive in the buffer must not leak into it.
        let mut buffer = vec![0x55; before];
        frame.encode(&mut buffer);
        let archive = &buffer[before..];
        prop_assert_eq!(archive.len(), 41 + 13 * frame.top.len());
        prop_assert_eq!(Frame::decode(archive), Ok(frame.clone()));
        prop_assert_eq!(plain::read_frame(archive), Some(frame));
    }

    #[test]
    fn any_palette_is_read_alike_with_and_without_rkyv(palette in any::any_palette(), before in 0usize..9) {
        let mut buffer = vec![0x55; before];
        palette.encode(&mut buffer);
        let archive = &buffer[before..];
        prop_assert_eq!(Palette::decode(archive), Ok(palette.clone()));
        prop_assert_eq!(plain::read_palette(archive), Some(palette));
    }
}
