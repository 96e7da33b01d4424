//! A match in which palettes change all the time: put in another order, under other names, with other emoji, deleted, put
//! again, reloaded. Senders go by whatever palette they have seen, however old. At its end every tap that was counted must be
//! in a frame under the emoji that its sender meant.
//!
//! Invariant: what a tap means is decided here, by glyph, from what its sender had been shown; nothing is asked of the room but
//! what its readers see.

use super::{RequestId, SHARDS, Simulation, Stream, Viewer, datagram, random_match};
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use uproar_wire::http::{EmojiSpec, RoomSpec};

const ROOMS: [u32; 3] = [8, 9, 1000];
/// Each in two spellings that are the same to whoever sees it.
const GLYPHS: [[&str; 2]; 9] = [
    ["\u{2764}", "\u{2764}\u{FE0F}"],
    ["6\u{20E3}", "6\u{FE0F}\u{20E3}"],
    ["\u{1F44D}", "\u{1F44D}\u{FE0F}"],
    ["\u{26BD}", "\u{26BD}\u{FE0E}"],
    ["https://example.com/\u{E9}.png", "https://example.com/e\u{301}.png"],
    ["\u{1F525}", "\u{1F525}"],
    ["\u{1F3C6}", "\u{1F3C6}"],
    ["\u{1F44F}\u{1F3FD}", "\u{1F44F}\u{1F3FD}"],
    ["\u{1F44F}", "\u{1F44F}"],
];
/// Fewer than glyphs, so that they go from one to another.
const NAMES: [&str; 6] = ["one", "two", "three", "four", "five", "s\u{E9}x"];

/// One of [`GLYPHS`], however it is spelled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Glyph(usize);

impl Glyph {
    fn read(text: &str) -> Self {
        let place = GLYPHS.iter().position(|spellings| spellings.contains(&text));
        Self(place.unwrap_or_else(|| panic!("nobody put the glyph {text:?}")))
    }
}

/// A palette as a sender has seen it: glyphs by id, and names of those that can be tapped.
#[derive(Clone, Debug)]
struct Seen(Vec<(Glyph, String)>);

/// A match under way.
pub(crate) struct RandomPalettes {
    simulation: Simulation,
    viewers: Vec<(Viewer, u32)>,
    streams: Vec<(Stream, u32)>,
    seen: BTreeMap<u32, Vec<Seen>>,
    /// What each id of each room has meant to anybody.
    means: BTreeMap<(u32, u16), Glyph>,
    /// Taps that were counted, by what their senders meant.
    meant: BTreeMap<(u32, Glyph), u64>,
    puts: Vec<RequestId>,
}

impl RandomPalettes {
    /// Plays a match of `happenings` up to its drain.
    pub(crate) fn play(seed: u64, happenings: usize) -> Self {
        let mut simulation = Simulation::new(seed);
        let delays_us = [50, 5000, 700_000, 2_500_000];
        simulation.network.mesh_delay_max = Duration::from_micros(*delays_us.choose(&mut simulation.rng).unwrap());
        let mut played = Self {
            simulation,
            viewers: Vec::new(),
            streams: Vec::new(),
            seen: BTreeMap::new(),
            means: BTreeMap::new(),
            meant: BTreeMap::new(),
            puts: Vec::new(),
        };
        for _ in 0..happenings {
            let pause_us = played.simulation.rng.random_range(0..200_000);
            played.simulation.run_for(Duration::from_micros(pause_us));
            played.happen();
        }
        played
    }

    /// Drains, and checks every tap and every frame. Returns how many taps were counted.
    pub(crate) fn drain_and_balance(mut self) -> u64 {
        // Every emoji that a room has had is in its palette.
        for room in ROOMS {
            let spec = RoomSpec { name: "last".into(), palette: vec![emoji(Glyph(0), 0, "last")] };
            let put = self.simulation.ask_to_put(room, &spec);
            self.puts.push(put);
        }
        self.simulation.run_for(Duration::from_secs(20));
        for put in std::mem::take(&mut self.puts) {
            let (status, room) = self.simulation.answer(put);
            assert!(status == 200 || status == 201, "{status}: {room}");
            self.see(&serde_json::from_str(&room).unwrap());
        }
        self.simulation.drain();
        self.check_readers();

        let mut framed = BTreeMap::new();
        for ((room, id), taps) in self.simulation.ledger.framed() {
            *framed.entry((room, self.means[&(room, id)])).or_insert(0) += taps;
        }
        framed.retain(|_, taps| *taps > 0);
        assert_eq!(framed, self.meant, "taps in frames, and taps that were counted, by room and what they meant");
        let metrics = self.simulation.metrics();
        let counted: u64 = self.meant.values().sum();
        assert_eq!((metrics.reactions.iter().sum::<u64>(), metrics.frame_taps), (counted, counted));
        counted
    }

