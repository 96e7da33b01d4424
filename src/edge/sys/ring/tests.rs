//! The ring on real sockets: what completes, what comes back, and what happens when buffers run out.

use super::*;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

const TOKEN: Token = 7;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_nonblocking(true).unwrap();
    (near, listener.accept().unwrap().0)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn a_send_that_fits_says_nothing_and_its_buffer_serves_again() {
    let (near, mut far) = pair();
    let mut ring = Ring::new().unwrap();
    let mut completions = Vec::new();
    ring.send(near.as_raw_fd(), TOKEN, Outgoing::Owned(pattern(100)), 0).unwrap();
    ring.enter(&mut completions).unwrap();
    assert!(completions.is_empty() && ring.poll_unsent().is_none());
    assert!(ring.spare_buffer().capacity() >= 100);
    let mut received = [0; 100];
    far.read_exact(&mut received).unwrap();
    assert_eq!(received[..], pattern(100)[..]);
}

#[test]
fn what_a_socket_has_no_room_for_comes_back_and_goes_out_later() {
    let (near, mut far) = pair();
    let mut ring = Ring::new().unwrap();
    let mut completions = Vec::new();
    let bytes = pattern(32 << 20);
    let reader = std::thread::spawn(move || {
        let mut received = Vec::new();
        far.read_to_end(&mut received).map(|_| received)
    });
    let mut left = Some((Outgoing::Owned(bytes.clone()), 0));
    let mut returns = 0;
    while let Some((unsent, from)) = left.take() {
        ring.send(near.as_raw_fd(), TOKEN, unsent, from).unwrap();
        ring.enter(&mut completions).unwrap();
        if let Some(unsent) = ring.poll_unsent() {
            assert_eq!(unsent.token, TOKEN);
            returns += 1;
            left = Some((unsent.bytes, unsent.taken.unwrap()));
            ring.poll_writable(near.as_raw_fd(), 8).unwrap();
            while completions.is_empty() {
                ring.wait(Duration::from_secs(10), &mut completions).unwrap();
            }
            completions.clear();
        }
    }
    assert!(returns > 0, "32 MiB are more than any socket takes at once");
    near.shutdown(Shutdown::Write).unwrap();
    assert!(reader.join().unwrap().unwrap() == bytes);
}

#[test]
fn a_send_to_a_closed_socket_is_an_error() {
    let (near, far) = pair();
    drop(far);
    near.shutdown(Shutdown::Both).unwrap();
    let mut ring = Ring::new().unwrap();
    ring.send(near.as_raw_fd(), TOKEN, Outgoing::Owned(pattern(10)), 0).unwrap();
    ring.enter(&mut Vec::new()).unwrap();
    let unsent = ring.poll_unsent().unwrap();
    assert_eq!((unsent.token, unsent.taken.unwrap_err().kind()), (TOKEN, io::ErrorKind::BrokenPipe));
}

#[test]
fn waiting_ends_with_a_completion_or_after_its_time() {
    let (near, mut far) = pair();
    let mut ring = Ring::new().unwrap();
    let mut completions = Vec::new();
    ring.wait(Duration::from_millis(1), &mut completions).unwrap();
    assert!(completions.is_empty());
    ring.receive_multishot(near.as_raw_fd(), TOKEN).unwrap();
    far.write_all(b"tap").unwrap();
    while completions.is_empty() {
        ring.wait(Duration::from_secs(10), &mut completions).unwrap();
    }
    assert_eq!(ring.received(&completions[0]).map(|(_, bytes)| bytes), Some(&b"tap"[..]));
}

/// The next completion; everything it needs has been done by this thread.
fn next(ring: &mut Ring) -> Completion {
    let mut completions = Vec::new();
    while completions.is_empty() {
        ring.wait(Duration::from_secs(10), &mut completions).unwrap();
    }
    assert_eq!((completions[0].token, completions.len()), (TOKEN, 1));
    completions.remove(0)
}

#[test]
fn a_receive_that_found_no_buffer_ends_and_loses_nothing() {
    let mut ring = Ring::new().unwrap();
    let (near, mut far) = pair();
    ring.receive_multishot(near.as_raw_fd(), TOKEN).unwrap();
    let mut held = Vec::new();
    while held.len() < usize::from(limits::TCP_BUFFERS) {
        let number = held.len() as u16;
        far.write_all(&number.to_le_bytes()).unwrap();
        let mut completion = next(&mut ring);
        if !completion.has_more() {
            // Not all are lent from the start.
            assert_eq!(completion.result, -libc::ENOBUFS);
            ring.lend_more_buffers();
            ring.receive_multishot(near.as_raw_fd(), TOKEN).unwrap();
            completion = next(&mut ring);
        }
        let (buffer, bytes) = ring.received(&completion).unwrap();
        assert_eq!(bytes, number.to_le_bytes());
        held.push(buffer);
    }
    for _ in 0..2 {
        far.write_all(b"!").unwrap();
        let ended = next(&mut ring);
        assert_eq!((ended.result, ended.has_more()), (-libc::ENOBUFS, false));
        ring.lend_more_buffers();
        ring.receive_multishot(near.as_raw_fd(), TOKEN).unwrap();
    }
    // As in a turn of the shard loop: it is submitted when the ring is next entered, and buffers are back by then.
    held.into_iter().for_each(|buffer| ring.give_back(buffer));
    let (mut completions, mut bytes) = (Vec::new(), Vec::new());
    while bytes.len() < 2 {
        ring.wait(Duration::from_secs(10), &mut completions).unwrap();
        for completion in completions.drain(..) {
            bytes.extend_from_slice(ring.received(&completion).unwrap().1);
        }
    }
    assert_eq!(bytes, b"!!");
}
