//! Whole matches over a clock and a kernel of the tests' own, and one over real sockets.

use super::agenda::{Itinerary, Run};
use super::lane::{Clock, play};
use super::post::Post;
use super::{Lane, STEP, start};
use crate::crowd::{Crowd, Part, Planner, Section, SlicePlan, Tap};
use crate::interrupt::Interrupt;
use crate::ledger::{Acted, Grid, Ledger, Shape, Transport};
use crate::live::Moment;
use crate::scenario::Scenario;
use crate::stage::{GIVE_UP, Stage};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uproar::edge::sys::datagram_sender::Sent;
use uproar::edge::sys::socket_option;
use uproar_wire::reaction::ReactionBatch;
use uproar_wire::{ClientId, RoomId};

const BUSY: &str = "duration_s = 1\npeople = 5000\nsections = 6\nemoji = 5\ntaps_max = 3\n\
    reactions_per_second = 20000\nrooms.count = 3\nudp.sockets = 4\n";

fn stage(text: &str, start: Instant) -> Stage {
    let crowd = Crowd::new(Scenario::parse(text).unwrap());
    let scenario = crowd.scenario();
    let grid = Grid::new(start, 1_000_000, Duration::from_secs(2), Duration::from_millis(50));
    let shape = Shape {
        grid,
        rooms: scenario.rooms.count as usize,
        emoji: usize::from(scenario.emoji),
        interval: Duration::from_secs(1),
    };
    let acted = Arc::new(Acted::new(scenario.people));
    Stage { part: Part::WHOLE, shape, acted, crowd, counters: Arc::default(), interrupt: Interrupt::default() }
}

#[test]
fn what_was_not_sent_when_the_match_was_interrupted_is_no_part_of_it() {
    let stage = stage(BUSY, Instant::now());
    let mut itinerary = Itinerary::new(stage.crowd.scenario().udp.as_ref().unwrap().records_per_datagram.into());
    stage.sections(Transport::Udp).into_iter().for_each(|section| itinerary.add(section, 0));
    let (clock, taken) = (Fake(Rc::new(Cell::new(stage.shape.grid.start))), Taken::default());
    let (interrupt, start) = (stage.interrupt.clone(), stage.shape.grid.start);
    let answer = move |now: Instant, count: usize| {
        if now >= start + Duration::from_millis(400) {
            interrupt.raise("SIGINT");
        }
        Sent::Some(count)
    };
    let script = Script { clock: clock.clone(), taken: Rc::clone(&taken), train: 1, answer };
    let ledger = play(&stage, itinerary, script, clock);
    let all: u64 = planned(&stage).values().flatten().map(|(_, datagram)| taps_of([datagram])).sum();
    assert!(ledger.sent > all / 4 && ledger.sent < all / 2, "{} of {all}", ledger.sent);
    assert_eq!((ledger.planned, ledger.unsent), (ledger.sent, 0));
    assert_eq!(taps_of(taken.borrow().iter().map(|(.., datagram)| datagram)), ledger.sent);
}

/// What a datagram says.
type Datagram = (RoomId, ClientId, Vec<(u16, u16)>);

fn decoded(bytes: &[u8]) -> Datagram {
    let batch = ReactionBatch::parse(bytes).unwrap();
    (batch.room, batch.client, batch.records().map(|record| (record.emoji.0, record.count)).collect())
}

/// The plan, of the planner alone: each section's datagrams, and when they are due.
fn planned(stage: &Stage) -> BTreeMap<u32, Vec<(Duration, Datagram)>> {
    let (crowd, mut planner, mut plan) = (&stage.crowd, Planner::new(&stage.crowd), SlicePlan::default());
    let records_max = usize::from(crowd.scenario().udp.as_ref().unwrap().records_per_datagram);
    let mut planned: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    for slice in crowd.slices() {
        planner.begin(slice);
        for section in stage.sections(Transport::Udp) {
            planner.plan(&section, records_max, &mut plan);
            let datagrams = plan.batches().map(|batch| (batch.due, datagram(crowd, &section, records_max, batch.taps)));
            planned.entry(section.number).or_default().extend(datagrams);
        }
    }
    planned
}

fn datagram(crowd: &Crowd, section: &Section, records_max: usize, taps: &[Tap]) -> Datagram {
    let client = if records_max == 1 { u64::from(taps[0].person) + 1 } else { 1 << 63 | u64::from(section.number) };
    (crowd.room(section.room), ClientId(client), taps.iter().map(|tap| (tap.emoji.0, tap.count)).collect())
}

