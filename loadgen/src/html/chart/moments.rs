//! What happened when: a band across the plot and a name above it.
//!
//! Invariant: names never overlap. One that finds no room is left out of the drawing; its band stays and names it to a
//! pointer, and the page lists all of them.

use super::{Size, cut, px, width_of};
use maud::{Markup, html};

/// Rows of names above a plot.
const LANES_MAX: usize = 3;
/// Height of one row.
const LANE_HEIGHT: f64 = 17.0;
/// Characters of a name in the drawing.
const NAME_MAX: usize = 22;
/// Space between two names.
const SPACE: f64 = 12.0;
/// Space between a name and the stem of another one.
const STEM_SPACE: f64 = 3.0;
/// The narrowest band that can be seen.
const BAND_WIDTH_MIN: f64 = 2.0;

/// A stretch of time with a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moment {
    pub(crate) name: String,
    /// Seconds since the first tap.
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
}

/// Where bands and names of one drawing are.
pub(super) struct Bands {
    placed: Vec<Placed>,
    lanes: usize,
}

struct Placed {
    name: String,
    left: f64,
    width: f64,
    /// Row from the top, and the middle of the name.
    label: Option<(usize, f64)>,
}

impl Bands {
    /// `place`: seconds to x. The plot spans `left..right`.
    pub(super) fn new(moments: &[Moment], (left, right): (f64, f64), place: impl Fn(f64) -> f64) -> Self {
        let mut moments: Vec<&Moment> = moments.iter().collect();
        moments.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
        let mut ends = [f64::NEG_INFINITY; LANES_MAX];
        let placed: Vec<Placed> = moments
            .into_iter()
            .map(|moment| {
                let from = place(moment.from_s);
                let width = (place(moment.to_s) - from).max(BAND_WIDTH_MIN);
                let half = width_of(&cut(&moment.name, NAME_MAX)) / 2.0;
                let middle = (from + width / 2.0).min(right - half).max(left + half);
                let lane = ends.iter().position(|end| end + SPACE <= middle - half);
                if let Some(lane) = lane {
                    ends[lane] = middle + half;
                }
                Placed { name: moment.name.clone(), left: from, width, label: lane.map(|lane| (lane, middle)) }
            })
            .collect();
        let lanes = placed.iter().filter_map(|placed| placed.label).map(|(lane, _)| lane + 1).max().unwrap_or(0);
        Self { placed, lanes }
    }

    /// Height of the rows of names.
    pub(super) fn height(&self) -> f64 {
        self.lanes as f64 * LANE_HEIGHT
    }

    /// Bands from `top` to `bottom`.
    pub(super) fn draw_bands(&self, top: f64, bottom: f64) -> Markup {
        html! {
            @for placed in &self.placed {
                rect.moment x=(px(placed.left)) y=(px(top)) width=(px(placed.width)) height=(px(bottom - top)) {
                    title { (placed.name) }
                }
            }
        }
    }

    /// A name in a row below `lane` is in the way of the stem.
    fn covered(&self, placed: &Placed, lane: usize) -> bool {
        let near = |other: &Placed, middle: f64| (middle - placed.stem()).abs() < other.half() + STEM_SPACE;
        self.placed.iter().any(|other| other.label.is_some_and(|(below, middle)| below < lane && near(other, middle)))
    }

    /// Names in the rows above `top`.
    pub(super) fn draw_names(&self, top: f64) -> Markup {
        // The first row is nearest to the plot; what is above it is joined to its band where no other name is in between.
        let row = |lane: usize| top - 8.0 - lane as f64 * LANE_HEIGHT;
        let labels = self.placed.iter().filter_map(|placed| placed.label.map(|label| (placed, label)));
        html! {
            @for (placed, (lane, middle)) in labels {
                @let stem = px(placed.stem());
                @if !self.covered(placed, lane) { line.stem x1=(stem) x2=(stem) y1=(px(row(lane) + 4.0)) y2=(px(top)) {} }
                text.moment-name x=(px(middle)) y=(px(row(lane))) { (cut(&placed.name, NAME_MAX)) }
            }
        }
    }
}

impl Placed {
    /// Where the line from the name to the band is.
    fn stem(&self) -> f64 {
        self.left + self.width / 2.0
    }

    /// How far the name reaches to each side.
    fn half(&self) -> f64 {
        width_of(&cut(&self.name, NAME_MAX)) / 2.0
    }
}

/// Whether names are drawn at all: on a phone they would take half of the plot.
pub(super) fn named_at(size: Size) -> bool {
    size != Size::Phone
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_never_overlap(starts in proptest::collection::vec((0f64..100.0, 0f64..20.0, "[a-z]{0,40}"), 0..40)) {
            let moments: Vec<Moment> = starts
                .into_iter()
                .map(|(from_s, length, name)| Moment { name, from_s, to_s: from_s + length })
                .collect();
            let bands = Bands::new(&moments, (50.0, 500.0), |at| 50.0 + at * 3.75);
            prop_assert!(bands.lanes <= LANES_MAX);
            prop_assert_eq!(bands.placed.len(), moments.len());
            let labels = |lane: usize| {
                bands.placed.iter().filter_map(move |placed| {
                    let half = placed.half();
                    placed.label.filter(|label| label.0 == lane).map(|(_, middle)| (middle - half, middle + half))
                })
            };
            for lane in 0..LANES_MAX {
                let placed: Vec<_> = labels(lane).collect();
                prop_assert!(placed.windows(2).all(|pair| pair[0].1 < pair[1].0));
            }
        }
    }
}
