//! What a section taps in one slice, and in which batches it leaves.
//!
//! The number of reactions is Poisson, as of people who tap independently; who taps is chosen by eagerness among those who
//! are there; what they choose is their own favourite for the loyal, and the mood's for the others. Batches leave spread
//! over the slice, so that what is planned for a slice does not come in one burst.
//!
//! A [`Planner`] is told a slice with [`Planner::begin`], and then asked for each section's plan of it.

use super::choice::{self, Choice, EAGERNESS_CLASSES};
use super::poisson::poisson;
use super::rng::{Rng, mixed, scaled};
use super::{Crowd, SLICE_US, Section, Slice};
use std::sync::Arc;
use std::time::Duration;
use uproar_wire::EmojiId;

/// One person's reaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tap {
    /// Who.
    pub person: u32,
    /// What.
    pub emoji: EmojiId,
    /// How often, from 1.
    pub count: u16,
}

impl Tap {
    /// A number that belongs to this tap at this time alone, as far as 64 bits go.
    pub fn digest(&self, section: &Section, due: Duration) -> u64 {
        let what = u64::from(self.emoji.0) << 16 | u64::from(self.count);
        let who = u64::from(section.number) << 32 | u64::from(self.person);
        Rng::of([who, what, due.as_nanos() as u64]).next()
    }
}

/// Reactions of one section that leave together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Batch<'a> {
    /// When, counted from the start of the match.
    pub due: Duration,
    /// Random bits, for whoever has several connections to choose one.
    pub lot: u32,
    /// Who taps what; not empty.
    pub taps: &'a [Tap],
}

impl Batch<'_> {
    /// Taps of all its reactions.
    pub fn count(&self) -> u64 {
        self.taps.iter().map(|tap| u64::from(tap.count)).sum()
    }
}

/// What one section taps in one slice. Made once and filled again.
#[derive(Clone, Debug, Default)]
pub struct SlicePlan {
    taps: Vec<Tap>,
    departures: Vec<(Duration, u32)>,
    records_max: usize,
}

impl SlicePlan {
    /// All taps.
    pub fn taps(&self) -> &[Tap] {
        &self.taps
    }

    /// The same taps in batches, in the order in which they leave.
    pub fn batches(&self) -> impl ExactSizeIterator<Item = Batch<'_>> {
        let departures = self.departures.iter();
        departures.zip(self.taps.chunks(self.records_max.max(1))).map(|(&(due, lot), taps)| Batch { due, lot, taps })
    }
}

/// Plans slice after slice.
#[derive(Clone, Debug)]
pub struct Planner {
    crowd: Arc<Crowd>,
    slice: Slice,
    /// Reactions of a person in this slice, on average over the whole crowd.
    per_person: f64,
    present: f64,
    weights: Vec<f64>,
    mood: Choice,
    /// Of 2^16.
    loyalty: u32,
}

impl Planner {
    /// A planner that stands at the first slice.
    pub fn new(crowd: &Arc<Crowd>) -> Self {
        let scenario = crowd.scenario();
        let mut planner = Self {
            crowd: Arc::clone(crowd),
            slice: Slice(0),
            per_person: 0.0,
            present: 0.0,
            weights: Vec::new(),
            mood: Choice::new(crowd.timeline().popularity()),
            loyalty: libm::round(scenario.loyalty * 65_536.0) as u32,
        };
        planner.begin(Slice(0));
        planner
    }

    /// Goes to a slice.
    pub fn begin(&mut self, slice: Slice) {
        let scene = self.crowd.timeline().scene(slice.middle_s());
        let people = f64::from(self.crowd.scenario().people);
        self.slice = slice;
        self.per_person = scene.reactions_per_second * f64::from(SLICE_US) / 1e6 / people;
        self.present = scene.present;
        if self.weights != scene.weights {
            self.mood.fill(&scene.weights);
            self.weights = scene.weights;
        }
    }

    /// Plans what a section taps in this slice, in batches of at most `records_max`.
    pub fn plan(&self, section: &Section, records_max: usize, plan: &mut SlicePlan) {
        let mut rng = Rng::of([self.crowd.scenario().seed, section.number.into(), self.slice.0.into()]);
        plan.taps.clear();
        plan.departures.clear();
        plan.records_max = records_max;
        let present = libm::round(f64::from(section.people.len() as u32) * self.present) as u32;
        let mean = self.per_person * f64::from(present);
        let reactions = poisson(mean, &mut rng) as usize;
        self.draw(section.people.start, present, reactions, &mut rng, &mut plan.taps);
        let batches = plan.taps.len().div_ceil(records_max.max(1));
        plan.departures.extend((0..batches).map(|at| self.departure(at, batches, &mut rng)));
    }

