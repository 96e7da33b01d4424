//! A plot of lines that share their x: series over seconds, or latencies over percentiles.
//!
//! Invariant: every line has one value, or none, for each x. An empty plot says so instead of drawing empty axes.

use super::axis::Axis;
use super::moments::{Bands, Moment, named_at};
use super::thin::{Point, thin};
use super::unit::Unit;
use super::{Size, px, width_of};
use maud::{Markup, html};
use std::fmt::Write as _;

/// Space right of the y axis's labels, below the x axis, and between labels.
const LABEL_SPACE: f64 = 8.0;
const BOTTOM: f64 = 30.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 16.0;
/// Least distance between the names at the ends of lines.
const END_DISTANCE: f64 = 14.0;
/// About how many lines cross the plot.
const Y_TICKS: usize = 5;

/// What x means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Across {
    /// Seconds since the first tap.
    Time,
    /// Nines of a percentile, see [`super::axis::nines_of`].
    Nines,
}

/// How a line looks; the page's style gives each its colour, width and dashes, so that none is told by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// What was meant to happen.
    Planned,
    /// What happened.
    Main,
    /// Percentiles, from the median to the largest.
    Low,
    Middle,
    High,
    Extreme,
    /// Measures next to each other.
    First,
    Second,
    Third,
    Fourth,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Planned => "t-planned",
            Self::Main => "t-main",
            Self::Low => "t-low",
            Self::Middle => "t-middle",
            Self::High => "t-high",
            Self::Extreme => "t-extreme",
            Self::First => "t-first",
            Self::Second => "t-second",
            Self::Third => "t-third",
            Self::Fourth => "t-fourth",
        }
    }
}

/// One line of a plot.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) tone: Tone,
    pub(crate) ys: Vec<Option<f64>>,
}

/// A filled area below a line, down to another one or to the axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area {
    /// Index of the upper line, which also gives the tone.
    pub(crate) below: usize,
    /// Index of the lower line.
    pub(crate) above: Option<usize>,
}

/// Lines, areas and moments of one plot.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    /// Unique on the page; part of ids.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) across: Across,
    pub(crate) xs: Vec<f64>,
    pub(crate) unit: Unit,
    /// A wide span of values is drawn logarithmically. For latencies; amounts start at zero.
    pub(crate) log: bool,
    pub(crate) lines: Vec<Line>,
    pub(crate) areas: Vec<Area>,
    pub(crate) moments: Vec<Moment>,
    /// Lines are named at their right ends.
    pub(crate) ends: bool,
}

/// The rectangle that is drawn into, and its axes.
struct Ground {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x: Axis,
    y: Axis,
}

impl Ground {
    fn x(&self, value: f64) -> f64 {
        self.left + (self.right - self.left) * self.x.place(value)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * self.y.place(value)
    }
}

