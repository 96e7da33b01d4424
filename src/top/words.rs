//! Figures as people read them: short numbers with units, one row a subject.
//!
//! Invariant: what is not known is [`UNKNOWN`], everywhere. The terminal view and the plain text say the same, because
//! both are made of these rows. Not here: where rows stand on a screen ([`super::view`]).

use super::figures::{Figures, Room, Shard};
use super::rates::{Count, Quantiles};
use super::scrape::ROOMS_LISTED_MAX;
use std::collections::BTreeMap;

/// What stands where the server does not tell.
pub const UNKNOWN: &str = "–";

/// Whether somebody should look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// As it should be.
    Calm,
    /// Somebody is turned away, or late.
    Watch,
    /// Something is lost.
    Alarm,
}

/// One subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its name.
    pub label: &'static str,
    /// What there is to say.
    pub text: String,
    /// How it should be taken.
    pub tone: Tone,
}

/// Columns of the table of shards.
pub const SHARD_COLUMNS: [&str; 11] =
    ["shard", "taps/s", "busy", "turns/s", "enters/s", "compl/s", "subs", "http", "mesh", "starved", "stalled"];
/// How wide a column of that table is: its head, or the longest figure there can be.
pub fn shard_cell_columns(head: &str) -> usize {
    head.len().max("99.9k".len())
}

/// Columns of the table of rooms.
pub const ROOM_COLUMNS: [&str; 3] = ["room", "emoji", "name"];

/// Everything about the node but its ways in.
pub fn rows(figures: &Figures) -> Vec<Row> {
    vec![
        counted(figures),
        losses("rejected", &figures.rejected, Tone::Watch),
        losses("dropped", &figures.dropped, Tone::Alarm),
        windows(figures),
        frames(figures),
        Row { label: "latency", text: latencies(figures), tone: Tone::Calm },
        Row { label: "watching", text: subscribers(figures), tone: Tone::Calm },
        Row { label: "connects", text: connections(figures), tone: Tone::Calm },
        process(figures),
    ]
}

/// What the server is, and how it is.
pub fn headline(figures: &Figures) -> String {
    let version = figures.version.as_deref().unwrap_or(UNKNOWN);
    let state = match figures.state {
        super::figures::State::Ready => "ready",
        super::figures::State::Draining => "draining",
    };
    let restarted = if figures.restarted { ", just restarted" } else { "" };
    format!("uproar {version}, {state}, up {}{restarted}", or_unknown(figures.uptime_seconds, time))
}

/// Taps of one way in, per second.
pub fn way(figures: &Figures, way: &str) -> String {
    per_second(figures.taps.get(way).and_then(|count| count.per_second))
}

fn counted(figures: &Figures) -> Row {
    let counted = or_unknown(figures.taps_counted.total, whole);
    let framed = or_unknown(figures.taps_in_frames.total, whole);
    let rate = per_second(figures.taps_counted.per_second);
    Row { label: "taps", text: format!("{rate}; {counted} counted, {framed} in frames"), tone: Tone::Calm }
}

/// Those that occur, the most frequent first; and how many there were in all.
fn losses(label: &'static str, counts: &BTreeMap<String, Count>, tone: Tone) -> Row {
    let Some(total) = counts.values().filter_map(|count| count.total).reduce(|sum, count| sum + count) else {
        return Row { label, text: UNKNOWN.into(), tone: Tone::Calm };
    };
    let now = occurring(counts);
    let tone = if now.is_empty() { Tone::Calm } else { tone };
    let now = if now.is_empty() { "0/s".into() } else { now };
    Row { label, text: format!("{now}; {} since the start", whole(total)), tone }
}

fn occurring(counts: &BTreeMap<String, Count>) -> String {
    let rate = |count: &Count| count.per_second.unwrap_or(0.0);
    let mut now: Vec<_> = counts.iter().map(|(name, count)| (name, rate(count))).filter(|now| now.1 > 0.0).collect();
    now.sort_by(|a, b| b.1.total_cmp(&a.1));
    now.iter().map(|&(name, rate)| format!("{name} {}", per_second(Some(rate)))).collect::<Vec<_>>().join(", ")
}

fn windows(figures: &Figures) -> Row {
    let late = figures.late_deltas;
    let tone = if late.per_second.is_some_and(|rate| rate > 0.0) { Tone::Watch } else { Tone::Calm };
    let text = format!(
        "{}; late deltas {}, {} since the start",
        per_second(figures.windows.per_second),
        per_second(late.per_second),
        or_unknown(late.total, whole)
    );
    Row { label: "windows", text, tone }
}

