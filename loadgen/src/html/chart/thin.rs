//! Lines of a long run, with no more points than a screen can show.
//!
//! Invariant: the least and the most of every stretch stay, so that no peak is smoothed away; a stretch without any
//! value stays a gap.

/// Points of one line. More than any screen has columns for a plot.
pub(crate) const POINTS_MAX: usize = 1000;
/// Stretches that a pointer can tell apart and read values of.
pub(crate) const READINGS_MAX: usize = 400;

/// A place on the x axis and a value; `None`: there is no sample.
pub(crate) type Point = (f64, Option<f64>);

/// The line itself if it is short enough, else the least and the most of each of [`POINTS_MAX`] / 2 stretches.
pub(crate) fn thin(xs: &[f64], ys: &[Option<f64>]) -> Vec<Point> {
    let points: Vec<Point> = xs.iter().copied().zip(ys.iter().map(|y| y.filter(|y| y.is_finite()))).collect();
    if points.len() <= POINTS_MAX {
        return points;
    }
    points.chunks(points.len().div_ceil(POINTS_MAX / 2)).flat_map(extremes).collect()
}

/// Least and most of a stretch in their order, or the gap it is.
fn extremes(stretch: &[Point]) -> Vec<Point> {
    let values = || stretch.iter().enumerate().filter_map(|(index, (_, y))| y.map(|y| (index, y)));
    let least = values().min_by(|a, b| a.1.total_cmp(&b.1));
    let most = values().max_by(|a, b| a.1.total_cmp(&b.1));
    match (least, most) {
        (Some((least, _)), Some((most, _))) if least == most => vec![stretch[least]],
        (Some((least, _)), Some((most, _))) => vec![stretch[least.min(most)], stretch[least.max(most)]],
        _ => vec![stretch[0]],
    }
}

/// The ranges of samples that share one reading.
pub(crate) fn stretches(samples: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let length = samples.div_ceil(READINGS_MAX).max(1);
    (0..samples).step_by(length).map(move |from| from..(from + length).min(samples))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn extremes_survive(ys in proptest::collection::vec(proptest::option::of(0f64..1e9), 0..20_000)) {
            let xs: Vec<f64> = (0..ys.len()).map(|x| x as f64).collect();
            let thinned = thin(&xs, &ys);
            prop_assert!(thinned.len() <= POINTS_MAX);
            prop_assert!(thinned.windows(2).all(|pair| pair[0].0 < pair[1].0));
            let most = |ys: &mut dyn Iterator<Item = Option<f64>>| ys.flatten().max_by(f64::total_cmp);
            let least = |ys: &mut dyn Iterator<Item = Option<f64>>| ys.flatten().min_by(f64::total_cmp);
            prop_assert_eq!(most(&mut ys.iter().copied()), most(&mut thinned.iter().map(|point| point.1)));
            prop_assert_eq!(least(&mut ys.iter().copied()), least(&mut thinned.iter().map(|point| point.1)));
        }

        #[test]
        fn every_sample_has_one_reading(samples in 0usize..50_000) {
            let all: Vec<_> = stretches(samples).collect();
            prop_assert!(all.len() <= READINGS_MAX);
            prop_assert_eq!(all.iter().map(ExactSizeIterator::len).sum::<usize>(), samples);
        }
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let xs: Vec<f64> = (0..4000).map(f64::from).collect();
        let ys: Vec<_> = (0..4000).map(|x| (!(1000..2000).contains(&x)).then_some(1.0)).collect();
        assert!(thin(&xs, &ys).iter().any(|(_, y)| y.is_none()));
        assert_eq!(thin(&[0.0], &[Some(f64::NAN)]), [(0.0, None)]);
    }
}
