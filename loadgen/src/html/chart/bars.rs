//! Pairs of horizontal bars: what was sent, and how much of it was shown.
//!
//! Invariant: a bar's length is its share of the longest one, from zero. Both numbers stand next to their bars.

use super::unit::Unit;
use super::{Size, cut, px, width_of};
use maud::{Markup, html};

/// Height of one pair.
const ROW: f64 = 26.0;
/// Pairs of one drawing; what is beyond is added up in a last one.
pub(crate) const BARS_MAX: usize = 16;
/// Characters of a name.
const NAME_MAX: usize = 16;
/// Width left for the numbers.
const NUMBERS: f64 = 148.0;

/// One thing, twice counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) sent: u64,
    pub(crate) shown: u64,
}

/// Bars with a title.
#[derive(Debug, Clone)]
pub(crate) struct Bars {
    /// Unique on the page; part of ids.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) pairs: Vec<Pair>,
}

impl Bars {
    /// The drawing for one width.
    pub(crate) fn draw(&self, size: Size) -> Markup {
        let pairs = self.shown();
        let width = size.extent().0;
        let height = ROW * pairs.len() as f64 + 4.0;
        let names = pairs.iter().map(|pair| width_of(&cut(&pair.name, NAME_MAX))).fold(0.0, f64::max) + 12.0;
        let longest = pairs.iter().map(|pair| pair.sent.max(pair.shown)).max().unwrap_or(0).max(1);
        let length = |taps: u64| (width - names - NUMBERS) * taps as f64 / longest as f64;
        let id = format!("{}-{}", self.id, size.name());
        html! {
            svg class=(size.name()) viewBox=(format!("0 0 {} {}", px(width), px(height))) role="img"
                aria-labelledby=(format!("{id}-title")) aria-describedby=(format!("{id}-desc")) {
                title id=(format!("{id}-title")) { (self.title) }
                desc id=(format!("{id}-desc")) {
                    @for pair in &pairs { (pair.name) ": " (pair.sent) " sent, " (pair.shown) " shown. " }
                }
                @for (index, pair) in pairs.iter().enumerate() {
                    @let y = ROW * index as f64 + 4.0;
                    text.bar-name x=(px(names - 10.0)) y=(px(y + 14.0)) { (cut(&pair.name, NAME_MAX)) }
                    rect.bar-shown x=(px(names)) y=(px(y + 3.0)) width=(px(length(pair.shown))) height="14" {}
                    rect.bar-sent x=(px(names)) y=(px(y)) width=(px(length(pair.sent).max(1.0))) height="20" {}
                    text.bar-number x=(px(names + length(pair.sent.max(pair.shown)) + 8.0)) y=(px(y + 14.0)) {
                        (numbers(pair))
                    }
                }
            }
        }
    }

    /// The first pairs, and the sum of the others.
    fn shown(&self) -> Vec<Pair> {
        if self.pairs.len() <= BARS_MAX {
            return self.pairs.clone();
        }
        let (shown, others) = self.pairs.split_at(BARS_MAX - 1);
        let sum = |taps: fn(&Pair) -> u64| others.iter().map(taps).fold(0, u64::saturating_add);
        let rest = Pair {
            name: format!("{} others", others.len()),
            sent: sum(|pair| pair.sent),
            shown: sum(|pair| pair.shown),
        };
        shown.iter().cloned().chain([rest]).collect()
    }
}

fn numbers(pair: &Pair) -> String {
    let label = |taps: u64| Unit::Count.label(taps as f64);
    match pair.sent.abs_diff(pair.shown) {
        0 => format!("{}, all shown", label(pair.sent)),
        apart => format!(
            "{}, {} {}",
            label(pair.sent),
            label(apart),
            if pair.shown < pair.sent { "missing" } else { "more" }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_bar_is_added_up() {
        let pairs = (0..40).map(|n| Pair { name: n.to_string(), sent: 2, shown: 1 }).collect();
        let shown = Bars { id: "b", title: String::new(), pairs }.shown();
        assert_eq!(shown.len(), BARS_MAX);
        assert_eq!(shown[BARS_MAX - 1], Pair { name: "25 others".into(), sent: 50, shown: 25 });
        assert_eq!(numbers(&shown[0]), "2, 1 missing");
    }
}