    /// Draws who taps what. This is what a load machine spends its time with.
    fn draw(&self, first: u32, present: u32, reactions: usize, rng: &mut Rng, taps: &mut Vec<Tap>) {
        let (crowd, loyalty, taps_max) = (&*self.crowd, self.loyalty, u32::from(self.crowd.scenario().taps_max));
        // Neighbours are of different eagerness, so that any stretch of people is a crowd of its own.
        let per_class = present.div_ceil(EAGERNESS_CLASSES as u32);
        taps.extend((0..reactions).map(|_| {
            let (who, what) = (rng.next(), rng.next());
            let class = u32::from(crowd.eagerness.of(who));
            let place = scaled((who >> 32) as u32, per_class) * EAGERNESS_CLASSES as u32 + class;
            // The last of a class may be beyond the last person.
            let place = if place < present { place } else { place % present };
            let person = first + place;
            let own = crowd.favourites.of(mixed(u64::from(person)));
            let mood = self.mood.of(what);
            let is_loyal = (what >> choice::BITS) as u32 % 65_536 < loyalty;
            let count = 1 + scaled((what >> 32) as u32, taps_max) as u16;
            Tap { person, emoji: EmojiId(if is_loyal { own } else { mood }), count }
        }));
    }

    /// One batch in each of as many equal pieces of the slice, anywhere in it.
    fn departure(&self, at: usize, batches: usize, rng: &mut Rng) -> (Duration, u32) {
        let lots = rng.next();
        let into_piece = (lots >> 32) * u64::from(SLICE_US) / batches as u64;
        let us = (at as u64 * u64::from(SLICE_US)) / batches as u64 + (into_piece >> 32);
        (self.slice.starts_at() + Duration::from_micros(us), lots as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::{Part, SLICE};
    use crate::ledger::Transport;
    use crate::scenario::Scenario;

    /// All batches of some sections: section, due, taps.
    fn play(crowd: &Arc<Crowd>, part: Part, records_max: usize) -> Vec<(u32, Duration, Vec<Tap>)> {
        let (mut planner, mut plan, mut played) = (Planner::new(crowd), SlicePlan::default(), Vec::new());
        for slice in crowd.slices() {
            planner.begin(slice);
            for section in crowd.sections_of(part, Transport::Udp) {
                planner.plan(section, records_max, &mut plan);
                played.extend(plan.batches().map(|batch| (section.number, batch.due, batch.taps.to_vec())));
            }
        }
        played
    }

    fn crowd(text: &str) -> Arc<Crowd> {
        Crowd::new(Scenario::parse(&format!("{text}\n[udp]")).unwrap())
    }

    const MATCH: &str = "duration_s = 30\npeople = 20000\nsections = 10\nemoji = 5\ntaps_max = 3\n\
        reactions_per_second = 2000\nrooms.count = 3\n\
        moment = [{ name = 'six', at_s = 10, times = 5, rise_s = 0, hold_s = 10, decay_s = 0, emoji = 4 }]";

    #[test]
    fn the_same_seed_plays_the_same_match_and_another_seed_another() {
        let whole = |text: &str| play(&crowd(text), Part::WHOLE, 16);
        assert_eq!(whole(MATCH), whole(MATCH));
        assert_ne!(whole(MATCH), whole(&format!("seed = 2\n{MATCH}")));
    }

    #[test]
    fn ten_parts_are_the_whole_tap_for_tap() {
        let crowd = crowd(MATCH);
        let parts = (1..=10).flat_map(|number| play(&crowd, Part { number, of: 10 }, 16));
        let (mut parts, mut whole): (Vec<_>, Vec<_>) = (parts.collect(), play(&crowd, Part::WHOLE, 16));
        let order = |a: &(u32, Duration, Vec<Tap>), b: &(u32, Duration, Vec<Tap>)| (a.0, a.1).cmp(&(b.0, b.1));
        parts.sort_by(order);
        whole.sort_by(order);
        assert!(whole.len() > 1000);
        assert_eq!(parts, whole);
    }

    #[test]
    fn how_taps_are_packed_does_not_change_them() {
        let taps = |records_max| -> Vec<Tap> {
            play(&crowd(MATCH), Part::WHOLE, records_max).into_iter().flat_map(|(.., taps)| taps).collect()
        };
        assert_eq!(taps(1), taps(296));
    }

    #[test]
    fn the_first_taps_of_a_seed_stay_what_they_are() {
        let crowd = crowd("seed = 2011\npeople = 50000000\nreactions_per_second = 100000\nemoji = 8");
        let (planner, mut plan) = (Planner::new(&crowd), SlicePlan::default());
        planner.plan(&crowd.sections()[7], 4, &mut plan);
        let first: Vec<(u32, u16, u16)> = plan.taps()[..4].iter().map(|t| (t.person, t.emoji.0, t.count)).collect();
        let due: Vec<u128> = plan.batches().map(|batch| batch.due.as_micros()).collect();
        assert_eq!(first, GOLDEN_TAPS, "a match of a published seed must stay the same match");
        assert_eq!(due, GOLDEN_DUE_US);
    }

    const GOLDEN_TAPS: [(u32, u16, u16); 4] =
        [(3_272_180, 1, 1), (3_255_314, 0, 1), (3_265_773, 0, 1), (2_922_602, 1, 1)];
    const GOLDEN_DUE_US: [u128; 4] = [1790, 3315, 6513, 8749];

    #[test]
    fn reactions_are_poisson_at_the_asked_rate() {
        let crowd = crowd("duration_s = 100\nreactions_per_second = 1000");
        let mut per_second = [0f64; 100];
        for (_, due, taps) in play(&crowd, Part::WHOLE, 1) {
            per_second[due.as_secs() as usize] += taps.len() as f64;
        }
        let sum: f64 = per_second.iter().sum();
        // 100,000 expected; five standard deviations of a Poisson count are 1,581.
        assert!((sum - 100_000.0).abs() < 1581.0, "{sum}");
        let variance = per_second.iter().map(|n| (n - 1000.0).powi(2)).sum::<f64>() / 100.0;
        // Mean and variance of a Poisson count are equal; the sample variance of 100 has a deviation of about 14 %.
        assert!((500.0..1700.0).contains(&variance), "{variance}");
    }

    #[test]
    fn a_moment_multiplies_the_rate_and_draws_to_its_emoji() {
        let played = play(&crowd(MATCH), Part::WHOLE, 1);
        let (during, before): (Vec<_>, Vec<_>) =
            played.iter().filter(|(_, due, _)| due.as_secs() < 20).partition(|(_, due, _)| due.as_secs() >= 10);
        let ratio = during.len() as f64 / before.len() as f64;
        assert!((4.8..5.2).contains(&ratio), "{ratio}");
        // 0.7 are not loyal, 0.6 of these follow the moment; the loyal and the others choose it now and then too.
        let follow = during.iter().filter(|(.., taps)| taps[0].emoji == EmojiId(4)).count() as f64;
        let share = follow / during.len() as f64;
        assert!((0.44..0.54).contains(&share), "{share}");
    }

    #[test]
    fn the_eager_tap_more_and_everybody_may() {
        let crowd =
            crowd("duration_s = 100\npeople = 640\nsections = 1\neagerness_sigma = 1\nreactions_per_second = 5000");
        let mut taps = vec![0f64; 640];
        for (.., batch) in play(&crowd, Part::WHOLE, 64) {
            batch.iter().for_each(|tap| taps[tap.person as usize] += 1.0);
        }
        taps.sort_by(f64::total_cmp);
        let mean = taps.iter().sum::<f64>() / 640.0;
        let lower_half = taps[..320].iter().sum::<f64>() / (640.0 * mean);
        // Of a log-normal with sigma 1 the lower half has 15.9 %.
        assert!((0.14..0.18).contains(&lower_half), "{lower_half}");
        assert!(taps[0] > 0.0);
    }

    #[test]
    fn everything_stays_within_the_scenario() {
        let crowd = crowd(MATCH);
        for (number, due, taps) in play(&crowd, Part::WHOLE, 4) {
            let people = &crowd.sections()[number as usize].people;
            assert!(due < Duration::from_secs(30) && (1..=4).contains(&taps.len()));
            let within = |t: &Tap| t.emoji.0 < 5 && (1..=3).contains(&t.count) && people.contains(&t.person);
            assert!(taps.iter().all(within));
        }
    }

    #[test]
    fn batches_leave_in_order_and_within_their_slice() {
        let crowd = crowd("sections = 1\nreactions_per_second = 100000");
        let (mut planner, mut plan) = (Planner::new(&crowd), SlicePlan::default());
        planner.begin(Slice(3));
        planner.plan(&crowd.sections()[0], 16, &mut plan);
        let due: Vec<Duration> = plan.batches().map(|batch| batch.due).collect();
        assert!(due.len() > 50 && due.is_sorted());
        assert!(due[0] >= Slice(3).starts_at() && due[due.len() - 1] < Slice(3).starts_at() + SLICE);
    }

    #[test]
    fn who_is_not_there_does_not_tap() {
        let text = "people = 1000\nsections = 1\nduration_s = 2\nattendance = [{ at_s = 0, present = 0.1 }]";
        let played = play(&crowd(text), Part::WHOLE, 1);
        assert!(played.iter().all(|(.., taps)| taps[0].person < 100));
        assert!(played.len().abs_diff(200) < 100, "{}", played.len());
        let nobody = crowd("attendance = [{ at_s = 0, present = 0 }]");
        assert!(play(&nobody, Part::WHOLE, 1).is_empty());
    }
}