fn taps_of<'a>(datagrams: impl IntoIterator<Item = &'a Datagram>) -> u64 {
    datagrams.into_iter().flat_map(|(.., records)| records).map(|(_, count)| u64::from(*count)).sum()
}

/// A clock that goes on only while somebody sleeps.
#[derive(Clone)]
struct Fake(Rc<Cell<Instant>>);

impl Clock for Fake {
    fn now(&mut self) -> Instant {
        self.0.get()
    }

    fn sleep_until(&mut self, moment: Instant) {
        self.0.set(self.0.get().max(moment));
    }
}

/// What the kernel took: when, from which socket, what.
type Taken = Rc<RefCell<Vec<(Instant, usize, Datagram)>>>;

/// A kernel that answers as it is told, offer by offer.
struct Script<F> {
    clock: Fake,
    taken: Taken,
    train: usize,
    answer: F,
}

impl<F: FnMut(Instant, usize) -> Sent> Post for Script<F> {
    fn send(&mut self, socket: usize, run: Run<'_>) -> Sent {
        let answer = (self.answer)(self.clock.now(), run.departures.len());
        let Sent::Some(count) = answer else { return answer };
        let mut rest = run.bytes;
        for departure in &run.departures[..count] {
            let (bytes, left) = rest.split_at(departure.len());
            self.taken.borrow_mut().push((self.clock.now(), socket, decoded(bytes)));
            rest = left;
        }
        answer
    }

    fn first_train(&self, run: Run<'_>) -> usize {
        run.departures.len().min(self.train)
    }
}

struct Played {
    stage: Stage,
    ledger: Ledger,
    taken: Vec<(Instant, usize, Datagram)>,
}

/// Plays a match over sockets 0, 1, ... as [`Lane::open`] would give them to one thread.
fn played(text: &str, answer: impl FnMut(Instant, usize) -> Sent) -> Played {
    played_in_trains(1, text, answer)
}

/// The same over a kernel that takes or refuses `train` datagrams as one.
fn played_in_trains(train: usize, text: &str, answer: impl FnMut(Instant, usize) -> Sent) -> Played {
    let stage = stage(text, Instant::now());
    let udp = stage.crowd.scenario().udp.clone().unwrap();
    let mut itinerary = Itinerary::new(usize::from(udp.records_per_datagram));
    let (sections, sockets) = (stage.sections(Transport::Udp), udp.sockets as usize);
    for socket in 0..sockets {
        sections.iter().skip(socket).step_by(sockets).for_each(|section| itinerary.add(section.clone(), socket));
    }
    let (clock, taken) = (Fake(Rc::new(Cell::new(stage.shape.grid.start))), Taken::default());
    let script = Script { clock: clock.clone(), taken: Rc::clone(&taken), train, answer };
    let ledger = play(&stage, itinerary, script, clock);
    Played { stage, ledger, taken: taken.take() }
}

impl Played {
    /// What was taken, by section; and that none was taken before its time, and all of a section by one socket.
    fn by_section(&self) -> BTreeMap<u32, Vec<Datagram>> {
        let planned = planned(&self.stage);
        let mut sockets: BTreeMap<u32, usize> = BTreeMap::new();
        let mut taken: BTreeMap<u32, Vec<Datagram>> = BTreeMap::new();
        for (at, socket, datagram) in &self.taken {
            let section = (datagram.1.0 & !(1 << 63)) as u32;
            assert_eq!(sockets.entry(section).or_insert(*socket), socket);
            let of_section = taken.entry(section).or_default();
            let (due, _) = planned[&section][of_section.len()];
            assert!(*at >= self.stage.moment(due), "a datagram left before its moment");
            of_section.push(datagram.clone());
        }
        taken
    }

    fn assert_all_was_sent(&self) {
        let planned = planned(&self.stage).into_iter();
        let planned: BTreeMap<_, Vec<Datagram>> =
            planned.map(|(section, all)| (section, all.into_iter().map(|(_, datagram)| datagram).collect())).collect();
        assert_eq!(self.by_section(), planned);
        assert_eq!(self.ledger.sent, taps_of(planned.values().flatten()));
        assert_eq!((self.ledger.planned, self.ledger.batches), (self.ledger.sent, self.taken.len() as u64));
    }

    fn lag_max(&self) -> Duration {
        Duration::from_micros(self.ledger.lag_us.total().max())
    }
}

