//! The plots of a report: which series they show, in which tones, and what is said about them.
//!
//! Invariant: a plot without samples is a sentence. Every figure has a legend, which is also where values under the
//! pointer are shown, so that nothing covers the lines.

use super::chart::Size;
use super::chart::axis::nines_of;
use super::chart::bars::Bars;
use super::chart::plot::{Across, Area, Line, Plot, Tone};
use super::chart::readings::Readings;
use super::chart::unit::Unit;
use super::view::{Arrivals, Charts, LatencyOverTime, Series, ServerOverTime, Spectrum};
use maud::{Markup, html};

/// All figures, most important first.
pub(super) fn figures(charts: &Charts) -> Markup {
    html! {
        div.figures {
            (figure(&rates(charts), "What was planned before anything was sent, and what was sent.", true))
            (figure(&tap_to_frame(charts), "From the planned moment of a tap to the frame that shows it. A window's length is part of it.", false))
            (figure(&tap_to_202(charts), "From the planned moment of a tap to the server's answer that it is counted.", false))
            (figure(&spectrum(&charts.spectrum), "Latency by percentile, over the whole run. To the right, ever fewer samples.", false))
            (figure(&spread(charts), &spread_note(charts), false))
            (server(charts))
            (emoji(charts))
        }
    }
}

fn rates(charts: &Charts) -> Plot {
    let rates = &charts.rates;
    // What was sent is drawn over the plan: where the plan can be seen, it was missed.
    let lines = vec![line("planned", Tone::Planned, &rates.planned), line("sent", Tone::Main, &rates.sent)];
    let xs = every(rates.interval_s, &lines);
    Plot { areas: vec![Area { below: 1, above: None }], ..over_time("rate", "Taps a second", xs, lines, charts) }
}

fn tap_to_frame(charts: &Charts) -> Plot {
    latency("frame", "Tap to frame", &charts.tap_to_frame, charts)
}

fn tap_to_202(charts: &Charts) -> Plot {
    latency("http", "HTTP tap to 202", &charts.tap_to_202, charts)
}

fn latency(id: &'static str, title: &str, latency: &LatencyOverTime, charts: &Charts) -> Plot {
    let lines = vec![
        line("p50", Tone::Low, &latency.p50_us),
        line("p90", Tone::Middle, &latency.p90_us),
        line("p99", Tone::High, &latency.p99_us),
        line("max", Tone::Extreme, &latency.max_us),
    ];
    let xs = every(latency.interval_s, &lines);
    Plot { unit: Unit::Us, log: true, ends: true, ..over_time(id, title, xs, lines, charts) }
}

fn spectrum(spectrum: &Spectrum) -> Plot {
    let tones = [Tone::First, Tone::Second, Tone::Third, Tone::Fourth].into_iter().cycle();
    let measures = spectrum.measures.iter().zip(tones);
    Plot {
        id: "spectrum",
        title: "Percentile spectrum".into(),
        across: Across::Nines,
        xs: spectrum.quantiles.iter().map(|quantile| nines_of(*quantile)).collect(),
        unit: Unit::Us,
        log: true,
        lines: measures.map(|(measure, tone)| line(&measure.name, tone, &measure.us)).collect(),
        areas: Vec::new(),
        moments: Vec::new(),
        ends: false,
    }
}

fn spread(charts: &Charts) -> Plot {
    let column = |value: fn(&Arrivals) -> Option<f64>| charts.windows.iter().map(value).collect::<Series>();
    let lines = vec![
        line("first", Tone::Low, &column(|window| window.first_us)),
        line("p50", Tone::Middle, &column(|window| window.p50_us)),
        line("p99", Tone::High, &column(|window| window.p99_us)),
        line("last", Tone::Extreme, &column(|window| window.last_us)),
    ];
    Plot {
        unit: Unit::Us,
        log: true,
        ends: true,
        areas: vec![Area { below: 3, above: Some(0) }, Area { below: 2, above: Some(1) }],
        ..over_time(
            "spread",
            "Frame arrival spread",
            charts.windows.iter().map(|window| window.end_s).collect(),
            lines,
            charts,
        )
    }
}

