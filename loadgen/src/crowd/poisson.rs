//! Poisson counts that are the same on every machine.
//!
//! Means below [`SMALL`] are counted up to (inversion by sequential search); from there on candidates are taken or
//! rejected (PTRS: Hörmann 1993, "The transformed rejection method for generating Poisson random variables"), which takes
//! about as long whatever the mean.
//!
//! Invariant: a count is a function of the mean and of the random numbers. All arithmetic that a machine's own library
//! might round otherwise is `libm`'s. Deliberately not here: reuse of what follows from a mean alone, as each section and
//! slice has its own.

use super::rng::Rng;
use libm::{exp, fabs, floor, lgamma, log, sqrt};

/// Means from here on are large.
const SMALL: f64 = 10.0;
/// Counts of a small mean end here, which they reach with a probability below 1e-80: should the sum of all
/// probabilities fall short of a random number by rounding, the search must end.
const SEARCHED_MAX: u32 = 128;

/// How many of something there are that happens `mean` times on average; none where the mean is not above 0.
pub(super) fn poisson(mean: f64, rng: &mut Rng) -> u64 {
    if mean >= SMALL {
        rejected(mean, rng)
    } else if mean > 0.0 {
        searched(mean, rng)
    } else {
        0
    }
}

/// The first count at which the sum of probabilities reaches a random number.
fn searched(mean: f64, rng: &mut Rng) -> u64 {
    let mut left = unit(rng);
    let (mut count, mut probability) = (0, exp(-mean));
    while left >= probability && count < SEARCHED_MAX {
        left -= probability;
        count += 1;
        probability *= mean / f64::from(count);
    }
    count.into()
}

/// Algorithm PTRS, by the names of its paper.
fn rejected(mean: f64, rng: &mut Rng) -> u64 {
    let b = 0.931 + 2.53 * sqrt(mean);
    let a = -0.059 + 0.02483 * b;
    let v_r = 0.9277 - 3.6224 / (b - 2.0);
    loop {
        let (u, v) = (unit(rng) - 0.5, unit(rng));
        // 0 for the very first of all numbers, which makes k endless, and rejected below.
        let u_s = 0.5 - fabs(u);
        let k = floor((2.0 * a / u_s + b) * u + mean + 0.43);
        if u_s >= 0.07 && v <= v_r {
            return k as u64;
        }
        if k < 0.0 || (u_s < 0.013 && v > u_s) {
            continue;
        }
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        if log(v * inverse_alpha / (a / (u_s * u_s) + b)) <= k * log(mean) - mean - lgamma(k + 1.0) {
            return k as u64;
        }
    }
}

/// A number of [0, 1), of 53 random bits.
fn unit(rng: &mut Rng) -> f64 {
    (rng.next() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEANS: [f64; 8] = [0.01, 1.0, 9.9, 10.0, 12.5, 50.0, 5000.0, 1e7];
    const DRAWS: u32 = 200_000;

    fn counts(mean: f64, count: u32) -> impl Iterator<Item = u64> {
        let mut rng = Rng::of([7, mean.to_bits(), 0]);
        (0..count).map(move |_| poisson(mean, &mut rng))
    }

    #[test]
    fn mean_and_variance_are_the_asked_mean() {
        for mean in MEANS {
            let draws = f64::from(DRAWS);
            let (sum, squares) = counts(mean, DRAWS).fold((0.0, 0.0), |(sum, squares), count| {
                let off = count as f64 - mean;
                (sum + off, squares + off * off)
            });
            // Five standard deviations of either: the fourth moment about the mean is mean + 3 mean^2.
            let (off, variance) = (sum / draws, squares / draws);
            assert!(fabs(off) < 5.0 * sqrt(mean / draws), "mean {mean}: off by {off}");
            let spread = sqrt((mean + 2.0 * mean * mean) / draws);
            assert!(fabs(variance - mean) < 5.0 * spread, "mean {mean}: variance {variance}");
        }
    }

    #[test]
    fn each_count_is_as_frequent_as_it_should_be_on_either_side_of_the_border() {
        for mean in [0.5, 9.9, 10.0, 20.0] {
            let mut seen = [0u32; 64];
            counts(mean, DRAWS).for_each(|count| seen[(count as usize).min(63)] += 1);
            for (count, seen) in seen.into_iter().enumerate().take(63) {
                let k = count as f64;
                let expected = f64::from(DRAWS) * exp(k * log(mean) - mean - lgamma(k + 1.0));
                let off = fabs(f64::from(seen) - expected);
                assert!(off < 5.0 * sqrt(expected) + 3.0, "mean {mean}, count {count}: {seen}, not {expected}");
            }
        }
    }

    #[test]
    fn the_same_numbers_make_the_same_counts() {
        let first = |mean| -> Vec<u64> { counts(mean, 8).collect() };
        assert_eq!(MEANS.map(first), MEANS.map(first));
        assert_eq!((first(1.0), first(50.0)), (GOLDEN_ONE.to_vec(), GOLDEN_FIFTY.to_vec()), "counts must stay");
    }

    const GOLDEN_ONE: [u64; 8] = [1, 2, 1, 0, 0, 0, 0, 3];
    const GOLDEN_FIFTY: [u64; 8] = [44, 45, 47, 49, 62, 52, 45, 56];

    #[test]
    fn what_never_happens_is_never_counted() {
        for mean in [0.0, -1.0, f64::NAN, f64::MIN_POSITIVE] {
            assert_eq!(counts(mean, 100).sum::<u64>(), 0, "{mean}");
        }
    }
}