#[test]
fn the_plan_is_sent_in_order_and_within_a_step_of_its_moment() {
    let played = played(&format!("{BUSY}udp.records_per_datagram = 7"), |_, offered| Sent::Some(offered.min(64)));
    played.assert_all_was_sent();
    assert!(played.lag_max() <= STEP, "{:?}", played.lag_max());
    assert!(played.taken.is_sorted_by_key(|(at, ..)| *at));
}

#[test]
fn a_step_longer_than_a_call_leaves_in_several() {
    let mut longest = 0;
    let played = played(
        "duration_s = 1\npeople = 5000\nsections = 1\nreactions_per_second = 150000\n[udp]\nsockets = 1",
        |_, offered| {
            longest = longest.max(offered);
            Sent::Some(offered.min(64))
        },
    );
    assert!(longest > 128, "{longest}");
    let of_section = &planned(&played.stage)[&0];
    assert!(played.taken.iter().map(|(.., datagram)| datagram).eq(of_section.iter().map(|(_, datagram)| datagram)));
    assert_eq!(played.ledger.sent, played.ledger.planned);
}

#[test]
fn the_ledger_has_what_the_datagrams_say() {
    let played = played(&format!("{BUSY}udp.records_per_datagram = 64"), |_, offered| Sent::Some(offered));
    let mut by_room: BTreeMap<RoomId, Vec<u64>> = BTreeMap::new();
    for (.., (room, _, records)) in &played.taken {
        let counts = by_room.entry(*room).or_insert_with(|| vec![0; 5]);
        records.iter().for_each(|(emoji, count)| counts[usize::from(*emoji)] += u64::from(*count));
    }
    for room in 0..3 {
        assert_eq!(played.ledger.sent_by_emoji(room), by_room[&played.stage.crowd.room(room)]);
    }
}

#[test]
fn a_phones_datagram_names_its_person_who_has_acted() {
    let played = played(BUSY, |_, offered| Sent::Some(offered));
    let mut people: Vec<u64> = played.taken.iter().map(|(.., (_, client, _))| client.0).collect();
    assert_eq!(people.len(), played.ledger.batches as usize);
    people.sort_unstable();
    people.dedup();
    assert_eq!(played.stage.acted.count(), people.len() as u64);
    assert!(people[0] > 0 && people.last().unwrap() <= &5000);
}

#[test]
fn what_is_shown_meanwhile_adds_up_to_the_ledger() {
    let played = played(BUSY, |_, offered| Sent::Some(offered));
    let shown = played.stage.counters.picture(Moment::default());
    assert_eq!((shown.planned_taps, shown.sent_taps), (played.ledger.planned, played.ledger.sent));
    assert_eq!(shown.people_acted, played.stage.acted.count());
    assert!(shown.lag_p99_us.is_some());
}

#[test]
fn a_kernel_that_takes_little_gets_the_rest_again() {
    let mut calls = 0;
    let played = played(&format!("{BUSY}udp.records_per_datagram = 3"), |_, offered| {
        calls += 1;
        match calls % 3 {
            0 => Sent::Some(offered.min(2)),
            1 => Sent::Full,
            _ => Sent::Congested,
        }
    });
    played.assert_all_was_sent();
    assert!(played.lag_max() > STEP, "waiting for a full socket is lag");
}

#[test]
fn a_stall_delays_nothing_that_is_planned() {
    let mut stalled_until = None;
    let played = played(&format!("{BUSY}udp.records_per_datagram = 7"), |now, offered| {
        let until = *stalled_until.get_or_insert(now + Duration::from_millis(500));
        if now < until { Sent::Full } else { Sent::Some(offered) }
    });
    played.assert_all_was_sent();
    let lag = played.ledger.lag_us.total();
    // Half of the match was due during the stall, evenly: its lags go from 500 ms to none.
    assert!((400_000..=502_000).contains(&lag.max()), "{}", lag.max());
    assert!((200_000..300_000).contains(&lag.value_at_quantile(0.75)), "{}", lag.value_at_quantile(0.75));
}