    /// No reader is shown an id that its palette does not have, or that means something else there.
    fn check_readers(&mut self) {
        for (viewer, room) in std::mem::take(&mut self.viewers) {
            let stream = self.simulation.stream_of(viewer);
            random_match::assert_in_order(&stream.frames);
            for (at, palette) in stream.emoji.iter().enumerate() {
                let glyphs = palette.iter().map(|emoji| (Glyph::read(&emoji.glyph), emoji.name.clone()));
                self.note(room, Seen(glyphs.collect()));
                let until = stream.palettes.get(at + 1).map_or(stream.frames.len(), |next| next.0);
                for frame in &stream.frames[stream.palettes[at].0..until] {
                    let beyond = frame.top.iter().find(|(id, _)| usize::from(*id) >= palette.len());
                    assert_eq!(beyond, None, "a frame of room {room} names an emoji that its palette lacks");
                }
            }
        }
        for (stream, room) in std::mem::take(&mut self.streams) {
            for data in self.simulation.data_of(stream) {
                let Some(top) = data["top"].as_array() else {
                    self.see(&data);
                    continue;
                };
                for entry in top {
                    let id = entry["id"].as_u64().unwrap() as u16;
                    assert_eq!(Glyph::read(entry["emoji"].as_str().unwrap()), self.means[&(room, id)], "emoji {id}");
                }
            }
        }
    }

    fn happen(&mut self) {
        let rng = &mut self.simulation.rng;
        let (room, shard) = (*ROOMS.choose(rng).unwrap(), rng.random_range(0..SHARDS));
        match rng.random_range(0..100) {
            0..50 => self.tap_by_id(room, shard),
            50..60 => self.tap_by_label(room, shard),
            60..72 => self.put(room),
            72..77 => {
                let gone = self.simulation.admin("DELETE", &format!("/v1/rooms/{room}"), "");
                if self.simulation.rng.random_bool(0.5) {
                    self.simulation.answer(gone);
                }
            }
            77..82 => self.reload(),
            82..90 => drop(self.look(room, shard)),
            90..93 => self.simulation.run_until_window_closes(),
            93..97 => {
                let viewer =
                    self.simulation.viewer_with(shard, super::Habits { rooms: vec![room], window_bytes: 1 << 16 });
                self.viewers.push((viewer, room));
            }
            _ => {
                if self.look(room, shard).is_some() {
                    self.streams.push((self.simulation.stream(shard, room), room));
                }
            }
        }
    }

    /// Somebody taps by ids of a palette that was ever seen.
    fn tap_by_id(&mut self, room: u32, shard: usize) {
        let rng = &mut self.simulation.rng;
        let Some(Seen(palette)) = self.seen.get(&room).and_then(|all| all.choose(rng)).cloned() else { return };
        let records = rng.random_range(1..=3);
        let taps: Vec<_> =
            (0..records).map(|_| (rng.random_range(0..palette.len()) as u16, rng.random_range(1..=u16::MAX))).collect();
        let (way, viewer) = (rng.random_range(0..3), self.viewers.choose(rng).copied());
        let named: Vec<_> = taps.iter().map(|&(id, count)| (room, id, count)).collect();
        let before = self.counted();
        match (way, viewer) {
            (0, _) => self.simulation.receive_datagrams(shard, &datagram(&named), 0, &named),
            (1, Some((viewer, _))) => {
                self.simulation.react(viewer, &datagram(&named));
                self.simulation.run_for(Duration::from_millis(100));
            }
            _ => drop(self.simulation.post_datagram(shard, &named)),
        }
        let sent: u64 = taps.iter().map(|&(_, count)| u64::from(count)).sum();
        let counted = self.counted() - before;
        assert!(counted == 0 || counted == sent, "{counted} of {sent}");
        for (id, count) in taps.into_iter().filter(|_| counted > 0) {
            *self.meant.entry((room, palette[usize::from(id)].0)).or_default() += u64::from(count);
        }
    }

