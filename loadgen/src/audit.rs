//! What a room's frames add up to, and what each of its subscribers got of them.
//!
//! All frames of one window are the same picture, so the room's totals are taken from whoever gets a window first, and
//! one subscriber's gap does not spoil the sum. Taps are never counted into a window before the one they came in, so
//! what arrives before the first tap was sent cannot hold any: counting begins when the audit is armed.
//!
//! Invariant: the sum over armed windows is what viewers were shown. Nothing here compares clocks of two machines but
//! the time from a window's close to its frame, which says so.

use crate::ledger::{CURVE_STEP, histogram, merge, us_between};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;
use uproar_wire::WindowSeq;
use uproar_wire::frame::{Frame, Palette};

/// One subscriber's place in an audit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SeatId(usize);

/// When a frame came, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// For durations on this machine.
    pub(crate) instant: Instant,
    /// Unix time in microseconds.
    pub(crate) unix_us: u64,
}

/// One room, watched by all its subscribers.
#[derive(Debug)]
pub(crate) struct RoomAudit {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    armed: bool,
    palette: Option<Palette>,
    window_ms: Option<u32>,
    windows: BTreeMap<WindowSeq, Seen>,
    /// Frames after this window are no longer looked at.
    horizon: Option<WindowSeq>,
    seats: Vec<Seat>,
    findings: Audited,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    total: u64,
    first: Instant,
    armed: bool,
}

#[derive(Clone, Debug, Default)]
struct Seat {
    first: Option<WindowSeq>,
    last: Option<WindowSeq>,
    received: u64,
    gone: bool,
}

/// The result of an audit, of one room or several.
#[derive(Clone, Debug)]
pub(crate) struct Audited {
    /// Taps in armed frames.
    pub(crate) taps: u64,
    /// Of these, per emoji, as far as the frames show them.
    pub(crate) by_emoji: Vec<u64>,
    /// Whether all armed frames showed all their emoji.
    pub(crate) shows_all_emoji: bool,
    /// Armed windows.
    pub(crate) windows: u64,
    /// Subscribers.
    pub(crate) seats: u64,
    /// Subscribers that lost their connection, and what the last of them said.
    pub(crate) seats_lost: u64,
    /// See `seats_lost`.
    pub(crate) last_loss: Option<String>,
    /// Frames over all subscribers.
    pub(crate) frames_received: u64,
    /// Frames that a subscriber did not get though another one did.
    pub(crate) frames_missing: u64,
    /// Frames of a window that the subscriber had seen already, or of an older one.
    pub(crate) duplicates: u64,
    /// Frames that say something else about a window than the first one did.
    pub(crate) conflicting: u64,
    /// From the first subscriber's frame of a window to each other's, in microseconds.
    pub(crate) spread_us: Histogram<u64>,
    /// From a window's end on the server's clock to each frame on this one's, in microseconds.
    pub(crate) close_to_frame_us: Histogram<u64>,
}

impl Default for Audited {
    fn default() -> Self {
        Self {
            taps: 0,
            by_emoji: Vec::new(),
            shows_all_emoji: true,
            windows: 0,
            seats: 0,
            seats_lost: 0,
            last_loss: None,
            frames_received: 0,
            frames_missing: 0,
            duplicates: 0,
            conflicting: 0,
            spread_us: histogram(),
            close_to_frame_us: histogram(),
        }
    }
}

impl Audited {
    /// Adds another room's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.taps += other.taps;
        self.windows += other.windows;
        self.seats += other.seats;
        self.seats_lost += other.seats_lost;
        self.last_loss = other.last_loss.clone().or(self.last_loss.take());
        self.frames_received += other.frames_received;
        self.frames_missing += other.frames_missing;
        self.duplicates += other.duplicates;
        self.conflicting += other.conflicting;
        merge(&mut self.spread_us, &other.spread_us);
        merge(&mut self.close_to_frame_us, &other.close_to_frame_us);
    }

    /// Whether the frames show other taps per emoji than were sent; where they do not show all, nobody knows.
    pub(crate) fn disagrees_with(&self, sent: &[u64]) -> bool {
        let shown = |place: usize| self.by_emoji.get(place).copied().unwrap_or(0);
        let places = sent.len().max(self.by_emoji.len());
        self.shows_all_emoji && (0..places).any(|place| shown(place) != sent.get(place).copied().unwrap_or(0))
    }
}