impl Plot {
    /// No line has any value.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| values(line).next().is_none())
    }

    /// The axis that all sizes share but for the number of its ticks.
    pub(super) fn x_axis(&self, ticks: usize) -> Axis {
        let finite = || self.xs.iter().copied().filter(|x| x.is_finite());
        let last = finite().fold(f64::NEG_INFINITY, f64::max);
        match self.across {
            Across::Time => Axis::time(finite().fold(f64::INFINITY, f64::min), last, ticks),
            Across::Nines => Axis::nines(last),
        }
    }

    fn y_axis(&self) -> Axis {
        let all = || self.lines.iter().flat_map(values);
        let most = all().fold(0.0, f64::max);
        if !self.log {
            return Axis::from_zero(most, self.unit, Y_TICKS);
        }
        let least = all().filter(|y| *y > 0.0).fold(f64::INFINITY, f64::min);
        Axis::fitting(least, most, self.unit, Y_TICKS)
    }

    /// The drawing for one width.
    pub(crate) fn draw(&self, size: Size) -> Markup {
        let (width, height) = size.extent();
        let (x, y) = (self.x_axis(size.x_ticks()), self.y_axis());
        let named_ends = self.ends && size != Size::Phone;
        let widest = y.ticks.iter().map(|tick| width_of(&tick.label)).fold(0.0, f64::max);
        let ends = self.lines.iter().map(|line| width_of(&line.name)).fold(0.0, f64::max);
        let (left, right) = (widest + LABEL_SPACE, width - if named_ends { ends + LABEL_SPACE } else { RIGHT });
        let place = |at: f64| left + (right - left) * x.place(at);
        let bands = Bands::new(&self.moments, (left, right), place);
        let top = if named_at(size) { bands.height() } else { 0.0 } + TOP;
        let ground = Ground { left, right, top, bottom: height - BOTTOM, x, y };
        let id = format!("{}-{}", self.id, size.name());
        html! {
            svg class=(size.name()) viewBox=(format!("0 0 {} {}", px(width), px(height))) role="img"
                aria-labelledby=(format!("{id}-title")) aria-describedby=(format!("{id}-desc"))
                data-left=(px(left)) data-right=(px(right)) {
                title id=(format!("{id}-title")) { (self.title) }
                desc id=(format!("{id}-desc")) { (self.description()) }
                (bands.draw_bands(ground.top, ground.bottom))
                @if named_at(size) { (bands.draw_names(ground.top)) }
                (grid(&ground))
                @for area in &self.areas { (self.area(&ground, *area)) }
                @for line in &self.lines { (stroke(&ground, &self.xs, line)) }
                @if named_ends { (self.names(&ground)) }
                line.hair x1="0" x2="0" y1=(px(ground.top)) y2=(px(ground.bottom)) {}
            }
        }
    }

    /// What the plot shows, for those who do not see it.
    fn description(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let (least, most) = values(line).fold((f64::INFINITY, 0.0), |(least, most), y| (y.min(least), y.max(most)));
            let label = |y| self.unit.label(y);
            let _ = match values(line).count() {
                0 => write!(text, "{}: no samples. ", line.name),
                _ => write!(text, "{}: from {} to {}. ", line.name, label(least), label(most)),
            };
        }
        for moment in &self.moments {
            let (name, from, to) = (&moment.name, Unit::Clock.label(moment.from_s), Unit::Clock.label(moment.to_s));
            let _ = write!(text, "{name}: from {from} to {to}. ");
        }
        text.trim_end().into()
    }

    fn area(&self, ground: &Ground, area: Area) -> Markup {
        let upper = thin(&self.xs, &self.lines[area.below].ys);
        let mut path = String::new();
        match area.above {
            None => runs(&upper).for_each(|run| under(&mut path, ground, run)),
            Some(lower) => {
                let lower = &self.lines[lower].ys;
                between(&mut path, ground, &self.xs, &self.lines[area.below].ys, lower);
            }
        }
        html! { @if !path.is_empty() { path class=(format!("area {}", self.lines[area.below].tone.class())) d=(path) {} } }
    }

    /// Names at the right ends of lines, moved apart where they would overlap.
    fn names(&self, ground: &Ground) -> Markup {
        let mut names: Vec<(f64, &Line)> =
            self.lines.iter().filter_map(|line| values(line).last().map(|last| (ground.y(last), line))).collect();
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut floor = f64::NEG_INFINITY;
        for name in &mut names {
            name.0 = name.0.max(floor);
            floor = name.0 + END_DISTANCE;
        }
        let mut ceiling = ground.bottom;
        for name in names.iter_mut().rev() {
            name.0 = name.0.min(ceiling);
            ceiling = name.0 - END_DISTANCE;
        }
        html! {
            @for (y, line) in names {
                text class=(format!("end {}", line.tone.class())) x=(px(ground.right + 6.0)) y=(px(y + 4.0)) { (line.name) }
            }
        }
    }
}

/// Values of a line that are numbers.
fn values(line: &Line) -> impl Iterator<Item = f64> {
    line.ys.iter().filter_map(|y| y.filter(|y| y.is_finite()))
}