#[test]
fn what_is_late_for_too_long_is_given_up() {
    let stage_start = Cell::new(None);
    let played = played(&format!("{BUSY}udp.records_per_datagram = 7"), |now, offered| {
        let start: Instant = stage_start.get().unwrap_or(now);
        stage_start.set(Some(start));
        if now < start + GIVE_UP + Duration::from_millis(500) { Sent::Full } else { Sent::Some(offered) }
    });
    let ledger = &played.ledger;
    let all = taps_of(planned(&played.stage).values().flatten().map(|(_, datagram)| datagram));
    assert_eq!((ledger.planned, ledger.sent + ledger.unsent), (all, all));
    assert_eq!(ledger.sent, taps_of(played.taken.iter().map(|(.., datagram)| datagram)));
    // What was due in the first half of the one second is over when the kernel takes something again.
    assert!(ledger.unsent.abs_diff(all / 2) < all / 10, "{} of {all}", ledger.unsent);
}

#[test]
fn a_refused_datagram_is_a_reason_and_the_others_leave() {
    let mut calls = 0;
    let played = played(&format!("{BUSY}udp.records_per_datagram = 7"), |_, offered| {
        calls += 1;
        // ECONNREFUSED
        if calls == 5 { Sent::Refused(111) } else { Sent::Some(offered) }
    });
    let ledger = &played.ledger;
    let (reason, taps) = ledger.refused.first_key_value().unwrap();
    assert!(reason.starts_with("udp send: Connection refused"), "{reason}");
    assert!((1..=21).contains(taps));
    assert_eq!(ledger.planned, ledger.sent + taps);
    assert_eq!(ledger.sent, taps_of(played.taken.iter().map(|(.., datagram)| datagram)));
}

#[test]
fn a_refused_train_is_refused_as_a_whole_and_not_offered_again() {
    let (mut offers, mut refused) = (0, 0);
    let played = played_in_trains(64, &format!("{BUSY}udp.records_per_datagram = 1"), |_, offered| {
        offers += 1;
        refused += offered.min(64) as u64;
        // EIO
        Sent::Refused(5)
    });
    let ledger = &played.ledger;
    let (reasons, expected) = (ledger.refused.keys().collect::<Vec<_>>(), planned(&played.stage));
    assert!(reasons.iter().any(|reason| reason.ends_with("set udp.trains = false")), "{reasons:?}");
    assert_eq!((ledger.planned, ledger.sent), (ledger.refused_taps(), 0));
    assert_eq!(refused, expected.values().map(|all| all.len() as u64).sum::<u64>());
    assert!(offers < refused / 4, "{offers} offers of {refused} datagrams");
}

/// Plays a match to a real socket; everything that arrived, in the order of arrival.
fn arrived(text: &str) -> (Stage, Ledger, Vec<Datagram>) {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    // All of the match, should this thread have to wait for a core.
    socket_option::set_receive_buffer(&server, 8 << 20).unwrap();
    // So that a lost datagram fails the test instead of hanging it.
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let stage = stage(text, Instant::now());
    let expected: usize = planned(&stage).values().map(Vec::len).sum();
    let playing = start(&stage, server.local_addr().unwrap()).unwrap();
    assert_eq!(playing.sockets(), 4);
    let mut buffer = [0; 2048];
    let mut receive = || server.recv(&mut buffer).map(|len| decoded(&buffer[..len]));
    let arrived = (0..expected).map(|_| receive().unwrap()).collect();
    (stage, playing.end(), arrived)
}

fn assert_everything_arrives(text: &str) {
    let (stage, ledger, mut arrived) = arrived(text);
    let mut all: Vec<Datagram> = planned(&stage).into_values().flatten().map(|(_, datagram)| datagram).collect();
    arrived.sort();
    all.sort();
    assert_eq!(arrived, all);
    assert_eq!((ledger.sent, ledger.planned), (taps_of(&all), taps_of(&all)));
}

#[test]
fn every_datagram_arrives_as_it_was_planned() {
    assert_everything_arrives(&format!("{BUSY}udp.records_per_datagram = 16\nudp.threads = 2"));
}

#[test]
fn trains_arrive_as_the_datagrams_they_are_made_of() {
    assert_everything_arrives(&format!("{BUSY}udp.records_per_datagram = 5\nudp.trains = true"));
}

#[test]
fn sockets_are_divided_among_threads_and_never_more_than_sections() {
    let lanes = |text: &str| -> Vec<usize> {
        let stage = stage(text, Instant::now());
        Lane::open(&stage, "127.0.0.1:9".parse().unwrap()).unwrap().iter().map(Lane::sockets).collect()
    };
    assert_eq!(lanes(&format!("{BUSY}udp.threads = 3")), [2, 1, 1]);
    assert_eq!(lanes("sections = 2\nudp.sockets = 100\nudp.threads = 8"), [1, 1]);
    assert!(lanes("[http]").is_empty());
}
