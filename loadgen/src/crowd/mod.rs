//! The crowd: fifty million people as numbers, and what each of them taps and when, from one seed.
//!
//! Nobody is kept in memory. A person is a number; who they are (room, way in, eagerness, favourite emoji) follows from it,
//! and what they do follows from the seed. People who all tap at random add up to one random stream, so the streams that are
//! kept apart are those of [`Section`]s: people of one room who use one way in.
//!
//! 1. `rng`: numbers that are the same everywhere. `poisson`: how often what is random happens. `choice`: tables to choose
//!    from by weight.
//! 2. [`timeline`]: how the match goes. [`planner`]: what a section taps in one slice of time.
//!
//! Invariant: what a section taps in a slice is a function of the seed, the section and the slice. Clocks, threads, sockets
//! and the server have no say, so that the same seed plays the same match, and the sections of all parts are the whole
//! crowd. Deliberately not here: sending, and real time.

pub mod planner;
pub mod timeline;

mod choice;
mod poisson;
pub(crate) mod rng;

pub use planner::{Batch, Planner, SlicePlan, Tap};
pub use timeline::{Scene, Timeline};

use crate::ledger::Transport;
use crate::scenario::Scenario;
use choice::Choice;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use uproar_wire::RoomId;

/// Time is planned in pieces of this length.
pub const SLICE: Duration = Duration::from_millis(10);
/// The same in microseconds.
pub const SLICE_US: u32 = 10_000;
/// Slices in a second.
pub const SLICES_PER_SECOND: u32 = 100;

const _: () = assert!(SLICE_US * SLICES_PER_SECOND == 1_000_000 && SLICE.as_micros() == SLICE_US as u128);

/// One slice of the match, by its number from the start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Slice(pub u32);

impl Slice {
    /// When it begins, from the start of the match.
    pub fn starts_at(self) -> Duration {
        SLICE * self.0
    }

    /// Its middle in seconds, for which the timeline is asked.
    fn middle_s(self) -> f64 {
        (f64::from(self.0) + 0.5) / f64::from(SLICES_PER_SECOND)
    }
}

/// People of one room who use one way in: the unit of randomness, and of what one machine of a run plays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    /// Its number in the crowd.
    pub number: u32,
    /// Place of its room in the scenario.
    pub room: usize,
    /// The way in.
    pub way: Transport,
    /// Its people.
    pub people: Range<u32>,
}

/// A machine's part of a run, as in `3/10`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Part {
    /// Which one, from 1.
    pub number: u32,
    /// Of how many.
    pub of: u32,
}

/// Why a text is not a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("use NUMBER/OF, as in 3/10, with a number from 1 to OF and at most {PARTS_MAX} parts")]
pub struct PartError;

/// Sections of a way in at least, over all rooms, so that ten machines all have some of each; unless fewer are wanted.
const SECTIONS_PER_WAY_MIN: u32 = 10;
/// Parts that a run can have at most.
pub const PARTS_MAX: u32 = 1000;

impl Part {
    /// All of it.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// Whether it has the section.
    pub fn has(self, section: &Section) -> bool {
        section.number % self.of == self.number - 1
    }

    /// This part's share of `count` things, so that all parts together have as many.
    pub fn share(self, count: u32) -> u32 {
        let upto = |parts: u32| u64::from(count) * u64::from(parts) / u64::from(self.of);
        (upto(self.number) - upto(self.number - 1)) as u32
    }
}

impl FromStr for Part {
    type Err = PartError;

    fn from_str(text: &str) -> Result<Self, PartError> {
        let (number, of) = text.split_once('/').ok_or(PartError)?;
        let (number, of) = (number.parse().map_err(|_| PartError)?, of.parse().map_err(|_| PartError)?);
        let is_one = (1..=PARTS_MAX).contains(&of) && (1..=of).contains(&number);
        is_one.then_some(Self { number, of }).ok_or(PartError)
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// Everything that all plans of a match have in common.
#[derive(Clone, Debug)]
pub struct Crowd {
    scenario: Scenario,
    timeline: Timeline,
    sections: Vec<Section>,
    eagerness: Choice,
    favourites: Choice,
}

impl Crowd {
    /// The crowd of a scenario.
    pub fn new(scenario: Scenario) -> Arc<Self> {
        let timeline = Timeline::new(&scenario);
        Arc::new(Self {
            sections: sections(&scenario),
            eagerness: Choice::new(&choice::eagerness(scenario.eagerness_sigma)),
            favourites: Choice::new(timeline.popularity()),
            timeline,
            scenario,
        })
    }

    /// The scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// How the match goes.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The room at a place.
    pub fn room(&self, place: usize) -> RoomId {
        RoomId(self.scenario.rooms.first + place as u32)
    }

    /// Slices of the match.
    pub fn slices(&self) -> impl Iterator<Item = Slice> + use<> {
        let count = (self.scenario.duration_s * f64::from(SLICES_PER_SECOND)).round() as u32;
        (0..count).map(Slice)
    }

    /// All sections; together they are everybody, each once.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// A part's sections of one way in.
    pub fn sections_of(&self, part: Part, way: Transport) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |section| section.way == way && part.has(section))
    }

    /// People of a part.
    pub fn people_of(&self, part: Part) -> u64 {
        self.sections.iter().filter(|section| part.has(section)).map(|section| section.people.len() as u64).sum()
    }

