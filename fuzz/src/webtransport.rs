//! HTTP/3 as a browser speaks it, on all of a connection's streams: what follows does not depend on how bytes are cut.
//!
//! An input is steps, each a head of two bytes and what it announces:
//!
//! ```text
//! 0  u8   bits 0-2: the stream, 0..=3 bidirectional, 4..=7 unidirectional; bit 6: it is given up; bit 7: it ends
//! 1  u8   bytes that follow for the stream, before it ends
//! ```

use std::collections::BTreeMap;
use uproar::metrics::Http3Status;
use uproar::origins::Origins;
use uproar::quic::webtransport::{Client, Fault, Rules, Step};

const RULES: Rules<'_> = Rules { origins: &Origins::Any, is_refusing: false };

/// What the streams of a client led to, in order, and what broke the connection.
type Course = (Vec<(u64, Step)>, Option<Fault>);

/// Takes in the steps with whole and with cut bytes.
///
/// # Panics
/// When the two lead to different ends, or to more than one session or one stream of it.
pub fn check(bytes: &[u8]) {
    let whole = course(bytes, usize::MAX);
    for piece in [1, 2, 5] {
        assert_eq!(course(bytes, piece), whole, "in pieces of {piece}");
    }
    let places = |wanted: &dyn Fn(&Step) -> bool| -> Vec<usize> {
        whole.0.iter().enumerate().filter(|(_, (_, step))| wanted(step)).map(|(at, _)| at).collect()
    };
    let granted = places(&|step| matches!(step, Step::Answer(Http3Status::Granted)));
    let handed = places(&|step| *step == Step::Handed);
    assert!(granted.len() <= 1 && handed.len() <= 1, "{whole:?}");
    assert!(handed.first().is_none_or(|handed| granted.first().is_some_and(|granted| granted < handed)), "{whole:?}");
}

fn course(mut bytes: &[u8], piece: usize) -> Course {
    let mut streams = Streams { client: Client::default(), pending: BTreeMap::new(), steps: Vec::new(), piece };
    while let Some((&[head, len], rest)) = bytes.split_first_chunk::<2>() {
        let (said, rest) = rest.split_at(rest.len().min(len.into()));
        bytes = rest;
        if let Err(fault) = streams.handle(head, said) {
            return (streams.steps, Some(fault));
        }
    }
    (streams.steps, None)
}

/// What a stream has sent that was not taken in.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    is_lost: bool,
    has_ended: bool,
    /// Nothing more of it is read.
    is_over: bool,
}

struct Streams {
    client: Client,
    pending: BTreeMap<u64, Pending>,
    steps: Vec<(u64, Step)>,
    piece: usize,
}

impl Streams {
    fn handle(&mut self, head: u8, said: &[u8]) -> Result<(), Fault> {
        let (number, is_unidirectional) = (u64::from(head & 3), head & 4 != 0);
        let stream = number * 4 + if is_unidirectional { 2 } else { 0 };
        let client = &mut self.client;
        let pending = self.pending.entry(stream).or_insert_with(|| {
            client.handle_opened(stream, is_unidirectional);
            Pending::default()
        });
        if pending.has_ended || pending.is_lost || pending.is_over {
            return Ok(());
        }
        pending.bytes.extend_from_slice(said);
        pending.is_lost = head & 0x40 != 0;
        pending.has_ended = head & 0x80 != 0;
        self.read(stream)?;
        for waiting in self.client.requests() {
            self.read(waiting)?;
        }
        while let Some((stream, step)) = self.client.poll_waiting() {
            self.note(stream, step);
        }
        Ok(())
    }

    fn read(&mut self, stream: u64) -> Result<(), Fault> {
        loop {
            let Some(pending) = self.pending.get_mut(&stream).filter(|pending| !pending.is_over) else { return Ok(()) };
            let Some(most) = self.client.wants(stream) else { return Ok(()) };
            assert!(most > 0, "who is read wants something");
            let taken: Vec<u8> = pending.bytes.drain(..most.min(self.piece).min(pending.bytes.len())).collect();
            let step = if !taken.is_empty() {
                self.client.handle_bytes(stream, &taken, RULES)?
            } else if pending.is_lost {
                pending.is_over = true;
                self.client.handle_loss(stream)?
            } else if pending.has_ended {
                pending.is_over = true;
                self.client.handle_end(stream)?
            } else {
                return Ok(());
            };
            self.note(stream, step);
        }
    }

    fn note(&mut self, stream: u64, step: Step) {
        if step == Step::More {
            return;
        }
        if let Some(pending) = self.pending.get_mut(&stream) {
            // Of the granted request capsules follow.
            pending.is_over |= !matches!(step, Step::Answer(Http3Status::Granted));
        }
        self.steps.push((stream, step));
    }
}
