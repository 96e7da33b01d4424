//! A match in which everything happens that can: taps by every way, rooms that come, change and go, viewers that come
//! and stall, a mesh that is slower than the grace, a network that loses, repeats and reorders. At its end all shards
//! drain, and the books must balance.

use super::{Habits, Impairment, PlainFrame, ROOM, RequestId, RoomStream, SHARDS, Simulation, Trace, Viewer, Way};
use rand::RngExt;
use rand::seq::IndexedRandom;
use std::time::Duration;

const ROOMS: [u32; 4] = [ROOM, 8, 9, 1000];
/// Palettes have at most this many emoji; taps also name one more.
const EMOJI: u16 = 10;
/// Taps by QUIC, of which nobody here knows whether they arrived, are of this emoji only.
const QUIC_EMOJI: u16 = 0;

/// A match under way.
pub(crate) struct RandomMatch {
    pub(crate) simulation: Simulation,
    /// Who watches which room. Those of a deleted room are not among them: the packet that tells them so may be lost.
    viewers: Vec<(Viewer, u32)>,
    /// Which rooms were asked to go.
    deletions: Vec<(RequestId, u32)>,
}

impl RandomMatch {
    /// Plays a match of `happenings` up to its drain.
    pub(crate) fn play(seed: u64, viewers: usize, happenings: usize) -> Self {
        let spread = Duration::from_millis(seed % 3 * 250);
        let mut simulation = Simulation::with(seed, |config| config.settings.fanout_spread = spread);
        let rng = &mut simulation.rng;
        let impairment = Impairment {
            loss_percent: rng.random_range(0..8),
            duplicate_percent: rng.random_range(0..8),
            jitter: Duration::from_millis(rng.random_range(0..30)),
            ..Impairment::default()
        };
        // The grace is 500 ms: beyond it deltas are late.
        let mesh_delay_max = Duration::from_micros(*[50, 5000, 700_000, 2_500_000].choose(rng).unwrap());
        simulation.network.impairment = impairment;
        simulation.network.mesh_delay_max = mesh_delay_max;
        let mut played = Self { simulation, viewers: Vec::new(), deletions: Vec::new() };
        for room in ROOMS {
            played.put_room(room);
        }
        for _ in 0..viewers {
            let pause_us = played.simulation.rng.random_range(0..10_000_000 / viewers as u64);
            played.simulation.run_for(Duration::from_micros(pause_us));
            played.arrive();
        }
        for _ in 0..happenings {
            let pause_us = played.simulation.rng.random_range(0..300_000);
            played.simulation.run_for(Duration::from_micros(pause_us));
            played.happen();
        }
        played
    }

    /// Everybody reads again, all shards drain; then every tap and every viewer is accounted for. Returns how many
    /// taps and viewers that were.
    pub(crate) fn drain_and_balance(&mut self) -> (u64, usize) {
        for &(viewer, _) in &self.viewers {
            self.simulation.set_reading(viewer, true);
        }
        let watching: Vec<_> = self.viewers.iter().copied().filter(|&(viewer, _)| self.is_watching(viewer)).collect();
        self.simulation.drain();
        let accepted = self.assert_taps_balance();
        for &(viewer, room) in &watching {
            let newest = self.simulation.ledger.newest(room).map(|frame| frame.window);
            assert_eq!(self.simulation.windows_of(viewer).last().copied(), newest, "{viewer:?} in room {room}");
        }
        for &(viewer, _) in &self.viewers {
            assert_in_order(&self.simulation.frames_of(viewer));
        }
        (accepted, watching.len())
    }

    /// All that viewers received, and when they did.
    pub(crate) fn record(&self) -> Vec<(Trace, RoomStream)> {
        let viewers = self.viewers.iter().map(|&(viewer, _)| viewer);
        viewers.map(|viewer| (self.simulation.trace_of(viewer), self.simulation.stream_of(viewer))).collect()
    }