fn grid(ground: &Ground) -> Markup {
    let Ground { left, right, top, bottom, .. } = ground;
    html! {
        @for (index, tick) in ground.y.ticks.iter().enumerate() {
            @let y = ground.y(tick.value);
            line class=(if index == 0 { "base" } else { "grid" }) x1=(px(*left)) x2=(px(*right)) y1=(px(y)) y2=(px(y)) {}
            text.y x=(px(left - LABEL_SPACE)) y=(px(y + 4.0)) { (tick.label) }
        }
        @for tick in &ground.x.ticks {
            @let x = ground.x(tick.value);
            line.notch x1=(px(x)) x2=(px(x)) y1=(px(*bottom)) y2=(px(bottom + 5.0)) {}
        }
        @for (x, label) in apart(ground) { text.x x=(px(x)) y=(px(bottom + 19.0)) { (label) } }
        line.side x1=(px(*left)) x2=(px(*left)) y1=(px(*top)) y2=(px(*bottom)) {}
    }
}

/// Labels of the x axis that do not run into the one before.
fn apart(ground: &Ground) -> Vec<(f64, &str)> {
    let mut end = f64::NEG_INFINITY;
    let mut labels = Vec::new();
    for tick in &ground.x.ticks {
        let (x, half) = (ground.x(tick.value), width_of(&tick.label) / 2.0);
        if x - half >= end + LABEL_SPACE {
            labels.push((x, tick.label.as_str()));
            end = x + half;
        }
    }
    labels
}

/// A line, and a dot for each sample that has no neighbour to be joined with.
fn stroke(ground: &Ground, xs: &[f64], line: &Line) -> Markup {
    let points = thin(xs, &line.ys);
    let mut path = String::new();
    let mut dots = Vec::new();
    for run in runs(&points) {
        match run {
            [(x, Some(y))] => dots.push((ground.x(*x), ground.y(*y))),
            _ => trace(&mut path, 'M', run.iter().filter_map(|(x, y)| y.map(|y| (ground.x(*x), ground.y(y))))),
        }
    }
    let tone = line.tone.class();
    html! {
        @if !path.is_empty() { path class=(format!("line {tone}")) d=(path) {} }
        @for (x, y) in dots { circle class=(format!("dot {tone}")) cx=(px(x)) cy=(px(y)) r="2.5" {} }
    }
}

/// Stretches without a gap.
fn runs(points: &[Point]) -> impl Iterator<Item = &[Point]> {
    points.split(|(_, y)| y.is_none()).filter(|run| !run.is_empty())
}

/// Joins places; the first one by `command`.
fn trace(path: &mut String, command: char, places: impl Iterator<Item = (f64, f64)>) {
    for (index, (x, y)) in places.enumerate() {
        let _ = write!(path, "{}{} {}", if index == 0 { command } else { 'L' }, px(x), px(y));
    }
}

fn under(path: &mut String, ground: &Ground, run: &[Point]) {
    trace(path, 'M', run.iter().filter_map(|(x, y)| y.map(|y| (ground.x(*x), ground.y(y)))));
    let (first, last) = (ground.x(run[0].0), ground.x(run[run.len() - 1].0));
    let _ = write!(path, "L{} {bottom}L{} {bottom}Z", px(last), px(first), bottom = px(ground.bottom));
}

/// The area between two lines where both have values. Both are thinned on their own, so each keeps its extremes.
fn between(path: &mut String, ground: &Ground, xs: &[f64], upper: &[Option<f64>], lower: &[Option<f64>]) {
    let mut from = 0;
    while from < xs.len() {
        let both = |at: &usize| upper.get(*at).copied().flatten().and(lower.get(*at).copied().flatten()).is_some();
        let to = (from..xs.len()).take_while(both).last().map_or(from, |last| last + 1);
        if to > from {
            let places = |ys: &[Option<f64>]| -> Vec<(f64, f64)> {
                let points = thin(&xs[from..to], &ys[from..to]);
                points.into_iter().filter_map(|(x, y)| y.map(|y| (ground.x(x), ground.y(y)))).collect()
            };
            trace(path, 'M', places(upper).into_iter());
            trace(path, 'L', places(lower).into_iter().rev());
            path.push('Z');
        }
        from = to.max(from + 1);
    }
}