impl RoomAudit {
    /// Of a room that nobody watches yet.
    pub(crate) fn new() -> Self {
        let state = State {
            armed: false,
            palette: None,
            window_ms: None,
            windows: BTreeMap::new(),
            horizon: None,
            seats: Vec::new(),
            findings: Audited::default(),
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere ends the run anyway; the state is plain counters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more subscriber.
    pub(crate) fn take_seat(&self) -> SeatId {
        let mut state = self.state();
        state.seats.push(Seat::default());
        SeatId(state.seats.len() - 1)
    }

    /// A subscriber lost its connection.
    pub(crate) fn leave_seat(&self, seat: SeatId, reason: String) {
        let mut state = self.state();
        state.seats[seat.0].gone = true;
        state.findings.seats_lost += 1;
        state.findings.last_loss = Some(reason);
        drop(state);
        self.changed.notify_waiters();
    }

    /// The room's palette came.
    pub(crate) fn handle_palette(&self, palette: &Palette) {
        self.state().palette.get_or_insert_with(|| palette.clone());
        self.changed.notify_waiters();
    }

    /// A subscriber got a frame.
    pub(crate) fn handle_frame(&self, seat: SeatId, frame: &Frame, at: Arrival) {
        if self.state().handle_frame(seat, frame, at) {
            self.changed.notify_waiters();
        }
    }

    /// From here on frames count: the first tap is about to be sent.
    pub(crate) fn arm(&self) {
        self.state().armed = true;
    }

    /// The room's palette, once a subscriber has it.
    pub(crate) async fn palette(&self) -> Palette {
        self.until(|state| state.palette.clone()).await
    }

    /// Length of the room's windows in milliseconds, once a frame has said so.
    pub(crate) fn window_ms(&self) -> Option<u32> {
        self.state().window_ms
    }

    /// Returns when frames have shown this many taps.
    pub(crate) async fn until_shown(&self, taps: u64) {
        self.until(|state| (state.findings.taps >= taps).then_some(())).await;
    }

    /// Stops looking beyond the newest window, and returns when every subscriber that is left has it.
    pub(crate) async fn until_everyone_has_the_newest(&self) {
        self.fix_horizon();
        self.until(|state| {
            let behind = |seat: &Seat| !seat.gone && seat.last < state.horizon;
            (!state.seats.iter().any(behind)).then_some(())
        })
        .await;
    }

    /// Stops looking beyond the newest window.
    fn fix_horizon(&self) {
        let mut state = self.state();
        if state.horizon.is_none() {
            state.horizon = state.windows.last_key_value().map(|(window, _)| *window);
        }
    }

    async fn until<T>(&self, check: impl Fn(&State) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before looking, or a change in between would be missed.
            changed.as_mut().enable();
            if let Some(answer) = check(&self.state()) {
                return answer;
            }
            changed.await;
        }
    }

    /// The result so far.
    pub(crate) fn audited(&self) -> Audited {
        let state = self.state();
        let mut findings = state.findings.clone();
        findings.seats = state.seats.len() as u64;
        findings.windows = state.windows.values().filter(|seen| seen.armed).count() as u64;
        let windows: Vec<WindowSeq> = state.windows.keys().copied().collect();
        for seat in &state.seats {
            let Some(first) = seat.first else { continue };
            // Who lost its connection is reported as lost, not as missing everything since.
            let end = if seat.gone { seat.last } else { state.horizon.or_else(|| windows.last().copied()) };
            let up_to = end.map_or(0, |end| windows.partition_point(|window| *window <= end));
            let expected = up_to.saturating_sub(windows.partition_point(|window| *window < first));
            findings.frames_received += seat.received;
            findings.frames_missing += (expected as u64).saturating_sub(seat.received);
        }
        findings
    }

    /// From each tap's planned moment to the first frame that showed it, in microseconds. Taps are matched to frames in
    /// order, the first sent with the first shown, which needs no clock of the server's; `curve` is the ledger's of
    /// this room, counted from `start`. Where taps were lost, those after them look faster than they were.
    pub(crate) fn tap_to_frame_us(&self, curve: &[u64], start: Instant) -> Histogram<u64> {
        let state = self.state();
        let mut latency_us = histogram();
        let mut steps = curve.iter().enumerate().map(|(step, taps)| (step as u32, *taps)).peekable();
        for seen in state.windows.values().filter(|seen| seen.armed) {
            let mut shown = seen.total;
            while let Some((step, waiting)) = steps.peek_mut() {
                let taps = shown.min(*waiting);
                let planned = start + CURVE_STEP * *step + CURVE_STEP / 2;
                if taps > 0 {
                    latency_us.saturating_record_n(us_between(planned, seen.first), taps);
                }
                (shown, *waiting) = (shown - taps, *waiting - taps);
                if *waiting > 0 {
                    break;
                }
                steps.next();
            }
        }
        latency_us
    }
}

impl State {
    /// Whether somebody may be waiting for this.
    fn handle_frame(&mut self, seat_id: SeatId, frame: &Frame, at: Arrival) -> bool {
        let window = frame.window_seq();
        if self.horizon.is_some_and(|horizon| window > horizon) {
            return false;
        }
        let seat = &mut self.seats[seat_id.0];
        if seat.last.is_some_and(|last| window <= last) {
            self.findings.duplicates += 1;
            return false;
        }
        // The newest frame comes at once on arrival, whenever it was made: it says nothing about delays.
        let joined = seat.first.is_none();
        seat.first.get_or_insert(window);
        seat.last = Some(window);
        seat.received += 1;
        self.window_ms = Some(frame.window_ms);
        let first = match self.windows.get(&window) {
            None => {
                self.windows.insert(window, Seen { total: frame.total, first: at.instant, armed: self.armed });
                self.count_armed(frame);
                at.instant
            }
            Some(seen) => {
                self.findings.conflicting += u64::from(seen.total != frame.total);
                seen.first
            }
        };
        if !joined {
            self.findings.spread_us.saturating_record(us_between(first, at.instant));
            let closed_us = (frame.start_ms + u64::from(frame.window_ms)) * 1000;
            self.findings.close_to_frame_us.saturating_record(at.unix_us.saturating_sub(closed_us));
        }
        true
    }

