//! From windows that close to frames that are offered: deltas out, merging, encoding, and frames in.
//!
//! Invariants: every shard gets every frame, in the order of its room's windows, and keeps the newest of each room. Nobody is
//! shown a frame before the palette that names its emoji: a room's palette comes from the coordinator and its frames from its
//! merger, so a frame may be first, and then it waits ([`EarlyFrames`]).
//!
//! Not here: how counts are merged ([`crate::tally`]), and who gets which frame when ([`crate::fanout`]).

use super::mesh_message::SharedFrame;
use super::{MeshMessage, Shard, subscribers};
use crate::ids::ShardId;
use crate::limits;
use crate::room::Room;
use crate::tally::{Delta, MergeOutput};
use crate::window::Now;
use std::sync::Arc;
use uproar_wire::frame::Frame;
use uproar_wire::{RoomId, WindowSeq};

impl Shard {
    pub(super) fn close_window(&mut self, now: Now, window: WindowSeq) {
        self.metrics.windows += 1;
        self.last_closed = Some((window, now.instant));
        let deltas: Vec<(ShardId, Delta)> = self.tally.close(window).collect();
        for (merger, delta) in deltas {
            self.send(merger, MeshMessage::Delta(delta));
        }
    }

    pub(super) fn serve_merge(&mut self, now: Now) -> bool {
        let mut deltas = 0;
        for _ in 0..limits::MERGE_SLICE {
            match self.merger.poll_output() {
                MergeOutput::Frame(frame) => self.encode_frame(now, &frame),
                MergeOutput::Recycled(from, delta) => {
                    self.send(from, MeshMessage::Recycled(delta));
                    deltas += 1;
                    if deltas == limits::MERGE_DELTAS {
                        return true;
                    }
                }
                MergeOutput::Working => return true,
                MergeOutput::Idle => {
                    self.send_frames();
                    return false;
                }
            }
        }
        true
    }

    fn encode_frame(&mut self, now: Now, frame: &Frame) {
        self.frame_bytes.clear();
        uproar_wire::stream::encode_frame(frame, &mut self.frame_bytes);
        self.metrics.frames += 1;
        self.metrics.frame_taps += frame.total;
        if let Some((window, closed_at)) = self.last_closed
            && window == frame.window_seq()
        {
            self.metrics.window_close.record(now.instant.saturating_duration_since(closed_at));
        }
        self.frames.push(SharedFrame {
            room: frame.room_id(),
            window: frame.window_seq(),
            emoji_ids: frame.top.iter().map(|entry| entry.emoji + 1).max().unwrap_or(0),
            message: Arc::from(self.frame_bytes.as_slice()),
            encoded_at: now.instant,
        });
        if self.frames.len() == limits::FRAMES_PER_MESSAGE {
            self.send_frames();
        }
    }

    pub(super) fn send_frames(&mut self) {
        if self.frames.is_empty() {
            return;
        }
        let frames: Arc<[SharedFrame]> = self.frames.drain(..).collect();
        self.broadcast(|| MeshMessage::Frames(frames.clone()));
    }

    pub(super) fn take_frames(&mut self, now: Now, frames: &[SharedFrame]) {
        for frame in frames {
            let palette_len = self.rooms.find(frame.room).map(|state| state.room.palette_len());
            let is_early = palette_len.is_some_and(|len| frame.emoji_ids > len);
            if !self.early_frames.is_empty() {
                // One that stops waiting for its palette goes first.
                self.early_frames.take_overdue(frame).iter().for_each(|overdue| self.take_frame(now, overdue));
            }
            if is_early || self.early_frames.has(frame.room) {
                self.early_frames.push(frame.clone());
            } else {
                self.take_frame(now, frame);
            }
        }
    }

    /// The room's palette has come: frames that waited for it go out, behind it.
    pub(super) fn take_early_frames(&mut self, now: Now, room: &Room) {
        for frame in self.early_frames.take_known(room.id(), room.palette_len()) {
            self.take_frame(now, &frame);
        }
    }

