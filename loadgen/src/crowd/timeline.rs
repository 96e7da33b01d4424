//! How the match goes: how often people tap, what they choose and how many are there, at each time.
//!
//! Invariant: everything is a function of the scenario and the time. Times are seconds since the first tap could be sent.

use super::choice::{decayed, zipf};
use crate::scenario::{Moment, Scenario};

/// A moment is over after this many of its decays: less than a hundredth is left.
const DECAYS: f64 = 5.0;

/// The match at one time.
#[derive(Clone, PartialEq, Debug)]
pub struct Scene {
    /// Reactions of the whole crowd a second, were everybody there.
    pub reactions_per_second: f64,
    /// The share of the crowd that is there.
    pub present: f64,
    /// How often each emoji is chosen by those who are not loyal to their own, relative to the others.
    pub weights: Vec<f64>,
}

/// A scenario's course.
#[derive(Clone, Debug)]
pub struct Timeline {
    reactions_per_second: f64,
    moments: Vec<Moment>,
    /// When a change begins, how long it takes and what it leads to, in order.
    moods: Vec<(f64, f64, Vec<f64>)>,
    attendance: Vec<(f64, f64, f64)>,
    popularity: Vec<f64>,
}

impl Timeline {
    /// The course of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let emoji = usize::from(scenario.emoji);
        let moods = scenario.moods.iter().map(|mood| {
            let mut weights = mood.weights.clone();
            weights.resize(emoji, 0.0);
            (mood.at_s, mood.over_s, normalised(weights))
        });
        Self {
            reactions_per_second: scenario.reactions_per_second,
            moments: scenario.moments.clone(),
            moods: moods.collect(),
            attendance: scenario.attendance.iter().map(|change| (change.at_s, change.over_s, change.present)).collect(),
            popularity: normalised(zipf(emoji, 1.0)),
        }
    }

    /// How often people choose each emoji when nothing happens.
    pub fn popularity(&self) -> &[f64] {
        &self.popularity
    }

    /// The moment that holds at a time, if any.
    pub fn moment(&self, at_s: f64) -> Option<&Moment> {
        self.strongest(at_s).map(|(moment, _)| moment)
    }

    /// Everything at a time.
    pub fn scene(&self, at_s: f64) -> Scene {
        let mut scene = Scene {
            reactions_per_second: self.reactions_per_second,
            present: self.present(at_s),
            weights: self.mood(at_s),
        };
        if let Some((moment, height)) = self.strongest(at_s) {
            scene.reactions_per_second *= times(moment, height);
            if let Some(emoji) = moment.emoji {
                let share = moment.share * height;
                scene.weights.iter_mut().for_each(|weight| *weight *= 1.0 - share);
                scene.weights[usize::from(emoji)] += share;
            }
        }
        scene
    }

    /// The moment that is furthest from the usual rate, and how much of its height it has.
    fn strongest(&self, at_s: f64) -> Option<(&Moment, f64)> {
        let distance = |(moment, height): &(&Moment, f64)| {
            let times = times(moment, *height).max(1e-9);
            times.max(1.0 / times)
        };
        let under_way = self.moments.iter().map(|moment| (moment, height(moment, at_s)));
        under_way.filter(|(_, height)| *height > 0.0).max_by(|a, b| distance(a).total_cmp(&distance(b)))
    }

    fn present(&self, at_s: f64) -> f64 {
        let begun = self.attendance.iter().take_while(|(begins_s, ..)| *begins_s <= at_s);
        begun.fold(1.0, |present, (begins_s, over_s, to)| present + (to - present) * progress(at_s, *begins_s, *over_s))
    }

    fn mood(&self, at_s: f64) -> Vec<f64> {
        let begun = self.moods.iter().take_while(|(begins_s, ..)| *begins_s <= at_s);
        begun.fold(self.popularity.clone(), |mut weights, (begins_s, over_s, to)| {
            let progress = progress(at_s, *begins_s, *over_s);
            weights.iter_mut().zip(to).for_each(|(weight, to)| *weight += (to - *weight) * progress);
            weights
        })
    }
}

