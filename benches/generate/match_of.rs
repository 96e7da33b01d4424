//! The generator at work: a match of one way in, played by one lane of the crowd's UDP driver in this thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uproar_loadgen::crowd::{Crowd, Part};
use uproar_loadgen::drivers::udp::Lane;
use uproar_loadgen::interrupt::Interrupt;
use uproar_loadgen::ledger::{Acted, Grid, Shape};
use uproar_loadgen::scenario::Scenario;
use uproar_loadgen::stage::Stage;

/// Sockets that datagrams leave from, on as many addresses.
pub(crate) const SOCKETS: usize = 8;
/// Few enough that most of a gateway's datagrams are full at the slower pace too.
const SECTIONS: usize = 40;
/// From a match's making to its beginning: time to plan the first slice in.
const LEAD: Duration = Duration::from_millis(200);

/// What is sent.
pub(crate) struct Pace {
    pub(crate) records: u16,
    pub(crate) datagrams_per_second: f64,
    pub(crate) seconds: f64,
}

/// A match of the flagship's crowd that is about to begin.
pub(crate) fn ready(pace: &Pace, server: SocketAddr, seed: u64) -> Lane {
    let mut lanes = Lane::open(&stage(pace, seed), server).expect("sockets on loopback");
    let lane = lanes.pop().expect("a match by UDP has a lane");
    assert!(lanes.is_empty(), "all of the match is played by one lane");
    lane
}

/// Plays it; how many datagrams left.
pub(crate) fn generate(lane: Lane) -> u64 {
    let ledger = lane.play();
    assert_eq!(ledger.sent, ledger.planned, "loopback takes everything");
    ledger.batches
}

#[allow(clippy::disallowed_methods, reason = "a match is played in real time")]
fn stage(pace: &Pace, seed: u64) -> Stage {
    let reactions_per_second = pace.datagrams_per_second * f64::from(pace.records);
    let text = format!(
        "seed = {seed}\npeople = 50000000\nduration_s = {:?}\nsections = {SECTIONS}\nemoji = 12\n\
         reactions_per_second = {reactions_per_second:?}\n\
         [udp]\nsockets = {SOCKETS}\nfrom = {SOCKETS}\nrecords_per_datagram = {}",
        pace.seconds, pace.records
    );
    let crowd = Crowd::new(Scenario::parse(&text).expect("a valid scenario"));
    let grid = Grid::new(Instant::now() + LEAD, 0, Duration::from_secs(2), Duration::from_millis(50));
    let shape = Shape { grid, rooms: 1, emoji: 12, interval: Duration::from_secs(1) };
    Stage {
        part: Part::WHOLE,
        shape,
        acted: Arc::new(Acted::new(crowd.scenario().people)),
        crowd,
        counters: Arc::default(),
        interrupt: Interrupt::default(),
    }
}
