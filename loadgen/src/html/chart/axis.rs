//! Axes: which values a plot spans and where a line is worth drawing.
//!
//! Invariant: an axis has a low below its high, both finite; ticks lie between them, in order. Scales from nothing start
//! at zero, so that twice as high is twice as much; a wide span is logarithmic and says so by its labels.

use super::unit::{CLOCK_FROM_S, Unit, minutes};

/// Steps between lines of time, in seconds: what people divide an hour by.
const TIME_STEPS_S: [f64; 16] =
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0];
/// Largest over smallest value from which on a latency is drawn logarithmically.
const LOG_FROM_RATIO: f64 = 30.0;
/// Decades up to which a logarithmic axis also has lines at 2 and 5.
const FINE_DECADES: f64 = 2.5;
/// Nines beyond which a spectrum is not drawn: no run has so many samples.
const NINES_MAX: f64 = 9.0;

/// How values become places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Log,
}

/// A line across the plot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub(crate) value: f64,
    pub(crate) label: String,
}

/// One direction of a plot.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    pub(crate) ticks: Vec<Tick>,
}

impl Axis {
    /// From zero to a round number at or above `max`, with about `ticks` lines.
    pub(crate) fn from_zero(max: f64, unit: Unit, ticks: usize) -> Self {
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        let step = nice_step(max / ticks.max(1) as f64);
        let steps = (max / step - 1e-9).ceil().max(1.0);
        Self {
            scale: Scale::Linear,
            low: 0.0,
            high: steps * step,
            ticks: (0..=steps as u32).map(|n| tick(unit, f64::from(n) * step)).collect(),
        }
    }

    /// For values between `least` (above zero) and `most`: logarithmic when they are far apart, else from zero.
    pub(crate) fn fitting(least: f64, most: f64, unit: Unit, ticks: usize) -> Self {
        let positive = least.is_finite() && least > 0.0 && most.is_finite();
        if positive && most / least >= LOG_FROM_RATIO {
            Self::decades(least, most, unit)
        } else {
            Self::from_zero(most, unit, ticks)
        }
    }

