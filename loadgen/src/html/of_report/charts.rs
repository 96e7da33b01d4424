//! A report's series, for the plots.
//!
//! Invariant: what several rooms have together is shown only where it adds up; percentiles of rooms do not.

use crate::html::chart::bars::Pair;
use crate::html::view::{
    Arrivals, Charts, LatencyOverTime, Measure, Moment, RatesOverTime, Series, ServerOverTime, Spectrum,
};
use crate::report::{Latency, Quantiles, Report, RoomRow, WindowRow};
use std::collections::BTreeMap;

/// Latencies of the spectrum, in the order of its lines.
const SPECTRUM: [(&str, &str); 4] = [
    ("tap_to_frame", "tap to frame"),
    ("tap_to_202", "HTTP tap to 202"),
    ("window_end_to_frame", "window's end to frame"),
    ("generator_lag", "generator's lag"),
];
/// Points of the spectrum for each nine of a percentile.
const POINTS_PER_NINE: u32 = 20;
/// Nines that the spectrum goes up to where there are enough samples.
const NINES_MAX: f64 = 7.0;
const BYTES_PER_MIB: f64 = (1u64 << 20) as f64;

pub(super) fn charts(report: &Report) -> Charts {
    let over_time = |name: &str| report.latency.get(name).map(latency_over_time).unwrap_or_default();
    let room = best_known_room(report);
    Charts {
        moments: report.rates.moments.iter().map(|(name, from_s, to_s)| moment(name, *from_s, *to_s)).collect(),
        rates: rates(report),
        tap_to_frame: over_time("tap_to_frame"),
        tap_to_202: over_time("tap_to_202"),
        spectrum: spectrum(report),
        windows_note: windows_note(report, room),
        windows: room.map(|room| arrivals(report, room.room)).unwrap_or_default(),
        server: server(report),
        emoji_note: emoji_note(report),
        emoji: emoji(report),
    }
}

fn moment(name: &str, from_s: f64, to_s: f64) -> Moment {
    Moment { name: name.into(), from_s, to_s }
}

fn rates(report: &Report) -> RatesOverTime {
    let rates = &report.rates;
    let a_second =
        |taps: &Vec<u64>| -> Series { taps.iter().map(|taps| Some(*taps as f64 / rates.interval_s)).collect() };
    RatesOverTime { interval_s: rates.interval_s, planned: a_second(&rates.planned), sent: a_second(&rates.sent) }
}

fn latency_over_time(latency: &Latency) -> LatencyOverTime {
    let column = |us: fn(&Quantiles) -> u64| -> Series {
        latency.intervals.iter().map(|interval| (interval.count > 0).then(|| us(interval) as f64)).collect()
    };
    LatencyOverTime {
        interval_s: latency.interval_s,
        p50_us: column(|interval| interval.p50_us),
        p90_us: column(|interval| interval.p90_us),
        p99_us: column(|interval| interval.p99_us),
        max_us: column(|interval| interval.max_us),
    }
}

fn spectrum(report: &Report) -> Spectrum {
    // A histogram that cannot be read has no line; its quantiles stand in the table.
    let known = SPECTRUM.iter().filter_map(|(key, name)| {
        let histogram = report.latency.get(*key)?.histogram().ok()?;
        (!histogram.is_empty()).then_some((*name, histogram))
    });
    let known: Vec<_> = known.collect();
    let nines = known.iter().map(|(_, histogram)| (histogram.len() as f64).log10()).fold(0.0, f64::max).min(NINES_MAX);
    let points = (nines * f64::from(POINTS_PER_NINE)).floor() as u32;
    let quantiles: Vec<f64> =
        (0..=points).map(|point| 1.0 - 10f64.powf(-f64::from(point) / f64::from(POINTS_PER_NINE))).collect();
    let measures = known.into_iter().map(|(name, histogram)| {
        let enough = |quantile: f64| (1.0 - quantile) * histogram.len() as f64 >= 1.0 - 1e-9;
        let us = quantiles.iter().map(|at| enough(*at).then(|| histogram.value_at_quantile(*at) as f64));
        Measure { name: name.into(), us: us.collect() }
    });
    Spectrum { measures: measures.collect(), quantiles }
}

/// The room with most people among those whose frames were timed.
fn best_known_room(report: &Report) -> Option<&RoomRow> {
    let timed =
        |room: &&RoomRow| report.windows.iter().any(|window| window.room == room.room && window.p99_us.is_some());
    report.rooms.iter().filter(timed).max_by_key(|room| (room.people, std::cmp::Reverse(room.room)))
}