    fn take_frame(&mut self, now: Now, frame: &SharedFrame) {
        self.rooms.keep_newest(frame);
        if self.fanout.audience(frame.room) > 0 {
            self.fanout.offer(now.instant, frame.room, subscribers::frame_message(frame));
        }
        if self.event_streams.audience(frame.room) > 0 {
            self.event_streams.offer(now.instant, frame.room, subscribers::frame_message(frame));
        }
    }
}

/// Frames that name emoji which the palettes of this shard do not have yet, and those of the same rooms behind them. There are
/// nearly never any: the mesh is much faster than windows are long.
#[derive(Debug, Default)]
pub(super) struct EarlyFrames {
    /// In the order in which they came.
    frames: Vec<SharedFrame>,
}

impl EarlyFrames {
    fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn has(&self, room: RoomId) -> bool {
        self.frames.iter().any(|frame| frame.room == room)
    }

    fn push(&mut self, frame: SharedFrame) {
        self.frames.push(frame);
    }

    /// Those of a room up to the first that names emoji beyond `palette_len`.
    fn take_known(&mut self, room: RoomId, palette_len: u16) -> Vec<SharedFrame> {
        let mut goes_on = true;
        let is_known = |frame: &mut SharedFrame| {
            goes_on &= frame.room != room || frame.emoji_ids <= palette_len;
            goes_on && frame.room == room
        };
        self.frames.extract_if(.., is_known).collect()
    }

    /// Those of the room of a newer frame, if the first has waited for [`limits::EARLY_FRAME_WINDOWS`]: a palette that has not
    /// come since does not come.
    fn take_overdue(&mut self, newer: &SharedFrame) -> Vec<SharedFrame> {
        let first = self.frames.iter().find(|frame| frame.room == newer.room);
        match first.is_some_and(|first| newer.window.0.saturating_sub(first.window.0) >= limits::EARLY_FRAME_WINDOWS) {
            true => self.take_known(newer.room, u16::MAX),
            false => Vec::new(),
        }
    }

    /// Nobody watches the room any more.
    pub(super) fn drop_room(&mut self, room: RoomId) {
        self.frames.retain(|frame| frame.room != room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[allow(clippy::disallowed_methods, reason = "an arbitrary instant")]
    fn frame(room: u32, window: u64, emoji_ids: u16) -> SharedFrame {
        let (room, window) = (RoomId(room), WindowSeq(window));
        SharedFrame { room, window, emoji_ids, message: Arc::from([]), encoded_at: Instant::now() }
    }

    fn windows(frames: &[SharedFrame]) -> Vec<u64> {
        frames.iter().map(|frame| frame.window.0).collect()
    }

    #[test]
    fn frames_leave_in_order_up_to_the_first_that_is_still_early() {
        let mut early = EarlyFrames::default();
        for (room, window, emoji_ids) in [(7, 1, 3), (8, 1, 9), (7, 2, 0), (7, 3, 5), (7, 4, 1)] {
            early.push(frame(room, window, emoji_ids));
        }
        assert!(early.take_known(RoomId(7), 2).is_empty());
        assert_eq!(windows(&early.take_known(RoomId(7), 4)), [1, 2]);
        assert_eq!(windows(&early.take_known(RoomId(7), 5)), [3, 4]);
        assert!(!early.has(RoomId(7)) && early.has(RoomId(8)));
        early.drop_room(RoomId(8));
        assert!(early.is_empty());
    }

    #[test]
    fn a_palette_that_never_comes_holds_up_a_room_for_some_windows_only() {
        let mut early = EarlyFrames::default();
        let last = limits::EARLY_FRAME_WINDOWS;
        (0..last).for_each(|window| early.push(frame(7, window, 3)));
        assert!(early.take_overdue(&frame(7, last - 1, 3)).is_empty());
        assert!(early.take_overdue(&frame(8, last, 3)).is_empty(), "another room's frames are no sign");
        assert_eq!(windows(&early.take_overdue(&frame(7, last, 3))), (0..last).collect::<Vec<_>>());
        assert!(early.is_empty());
    }
}