fn spread_note(charts: &Charts) -> String {
    let what = "How long after a window's end the first, the median, the 99th percentile and the last subscriber had its frame.";
    format!("{what} {}", charts.windows_note).trim_end().into()
}

fn server(charts: &Charts) -> Markup {
    let ServerOverTime { at_s, cores, mib } = match &charts.server {
        Ok(server) => server,
        Err(why) => {
            return html! { figure.card.full { figcaption { h3 { "Server's CPU and memory" } } p.empty { (why) } } };
        }
    };
    let plot = |id, title: &str, name, unit, ys| Plot {
        unit,
        areas: vec![Area { below: 0, above: None }],
        ..over_time(id, title, at_s.clone(), vec![line(name, Tone::Main, ys)], charts)
    };
    html! {
        (figure(&plot("cpu", "Server's CPU", "busy cores", Unit::Cores, cores), "CPU seconds a second, all threads of the process.", false))
        (figure(&plot("memory", "Server's memory", "resident", Unit::Mib, mib), "Resident memory of the process.", false))
    }
}

fn emoji(charts: &Charts) -> Markup {
    let bars = Bars { id: "emoji", title: "Taps by emoji".into(), pairs: charts.emoji.clone() };
    let note = format!("What was sent, and what the frames show. {}", charts.emoji_note);
    html! {
        figure.card.full {
            (caption(&bars.title, note.trim_end()))
            @if bars.pairs.is_empty() {
                p.empty { "There is nothing to compare." }
            } @else {
                ul.legend { li { i.box-sent {} "sent" } li { i.box-shown {} "shown in frames" } }
                @for size in [Size::Wide, Size::Half, Size::Phone] { (bars.draw(size)) }
            }
        }
    }
}

/// Beginnings of intervals, for the longest of the lines.
fn every(interval_s: f64, lines: &[Line]) -> Vec<f64> {
    let intervals = lines.iter().map(|line| line.ys.len()).max().unwrap_or(0);
    (0..intervals).map(|interval| interval as f64 * interval_s).collect()
}

/// A plot of amounts over time, without areas and names at its ends, which the caller adds.
fn over_time(id: &'static str, title: &str, xs: Vec<f64>, lines: Vec<Line>, charts: &Charts) -> Plot {
    Plot {
        id,
        title: title.into(),
        across: Across::Time,
        xs,
        unit: Unit::Count,
        log: false,
        lines,
        areas: Vec::new(),
        moments: charts.moments.clone(),
        ends: false,
    }
}

fn line(name: &str, tone: Tone, ys: &Series) -> Line {
    Line { name: name.into(), tone, ys: ys.clone() }
}

fn caption(title: &str, note: &str) -> Markup {
    html! { figcaption { h3 { (title) } p { (note) } } }
}

fn figure(plot: &Plot, note: &str, full: bool) -> Markup {
    if plot.is_empty() {
        return html! { figure.card { (caption(&plot.title, note)) p.empty { "There are no samples." } } };
    }
    let readings = serde_json::to_string(&Readings::of(plot)).unwrap_or_default();
    html! {
        figure.card.full[full] data-readings=(readings) {
            (caption(&plot.title, note))
            ul.legend {
                @for line in &plot.lines { li { (swatch(line.tone)) (line.name) " " b {} } }
                li.where {}
            }
            @if full { (plot.draw(Size::Wide)) }
            (plot.draw(Size::Half))
            (plot.draw(Size::Phone))
        }
    }
}

fn swatch(tone: Tone) -> Markup {
    html! {
        svg.swatch viewBox="0 0 26 10" aria-hidden="true" { path class=(format!("line {}", tone.class())) d="M1 5H25" {} }
    }
}