fn windows_note(report: &Report, room: Option<&RoomRow>) -> String {
    match room {
        Some(room) if report.rooms.len() > 1 => format!("Of {}, the room with most people.", room.name),
        _ => String::new(),
    }
}

fn arrivals(report: &Report, room: u32) -> Vec<Arrivals> {
    let mut windows: Vec<&WindowRow> = report.windows.iter().filter(|window| window.room == room).collect();
    windows.sort_by_key(|window| window.window);
    let us = |us: Option<u64>| us.map(|us| us as f64);
    let arrivals = windows.into_iter().map(|window| Arrivals {
        end_s: (window.end_unix_ms as f64 - report.start_unix_ms as f64) / 1000.0,
        first_us: us(window.first_us),
        p50_us: us(window.p50_us),
        p99_us: us(window.p99_us),
        last_us: us(window.last_us),
    });
    arrivals.collect()
}

fn server(report: &Report) -> Result<ServerOverTime, String> {
    let Some(series) = &report.server_series else {
        return Err("The server was not watched: its admin address was not given, or did not answer.".into());
    };
    let samples = &series.samples;
    let before = std::iter::once(None).chain(samples.iter().map(Some));
    let mib = |bytes: u64| bytes as f64 / BYTES_PER_MIB;
    Ok(ServerOverTime {
        at_s: samples.iter().map(|sample| sample.at_s).collect(),
        cores: samples.iter().zip(before).map(|(sample, before)| sample.cores_since(before?)).collect(),
        mib: samples.iter().map(|sample| sample.reading.as_ref()?.rss_bytes.map(mib)).collect(),
    })
}

/// Sums over the rooms whose frames show all emoji: elsewhere, what is not shown is not missing.
fn emoji(report: &Report) -> Vec<Pair> {
    let mut sums: BTreeMap<u16, Pair> = BTreeMap::new();
    for row in report.rooms.iter().filter(|room| room.shows_all_emoji).flat_map(|room| &room.emoji) {
        let name = if row.glyph.is_empty() { format!("emoji {}", row.id) } else { row.glyph.clone() };
        let pair = sums.entry(row.id).or_insert(Pair { name, sent: 0, shown: 0 });
        pair.sent += row.taps_sent;
        pair.shown += row.taps_framed;
    }
    let mut pairs: Vec<Pair> = sums.into_values().filter(|pair| pair.sent + pair.shown > 0).collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.sent));
    pairs
}

fn emoji_note(report: &Report) -> String {
    match report.rooms.iter().filter(|room| !room.shows_all_emoji).count() {
        0 => String::new(),
        rooms => format!("Without {rooms} rooms whose frames show only the most tapped emoji."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::Part;
    use crate::report::synthetic::Play;

    #[test]
    fn the_spectrum_ends_where_samples_do() {
        let report = Play::new(1).report(Part::WHOLE);
        let spectrum = spectrum(&report);
        let of = |name: &str| spectrum.measures.iter().find(|measure| measure.name == name).unwrap();
        assert_eq!(spectrum.quantiles.len(), 73, "4,000 samples are 3.6 nines");
        assert!(of("tap to frame").us.iter().all(Option::is_some));
        assert!(of("window's end to frame").us.last().unwrap().is_none(), "40 samples say nothing about p99.9");
        let median = report.latency["tap_to_frame"].all.p50_us as f64;
        assert!(of("tap to frame").us[0].unwrap() <= median && median <= of("tap to frame").us[72].unwrap());
    }

    #[test]
    fn emoji_add_up_over_rooms() {
        let mut report = Play::new(1).report(Part::WHOLE);
        assert_eq!(emoji(&report).iter().map(|pair| pair.sent).sum::<u64>(), 4000);
        assert!(emoji(&report).iter().all(|pair| pair.sent == pair.shown));
        report.rooms[0].shows_all_emoji = false;
        assert_eq!(emoji(&report).iter().map(|pair| pair.sent).sum::<u64>(), report.rooms[1].taps_sent);
        assert!(emoji_note(&report).contains("1 rooms"));
    }

    #[test]
    fn windows_are_of_one_room_and_in_order() {
        let report = Play::new(1).report(Part::WHOLE);
        let room = best_known_room(&report).unwrap();
        let ends: Vec<f64> = arrivals(&report, room.room).iter().map(|window| window.end_s).collect();
        assert_eq!(ends, [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!(windows_note(&report, Some(room)).contains(&room.name));
    }
}
