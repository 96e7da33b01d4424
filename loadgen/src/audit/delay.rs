//! From each tap's planned moment to the first frame that shows it: the stadium's delay.
//!
//! Taps are matched to frames in order, the first planned with the first shown, which needs no clock of the server's. Where
//! taps were lost, those after them look faster than they were; a run with losses fails anyway.
//!
//! A part of a crowd cannot know whose taps a frame shows: there a frame is taken to show what this part sent in its window.

use super::{Room, Seen};
use crate::crowd::SLICE;
use crate::ledger::{Grid, Recorder, us_between};
use uproar_wire::WindowSeq;

/// The delays of one room's taps, by the slices (`curve`) in which they were planned. `shown` says how many of them a window
/// shows.
pub fn tap_to_frame(
    room: &Room,
    curve: &[u32],
    grid: &Grid,
    shown: impl Fn(WindowSeq, &Seen) -> u64,
    delays_us: &mut Recorder,
) {
    let mut slices = curve.iter().enumerate().map(|(slice, taps)| (slice as u32, u64::from(*taps))).peekable();
    for (window, seen) in room.windows_since(grid.first_window()) {
        let mut shown = shown(window, seen);
        while let Some((slice, waiting)) = slices.peek_mut() {
            let taps = shown.min(*waiting);
            // What is planned for a slice is spread over it.
            let planned = SLICE * *slice + SLICE / 2;
            if taps > 0 {
                delays_us.record_n(planned, us_between(grid.start + planned, seen.first.instant), taps);
            }
            (shown, *waiting) = (shown - taps, *waiting - taps);
            if *waiting > 0 {
                break;
            }
            slices.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Arrival;
    use crate::audit::room::tests::frame;
    use std::time::{Duration, Instant};

    #[test]
    fn a_tap_waits_for_the_frame_that_has_room_for_it() {
        let start = Instant::now();
        // 300 ms into window 5.
        let grid = Grid::new(start, 5_300_000, Duration::from_secs(1), Duration::from_millis(100));
        let mut room = Room::default();
        let seat = room.take_seat();
        for (window, total, at_ms) in [(4, 50, 0), (5, 3, 710), (6, 4, 1710)] {
            let at = Arrival { instant: start + Duration::from_millis(at_ms), unix_us: 0 };
            room.handle_frame(seat, &frame(window, total), at);
        }
        // Two taps in the first slice, three in the third: one of these is in the second frame already.
        let (mut delays_us, mut curve) = (Recorder::new(Duration::from_secs(1)), vec![2, 0, 3]);
        curve.resize(100, 0);
        curve.push(2);
        tap_to_frame(&room, &curve, &grid, |_, seen| seen.total, &mut delays_us);
        let of = |place: usize, ms: u64| delays_us.intervals()[place].count_at(ms * 1000);
        assert_eq!([of(0, 705), of(0, 685), of(0, 1685)], [2, 1, 2]);
        assert_eq!((of(1, 705), delays_us.total().len()), (2, 7));
    }
}
