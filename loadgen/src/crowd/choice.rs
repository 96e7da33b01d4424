//! Choosing by weight: one look into a table.
//!
//! Invariant: a choice of weight 0 is never made, any other one has at least one of the table's places.

use libm::{erf, exp, pow, sqrt};

/// Places of a table; weights are exact to one in so many.
const PLACES: usize = 4096;
/// Random bits that choose one place.
pub(super) const BITS: u32 = PLACES.trailing_zeros();
/// Groups of people who are equally eager.
pub(super) const EAGERNESS_CLASSES: usize = 64;

const _: () = assert!(PLACES.is_power_of_two() && PLACES >= 2 * 1024, "each of 1,024 emoji finds a place");

/// A table to choose from.
#[derive(Clone, Debug)]
pub(super) struct Choice(Box<[u16; PLACES]>);

impl Choice {
    /// Choices 0, 1, 2, ... with these weights, at most half as many as places, not all 0.
    pub(super) fn new(weights: &[f64]) -> Self {
        let mut choice = Self(Box::new([0; PLACES]));
        choice.fill(weights);
        choice
    }

    /// The same for other weights.
    pub(super) fn fill(&mut self, weights: &[f64]) {
        let chosen = weights.iter().filter(|weight| **weight > 0.0).count();
        let sum: f64 = weights.iter().sum();
        // One place for each that can be chosen, the rest by weight.
        let shared = (PLACES - chosen.min(PLACES)) as f64;
        let (mut filled, mut reached) = (0, 0.0);
        for (at, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            reached += 1.0 + shared * weight / sum;
            let end = (libm::round(reached) as usize).clamp(filled, PLACES);
            self.0[filled..end].fill(at as u16);
            filled = end;
        }
        // What rounding left over is the last one's.
        if let Some(last) = weights.iter().rposition(|weight| *weight > 0.0) {
            self.0[filled..].fill(last as u16);
        }
    }

    /// The choice that random bits make; only the lowest [`BITS`] count.
    #[inline]
    pub(super) fn of(&self, bits: u64) -> u16 {
        self.0[bits as usize % PLACES]
    }
}

/// Weights of which the n-th is 1/n^exponent.
pub(super) fn zipf(count: usize, exponent: f64) -> Vec<f64> {
    (1..=count).map(|place| pow(place as f64, -exponent)).collect()
}

/// Mean eagerness of each of [`EAGERNESS_CLASSES`] equally large groups, from the least eager on, of people whose eagerness
/// is log-normal with a mean of 1.
pub(super) fn eagerness(sigma: f64) -> Vec<f64> {
    let classes = EAGERNESS_CLASSES as f64;
    let border = |class: usize| match class {
        0 => f64::NEG_INFINITY,
        EAGERNESS_CLASSES => f64::INFINITY,
        class => normal_quantile(class as f64 / classes),
    };
    // The share of all eagerness below the z-th quantile is the normal distribution's at z - sigma.
    let below = |class| normal(border(class) - sigma);
    (0..EAGERNESS_CLASSES).map(|class| classes * (below(class + 1) - below(class))).collect()
}

fn normal(z: f64) -> f64 {
    f64::midpoint(1.0, erf(z / sqrt(2.0)))
}

/// By halving: it is only for tables.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if normal(middle) < share { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// How much is left of something after `elapsed` when a third (1/e) is left after `constant`; nothing after no time.
pub(super) fn decayed(elapsed: f64, constant: f64) -> f64 {
    if constant > 0.0 { exp(-elapsed / constant) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(choice: &Choice, of: u16) -> usize {
        (0..PLACES).filter(|place| choice.of(*place as u64) == of).count()
    }

    #[test]
    fn choices_have_places_by_their_weights() {
        let choice = Choice::new(&[3.0, 0.0, 1.0]);
        assert_eq!([0, 1, 2].map(|of| places(&choice, of)), [3072, 0, 1024]);
        let rare = Choice::new(&[1e6, 1e-6, 0.0]);
        assert_eq!([0, 1, 2].map(|of| places(&rare, of)), [PLACES - 1, 1, 0]);
        let many = Choice::new(&zipf(1024, 3.0));
        assert!((0..1024).all(|of| places(&many, of) > 0));
    }

    #[test]
    fn eagerness_has_a_mean_of_one_and_grows() {
        for sigma in [0.0, 0.5, 1.0, 3.0] {
            let classes = eagerness(sigma);
            let mean = classes.iter().sum::<f64>() / classes.len() as f64;
            assert!((mean - 1.0).abs() < 1e-9, "{mean}");
            assert!(classes.windows(2).all(|pair| pair[0] <= pair[1] + 1e-9));
        }
        // Half of a log-normal's people have less than 1 - normal(sigma) of its sum: for sigma 1, 15.87 %.
        let lower_half: f64 = eagerness(1.0)[..EAGERNESS_CLASSES / 2].iter().sum();
        assert!((lower_half / EAGERNESS_CLASSES as f64 - 0.158_655).abs() < 1e-5, "{lower_half}");
    }
}
