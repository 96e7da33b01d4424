//! Several machines' reports of one match as one.
//!
//! Counts and histograms are added; what all machines saw of the same thing (frames, the server's counters) is put together
//! and not added. What follows from these is computed anew, and the result is judged anew.
//!
//! 1. `check`: which reports are of one match. 2. This file: how each of their parts is put together.
//!
//! Invariant: order and grouping do not matter, and all parts together say what one machine that plays everything would
//! have said about taps. Frame spread is measured on each machine from its own first frame; quantiles of which no histogram
//! is kept (a window's arrivals, a way's lag) are the worst machine's.

mod check;

pub use check::MergeError;
pub(super) use check::differing_knobs;

use super::rows::{
    Act, EmojiRow, Environment, Generator, Hostile, Interrupted, Rates, Real, RoomRow, Subscribers, TransportRow,
    WindowRow,
};
use super::{Latency, Report};
use crate::crowd::Part;
use crate::server_watch::ServerSeries;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Between what several machines say.
const BETWEEN: &str = "; ";

/// All reports as one, judged anew.
///
/// # Errors
/// When they are not different parts of one match, or damaged.
pub fn merge(reports: &[Report]) -> Result<Report, MergeError> {
    check::check(reports)?;
    let mut sorted: Vec<&Report> = reports.iter().collect();
    // Machines may differ in what is theirs: the first part's scenario is shown.
    sorted.sort_by_key(|report| report.parts.iter().map(|part| number(part)).min());
    let (first, others) = sorted.split_first().ok_or(MergeError::Nothing)?;
    let mut merged = (*first).clone();
    for report in others {
        merged.add(report)?;
    }
    merged.parts.sort_by_key(|part| number(part));
    Ok(merged.judged())
}

fn number(part: &str) -> u32 {
    part.parse().map_or(0, |part: Part| part.number)
}

impl Report {
    fn add(&mut self, other: &Self) -> Result<(), MergeError> {
        self.parts.extend(other.parts.iter().cloned());
        self.start_unix_ms = self.start_unix_ms.min(other.start_unix_ms);
        self.people += other.people;
        self.people_acted += other.people_acted;
        self.generator_lag_p99_us = self.generator_lag_p99_us.max(other.generator_lag_p99_us);
        self.real.add(&other.real);
        self.extrapolated.extend(other.extrapolated.iter().cloned());
        self.extrapolated.sort();
        self.extrapolated.dedup();
        add_rows(&mut self.transports, &other.transports, |row| row.transport, TransportRow::add);
        add_rows(&mut self.rooms, &other.rooms, |row| row.room, RoomRow::add);
        add_rows(&mut self.windows, &other.windows, |row| (row.room, row.window), WindowRow::add);
        self.subscribers.add(&other.subscribers);
        let act = |act: &Act| ((act.at_s * 1000.0) as u64, act.kind);
        add_rows(&mut self.acts, &other.acts, act, Act::add);
        if let Some(other) = &other.hostile {
            self.hostile.get_or_insert_default().add(other);
        }
        self.add_latencies(&other.latency)?;
        self.rates.add(&other.rates);
        self.server = match (&self.server, &other.server) {
            (Some(one), Some(other)) => Some(one.merged(other)),
            (one, other) => one.as_ref().or(other.as_ref()).cloned(),
        };
        self.interrupted = earlier(self.interrupted.take(), other.interrupted.as_ref());
        self.server_lost |= other.server_lost;
        if let Some(error) = &other.server_error {
            add_words(self.server_error.get_or_insert_default(), error);
        }
        self.server_series = fullest(self.server_series.take(), other.server_series.as_ref());
        self.generator.add(&other.generator);
        self.environment.add(&other.environment);
        Ok(())
    }

    fn add_latencies(&mut self, others: &BTreeMap<String, Latency>) -> Result<(), MergeError> {
        for (name, other) in others {
            match self.latency.entry(name.clone()) {
                Entry::Vacant(place) => {
                    place.insert(other.clone());
                }
                Entry::Occupied(mut place) => {
                    let merged = place.get().merged(other);
                    let merged = merged.map_err(|source| MergeError::Histogram { measure: name.clone(), source })?;
                    place.insert(merged);
                }
            }
        }
        Ok(())
    }
}

/// Of several machines that were interrupted the first one.
fn earlier(one: Option<Interrupted>, other: Option<&Interrupted>) -> Option<Interrupted> {
    let both = one.into_iter().chain(other.cloned());
    both.min_by(|a, b| a.after_s.total_cmp(&b.after_s).then_with(|| a.by.cmp(&b.by)))
}

/// Adds rows by key; they are in the order of their keys then.
fn add_rows<T: Clone, K: Ord>(to: &mut Vec<T>, from: &[T], key: impl Fn(&T) -> K, add: impl Fn(&mut T, &T)) {
    let mut rows: BTreeMap<K, T> = to.drain(..).map(|row| (key(&row), row)).collect();
    for row in from {
        match rows.entry(key(row)) {
            Entry::Vacant(place) => {
                place.insert(row.clone());
            }
            Entry::Occupied(mut place) => add(place.get_mut(), row),
        }
    }
    to.extend(rows.into_values());
}