    /// Somebody taps by a glyph, however that is spelled, or by a name that the shard has just said.
    fn tap_by_label(&mut self, room: u32, shard: usize) {
        let Some(Seen(palette)) = self.look(room, shard) else { return };
        let rng = &mut self.simulation.rng;
        let (glyph, name) = palette.choose(rng).unwrap();
        let is_by_name = rng.random_bool(0.5) && !name.is_empty();
        let label = if is_by_name { name } else { *GLYPHS[glyph.0].choose(rng).unwrap() };
        let tap = (room, 0, rng.random_range(1..=u16::MAX));
        let status = self.simulation.tap_label(shard, label, tap);
        assert_eq!(status, Some(if name.is_empty() { 422 } else { 202 }), "{label:?}");
        if status == Some(202) {
            *self.meant.entry((room, *glyph)).or_default() += u64::from(tap.2);
        }
    }

    fn put(&mut self, room: u32) {
        let spec = self.spec();
        let put = self.simulation.ask_to_put(room, &spec);
        self.puts.push(put);
        if self.simulation.rng.random_bool(0.5) {
            self.simulation.answer(put);
        }
    }

    fn reload(&mut self) {
        let rooms: Vec<_> = ROOMS.into_iter().filter(|_| self.simulation.rng.random_bool(0.4)).collect();
        let gone: Vec<_> = rooms.iter().copied().filter(|_| self.simulation.rng.random_bool(0.3)).collect();
        let put = rooms.iter().filter(|room| !gone.contains(room)).map(|&room| (room, self.spec())).collect();
        self.simulation.reload_rooms(&gone, put);
        assert_eq!(self.simulation.run_until_rooms_changed(), []);
    }

    /// Some emoji in some order, under names that others may have had.
    fn spec(&mut self) -> RoomSpec {
        let rng = &mut self.simulation.rng;
        let (mut glyphs, mut names) = ((0..GLYPHS.len()).collect::<Vec<_>>(), NAMES);
        glyphs.shuffle(rng);
        names.shuffle(rng);
        let count = rng.random_range(1..=NAMES.len());
        let palette = (0..count).map(|place| emoji(Glyph(glyphs[place]), rng.random_range(0..2), names[place]));
        RoomSpec { name: "final".into(), palette: palette.collect() }
    }

    /// Somebody asks a shard for a room's palette, if it has one.
    fn look(&mut self, room: u32, shard: usize) -> Option<Seen> {
        let (status, body) = self.simulation.fetch(shard, &format!("/v1/rooms/{room}"));
        (status == 200).then(|| self.see(&serde_json::from_str(&body).unwrap()))
    }

    /// Somebody reads a room's palette as JSON.
    fn see(&mut self, room: &Value) -> Seen {
        let entries = room["palette"].as_array().unwrap().iter().enumerate().map(|(place, entry)| {
            assert_eq!(entry["id"].as_u64(), Some(place as u64));
            let (name, glyph) = (entry["name"].as_str().unwrap(), entry["glyph"].as_str().unwrap());
            assert_eq!(entry["retired"].as_bool(), name.is_empty().then_some(true), "{entry}");
            (Glyph::read(glyph), name.to_owned())
        });
        let seen = Seen(entries.collect());
        let id = room["id"].as_u64().unwrap() as u32;
        self.note(id, seen.clone());
        self.seen.entry(id).or_default().push(seen.clone());
        seen
    }

    fn note(&mut self, room: u32, seen: Seen) {
        for (id, (glyph, _)) in (0..).zip(seen.0) {
            let meant = *self.means.entry((room, id)).or_insert(glyph);
            assert_eq!(glyph, meant, "emoji {id} of room {room} means something else than before");
        }
    }

    fn counted(&mut self) -> u64 {
        self.simulation.metrics().reactions.iter().sum()
    }
}

fn emoji(Glyph(glyph): Glyph, spelling: usize, name: &str) -> EmojiSpec {
    EmojiSpec { name: name.into(), glyph: GLYPHS[glyph][spelling].into() }
}
