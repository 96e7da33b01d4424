//! Requests and answers after the hello: whole or not yet, every refusal, the boundaries, what is skipped.

use crate::samples;
use proptest::collection::vec;
use proptest::prelude::*;
use uproar_wire::RoomId;
use uproar_wire::control::{Change, ControlMessage, RoomsAnswer, RoomsRequest, encode_reactions, message_len};
use uproar_wire::hello::{HelloError, MESSAGE_MAX, ROOMS_MAX, RoomStatus};
use uproar_wire::reaction::HEADER_LEN;

const SUBSCRIBE: u8 = 3;
const UNSUBSCRIBE: u8 = 4;
const ROOMS: u8 = 5;

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (1 + body.len()) as u16;
    [&length.to_le_bytes()[..], &[kind], body].concat()
}

/// A request's bytes, whether allowed or not.
fn raw_request(kind: u8, count: u16, rooms: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let rooms = rooms.into_iter().flat_map(u32::to_le_bytes);
    message(kind, &count.to_le_bytes().into_iter().chain(rooms).collect::<Vec<_>>())
}

#[test]
fn nothing_until_whole_then_not_a_byte_more() {
    let hello = (samples::HELLO, ControlMessage::Hello(samples::hello()));
    let welcome = (samples::WELCOME, ControlMessage::Welcome(samples::welcome()));
    let request = (samples::SUBSCRIBE, ControlMessage::Request(samples::subscribe()));
    let answer = (samples::ROOMS, ControlMessage::Answer(samples::rooms()));
    let reactions = ControlMessage::Reactions(samples::bytes(samples::REACTION_ONE));
    for (golden, value) in [hello, welcome, request, answer, (samples::REACTIONS, reactions)] {
        let bytes = samples::bytes(golden);
        for len in 0..bytes.len() {
            assert_eq!(ControlMessage::decode(&bytes[..len]), Ok(None), "{len} bytes of {value:?}");
        }
        let followed = [&bytes[..], b"more"].concat();
        assert_eq!(ControlMessage::decode(&followed), Ok(Some((value, bytes.len()))));
    }
}

#[test]
fn a_length_says_how_many_bytes_to_read() {
    let bytes = samples::bytes(samples::SUBSCRIBE);
    assert_eq!((message_len(&[]), message_len(&bytes[..1])), (Ok(None), Ok(None)));
    assert_eq!(message_len(&bytes[..2]), Ok(Some(bytes.len())));
    assert_eq!(message_len(&[0, 0]), Err(HelloError::BadLength(0)));
    assert_eq!(message_len(&((MESSAGE_MAX - 2) as u16).to_le_bytes()), Ok(Some(MESSAGE_MAX)));
    let beyond = (MESSAGE_MAX - 1) as u16;
    assert_eq!(message_len(&beyond.to_le_bytes()), Err(HelloError::BadLength(beyond)));
    assert_eq!(ControlMessage::decode(&beyond.to_le_bytes()), Err(HelloError::BadLength(beyond)));
}

#[test]
fn one_to_64_rooms_each_once() {
    for kind in [SUBSCRIBE, UNSUBSCRIBE] {
        assert_eq!(ControlMessage::decode(&raw_request(kind, 0, [])), Err(HelloError::BadRooms));
        assert_eq!(ControlMessage::decode(&raw_request(kind, 65, 0..65)), Err(HelloError::BadRooms));
        assert_eq!(ControlMessage::decode(&raw_request(kind, 3, [7, 8, 7])), Err(HelloError::BadRooms));
        let most = ControlMessage::decode(&raw_request(kind, 64, 0..64)).expect("64 rooms").expect("whole").0;
        let ControlMessage::Request(request) = most else { panic!("not a request: {most:?}") };
        assert_eq!(request.rooms.len(), ROOMS_MAX);
    }
}