fn add_each(to: &mut Vec<u64>, from: &[u64]) {
    if to.len() < from.len() {
        to.resize(from.len(), 0);
    }
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

fn add_counts(to: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>) {
    from.iter().for_each(|(name, count)| *to.entry(name.clone()).or_default() += count);
}

impl Real {
    fn add(&mut self, other: &Self) {
        self.machines += other.machines;
        self.udp_sockets += other.udp_sockets;
        self.udp_source_addresses += other.udp_source_addresses;
        self.udp_datagrams += other.udp_datagrams;
        self.http_connections += other.http_connections;
        self.http_requests += other.http_requests;
        self.quic_connections += other.quic_connections;
        self.quic_reacting += other.quic_reacting;
    }
}

impl Hostile {
    fn add(&mut self, other: &Self) {
        self.inputs += other.inputs;
        self.quic_packets += other.quic_packets;
        self.unexpected += other.unexpected;
        self.unexpected_first.extend(other.unexpected_first.iter().cloned());
        self.unexpected_first.sort();
        self.unexpected_first.dedup();
        self.failed += other.failed;
        self.unsent += other.unsent;
    }
}

impl TransportRow {
    fn add(&mut self, other: &Self) {
        self.taps_planned += other.taps_planned;
        self.taps_sent += other.taps_sent;
        self.taps_unconfirmed += other.taps_unconfirmed;
        add_counts(&mut self.taps_refused, &other.taps_refused);
        self.taps_unsent += other.taps_unsent;
        self.batches += other.batches;
        self.datagrams_left_behind += other.datagrams_left_behind;
        self.packets_lost += other.packets_lost;
        self.lag_p99_us = self.lag_p99_us.max(other.lag_p99_us);
    }
}

impl RoomRow {
    fn add(&mut self, other: &Self) {
        self.people += other.people;
        self.taps_sent += other.taps_sent;
        self.taps_unconfirmed += other.taps_unconfirmed;
        self.shows_all_emoji &= other.shows_all_emoji;
        // Who watched the room knows its name, and its emoji's.
        keep_more(&mut self.name, &other.name);
        add_rows(&mut self.emoji, &other.emoji, |row| row.id, EmojiRow::add);
    }
}

impl EmojiRow {
    fn add(&mut self, other: &Self) {
        keep_more(&mut self.glyph, &other.glyph);
        self.taps_sent += other.taps_sent;
    }
}

fn keep_more(text: &mut String, other: &str) {
    if (other.len(), other) > (text.len(), text.as_str()) {
        other.clone_into(text);
    }
}

impl WindowRow {
    fn add(&mut self, other: &Self) {
        self.taps_sent_min += other.taps_sent_min;
        self.taps_sent_max += other.taps_sent_max;
        add_each(&mut self.emoji_sent_min, &other.emoji_sent_min);
        add_each(&mut self.emoji_sent_max, &other.emoji_sent_max);
        self.end_unix_ms = self.end_unix_ms.max(other.end_unix_ms);
        let both_came = self.taps_framed.is_some() && other.taps_framed.is_some();
        let is_same = (self.taps_framed, &self.top) == (other.taps_framed, &other.top);
        self.conflicting |= other.conflicting || (both_came && !is_same);
        if (other.taps_framed, &other.top) > (self.taps_framed, &self.top) {
            (self.taps_framed, self.top) = (other.taps_framed, other.top.clone());
        }
        self.first_us = [self.first_us, other.first_us].into_iter().flatten().min();
        self.p50_us = self.p50_us.max(other.p50_us);
        self.p99_us = self.p99_us.max(other.p99_us);
        self.last_us = self.last_us.max(other.last_us);
    }
}

impl Subscribers {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.lost += other.lost;
        add_counts(&mut self.lost_by_reason, &other.lost_by_reason);
        self.frames_received += other.frames_received;
        self.frames_missing += other.frames_missing;
        self.frames_twice += other.frames_twice;
        self.frames_conflicting += other.frames_conflicting;
        self.handshakes += other.handshakes;
        self.socket_drops += other.socket_drops;
    }
}

impl Act {
    /// All are back when the last machine's are.
    fn add(&mut self, other: &Self) {
        self.back_after_ms = match (self.subscribers, other.subscribers) {
            (_, 0) => self.back_after_ms,
            (0, _) => other.back_after_ms,
            _ => self.back_after_ms.zip(other.back_after_ms).map(|(one, other)| one.max(other)),
        };
        self.subscribers += other.subscribers;
    }
}

impl Rates {
    fn add(&mut self, other: &Self) {
        add_each(&mut self.planned, &other.planned);
        add_each(&mut self.sent, &other.sent);
    }
}

impl Generator {
    fn add(&mut self, other: &Self) {
        self.cpu_s = add_s(self.cpu_s, other.cpu_s);
        self.udp_cpu_s = add_s(self.udp_cpu_s, other.udp_cpu_s);
        self.rss_bytes_max = self.rss_bytes_max.max(other.rss_bytes_max);
    }
}

/// Adds seconds in whole microseconds, so that order does not matter.
fn add_s(one: f64, other: f64) -> f64 {
    ((one * 1e6).round() + (other * 1e6).round()) / 1e6
}

impl Environment {
    fn add(&mut self, other: &Self) {
        add_words(&mut self.version, &other.version);
        add_words(&mut self.kernel, &other.kernel);
        add_words(&mut self.cpu, &other.cpu);
        self.cores += other.cores;
        for (what, place) in &other.targets {
            add_words(self.targets.entry(what.clone()).or_default(), place);
        }
    }
}

/// What both say, each word once.
fn add_words(to: &mut String, from: &str) {
    let mut words: Vec<&str> = to.split(BETWEEN).chain(from.split(BETWEEN)).filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words.dedup();
    *to = words.join(BETWEEN);
}

/// All machines watched the same server: whoever heard most of it says it all.
fn fullest(one: Option<ServerSeries>, other: Option<&ServerSeries>) -> Option<ServerSeries> {
    let rank = |series: &ServerSeries| {
        let answers = series.samples.iter().filter(|sample| sample.reading.is_some()).count();
        (answers, series.samples.len(), serde_json::to_string(series).unwrap_or_default())
    };
    one.into_iter().chain(other.cloned()).max_by_key(rank)
}

#[cfg(test)]
mod tests;