fn times(moment: &Moment, height: f64) -> f64 {
    1.0 + (moment.times - 1.0) * height
}

/// How much of its height a moment has: 0 before and after, 1 while it holds.
fn height(moment: &Moment, at_s: f64) -> f64 {
    let since = at_s - moment.at_s;
    let falling = since - moment.rise_s - moment.hold_s;
    if since < 0.0 || falling >= DECAYS * moment.decay_s {
        0.0
    } else if since < moment.rise_s {
        since / moment.rise_s
    } else if falling <= 0.0 {
        1.0
    } else {
        decayed(falling, moment.decay_s)
    }
}

fn progress(at_s: f64, begins_s: f64, over_s: f64) -> f64 {
    if over_s > 0.0 { ((at_s - begins_s) / over_s).clamp(0.0, 1.0) } else { 1.0 }
}

fn normalised(mut weights: Vec<f64>) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(text: &str) -> Timeline {
        let text = format!("duration_s = 100\nemoji = 4\nreactions_per_second = 100\n{text}\n[udp]");
        Timeline::new(&Scenario::parse(&text).unwrap())
    }

    /// Reactions a second at a time, of those who are there.
    fn rate(line: &Timeline, at_s: f64) -> f64 {
        let scene = line.scene(at_s);
        scene.reactions_per_second * scene.present
    }

    #[test]
    fn a_moment_rises_holds_and_decays() {
        let line =
            timeline("moment = [{ name = 'six', at_s = 10, times = 11, rise_s = 0.2, hold_s = 2, decay_s = 1 }]");
        let rates = [9.99, 10.1, 10.2, 12.0, 13.2, 17.3].map(|at_s| rate(&line, at_s));
        let expected = [100.0, 600.0, 1100.0, 1100.0, 100.0 + 1000.0 / std::f64::consts::E, 100.0];
        for (rate, expected) in rates.into_iter().zip(expected) {
            assert!((rate - expected).abs() < 1e-6, "{rates:?}");
        }
        assert_eq!(line.moment(11.0).unwrap().name, "six");
        assert!(line.moment(20.0).is_none());
    }

    #[test]
    fn of_two_moments_the_one_furthest_from_the_usual_holds() {
        let moment = |name: &str, times: f64| format!("{{ name = '{name}', at_s = 5, times = {times}, hold_s = 50 }}");
        let line = timeline(&format!("moment = [{}, {}]", moment("a four", 3.0), moment("half-time", 0.1)));
        assert_eq!(line.moment(20.0).unwrap().name, "half-time");
        assert!((rate(&line, 20.0) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_mood_shifts_and_a_moment_draws_to_its_emoji() {
        let line = timeline(
            "mood = [{ name = 'tense', at_s = 10, over_s = 10, weights = [0, 1] }]\n\
             moment = [{ name = 'goal', at_s = 50, times = 2, rise_s = 0, share = 0.5, emoji = 3 }]",
        );
        assert_eq!(line.scene(0.0).weights, line.popularity());
        assert_eq!(line.scene(30.0).weights, [0.0, 1.0, 0.0, 0.0]);
        assert!((line.scene(15.0).weights[0] - line.popularity()[0] / 2.0).abs() < 1e-9);
        assert_eq!(line.scene(50.5).weights, [0.0, 0.5, 0.0, 0.5]);
    }

    #[test]
    fn people_leave_and_come_back() {
        let line = timeline("attendance = [{ at_s = 10, over_s = 10, present = 0.5 }, { at_s = 60, present = 1 }]");
        let present = [5.0, 15.0, 30.0, 60.0].map(|at_s| line.scene(at_s).present);
        assert_eq!(present, [1.0, 0.75, 0.5, 1.0]);
        assert_eq!(rate(&line, 30.0), 50.0);
    }
}
