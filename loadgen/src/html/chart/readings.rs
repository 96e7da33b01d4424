//! The values under a pointer: what the page's script shows next to the names of lines.
//!
//! Invariant: everything here is already written out; the script looks up and shows, it does not compute. A long run is
//! cut in stretches that share one reading, the largest of each line.

use super::plot::{Across, Plot};
use super::thin::stretches;
use super::unit::Unit;
use serde::Serialize;

/// Readings of a plot, in the order of its lines.
#[derive(Debug, Serialize)]
pub(crate) struct Readings {
    /// Places between the plot's left (0) and right (1) end.
    at: Vec<f64>,
    /// What to call each place.
    x: Vec<String>,
    /// For each line, its value at each place; empty where there is none.
    lines: Vec<Vec<String>>,
}

impl Readings {
    /// What a pointer finds in this plot.
    pub(crate) fn of(plot: &Plot) -> Self {
        let axis = plot.x_axis(2);
        let starts = || stretches(plot.xs.len()).map(|stretch| plot.xs[stretch.start]);
        let lines = plot.lines.iter().map(|line| {
            let most = |stretch: std::ops::Range<usize>| {
                let values = line.ys.get(stretch).unwrap_or_default().iter().flatten().filter(|y| y.is_finite());
                values.copied().reduce(f64::max).map_or_else(String::new, |most| plot.unit.label(most))
            };
            stretches(plot.xs.len()).map(most).collect()
        });
        Self {
            at: starts().map(|x| (axis.place(x) * 1e4).round() / 1e4).collect(),
            x: starts().map(|x| name(plot.across, x)).collect(),
            lines: lines.collect(),
        }
    }
}

fn name(across: Across, x: f64) -> String {
    match across {
        Across::Time => Unit::Clock.label(x),
        Across::Nines => {
            let percent = (1.0 - 10f64.powf(-x)) * 100.0;
            let decimals = x.max(0.0).ceil() as usize;
            let text = format!("{percent:.decimals$}");
            format!("{} %", if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::chart::axis::nines_of;

    #[test]
    fn percentiles_are_named_with_as_many_digits_as_they_have() {
        let names = [0.0, 0.5, 0.9, 0.99, 0.9999].map(|quantile| name(Across::Nines, nines_of(quantile)));
        assert_eq!(names, ["0 %", "50 %", "90 %", "99 %", "99.99 %"]);
    }
}