fn frames(figures: &Figures) -> Row {
    let skipped = occurring(&figures.frames_skipped);
    let [made, sent] = [figures.frames_made, figures.frames_sent].map(|count| per_second(count.per_second));
    let tone = if skipped.is_empty() { Tone::Calm } else { Tone::Watch };
    let skipped = match figures.frames_skipped.is_empty() {
        true => UNKNOWN.into(),
        false if skipped.is_empty() => "0/s".into(),
        false => skipped,
    };
    Row { label: "frames", text: format!("made {made}, sent {sent}, skipped {skipped}"), tone }
}

fn latencies(figures: &Figures) -> String {
    let both = |of: Quantiles| format!("p50 {} p99 {}", or_unknown(of.p50, time), or_unknown(of.p99, time));
    format!("window close {}, fan-out {}", both(figures.window_close_seconds), both(figures.fanout_seconds))
}

fn subscribers(figures: &Figures) -> String {
    let Some(all) = figures.subscribers_now() else { return UNKNOWN.into() };
    let each = figures.subscribers.iter().map(|(proto, count)| format!("{proto} {}", whole(*count)));
    let most = figures.subscribers_max.map(|most| format!(" of at most {}", whole(most))).unwrap_or_default();
    format!("{}{most} subscribers: {}", whole(all), each.collect::<Vec<_>>().join(", "))
}

fn connections(figures: &Figures) -> String {
    if figures.connections.is_empty() {
        return UNKNOWN.into();
    }
    let each = figures.connections.iter().map(|(proto, outcomes)| (proto, occurring(outcomes)));
    let now: Vec<_> = each.filter(|now| !now.1.is_empty()).map(|(proto, now)| format!("{proto} {now}")).collect();
    if now.is_empty() { "0/s".into() } else { now.join("; ") }
}

fn process(figures: &Figures) -> Row {
    let process = figures.process;
    let cpu = or_unknown(process.cpu_cores, |cores| format!("{:.0} %", cores * 100.0));
    let files = process.open_files.zip(process.open_files_max);
    // The last tenth goes quickly.
    let tone = if files.is_some_and(|(open, max)| open > max / 10 * 9) { Tone::Watch } else { Tone::Calm };
    let text = format!(
        "CPU {cpu}, memory {}, open files {} of {}",
        or_unknown(process.resident_bytes, bytes),
        or_unknown(process.open_files, whole),
        or_unknown(process.open_files_max, |max| if max == u64::MAX { "any number".into() } else { whole(max) })
    );
    Row { label: "process", text, tone }
}

/// One shard, in the order of [`SHARD_COLUMNS`].
pub fn shard(shard: &Shard) -> [String; SHARD_COLUMNS.len()] {
    let rate = |count: Count| or_unknown(count.per_second, short);
    let total = |count: Option<u64>| or_unknown(count, short_whole);
    [
        shard.shard.to_string(),
        rate(shard.taps),
        or_unknown(shard.busy, |busy| format!("{:.0} %", busy * 100.0)),
        rate(shard.turns),
        rate(shard.ring_enters),
        rate(shard.completions),
        total(shard.subscribers),
        total(shard.http_connections),
        total(shard.mesh_depth),
        total(shard.buffer_exhaustion.total),
        total(shard.sends_stalled.total),
    ]
}

/// How a shard should be taken.
pub fn shard_tone(shard: &Shard) -> Tone {
    let starved = shard.buffer_exhaustion.per_second.is_some_and(|rate| rate > 0.0);
    let full = shard.busy.is_some_and(|busy| busy > 0.9);
    if starved || full { Tone::Watch } else { Tone::Calm }
}

/// One room, in the order of [`ROOM_COLUMNS`].
pub fn room(room: &Room) -> [String; ROOM_COLUMNS.len()] {
    // A name is a stranger's text: what would move the cursor has no place on a terminal.
    let name = room.name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    [room.id.to_string(), room.emoji.to_string(), name]
}

/// How many rooms there are, and why they are not listed if they are not.
pub fn rooms_title(figures: &Figures) -> String {
    let count = or_unknown(figures.rooms_count, whole);
    let why_not = match (figures.rooms_count, &figures.rooms) {
        (Some(count), None) if count > ROOMS_LISTED_MAX => ", too many to list",
        (Some(1..), None) => ", not read",
        _ => "",
    };
    format!("rooms: {count}{why_not}")
}