    /// How many people of a part each room has.
    pub fn people_by_room(&self, part: Part) -> Vec<u32> {
        let mut people = vec![0; self.scenario.rooms.count as usize];
        let sections = self.sections.iter().filter(|section| part.has(section));
        sections.for_each(|section| people[section.room] += section.people.len() as u32);
        people
    }
}

/// Cuts the crowd by room, each room by way in, and what is large into pieces.
fn sections(scenario: &Scenario) -> Vec<Section> {
    let ways: Vec<(Transport, f64)> = [
        (Transport::Udp, scenario.udp.as_ref().map(|udp| udp.share)),
        (Transport::Http, scenario.http.as_ref().map(|http| http.share)),
        (Transport::Quic, scenario.quic.as_ref().map(|quic| quic.share)),
    ]
    .into_iter()
    .filter_map(|(way, share)| Some((way, share?)))
    .collect();
    let shares: Vec<f64> = ways.iter().map(|(_, share)| *share).collect();
    let rooms = choice::zipf(scenario.rooms.count as usize, scenario.rooms.zipf);
    let section_len = f64::from(scenario.people) / f64::from(scenario.sections);
    let pieces_min = SECTIONS_PER_WAY_MIN.min(scenario.sections).div_ceil(scenario.rooms.count) as usize;
    let mut sections = Vec::new();
    for (room, people) in cut(0..scenario.people, &rooms).into_iter().enumerate() {
        for (people, (way, _)) in cut(people, &shares).into_iter().zip(&ways) {
            let pieces = ((people.len() as f64 / section_len).round() as usize).max(pieces_min);
            let pieces = cut(people, &vec![1.0; pieces]).into_iter().filter(|piece| !piece.is_empty());
            for people in pieces {
                sections.push(Section { number: sections.len() as u32, room, way: *way, people });
            }
        }
    }
    sections
}

/// Cuts a range into pieces with these weights, one behind the other.
fn cut(whole: Range<u32>, weights: &[f64]) -> Vec<Range<u32>> {
    let sum: f64 = weights.iter().sum();
    let (mut reached, mut start) = (0.0, whole.start);
    let mut pieces = Vec::with_capacity(weights.len());
    for (at, weight) in weights.iter().enumerate() {
        reached += weight;
        let is_last = at + 1 == weights.len();
        let cut_at = whole.start + libm::round(whole.len() as f64 * (reached / sum)) as u32;
        let end = if is_last { whole.end } else { cut_at.clamp(start, whole.end) };
        pieces.push(start..end);
        start = end;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(text: &str) -> Arc<Crowd> {
        Crowd::new(Scenario::parse(text).unwrap())
    }

    const THREE_WAYS: &str = "people = 1000003\nsections = 50\n[rooms]\ncount = 20\n\
        [udp]\nshare = 90\n[http]\nshare = 5\n[quic]\nshare = 5";

    #[test]
    fn everybody_has_one_seat() {
        let crowd = crowd(THREE_WAYS);
        let mut next = 0;
        for (at, section) in crowd.sections().iter().enumerate() {
            assert_eq!((section.number, section.people.start), (at as u32, next));
            assert!(!section.people.is_empty());
            next = section.people.end;
        }
        assert_eq!(next, 1_000_003);
    }

    #[test]
    fn rooms_and_ways_in_have_their_shares() {
        let crowd = crowd(THREE_WAYS);
        let people = crowd.people_by_room(Part::WHOLE);
        let ratio = f64::from(people[0]) / f64::from(people[9]);
        assert!((9.9..10.1).contains(&ratio), "{people:?}");
        let by_udp = crowd.sections_of(Part::WHOLE, Transport::Udp).map(|section| section.people.len()).sum::<usize>();
        assert!(by_udp.abs_diff(900_000) < 100, "{by_udp}");
    }

    #[test]
    fn parts_are_the_whole_and_nobody_is_in_two() {
        let crowd = crowd(THREE_WAYS);
        let parts: Vec<Part> = (1..=10).map(|number| Part { number, of: 10 }).collect();
        for section in crowd.sections() {
            assert_eq!(parts.iter().filter(|part| part.has(section)).count(), 1);
        }
        let people: u64 = parts.iter().map(|part| crowd.people_of(*part)).sum();
        assert_eq!(people, 1_000_003);
        for count in [0, 1, 9, 10, 2003] {
            assert_eq!(parts.iter().map(|part| part.share(count)).sum::<u32>(), count);
        }
    }

    #[test]
    fn ten_machines_all_have_some_of_each_way_in() {
        let crowd = crowd("people = 50000000\n[udp]\nshare = 998\n[http]\n[quic]");
        for number in 1..=10 {
            for way in Transport::ALL {
                assert!(crowd.sections_of(Part { number, of: 10 }, way).next().is_some(), "{number} {way:?}");
            }
        }
    }

    #[test]
    fn parts_are_written_as_fractions() {
        assert_eq!("3/10".parse(), Ok(Part { number: 3, of: 10 }));
        for wrong in ["", "3", "0/10", "11/10", "1/0", "1/1001", "a/b", "-1/2"] {
            assert_eq!(wrong.parse::<Part>(), Err(PartError), "{wrong}");
        }
        assert_eq!(Part::WHOLE.to_string(), "1/1");
    }

    #[test]
    fn a_crowd_smaller_than_its_rooms_has_empty_rooms() {
        let crowd = crowd("people = 3\n[rooms]\ncount = 10\n[udp]");
        assert_eq!(crowd.people_by_room(Part::WHOLE).iter().sum::<u32>(), 3);
        assert!(crowd.sections().iter().all(|section| section.people.len() <= 3));
    }
}
