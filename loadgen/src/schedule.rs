//! Who taps what and when. Fifty million independent people who each tap at random add up to one Poisson stream with
//! random names on it: constant state, whatever the size of the crowd. Moments change its rate by thinning (Lewis and
//! Shedler 1979): candidates come at the highest rate, and each stays with the probability that its moment calls for.
//!
//! Invariant: a plan depends on the scenario and its seed alone. Neither the server nor the clock has a say, so the
//! same seed plays the same match. Each lane (a socket, a connection) has a plan of its own; independent Poisson streams
//! add up to one.

use crate::scenario::Scenario;
use std::sync::Arc;
use std::time::Duration;
use uproar_wire::{EmojiId, RoomId};

/// How many choose a moment's own emoji while it lasts.
const MOMENT_EMOJI_SHARE: f64 = 0.6;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same in every version of everything.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The stream of one lane: seeds that differ in any part give unrelated streams.
    pub(crate) fn for_lane(seed: u64, transport: u64, lane: u64) -> Self {
        let mut rng = Self(seed);
        for part in [transport, lane] {
            rng.0 = rng.next().wrapping_add(part);
        }
        rng
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform over (0, 1]: never 0, as its logarithm is taken.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Uniform over 0..n; the bias of taking the high half is below n / 2^64.
    fn below(&mut self, n: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u32
    }
}

/// What all lanes of a match have in common.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    scenario: Scenario,
    /// The highest of the moments' rates, relative to the usual one.
    times_max: f64,
    /// Per emoji, the share of all below or at it: the n-th emoji is chosen 1/n as often as the first.
    popularity: Vec<f64>,
}

/// One person's reaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PlannedRecord {
    /// Who, as a place in the crowd.
    pub(crate) person: u32,
    /// What.
    pub(crate) emoji: EmojiId,
    /// How often.
    pub(crate) taps: u16,
}

/// Reactions that are sent together, at one moment, to one room.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Batch {
    /// When, counted from the start of the match.
    pub(crate) at: Duration,
    /// Place of the room in the scenario's list.
    pub(crate) room: usize,
    /// Who taps what.
    pub(crate) records: Vec<PlannedRecord>,
}

impl Batch {
    /// Taps of all its reactions.
    pub(crate) fn taps(&self) -> u64 {
        self.records.iter().map(|record| u64::from(record.taps)).sum()
    }
}

/// The plan of one lane, batch by batch.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    of: Arc<Match>,
    rng: Rng,
    at_s: f64,
    candidates_per_second: f64,
    records_per_batch: u16,
}

impl Match {
    /// The match that a scenario describes.
    pub(crate) fn new(scenario: Scenario) -> Arc<Self> {
        let times_max = scenario.moments.iter().map(|moment| moment.times).fold(1.0, f64::max);
        let weights = (1..=scenario.emoji).scan(0.0, |sum, place| {
            *sum += 1.0 / f64::from(place);
            Some(*sum)
        });
        let mut popularity: Vec<f64> = weights.collect();
        let all = popularity.last().copied().unwrap_or(1.0);
        popularity.iter_mut().for_each(|share| *share /= all);
        Arc::new(Self { scenario, times_max, popularity })
    }

    /// The scenario.
    pub(crate) fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The room at a place of the scenario's list.
    pub(crate) fn room(&self, place: usize) -> RoomId {
        RoomId(self.scenario.rooms[place])
    }

    /// Rate at a moment, relative to the usual one, and the emoji of that moment.
    fn mood(&self, at_s: f64) -> (f64, Option<u16>) {
        let active = self.scenario.moments.iter().filter(|m| m.at_s <= at_s && at_s < m.at_s + m.lasts_s);
        active.max_by(|a, b| a.times.total_cmp(&b.times)).map_or((1.0, None), |m| (m.times, m.emoji))
    }

    fn choose_emoji(&self, favourite: Option<u16>, rng: &mut Rng) -> EmojiId {
        let pick = rng.unit();
        match favourite {
            Some(emoji) if pick <= MOMENT_EMOJI_SHARE => EmojiId(emoji),
            _ => {
                let pick = rng.unit();
                let place = self.popularity.partition_point(|share| *share < pick);
                EmojiId(place.min(self.popularity.len() - 1) as u16)
            }
        }
    }
}

impl Plan {
    /// The plan of one lane that sends `reactions_per_second` in batches of `records_per_batch`.
    pub(crate) fn new(of: &Arc<Match>, rng: Rng, reactions_per_second: f64, records_per_batch: u16) -> Self {
        let candidates_per_second = reactions_per_second / f64::from(records_per_batch) * of.times_max;
        Self { of: Arc::clone(of), rng, at_s: 0.0, candidates_per_second, records_per_batch }
    }

