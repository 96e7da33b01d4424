//! What one turn takes from a socket that has more.

use super::*;

const DATAGRAMS: usize = 150;
const BYTES: usize = 100;

/// What each turn takes, by a bound in bytes, of datagrams that were all there before the first.
fn turns(batches: usize, work: usize) -> Vec<Vec<u8>> {
    let near = UdpSocket::bind("127.0.0.1:0").unwrap();
    let far = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&near).set_recv_buffer_size(DATAGRAMS * 4096).unwrap();
    for number in 0..DATAGRAMS {
        far.send_to(&[number as u8; BYTES], near.local_addr().unwrap()).unwrap();
    }
    let mut intake = Intake::new(near, limits::DATAGRAM_BATCH, Detail::BytesOnly).unwrap();
    let mut turns = Vec::new();
    while intake.is_ready() {
        let mut taken = Vec::new();
        let has_received = intake
            .receive(batches, work, DatagramReceiver::len_of, |batch, places| {
                taken.extend(batch.part(places).map(|received| received.bytes[0]));
            })
            .unwrap();
        assert_eq!(has_received, !taken.is_empty());
        turns.push(taken);
    }
    assert_eq!(turns.concat(), (0..DATAGRAMS as u8).collect::<Vec<_>>(), "each once, in order");
    turns
}

#[test]
fn a_turn_takes_as_much_as_it_may_and_the_rest_in_the_next() {
    // Less than a batch, and not a part of it without a rest.
    let few = turns(8, 10 * BYTES + 1);
    assert!(few.iter().all(|taken| taken.len() <= 11), "{few:?}");
    assert!(few.len() >= DATAGRAMS / 11);
    // More than there is: batches are the bound.
    let batches = turns(1, usize::MAX);
    assert_eq!(batches.iter().map(Vec::len).max(), Some(limits::DATAGRAM_BATCH));
    assert_eq!(turns(8, usize::MAX)[0].len(), DATAGRAMS);
}
