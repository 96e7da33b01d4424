//! Control messages: whole or not yet, every refusal, the boundaries.

use crate::samples;
use proptest::collection::vec;
use proptest::prelude::*;
use uproar_wire::RoomId;
use uproar_wire::hello::{Hello, HelloError, MESSAGE_MAX, ROOMS_MAX, RoomStatus, TOKEN_MAX, Welcome};

/// The golden hello with one byte set.
fn hello_with(at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = samples::bytes(samples::HELLO);
    bytes[at] = byte;
    bytes
}

/// The golden welcome with one byte set.
fn welcome_with(at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = samples::bytes(samples::WELCOME);
    bytes[at] = byte;
    bytes
}

/// A hello's bytes, whether allowed or not.
fn raw_hello(rooms: &[u32], token_len: usize) -> Vec<u8> {
    let mut body = vec![1, 1, 0];
    body.extend_from_slice(&(rooms.len() as u16).to_le_bytes());
    body.extend_from_slice(&(token_len as u16).to_le_bytes());
    body.extend(rooms.iter().flat_map(|room| room.to_le_bytes()));
    body.extend(std::iter::repeat_n(b't', token_len));
    let mut bytes = (body.len() as u16).to_le_bytes().to_vec();
    bytes.extend(body);
    bytes
}

#[test]
fn nothing_until_whole_then_not_a_byte_more() {
    let hello = samples::bytes(samples::HELLO);
    let welcome = samples::bytes(samples::WELCOME);
    for len in 0..hello.len() {
        assert_eq!(Hello::decode(&hello[..len]), Ok(None), "{len} bytes");
    }
    for len in 0..welcome.len() {
        assert_eq!(Welcome::decode(&welcome[..len]), Ok(None), "{len} bytes");
    }
    let followed = [hello.as_slice(), b"more"].concat();
    assert_eq!(Hello::decode(&followed), Ok(Some((samples::hello(), hello.len()))));
    let followed = [welcome.as_slice(), b"more"].concat();
    assert_eq!(Welcome::decode(&followed), Ok(Some((samples::welcome(), welcome.len()))));
}

#[test]
fn length_out_of_range() {
    let longest = (MESSAGE_MAX - 2) as u16;
    for length in [0, longest + 1, u16::MAX] {
        let bytes = [&length.to_le_bytes()[..], &[1]].concat();
        assert_eq!(Hello::decode(&bytes), Err(HelloError::BadLength(length)));
        assert_eq!(Welcome::decode(&bytes), Err(HelloError::BadLength(length)));
    }
    assert_eq!(Hello::decode(&[&longest.to_le_bytes()[..], &[1]].concat()), Ok(None));
}

#[test]
fn another_kind_is_refused_before_the_rest_has_come() {
    let hello = samples::bytes(samples::HELLO);
    let welcome = samples::bytes(samples::WELCOME);
    assert_eq!(Hello::decode(&welcome[..3]), Err(HelloError::UnexpectedKind(2)));
    assert_eq!(Welcome::decode(&hello[..3]), Err(HelloError::UnexpectedKind(1)));
    assert_eq!(Hello::decode(&hello_with(2, 0)), Err(HelloError::UnexpectedKind(0)));
}

#[test]
fn another_version() {
    for version in [0, 2, 255] {
        assert_eq!(Hello::decode(&hello_with(3, version)), Err(HelloError::BadVersion(version)));
        assert_eq!(Welcome::decode(&welcome_with(3, version)), Err(HelloError::BadVersion(version)));
    }
}

#[test]
fn malformed_hello() {
    let header_cut = [6, 0, 1, 1, 0, 1, 0, 0];
    assert_eq!(Hello::decode(&header_cut), Err(HelloError::Malformed));
    assert_eq!(Hello::decode(&[1, 0, 1]), Err(HelloError::Malformed), "no body at all");
    assert_eq!(Hello::decode(&hello_with(4, 1)), Err(HelloError::Malformed), "reserved byte");
    assert_eq!(Hello::decode(&hello_with(5, 1)), Err(HelloError::Malformed), "fewer rooms than the length says");
    assert_eq!(Hello::decode(&hello_with(5, 3)), Err(HelloError::Malformed), "more rooms than the length says");
    assert_eq!(Hello::decode(&hello_with(7, 5)), Err(HelloError::Malformed), "a shorter token");
    assert_eq!(Hello::decode(&hello_with(7, 7)), Err(HelloError::Malformed), "a longer token");
}