    /// Puts the next batch into `batch`; false when the match is over.
    pub(crate) fn next_into(&mut self, batch: &mut Batch) -> bool {
        let favourite = loop {
            self.at_s -= self.rng.unit().ln() / self.candidates_per_second;
            if self.at_s >= self.of.scenario.duration_s {
                return false;
            }
            let (times, favourite) = self.of.mood(self.at_s);
            if self.rng.unit() * self.of.times_max <= times {
                break favourite;
            }
        };
        let scenario = &self.of.scenario;
        batch.at = Duration::from_secs_f64(self.at_s);
        batch.room = self.rng.below(scenario.rooms.len() as u32) as usize;
        batch.records.clear();
        for _ in 0..self.records_per_batch {
            let person = self.rng.below(scenario.people);
            let emoji = self.of.choose_emoji(favourite, &mut self.rng);
            let taps = 1 + self.rng.below(u32::from(scenario.taps_max)) as u16;
            batch.records.push(PlannedRecord { person, emoji, taps });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64, rate: f64, records: u16, text: &str) -> Vec<Batch> {
        let of = Match::new(Scenario::parse(&format!("{text}\n[udp]")).unwrap());
        let mut plan = Plan::new(&of, Rng::for_lane(seed, 0, 0), rate, records);
        let mut batches = Vec::new();
        let mut batch = Batch::default();
        while plan.next_into(&mut batch) {
            batches.push(batch.clone());
        }
        batches
    }

    const MOMENT: &str = "duration_s = 30\nemoji = 5\ntaps_max = 3\nrooms = [4, 9]\n\
        moment = [{ name = 'six', at_s = 10, lasts_s = 10, times = 5, emoji = 4 }]";

    #[test]
    fn the_same_seed_plays_the_same_match_and_another_seed_another() {
        assert_eq!(plan(7, 200.0, 3, MOMENT), plan(7, 200.0, 3, MOMENT));
        assert_ne!(plan(7, 200.0, 3, MOMENT), plan(8, 200.0, 3, MOMENT));
    }

    #[test]
    fn lanes_are_unrelated() {
        let first: Vec<u64> = (0..3).map(|lane| Rng::for_lane(1, 0, lane).next()).collect();
        assert!(first[0] != first[1] && first[1] != first[2] && first[0] != first[2]);
        assert_ne!(Rng::for_lane(1, 0, 1).next(), Rng::for_lane(1, 1, 0).next());
    }

    #[test]
    fn arrivals_are_poisson_at_the_asked_rate() {
        let batches = plan(1, 1000.0, 1, "duration_s = 100");
        // 100,000 expected; five standard deviations of a Poisson count are 1,581.
        assert!(batches.len().abs_diff(100_000) < 1581, "{}", batches.len());
        let mut per_second = [0f64; 100];
        batches.iter().for_each(|batch| per_second[batch.at.as_secs() as usize] += 1.0);
        let variance = per_second.iter().map(|n| (n - 1000.0).powi(2)).sum::<f64>() / 100.0;
        // Mean and variance of a Poisson count are equal; the sample variance of 100 has a deviation of about 14 %.
        assert!((500.0..1700.0).contains(&variance), "{variance}");
    }

    #[test]
    fn batches_keep_the_rate_of_reactions() {
        let reactions: usize = plan(1, 1000.0, 10, "duration_s = 100").iter().map(|batch| batch.records.len()).sum();
        assert!(reactions.abs_diff(100_000) < 5000, "{reactions}");
    }

    #[test]
    fn a_moment_multiplies_the_rate_and_turns_most_to_its_emoji() {
        let batches = plan(3, 1000.0, 1, MOMENT);
        let (during, before): (Vec<_>, Vec<_>) =
            batches.iter().filter(|b| b.at.as_secs() < 20).partition(|b| b.at.as_secs() >= 10);
        let ratio = during.len() as f64 / before.len() as f64;
        assert!((4.7..5.3).contains(&ratio), "{ratio}");
        let favourite = during.iter().filter(|b| b.records[0].emoji == EmojiId(4)).count();
        assert!(favourite * 2 > during.len());
    }

    #[test]
    fn everything_stays_within_the_scenario() {
        for batch in plan(5, 500.0, 4, MOMENT) {
            assert!(batch.at < Duration::from_secs(30) && batch.room < 2);
            assert!(batch.records.iter().all(|r| r.emoji.0 < 5 && (1..=3).contains(&r.taps) && r.person < 1_000_000));
        }
    }
}
