//! A report's rows, for the tables.
//!
//! Invariant: a table that would have no rows is left out.

use super::{UNKNOWN, us_label};
use crate::html::chart::unit::Unit;
use crate::html::view::Table;
use crate::report::text::LATENCIES;
use crate::report::{Hostile, Latency, Report, RoomRow, TransportRow};
use crate::table::grouped;

pub(super) fn tables(report: &Report) -> Vec<Table> {
    let all = [
        ways_in(report),
        latencies(report),
        subscribers(report),
        rooms(report),
        windows_off(report),
        acts(report),
        hostile(report),
        costs(report),
    ];
    all.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

fn table<const COLUMNS: usize>(
    title: &str,
    note: &str,
    heads: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> Table {
    Table {
        title: title.into(),
        note: note.into(),
        heads: heads.map(String::from).into(),
        rows: rows.map(Vec::from).collect(),
    }
}

fn ways_in(report: &Report) -> Table {
    let row = |row: &TransportRow| {
        let [planned, sent, unconfirmed, refused, unsent, batches] = [
            row.taps_planned,
            row.taps_sent,
            row.taps_unconfirmed,
            row.taps_refused.values().sum(),
            row.taps_unsent,
            row.batches,
        ]
        .map(grouped);
        let counted = row.taps_counted.map_or_else(|| UNKNOWN.into(), grouped);
        let way = row.transport.label().to_uppercase();
        [way, planned, sent, counted, unconfirmed, refused, unsent, batches, us_label(row.lag_p99_us)]
    };
    table(
        "Ways in",
        "Taps, what the server says it counted there, and the datagrams or requests that carried them.",
        ["way in", "planned", "sent", "counted", "unconfirmed", "refused", "unsent", "carried by", "lag p99"],
        report.transports.iter().filter(|row| row.taps_planned > 0).map(row),
    )
}

fn latencies(report: &Report) -> Table {
    let known = LATENCIES.iter().map(|(key, name)| (*key, *name));
    let others =
        report.latency.keys().map(String::as_str).filter(|key| LATENCIES.iter().all(|(known, _)| known != key));
    let named = known.chain(others.map(|key| (key, key)));
    let row = |name: &str, latency: &Latency| {
        let all = latency.all;
        let [min, p50, p90, p99, p999, max] =
            [all.min_us, all.p50_us, all.p90_us, all.p99_us, all.p999_us, all.max_us].map(us_label);
        [name.into(), grouped(all.count), min, p50, p90, p99, p999, max]
    };
    table(
        "Latencies",
        "Of taps and of the generator: from the planned moment, not from when something got out.",
        ["measure", "samples", "min", "p50", "p90", "p99", "p99.9", "max"],
        named.filter_map(|(key, name)| Some(row(name, report.latency.get(key).filter(|one| one.all.count > 0)?))),
    )
}

fn subscribers(report: &Report) -> Table {
    let seen = &report.subscribers;
    let row = [
        seen.count,
        seen.frames_received,
        seen.frames_missing,
        seen.frames_twice,
        seen.frames_conflicting,
        seen.lost,
        seen.handshakes,
    ];
    table(
        "Subscribers",
        "Real connections, and the frames that they got.",
        ["subscribers", "frames", "missing", "twice", "conflicting", "connections lost", "handshakes"],
        std::iter::once(row.map(grouped)).filter(|_| seen.count > 0),
    )
}

fn rooms(report: &Report) -> Table {
    let mut rooms: Vec<&RoomRow> = report.rooms.iter().collect();
    // Those where something is missing first, then the largest.
    let missing = |room: &RoomRow| room.taps_sent.saturating_sub(room.taps_framed);
    rooms.sort_by_key(|room| std::cmp::Reverse((missing(room), room.people)));
    let row = |room: &RoomRow| {
        let [people, sent, framed, missing] =
            [room.people, room.taps_sent, room.taps_framed, missing(room)].map(grouped);
        [format!("{} {}", room.room, room.name), people, sent, framed, missing]
    };
    let heads = ["room", "people", "taps sent", "in frames", "missing"];
    table("Rooms", "", heads, rooms.into_iter().map(row))
}

fn windows_off(report: &Report) -> Table {
    let off = report.windows.iter().filter(|window| !window.disagreement.is_empty());
    table(
        "Windows that disagree",
        "What their frames say that the sent taps cannot explain.",
        ["window", "room", "taps in the frame", "disagreement"],
        off.map(|window| {
            let framed = window.taps_framed.map_or_else(|| "no frame".into(), grouped);
            [window.window.to_string(), window.room.to_string(), framed, window.disagreement.clone()]
        }),
    )
}

fn acts(report: &Report) -> Table {
    table(
        "What subscribers did",
        "",
        ["act", "at", "subscribers", "all back after"],
        report.acts.iter().map(|act| {
            let back = act.back_after_ms.map_or_else(|| UNKNOWN.into(), |ms| Unit::Us.label(ms as f64 * 1000.0));
            [act.kind.label().replace('_', " "), Unit::Clock.label(act.at_s), grouped(act.subscribers), back]
        }),
    )
}

fn hostile(report: &Report) -> Table {
    let row = |sent: &Hostile| [sent.inputs, sent.unexpected, sent.quic_packets, sent.failed, sent.unsent].map(grouped);
    table(
        "Hostile input",
        "Sent to be refused, amid the taps.",
        ["malformed inputs", "answered wrongly", "QUIC packets of nobody", "failed", "unsent"],
        report.hostile.iter().map(row),
    )
}

fn costs(report: &Report) -> Table {
    let mib = |bytes: u64| Unit::Mib.label(bytes as f64 / f64::from(1 << 20));
    let each = |ns: Option<f64>, of: &str| {
        ns.map_or_else(|| UNKNOWN.into(), |ns| format!("{} {of}", Unit::Us.label(ns / 1000.0)))
    };
    let generator = &report.generator;
    let generator = [
        "generator".into(),
        format!("{:.2} s", generator.cpu_s),
        each(generator.udp_cpu_ns_per_datagram, "a datagram"),
        mib(generator.rss_bytes_max),
    ];
    let server = report.server.as_ref().map(|server| {
        let cpu = server.cpu_s.map_or_else(|| UNKNOWN.into(), |cpu_s| format!("{cpu_s:.2} s"));
        let memory = server.rss_bytes_max.map_or_else(|| UNKNOWN.into(), mib);
        ["server".into(), cpu, each(server.cpu_ns_per_tap, "a tap"), memory]
    });
    let note = "The server's CPU has everything in it: taps, handshakes, frames. The generator's for each datagram is of its UDP threads.";
    table(
        "What it cost",
        note,
        ["process", "CPU", "CPU for each", "memory at most"],
        server.into_iter().chain([generator]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::Part;
    use crate::report::synthetic::Play;

    #[test]
    fn rows_are_as_wide_as_their_heads_and_empty_tables_are_left_out() {
        let mut report = Play::new(1).report(Part::WHOLE);
        let titles = |report: &Report| tables(report).into_iter().map(|table| table.title).collect::<Vec<_>>();
        assert_eq!(
            titles(&report),
            ["Ways in", "Latencies", "Subscribers", "Rooms", "What subscribers did", "What it cost"]
        );
        report.windows[0].disagreement = "shows too much".into();
        report.acts.clear();
        assert_eq!(
            titles(&report),
            ["Ways in", "Latencies", "Subscribers", "Rooms", "Windows that disagree", "What it cost"]
        );
        assert!(tables(&report).iter().all(|table| table.rows.iter().all(|row| row.len() == table.heads.len())));
    }

    #[test]
    fn hostile_input_is_shown_where_there_was_some() {
        let mut report = Play::new(1).report(Part::WHOLE);
        assert!(hostile(&report).rows.is_empty());
        report.hostile = Some(Hostile { inputs: 1200, unexpected: 3, quic_packets: 50, ..Hostile::default() });
        assert_eq!(hostile(&report).rows, [["1,200", "3", "50", "0", "0"]]);
        assert!(tables(&report).iter().any(|table| table.title == "Hostile input"));
    }

    #[test]
    fn a_latency_of_another_version_is_shown_under_its_key() {
        let mut report = Play::new(1).report(Part::WHOLE);
        let handshake = report.latency["handshake"].clone();
        report.latency.insert("new_measure".into(), handshake);
        assert_eq!(latencies(&report).rows.last().unwrap()[0], "new_measure");
    }
}