#[test]
fn malformed_welcome() {
    assert_eq!(Welcome::decode(&[4, 0, 2, 1, 0, 0]), Err(HelloError::Malformed), "header cut");
    assert_eq!(Welcome::decode(&welcome_with(4, 1)), Err(HelloError::Malformed), "reserved byte");
    assert_eq!(Welcome::decode(&welcome_with(5, 1)), Err(HelloError::Malformed), "fewer rooms");
    assert_eq!(Welcome::decode(&welcome_with(5, 3)), Err(HelloError::Malformed), "more rooms");
    assert_eq!(Welcome::decode(&welcome_with(11, 8)), Err(HelloError::Malformed), "unknown status");
    let mut half_an_entry = samples::bytes(samples::WELCOME);
    half_an_entry[0] += 1;
    half_an_entry.push(0);
    assert_eq!(Welcome::decode(&half_an_entry), Err(HelloError::Malformed));
}

#[test]
fn one_to_64_rooms_each_once() {
    let rooms: Vec<u32> = (0..=ROOMS_MAX as u32).collect();
    assert_eq!(Hello::decode(&raw_hello(&[], 0)), Err(HelloError::BadRooms));
    assert_eq!(Hello::decode(&raw_hello(&rooms, 0)), Err(HelloError::BadRooms), "65 rooms");
    let (most, _) = Hello::decode(&raw_hello(&rooms[..ROOMS_MAX], 0)).expect("64 rooms").expect("whole");
    assert_eq!(most.rooms.len(), ROOMS_MAX);
    assert_eq!(Hello::decode(&raw_hello(&[7, 8, 7], 0)), Err(HelloError::BadRooms), "a room twice");
}

#[test]
fn token_of_at_most_1024_bytes() {
    let rooms: Vec<u32> = (0..ROOMS_MAX as u32).collect();
    let largest = raw_hello(&rooms, TOKEN_MAX);
    assert_eq!(largest.len(), MESSAGE_MAX);
    let (hello, taken) = Hello::decode(&largest).expect("the largest hello").expect("whole");
    assert_eq!((hello.token.len(), taken), (TOKEN_MAX, MESSAGE_MAX));
    assert_eq!(Hello::decode(&raw_hello(&[7], TOKEN_MAX + 1)), Err(HelloError::Malformed));
}

#[test]
#[should_panic(expected = "names 1 to 64 rooms")]
fn a_hello_without_rooms_is_not_encoded() {
    Hello { rooms: vec![], token: vec![] }.encode(&mut Vec::new());
}

#[test]
#[should_panic(expected = "at most 1024 bytes")]
fn a_token_too_long_is_not_encoded() {
    Hello { rooms: vec![RoomId(1)], token: vec![0; TOKEN_MAX + 1] }.encode(&mut Vec::new());
}

proptest! {
    #[test]
    fn round_trips(
        rooms in proptest::collection::hash_set(any::<u32>(), 1..=ROOMS_MAX),
        token in vec(any::<u8>(), 0..=TOKEN_MAX),
        known: u64,
    ) {
        let rooms: Vec<_> = rooms.into_iter().map(RoomId).collect();
        let status = |at: usize| if known >> at & 1 == 1 { RoomStatus::Subscribed } else { RoomStatus::UnknownRoom };
        let welcome = Welcome { rooms: rooms.iter().enumerate().map(|(at, &room)| (room, status(at))).collect() };
        let hello = Hello { rooms, token };
        let mut bytes = Vec::new();
        hello.encode(&mut bytes);
        prop_assert_eq!(Hello::decode(&bytes), Ok(Some((hello, bytes.len()))));
        bytes.clear();
        welcome.encode(&mut bytes);
        prop_assert_eq!(Welcome::decode(&bytes), Ok(Some((welcome, bytes.len()))));
    }

    #[test]
    fn arbitrary_bytes_never_give_more_than_was_there(body in vec(any::<u8>(), 0..400), kind in 1u8..=2, framed: bool) {
        let mut bytes = body;
        if framed && bytes.len() >= 5 {
            let length = (bytes.len() - 2) as u16;
            bytes[..2].copy_from_slice(&length.to_le_bytes());
            bytes[2..5].copy_from_slice(&[kind, 1, 0]);
        }
        if let Ok(Some((hello, taken))) = Hello::decode(&bytes) {
            let mut again = Vec::new();
            hello.encode(&mut again);
            prop_assert_eq!(&again, &bytes[..taken]);
        }
        if let Ok(Some((welcome, taken))) = Welcome::decode(&bytes) {
            let mut again = Vec::new();
            welcome.encode(&mut again);
            prop_assert_eq!(&again, &bytes[..taken]);
        }
    }
}