    fn assert_taps_balance(&mut self) -> u64 {
        let metrics = self.simulation.metrics();
        let Simulation { ledger, .. } = &self.simulation;
        let reactions: u64 = metrics.reactions.iter().sum();
        assert_eq!(ledger.framed_taps(), reactions, "taps in all frames, and taps accepted");
        assert_eq!(metrics.frame_taps, reactions, "as the shards count them");
        let but_quic = |counts: &super::ledger::Counts| {
            counts.iter().filter(|((_, emoji), _)| *emoji != QUIC_EMOJI).map(|(at, taps)| (*at, *taps)).collect()
        };
        let (accepted, framed): (Vec<_>, Vec<_>) = (but_quic(&ledger.accepted), but_quic(&ledger.framed()));
        assert_eq!(framed, accepted, "by room and emoji");
        reactions
    }

    /// Whether the viewer has its palette and will be told of whatever happens to the room.
    fn is_watching(&self, viewer: Viewer) -> bool {
        !self.simulation.is_over(viewer) && !self.simulation.stream_of(viewer).palettes.is_empty()
    }

    fn happen(&mut self) {
        let rng = &mut self.simulation.rng;
        let (room, shard) = (*ROOMS.choose(rng).unwrap(), rng.random_range(0..SHARDS));
        match rng.random_range(0..100) {
            0..70 => self.tap(room, shard),
            70..75 => {
                let request = self.simulation.admin("DELETE", &format!("/v1/rooms/{room}"), "");
                self.deletions.push((request, room));
                self.viewers.retain(|&(_, watched)| watched != room);
            }
            75..87 => self.put_room(room),
            87..92 => self.arrive(),
            _ => self.stall_or_go_on(),
        }
    }

    fn tap(&mut self, room: u32, shard: usize) {
        let rng = &mut self.simulation.rng;
        let (emoji, count) = (rng.random_range(1..=EMOJI), rng.random_range(1..=u16::MAX));
        match rng.random_range(0..5) {
            0 => self.simulation.tap(Way::Udp(shard), room, emoji, count),
            1 => self.simulation.tap(Way::Json(shard), room, emoji, count),
            2 => self.simulation.tap(Way::Binary(shard), room, emoji, count),
            3 => self.simulation.tap_train(shard, &[[(room, emoji, count), (room, emoji, 1)]; 3], (room, emoji, 7)),
            _ => {
                if let Some(&(viewer, _)) = self.viewers.choose(&mut self.simulation.rng) {
                    self.simulation.tap(Way::Quic(viewer), room, QUIC_EMOJI, count);
                }
            }
        }
    }

    fn put_room(&mut self, room: u32) {
        let palette_len = self.simulation.rng.random_range(1..=EMOJI);
        self.simulation.ask_to_put_room(room, palette_len);
    }

    fn arrive(&mut self) {
        let rng = &mut self.simulation.rng;
        let (room, shard) = (*ROOMS.choose(rng).unwrap(), rng.random_range(0..SHARDS));
        // Some take hardly more than one message at a time.
        let window_bytes = *[1 << 16, 700].choose(rng).unwrap();
        let viewer = self.simulation.viewer_with(shard, Habits { rooms: vec![room], window_bytes });
        let is_doomed = |&(request, deleted): &(_, _)| deleted == room && self.simulation.status(request).is_none();
        if !self.deletions.iter().any(is_doomed) {
            self.viewers.push((viewer, room));
        }
    }

    fn stall_or_go_on(&mut self) {
        if let Some(&(viewer, _)) = self.viewers.choose(&mut self.simulation.rng) {
            let reads = self.simulation.rng.random_bool(0.6);
            self.simulation.set_reading(viewer, reads);
        }
    }
}

/// The windows of a viewer's frames only grow.
pub(crate) fn assert_in_order(frames: &[PlainFrame]) {
    assert!(frames.is_sorted_by(|one, next| one.window < next.window), "a window came twice or late");
}
