//! Rooms: appliances that differ in how many they know, and bare loops that differ in how long their table is.

use crate::bare::{Bare, Way};
use crate::process;
use crate::receiver::Receiver;
use crate::sender::Sender;
use crate::{Effort, Row};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::NamedTempFile;
use uproar_wire::RoomId;

/// Room numbers drawn for one size; the sender goes round them. Far more than any cache remembers.
const DRAWN: usize = 1 << 20;
/// Longer than a turn, so that a turn fits between two closings.
const LONG_WINDOW: Duration = Duration::from_secs(60);
const SHORT_WINDOW: Duration = Duration::from_secs(2);
/// A window in which everything was tapped is merged and framed this long after its end.
const SETTLED: Duration = Duration::from_millis(1200);

/// Windows tried for one that all rooms are tapped in.
const TRIES: usize = 5;

/// One size: who is measured, and what is sent to it.
struct Size {
    rooms: usize,
    config: NamedTempFile,
    appliance: Receiver,
    bare: Receiver,
    every_room: Sender,
    at_random: Sender,
    costs: Vec<f64>,
    floors: Vec<f64>,
}

/// A row for each size.
pub(crate) fn measure(effort: &Effort) -> Vec<Row> {
    let cores = process::cores();
    let (sending, receiving) = (cores[0], cores[cores.len() - 1]);
    let mut sizes: Vec<_> = effort.rooms.iter().map(|&rooms| Size::start(rooms, receiving)).collect();
    process::pin(sending);
    // The first round brings memory and caches into their usual state.
    for round in 0..=effort.rounds {
        for size in &mut sizes {
            size.take_turn(if round == 0 { 1 } else { effort.bursts }, round > 0);
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    for size in sizes {
        let (cost, floor) = (process::median(size.costs), process::median(size.floors));
        // The long window's appliance has ended before the other one is measured.
        drop((size.appliance, size.bare));
        let window_cpu_ms = window_cpu_ms(&size.config, size.rooms, size.every_room, effort.rounds.min(3), receiving);
        process::pin(sending);
        let smallest = rows.first().map(|row| (row.cpu_ns_tap, row.floor_ns));
        let (smallest_cost, smallest_floor) = smallest.unwrap_or((cost, floor));
        let floor_ratio = floor / smallest_floor;
        let row = Row {
            what: "rooms",
            size: size.rooms,
            cpu_ns_tap: cost,
            ratio: cost / smallest_cost,
            floor_ns: floor,
            floor_ratio,
            window_cpu_ms: Some(window_cpu_ms),
        };
        row.print();
        rows.push(row);
    }
    rows
}

impl Size {
    fn start(rooms: usize, core: usize) -> Self {
        let config = config(rooms);
        let flags = [format!("--config={}", config.path().display()), window_flag(LONG_WINDOW)];
        let appliance = Receiver::appliance(&["--shards=1", &flags[0], &flags[1]], Some(core));
        let bare = Bare { table_lines: rooms, ..Bare::new(Way::Recvmmsg, false) };
        let mut rng = StdRng::seed_from_u64(rooms as u64);
        let mut every_room: Vec<_> = (1..=rooms as u32).map(RoomId).collect();
        every_room.shuffle(&mut rng);
        let drawn = if rooms == 1 { 1 } else { DRAWN };
        let at_random = (0..drawn).map(|_| RoomId(rng.random_range(1..=rooms as u32)));
        Self {
            rooms,
            config,
            appliance,
            bare: Receiver::bare(bare, Some(core)),
            every_room: Sender::to_rooms(every_room.into_iter()),
            at_random: Sender::to_rooms(at_random),
            costs: Vec::new(),
            floors: Vec::new(),
        }
    }

    /// The appliance and then the bare loop take `bursts`, with every room known to the window.
    fn take_turn(&mut self, bursts: u64, is_counted: bool) {
        wait_for_room_in_window();
        send_to_all(&mut self.every_room, self.rooms, &mut self.appliance);
        let cost = self.appliance.take(&mut self.at_random, bursts).cpu_ns_datagram();
        let floor = self.bare.take(&mut self.at_random, bursts).cpu_ns_datagram();
        if is_counted {
            self.costs.push(cost);
            self.floors.push(floor);
        }
    }
}

/// Taps every room once, as many at a time as the socket holds.
fn send_to_all(every_room: &mut Sender, rooms: usize, receiver: &mut Receiver) {
    let mut left = rooms as u64;
    while left > 0 {
        let some = left.min(every_room.burst());
        every_room.send(some, receiver.port());
        receiver.wait_until_drained();
        left -= some;
    }
    assert_eq!(receiver.count(), rooms as u64, "every room was tapped once");
}

/// CPU time, in milliseconds, of closing a window in which each of `rooms` was tapped, to the last frame.
fn window_cpu_ms(config: &NamedTempFile, rooms: usize, mut every_room: Sender, rounds: usize, core: usize) -> f64 {
    let flags = [format!("--config={}", config.path().display()), window_flag(SHORT_WINDOW)];
    let mut appliance = Receiver::appliance(&["--shards=1", &flags[0], &flags[1]], Some(core));
    let mut costs = Vec::new();
    let mut tries = 0..TRIES * (rounds + 1);
    while costs.len() <= rounds {
        assert!(tries.next().is_some(), "this machine taps {rooms} rooms in a window now and then only");
        process::wait(time_left(SHORT_WINDOW));
        let left = time_left(SHORT_WINDOW);
        send_to_all(&mut every_room, rooms, &mut appliance);
        if time_left(SHORT_WINDOW) > left {
            // The window ended before every room was tapped.
            continue;
        }
        let before_ns = appliance.process().cpu_ns();
        process::wait(time_left(SHORT_WINDOW) + SETTLED);
        costs.push((appliance.process().cpu_ns() - before_ns) as f64 / 1e6);
    }
    // The first one finds no memory of an earlier window.
    process::median(costs.split_off(1))
}

/// A configuration with rooms 1 to `rooms`.
fn config(rooms: usize) -> NamedTempFile {
    let mut text = String::new();
    for room in 1..=rooms {
        writeln!(
            text,
            "[[rooms]]\nid = {room}\nname = \"Room {room}\"\npalette = [{{name=\"fire\",glyph=\"🔥\"}},{{name=\"clap\",glyph=\"👏\"}}]"
        )
        .expect("a string takes everything");
    }
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("a temporary file takes text");
    file
}

fn window_flag(window: Duration) -> String {
    format!("--window={}s", window.as_secs())
}

/// Time to the next multiple of `window`, where every window ends.
#[allow(clippy::disallowed_methods, reason = "a bench meets windows by the machine's clock, as the appliance does")]
fn time_left(window: Duration) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    let into = now.as_nanos() % window.as_nanos();
    window - Duration::from_nanos(into as u64)
}

/// Waits for the next long window if this one may end during a turn.
fn wait_for_room_in_window() {
    const TURN: Duration = Duration::from_secs(5);
    let left = time_left(LONG_WINDOW);
    if left < TURN {
        // And until what was tapped in it has become frames.
        process::wait(left + SETTLED);
    }
}