    fn decades(least: f64, most: f64, unit: Unit) -> Self {
        let fine = (most / least).log10() <= FINE_DECADES;
        let factors: &[f64] = if fine { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let (first, last) = (least.log10().floor() as i32, most.log10().ceil() as i32);
        let marks: Vec<f64> =
            (first..=last).flat_map(|decade| factors.iter().map(move |factor| factor * 10f64.powi(decade))).collect();
        let below = marks.iter().rposition(|mark| *mark <= least * (1.0 + 1e-9)).unwrap_or(0);
        let above = marks.iter().position(|mark| *mark >= most * (1.0 - 1e-9)).unwrap_or(marks.len() - 1);
        let ticks = marks[below..=above].iter().map(|mark| tick(unit, *mark)).collect();
        Self { scale: Scale::Log, low: marks[below], high: marks[above], ticks }
    }

    /// Seconds of a run, from `first` to `last`, without air at its ends.
    pub(crate) fn time(first: f64, last: f64, ticks: usize) -> Self {
        let low = if first.is_finite() { first } else { 0.0 };
        let high = if last.is_finite() && last > low { last } else { low + 1.0 };
        let wanted = (high - low) / ticks.max(1) as f64;
        let step = match TIME_STEPS_S.iter().find(|step| **step >= wanted) {
            Some(step) if wanted >= TIME_STEPS_S[0] => *step,
            _ => nice_step(wanted),
        };
        let (from, to) = ((low / step).ceil() as i64, (high / step + 1e-9).floor() as i64);
        // One way of writing for all ticks of an axis.
        let label = |at: f64| if high < CLOCK_FROM_S { Unit::Clock.label(at) } else { minutes(at) };
        let ticks = (from..=to).map(|n| n as f64 * step).map(|value| Tick { value, label: label(value) });
        Self { scale: Scale::Linear, low, high, ticks: ticks.collect() }
    }

    /// Nines of a percentile: 1 is 90 %, 2 is 99 %.
    pub(crate) fn nines(most: f64) -> Self {
        let high = if most.is_finite() { most.clamp(1.0, NINES_MAX) } else { 1.0 };
        let half = Tick { value: 0.5f64.log10().abs(), label: "50 %".into() };
        let whole = (0..=high as i32).map(|nines| Tick { value: f64::from(nines), label: percent(nines) });
        let mut ticks: Vec<Tick> = whole.collect();
        ticks.insert(1, half);
        Self { scale: Scale::Linear, low: 0.0, high, ticks }
    }

    /// Where a value lies: 0 at the axis's low end, 1 at its high end. What lies outside is put on the edge.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log if value > 0.0 => (value / self.low).ln() / (self.high / self.low).ln(),
            Scale::Log => 0.0,
        };
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// Percentile to nines, the place of [`Axis::nines`].
pub(crate) fn nines_of(quantile: f64) -> f64 {
    -(1.0 - quantile.clamp(0.0, 1.0 - 1e-12)).log10()
}

/// `0 %`, `90 %`, `99 %`, `99.9 %`.
fn percent(nines: i32) -> String {
    match nines {
        0 => "0 %".into(),
        1 => "90 %".into(),
        2 => "99 %".into(),
        more => format!("99.{} %", "9".repeat(more as usize - 2)),
    }
}

fn tick(unit: Unit, value: f64) -> Tick {
    Tick { value, label: unit.label(value) }
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `wanted`.
fn nice_step(wanted: f64) -> f64 {
    if !wanted.is_finite() || wanted <= f64::MIN_POSITIVE {
        return 1.0;
    }
    let decade = 10f64.powf(wanted.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * decade >= wanted * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * decade
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(axis: &Axis) {
        assert!(axis.low.is_finite() && axis.high.is_finite() && axis.low < axis.high, "{axis:?}");
        assert!(axis.ticks.windows(2).all(|pair| pair[0].value < pair[1].value), "{axis:?}");
        for tick in &axis.ticks {
            assert!(tick.value >= axis.low - 1e-9 && tick.value <= axis.high * (1.0 + 1e-9) + 1e-9, "{axis:?}");
            assert!((0.0..=1.0).contains(&axis.place(tick.value)));
        }
    }

    proptest! {
        #[test]
        fn an_axis_from_zero_covers_its_values(max in 1e-3f64..1e15, ticks in 2usize..9) {
            let axis = Axis::from_zero(max, Unit::Count, ticks);
            holds(&axis);
            prop_assert!(axis.high >= max * (1.0 - 1e-6) && axis.high <= max * 3.5);
            prop_assert!((2..=ticks + 1).contains(&axis.ticks.len()), "{axis:?}");
            let step = axis.ticks[1].value;
            let first = step / 10f64.powf(step.log10().floor() + 1e-9);
            prop_assert!([1.0, 2.0, 5.0, 10.0].iter().any(|nice| (first - nice).abs() < 1e-6), "{step}");
        }

        #[test]
        fn a_logarithmic_axis_covers_its_values(least in 1e-2f64..1e6, ratio in 30f64..1e8) {
            let axis = Axis::fitting(least, least * ratio, Unit::Us, 5);
            holds(&axis);
            prop_assert_eq!(axis.scale, Scale::Log);
            prop_assert!(axis.low <= least * 1.001 && axis.high >= least * ratio * 0.999);
            prop_assert!(axis.ticks.len() <= 12, "{:?}", axis.ticks);
        }

        #[test]
        fn a_time_axis_has_few_lines(first in -5f64..5.0, length in 0.05f64..1e6, ticks in 3usize..12) {
            let axis = Axis::time(first, first + length, ticks);
            holds(&axis);
            prop_assert!(axis.ticks.len() <= ticks + 1, "{axis:?}");
        }

        #[test]
        fn labels_on_an_axis_differ(max in 1e-2f64..1e12) {
            let mut labels: Vec<String> =
                Axis::from_zero(max, Unit::Count, 5).ticks.into_iter().map(|tick| tick.label).collect();
            let all = labels.len();
            labels.dedup();
            prop_assert_eq!(labels.len(), all);
        }
    }

    #[test]
    fn odd_values_make_an_axis_too() {
        for odd in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE] {
            holds(&Axis::from_zero(odd, Unit::Count, 5));
            holds(&Axis::fitting(odd, odd, Unit::Us, 5));
            holds(&Axis::time(odd, odd, 5));
            holds(&Axis::nines(odd));
            assert!(Axis::from_zero(1.0, Unit::Count, 5).place(odd).is_finite());
        }
    }

    #[test]
    fn nines_are_named_as_percentiles() {
        let labels: Vec<String> = Axis::nines(4.2).ticks.into_iter().map(|tick| tick.label).collect();
        assert_eq!(labels, ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
        assert!((nines_of(0.999) - 3.0).abs() < 1e-9);
        assert!(nines_of(1.0).is_finite());
    }

    #[test]
    fn time_is_divided_as_people_divide_it() {
        let labels: Vec<String> = Axis::time(0.0, 3600.0, 6).ticks.into_iter().map(|tick| tick.label).collect();
        assert_eq!(labels, ["0:00", "10:00", "20:00", "30:00", "40:00", "50:00", "1:00:00"]);
    }
}