#[test]
fn malformed_requests_and_answers() {
    for kind in [SUBSCRIBE, UNSUBSCRIBE, ROOMS] {
        assert_eq!(ControlMessage::decode(&message(kind, &[])), Err(HelloError::Malformed), "no body at all");
        assert_eq!(ControlMessage::decode(&message(kind, &[1])), Err(HelloError::Malformed), "half a count");
        let fewer = raw_request(kind, 2, [7]);
        assert_eq!(ControlMessage::decode(&fewer), Err(HelloError::Malformed), "fewer rooms than the count says");
    }
    let more = raw_request(SUBSCRIBE, 1, [7, 8]);
    assert_eq!(ControlMessage::decode(&more), Err(HelloError::Malformed), "more rooms than the count says");
    let unknown_status = message(ROOMS, &[1, 0, 7, 0, 0, 0, RoomStatus::ALL.len() as u8]);
    assert_eq!(ControlMessage::decode(&unknown_status), Err(HelloError::Malformed));
}

#[test]
fn kinds_of_a_later_version_are_skipped_whole() {
    for kind in [0, 7, 77, 255] {
        let bytes = message(kind, b"whatever it says");
        assert_eq!(ControlMessage::decode(&bytes), Ok(Some((ControlMessage::Unknown(kind), bytes.len()))));
        assert_eq!(ControlMessage::decode(&bytes[..bytes.len() - 1]), Ok(None));
        assert_eq!(ControlMessage::decode(&message(kind, &[])), Ok(Some((ControlMessage::Unknown(kind), 3))));
    }
}

#[test]
fn reactions_are_whatever_their_message_holds() {
    for body in [&[0; HEADER_LEN][..], &[0; HEADER_LEN + 1], &[0; MESSAGE_MAX - 3]] {
        let mut encoded = Vec::new();
        encode_reactions(body, &mut encoded);
        assert_eq!(encoded, message(6, body));
        let taken = ControlMessage::decode(&encoded).unwrap().unwrap();
        assert_eq!(taken, (ControlMessage::Reactions(body.to_vec()), encoded.len()));
    }
}

#[test]
fn reactions_without_the_head_of_a_datagram_are_malformed() {
    for body in [&[][..], &[0; 1], &[0; HEADER_LEN - 1]] {
        assert_eq!(ControlMessage::decode(&message(6, body)), Err(HelloError::Malformed));
    }
}

#[test]
fn every_status_is_its_number() {
    for (number, status) in RoomStatus::ALL.into_iter().enumerate() {
        assert_eq!(status as usize, number);
    }
}

#[test]
#[should_panic(expected = "names 1 to 64 rooms")]
fn a_request_without_rooms_is_not_encoded() {
    RoomsRequest { change: Change::Subscribe, rooms: vec![] }.encode(&mut Vec::new());
}

proptest! {
    #[test]
    fn round_trips(
        rooms in proptest::collection::hash_set(any::<u32>(), 1..=ROOMS_MAX),
        statuses in vec(0..RoomStatus::ALL.len(), ROOMS_MAX),
        leave: bool,
    ) {
        let rooms: Vec<_> = rooms.into_iter().map(RoomId).collect();
        let statuses = statuses.into_iter().map(|status| RoomStatus::ALL[status]);
        let answer = RoomsAnswer { rooms: rooms.iter().copied().zip(statuses).collect() };
        let request = RoomsRequest { change: if leave { Change::Unsubscribe } else { Change::Subscribe }, rooms };
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        prop_assert_eq!(ControlMessage::decode(&bytes), Ok(Some((ControlMessage::Request(request), bytes.len()))));
        bytes.clear();
        answer.encode(&mut bytes);
        prop_assert_eq!(ControlMessage::decode(&bytes), Ok(Some((ControlMessage::Answer(answer), bytes.len()))));
    }

    #[test]
    fn arbitrary_bytes_never_give_more_than_was_there(body in vec(any::<u8>(), 0..400), kind in 1u8..=6, framed: bool) {
        let bytes = if framed { message(kind, &body) } else { body };
        match ControlMessage::decode(&bytes) {
            Ok(Some((ControlMessage::Request(request), taken))) => {
                let mut again = Vec::new();
                request.encode(&mut again);
                prop_assert_eq!(&again, &bytes[..taken]);
            }
            Ok(Some((ControlMessage::Answer(answer), taken))) => {
                let mut again = Vec::new();
                answer.encode(&mut again);
                prop_assert_eq!(&again, &bytes[..taken]);
            }
            Ok(Some((_, taken))) => prop_assert!(taken <= bytes.len()),
            Ok(None) | Err(_) => {}
        }
    }
}
