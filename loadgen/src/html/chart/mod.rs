//! Plots as SVG, drawn once per width, without a line of script.
//!
//! 1. [`plot`]: lines and areas over time or over percentiles. [`bars`]: pairs of bars.
//! 2. [`axis`]: what an axis spans and where its ticks are. [`unit`]: how its numbers are written.
//! 3. [`moments`]: what happened when, above a plot. [`thin`]: at most a thousand points a line.
//! 4. [`readings`]: the values under a pointer, for the page's script.
//!
//! Invariant: pure. The same series give the same text; colours are classes, so that the page's style decides them for
//! light and dark; a missing sample is a gap, never a zero; no coordinate is ever NaN.
//!
//! Deliberately not here: what a series means. That is said by [`super::figures`].

pub(crate) mod axis;
pub(crate) mod bars;
pub(crate) mod moments;
pub(crate) mod plot;
pub(crate) mod readings;
mod thin;
pub(crate) mod unit;

/// A width that a plot is drawn for. The page shows the one that fits, so that labels keep their size on a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// The whole width of a page on a screen.
    Wide,
    /// Half of it, a small window, or a sheet of paper.
    Half,
    /// A phone.
    Phone,
}

impl Size {
    /// Class of the drawing and part of its ids.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Half => "half",
            Self::Phone => "phone",
        }
    }

    /// Width and height of the view box.
    fn extent(self) -> (f64, f64) {
        match self {
            Self::Wide => (1080.0, 320.0),
            Self::Half => (520.0, 290.0),
            Self::Phone => (360.0, 250.0),
        }
    }

    /// About how many ticks the x axis has room for.
    fn x_ticks(self) -> usize {
        match self {
            Self::Wide => 12,
            Self::Half => 7,
            Self::Phone => 4,
        }
    }
}

/// Width of an average character of the plots' labels, a little generous.
const CHARACTER: f64 = 6.4;

/// About how wide a label is.
fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}

/// At most `characters` of a label, the last one an ellipsis if some were cut.
fn cut(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.into();
    }
    let kept: String = text.chars().take(characters.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// A coordinate with a tenth of a pixel, which is all that can be seen.
fn px(value: f64) -> String {
    let text = format!("{:.1}", if value.is_finite() { value } else { 0.0 });
    match text.strip_suffix(".0") {
        Some("-0") => "0".into(),
        Some(whole) => whole.into(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short_and_never_nan() {
        let coordinates = [px(1.0), px(1.26), px(-0.01), px(f64::NAN), px(f64::INFINITY)];
        assert_eq!(coordinates, ["1", "1.3", "0", "0", "0"]);
    }

    #[test]
    fn long_labels_are_cut() {
        assert_eq!(cut("six", 3), "six");
        assert_eq!(cut("six and out", 5), "six…");
        assert_eq!(cut("🏏🏏🏏", 2), "🏏…");
    }
}