    fn count_armed(&mut self, frame: &Frame) {
        if !self.armed {
            return;
        }
        self.findings.taps += frame.total;
        let mut shown = 0;
        for entry in &frame.top {
            let place = usize::from(entry.emoji);
            if self.findings.by_emoji.len() <= place {
                self.findings.by_emoji.resize(place + 1, 0);
            }
            self.findings.by_emoji[place] += entry.count;
            shown += entry.count;
        }
        self.findings.shows_all_emoji &= shown == frame.total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use uproar_wire::frame::TopEntry;

    fn frame(window: u64, total: u64) -> Frame {
        let top = vec![TopEntry { count: total, emoji: 1, share: 10_000, intensity: 255 }];
        Frame { room: 1, window_ms: 1000, window, start_ms: window * 1000, total, intensity: 255, top }
    }

    struct Stage {
        audit: RoomAudit,
        start: Instant,
    }

    impl Stage {
        fn new() -> Self {
            Self { audit: RoomAudit::new(), start: Instant::now() }
        }

        fn shows(&self, seat: SeatId, window: u64, total: u64, at_ms: u64) {
            let instant = self.start + Duration::from_millis(at_ms);
            self.audit.handle_frame(seat, &frame(window, total), Arrival { instant, unix_us: (at_ms + 5) * 1000 });
        }
    }

    #[test]
    fn windows_are_added_once_and_only_when_armed() {
        let stage = Stage::new();
        let (one, other) = (stage.audit.take_seat(), stage.audit.take_seat());
        stage.shows(one, 1, 100, 2000);
        stage.audit.arm();
        stage.shows(one, 2, 7, 3000);
        stage.shows(other, 1, 100, 3001);
        stage.shows(other, 2, 7, 3002);
        let audited = stage.audit.audited();
        assert_eq!((audited.taps, audited.windows, audited.frames_received), (7, 1, 4));
        assert_eq!(audited.by_emoji, [0, 7]);
        assert!(audited.shows_all_emoji);
    }

    #[test]
    fn gaps_duplicates_and_contradictions_are_told_apart() {
        let stage = Stage::new();
        let (one, other) = (stage.audit.take_seat(), stage.audit.take_seat());
        stage.audit.arm();
        for window in [3, 4, 5] {
            stage.shows(one, window, 1, window * 1000);
        }
        stage.shows(one, 5, 1, 5001);
        stage.shows(other, 3, 1, 5002);
        stage.shows(other, 5, 2, 5003);
        let audited = stage.audit.audited();
        assert_eq!((audited.frames_missing, audited.duplicates, audited.conflicting), (1, 1, 1));
    }

    #[test]
    fn windows_that_nobody_got_are_nobodys_gap() {
        let stage = Stage::new();
        let one = stage.audit.take_seat();
        stage.shows(one, 3, 1, 0);
        stage.shows(one, 9, 1, 6000);
        assert_eq!(stage.audit.audited().frames_missing, 0);
    }

    #[test]
    fn emoji_are_compared_where_the_frames_show_them_all() {
        let stage = Stage::new();
        let one = stage.audit.take_seat();
        stage.audit.arm();
        stage.shows(one, 1, 4, 1000);
        let mut audited = stage.audit.audited();
        assert!(!audited.disagrees_with(&[0, 4]) && audited.disagrees_with(&[4, 0]) && audited.disagrees_with(&[]));
        audited.shows_all_emoji = false;
        assert!(!audited.disagrees_with(&[4, 0]));
    }

    #[test]
    fn taps_meet_frames_in_order() {
        let stage = Stage::new();
        let one = stage.audit.take_seat();
        stage.audit.arm();
        // Two taps planned at 5 ms (the middle of their step), one at 15 ms; one shown at 105 ms, two at 205 ms.
        stage.shows(one, 1, 1, 105);
        stage.shows(one, 2, 2, 205);
        let latency = stage.audit.tap_to_frame_us(&[2, 1], stage.start);
        assert_eq!(latency.len(), 3);
        let shown: Vec<u64> = [0.33, 0.66, 1.0].map(|quantile| latency.value_at_quantile(quantile)).into();
        let expected = [100_000, 190_000, 200_000];
        assert!(shown.iter().zip(expected).all(|(us, expected)| latency.equivalent(*us, expected)), "{shown:?}");
    }

    #[tokio::test]
    async fn waiting_ends_when_the_taps_are_shown_and_everyone_has_them() {
        let stage = Stage::new();
        let (one, other) = (stage.audit.take_seat(), stage.audit.take_seat());
        stage.audit.arm();
        let feed = async {
            stage.shows(one, 1, 10, 1000);
            tokio::task::yield_now().await;
            stage.shows(one, 2, 5, 2000);
        };
        tokio::join!(stage.audit.until_shown(15), feed);
        let feed = async {
            stage.shows(other, 1, 10, 2001);
            tokio::task::yield_now().await;
            stage.shows(other, 2, 5, 2002);
        };
        tokio::join!(stage.audit.until_everyone_has_the_newest(), feed);
        stage.shows(one, 3, 1, 3000);
        assert_eq!(stage.audit.audited().taps, 15, "nothing counts beyond the horizon");
    }
}
