//! What one subscriber still has to get: the rest of a message that is partly written, then a palette, then at most one
//! frame, the newest.
//!
//! Invariant: a message that has begun is finished before anything else is written, as its receiver counts bytes; and
//! memory is bounded, as a newer frame or palette takes the place of one that has not begun.
//!
//! Not here: who gets which frame when ([`super::audience`]).

use super::Links;
use super::audience::Link;
use bytes::Bytes;
use std::time::Instant;
use uproar_wire::WindowSeq;

/// An encoded frame, shared by all subscribers of the shard.
#[derive(Clone, Debug)]
pub struct FrameMessage {
    /// The frame's window.
    pub window: WindowSeq,
    /// The whole message: prefix and archive.
    pub bytes: Bytes,
    /// When it was encoded, from which its delivery is measured; `None` for one that was there before its subscriber came, as
    /// its age says nothing of the delivery.
    pub encoded_at: Option<Instant>,
}

/// What became of bytes that were handed to a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrote {
    /// The link took them all.
    All,
    /// It took those that are no longer in the buffer, perhaps none, and no more until it says it is writable.
    Part,
    /// It takes nothing ever again.
    Gone,
}

/// How an outbox stands after writing from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Drained {
    Empty,
    Blocked,
    Gone,
}

#[derive(Debug)]
struct Begun {
    rest: Bytes,
    /// Nothing for a palette.
    frame: Option<FrameMessage>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    begun: Option<Begun>,
    palette: Option<Bytes>,
    frame: Option<FrameMessage>,
}

impl Outbox {
    /// A palette that shall precede the next frame.
    pub(super) fn push_palette(&mut self, palette: Bytes) {
        self.palette = Some(palette);
    }

    /// The newest frame; says whether an older one gave way to it.
    pub(super) fn push_frame(&mut self, frame: FrameMessage) -> bool {
        self.frame.replace(frame).is_some()
    }

    /// Keeps what a link did not take of a frame; `rest` is the end of its `len` bytes, or all of them.
    pub(super) fn keep_rest(&mut self, frame: FrameMessage, rest: Bytes, len: usize) {
        if rest.len() == len {
            self.frame = Some(frame);
        } else {
            self.begun = Some(Begun { rest, frame: Some(frame) });
        }
    }

    /// Writes until everything is written or the link takes no more; counts the frames of which that was the end.
    pub(super) fn drain<L: Links>(&mut self, link: Link, links: &mut L, frames_sent: &mut u64) -> Drained {
        let mut delivered = |links: &mut L, frame: &FrameMessage| {
            *frames_sent += 1;
            links.handle_delivered(frame);
        };
        if let Some(begun) = &mut self.begun {
            match links.write(link, &mut begun.rest) {
                Wrote::All => {
                    if let Some(frame) = self.begun.take().and_then(|begun| begun.frame) {
                        delivered(links, &frame);
                    }
                }
                Wrote::Part => return Drained::Blocked,
                Wrote::Gone => return Drained::Gone,
            }
        }
        if let Some(palette) = self.palette.take() {
            let mut rest = palette.clone();
            match links.write(link, &mut rest) {
                Wrote::All => {}
                Wrote::Part if rest.len() == palette.len() => {
                    self.palette = Some(palette);
                    return Drained::Blocked;
                }
                Wrote::Part => {
                    self.begun = Some(Begun { rest, frame: None });
                    return Drained::Blocked;
                }
                Wrote::Gone => return Drained::Gone,
            }
        }
        if let Some(frame) = self.frame.take() {
            let mut rest = links.encode(link, &frame);
            let len = rest.len();
            match links.write(link, &mut rest) {
                Wrote::All => delivered(links, &frame),
                Wrote::Part => {
                    self.keep_rest(frame, rest, len);
                    return Drained::Blocked;
                }
                Wrote::Gone => return Drained::Gone,
            }
        }
        Drained::Empty
    }
}
