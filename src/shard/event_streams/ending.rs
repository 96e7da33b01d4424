//! Event streams that end because the server says so: [`STREAM_SLICE`] of them a turn, so that nobody who taps waits.
//!
//! Invariant: each is looked at once, and again when the kernel has taken what it was behind with; never all of them in one
//! turn, and none in every turn. Not here: sending them away before a drain ([`crate::shard`]'s leaving), and those whose
//! reader left.

use super::{EventStreams, Shard};
use crate::limits::STREAM_SLICE;
use std::collections::VecDeque;
use uproar_wire::RoomId;

/// Who is to end.
#[derive(Default)]
pub(super) struct Ending {
    /// How far the walk over all event streams has come; none while the shard serves.
    cursor: Option<usize>,
    /// Those that the walk has passed and the kernel keeps up with, and that wait for their last frame.
    waiting: VecDeque<usize>,
}

impl Ending {
    /// The kernel has taken all that the event stream at `place` was sent. Beside the walk it does not matter.
    pub(super) fn handle_writable(&mut self, place: usize) {
        if self.cursor.is_some() {
            self.waiting.push_back(place);
        }
    }
}

impl EventStreams {
    /// Ends the event streams of a deleted room, in the turns that follow.
    pub(in crate::shard) fn drop_room(&mut self, room: RoomId) {
        self.events.remove(&room);
        self.fanout.remove_room(room);
    }

    /// The next place of the walk that has an event stream to look at.
    fn walk(&mut self) -> Option<usize> {
        let place = self.stream_from(self.ending.cursor.unwrap_or(0));
        self.ending.cursor = Some(place.map_or(self.streams.capacity(), |place| place + 1));
        place
    }
}

impl Shard {
    /// True while there are more.
    pub(super) fn end_event_streams_of_deleted_rooms(&mut self) -> bool {
        for _ in 0..STREAM_SLICE {
            let Some(link) = self.event_streams.fanout.poll_disbanded() else { return false };
            self.event_streams.streams[link.conn].subscription = None;
            self.end_event_stream(link.conn);
        }
        self.event_streams.fanout.is_disbanding()
    }

    /// Ends event streams of which the kernel has taken the last frame, as the shard drains and nobody comes any more: what
    /// is written in a turn is known to be taken in the next. True while another turn may end more.
    pub(in crate::shard) fn end_event_streams(&mut self) -> bool {
        if !self.event_streams.writes.is_empty() {
            return true;
        }
        for _ in 0..self.event_streams.ending.waiting.len().min(STREAM_SLICE) {
            let place = self.event_streams.ending.waiting.pop_front();
            place.into_iter().for_each(|place| self.end_or_wait(place));
        }
        for _ in 0..STREAM_SLICE {
            let Some(place) = self.event_streams.walk() else { break };
            self.end_or_wait(place);
        }
        let has_walked = self.event_streams.ending.cursor >= Some(self.event_streams.streams.capacity());
        !has_walked || !self.event_streams.writes.is_empty() || !self.event_streams.ending.waiting.is_empty()
    }

    fn end_or_wait(&mut self, place: usize) {
        if self.event_streams.is_caught_up(place) {
            self.end_event_stream(place);
        } else if self.event_streams.streams.get(place).is_some_and(|stream| !stream.is_stalled) {
            self.event_streams.ending.waiting.push_back(place);
        }
    }
}
