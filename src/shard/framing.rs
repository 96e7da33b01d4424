//! From windows that close to frames that are offered: deltas out, merging, encoding, and frames in.
//!
//! Invariant: every shard gets every frame, in the order of its room's windows, and keeps the newest of each room. Not here:
//! how counts are merged ([`crate::tally`]), and who gets which frame when ([`crate::fanout`]).

use super::mesh_message::SharedFrame;
use super::{MeshMessage, Shard, subscribers};
use crate::ids::ShardId;
use crate::limits;
use crate::tally::{Delta, MergeOutput};
use crate::window::Now;
use std::sync::Arc;
use uproar_wire::WindowSeq;

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

    fn encode_frame(&mut self, now: Now, frame: &uproar_wire::frame::Frame) {
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
            self.rooms.keep_newest(frame);
            if self.fanout.audience(frame.room) > 0 {
                self.fanout.offer(now.instant, frame.room, subscribers::frame_message(frame));
            }
            if self.event_streams.audience(frame.room) > 0 {
                self.event_streams.offer(now.instant, frame.room, subscribers::frame_message(frame));
            }
        }
    }
}
