//! The first frame of each room and window, to hold those of all other subscribers against.
//!
//! Invariant: a few windows a room, however many are watched. A frame that comes later than these is compared with nothing.

use super::viewer::Picture;
use std::time::{Duration, Instant};

/// Windows of one room that are remembered; a power of two.
const WINDOWS: usize = 4;

#[derive(Clone, Copy)]
struct Sighting {
    window: u64,
    first_at: Instant,
    hash: u64,
}

/// What was seen first, by room.
pub(super) struct Sightings {
    rooms: Vec<[Option<Sighting>; WINDOWS]>,
    /// Frames whose bytes were others than the first one's.
    pub(super) conflicting: u64,
}

impl Sightings {
    /// Nothing was seen of so many rooms.
    pub(super) fn new(rooms: usize) -> Self {
        Self { rooms: vec![[None; WINDOWS]; rooms], conflicting: 0 }
    }

    /// How much later than the first of its room and window this frame came; `None` for the first itself, and for one
    /// whose window is forgotten.
    pub(super) fn handle_frame(&mut self, at: Instant, picture: &Picture) -> Option<Duration> {
        let Picture { room, window, hash, .. } = *picture;
        let seen = &mut self.rooms[room as usize][window as usize % WINDOWS];
        match seen {
            Some(first) if first.window == window => {
                self.conflicting += u64::from(first.hash != hash);
                return Some(at.saturating_duration_since(first.first_at));
            }
            Some(newer) if newer.window > window => {}
            _ => *seen = Some(Sighting { window, first_at: at, hash }),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_held_against_the_first_of_their_room_and_window() {
        let (mut sightings, start) = (Sightings::new(2), Instant::now());
        let mut frame = |room, window, hash, after_ms| {
            let picture = Picture { room, window, end_unix_us: 0, window_us: 1, hash };
            let spread = sightings.handle_frame(start + Duration::from_millis(after_ms), &picture);
            (spread.map(|spread| spread.as_millis()), sightings.conflicting)
        };
        assert_eq!(frame(0, 10, 1, 0), (None, 0));
        assert_eq!(frame(1, 10, 2, 1), (None, 0), "another room, another picture");
        assert_eq!(frame(0, 10, 1, 5), (Some(5), 0));
        assert_eq!(frame(1, 10, 2, 3), (Some(2), 0));
        assert_eq!(frame(0, 11, 7, 9), (None, 0), "another window, another picture");
        assert_eq!(frame(0, 10, 3, 10), (Some(10), 1));
        // The place of 10 is 14's now.
        assert_eq!(frame(0, 14, 8, 20), (None, 1));
        assert_eq!(frame(0, 10, 9, 21), (None, 1), "nobody remembers");
        assert_eq!(frame(0, 14, 8, 22), (Some(2), 1));
    }
}