fn or_unknown<T>(value: Option<T>, words: impl Fn(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.into(), words)
}

fn per_second(rate: Option<f64>) -> String {
    or_unknown(rate, |rate| format!("{}/s", short(rate)))
}

/// Three digits and a letter.
pub fn short(number: f64) -> String {
    // Each step begins where the one below would round up to four digits.
    let steps = [(999.5e9, 1e12, "T"), (999.5e6, 1e9, "G"), (999.5e3, 1e6, "M"), (999.5, 1e3, "k")];
    let (unit, letter) = steps.iter().find(|step| number >= step.0).map_or((1.0, ""), |step| (step.1, step.2));
    format!("{}{letter}", three_digits(number / unit))
}

/// The same for what there are only whole ones of.
fn short_whole(number: u64) -> String {
    if number < 1000 { number.to_string() } else { short(number as f64) }
}

fn three_digits(number: f64) -> String {
    match number {
        _ if number == 0.0 || number >= 99.95 => format!("{number:.0}"),
        _ if number >= 9.995 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// All digits, in groups of three.
pub fn whole(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

fn bytes(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1023.5 { format!("{} MiB", three_digits(mib)) } else { format!("{} GiB", three_digits(mib / 1024.0)) }
}

/// A time in the unit that suits it; from a minute on, in its two largest ones.
pub fn time(seconds: f64) -> String {
    let whole = seconds as u64;
    match seconds {
        _ if seconds < 1e-3 => format!("{} µs", three_digits(seconds * 1e6)),
        _ if seconds < 1.0 => format!("{} ms", three_digits(seconds * 1e3)),
        _ if seconds < 60.0 => format!("{} s", three_digits(seconds)),
        _ if whole < 3600 => format!("{}m {}s", whole / 60, whole % 60),
        _ if whole < 86_400 => format!("{}h {}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d {}h", whole / 86_400, whole % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::{ROOMS, Reading, State};
    use super::super::samples::Samples;
    use super::*;
    use std::time::Duration;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.5, 9.996, 42.0, 999.4, 999.6, 12_345.0, 999_600.0, 1.5e6, 2e9, 3.21e12].map(short);
        assert_eq!(texts, ["0", "0.50", "10.0", "42.0", "999", "1.00k", "12.3k", "1.00M", "1.50M", "2.00G", "3.21T"]);
    }

    #[test]
    fn half_a_subscriber_does_not_exist() {
        assert_eq!([0, 7, 999, 1000, 65_536].map(short_whole), ["0", "7", "999", "1.00k", "65.5k"]);
    }

    #[test]
    fn whole_numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(whole), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        let texts = [12e-6, 0.0025, 0.25, 9.5, 75.0, 7322.0, 200_000.0].map(time);
        assert_eq!(texts, ["12.0 µs", "2.50 ms", "250 ms", "9.50 s", "1m 15s", "2h 2m", "2d 7h"]);
    }

    #[test]
    fn memory_is_in_binary_units() {
        assert_eq!([50 << 20, 3 << 29].map(bytes), ["50.0 MiB", "1.50 GiB"]);
    }

    #[test]
    fn rooms_that_are_not_listed_say_why() {
        let title = |count: u64, rooms: Option<Vec<Room>>| {
            let shards = Samples::parse(&format!("{ROOMS}{{shard=\"0\"}} {count}\n"));
            let (at, node) = (Duration::ZERO, Samples::default());
            let reading = Reading { at, wall: at, state: State::Ready, node, shards, rooms };
            rooms_title(&Figures::of(None, &reading, [Quantiles::default(); 2]))
        };
        assert_eq!(title(0, None), "rooms: 0");
        assert_eq!(title(3, Some(Vec::new())), "rooms: 3");
        assert_eq!(title(ROOMS_LISTED_MAX, None), "rooms: 1,000, not read");
        assert_eq!(title(ROOMS_LISTED_MAX + 1, None), "rooms: 1,001, too many to list");
    }

    #[test]
    fn a_name_cannot_move_the_cursor() {
        let stranger = Room { id: 7, name: "a\u{1b}[2Jb\n".into(), emoji: 3 };
        assert_eq!(room(&stranger), ["7", "3", "a [2Jb "]);
    }
}
