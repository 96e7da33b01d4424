//! The report of a match: what was sent beside what was shown.
//!
//! Deliberately not here: what it is worth, which [`crate::report`] judges from the account alone.

use super::{Hall, Played, Targets, cost};
use crate::audience::watchers::Watched;
use crate::audit::bounds::Bounds;
use crate::audit::delay::tap_to_frame;
use crate::audit::{Room, Seen};
use crate::crowd::Part;
use crate::drivers::hostile::HostileLedger;
use crate::fleet::WindowArrivals;
use crate::ledger::{Ledger, Recorder, Transport, histogram, merge};
use crate::report::{
    Act, EmojiRow, Environment, FORMAT, Generator, Hostile, Latency, Rates, Real, Report, RoomRow, Server, Subscribers,
    TransportRow, WindowRow,
};
use crate::scenario::Scenario;
use std::collections::BTreeMap;
use uproar_wire::WindowSeq;

/// Writes down and judges what happened.
pub(super) fn report(played: &Played, hall: &Hall, targets: &Targets) -> Report {
    let stage = &played.stage;
    let scenario = stage.crowd.scenario();
    let sent = played.ledgers.iter().fold(stage.ledger(), |mut sum, (_, ledger)| {
        sum.add(ledger);
        sum
    });
    // Sums, findings and the verdict follow from these.
    Report {
        format: FORMAT.to_owned(),
        parts: vec![stage.part.to_string()],
        start_unix_ms: stage.shape.grid.start_unix_us / 1000,
        people: stage.crowd.people_of(stage.part),
        people_acted: stage.acted.count(),
        visitors: played.visitors.then_some(0),
        interrupted: played.interrupted.clone(),
        real: real(played, hall, targets),
        transports: transports(played),
        windows: window_rows(played, hall, &sent),
        rooms: room_rows(played, hall, &sent),
        subscribers: subscribers(played, hall),
        acts: played.watched.as_ref().map_or_else(Vec::new, acts),
        hostile: played.hostile.as_ref().map(hostile),
        latency: latencies(played, hall, &sent),
        rates: rates(scenario, &sent),
        server: server(played),
        server_error: [&played.before, &played.after]
            .into_iter()
            .find_map(|look| Some(look.as_ref().err()?.to_string())),
        server_lost: played.before.is_ok() && played.after.is_err(),
        server_series: played.series.clone(),
        generator: generator(played),
        environment: environment(targets),
        scenario: scenario.clone(),
        ..Report::default()
    }
    .judged()
}

fn real(played: &Played, hall: &Hall, targets: &Targets) -> Real {
    let scenario = played.stage.crowd.scenario();
    let ledger = |way: Transport| &played.ledgers[way as usize].1;
    let addresses = scenario.udp.as_ref().map_or(0, |udp| {
        crate::drivers::SourceAddresses::new(&udp.from, targets.reactions).count().min(played.udp_sockets)
    });
    Real {
        machines: 1,
        udp_sockets: played.udp_sockets as u64,
        udp_source_addresses: addresses as u64,
        udp_datagrams: ledger(Transport::Udp).batches,
        http_connections: hall.http_count as u64,
        http_requests: ledger(Transport::Http).batches,
        quic_connections: hall.reacting() as u64 + watchers(played) + u64::from(hall.auditors.connections()),
        quic_reacting: hall.reacting() as u64,
    }
}

fn transports(played: &Played) -> Vec<TransportRow> {
    let used = played.ledgers.iter().filter(|(_, ledger)| ledger.planned > 0);
    used.map(|(transport, ledger)| TransportRow {
        transport: *transport,
        taps_planned: ledger.planned,
        taps_sent: ledger.sent,
        taps_counted: None,
        taps_unconfirmed: ledger.unconfirmed,
        taps_refused: ledger.refused.clone(),
        taps_unsent: ledger.unsent,
        batches: ledger.batches,
        datagrams_left_behind: ledger.left_behind,
        packets_lost: ledger.packets_lost,
        lag_p99_us: ledger.lag_us.total().value_at_quantile(0.99),
    })
    .collect()
}

fn room_rows(played: &Played, hall: &Hall, sent: &Ledger) -> Vec<RoomRow> {
    let (stage, first) = (&played.stage, played.stage.shape.grid.first_window());
    let people = stage.crowd.people_by_room(stage.part);
    let row = |place: usize| {
        let (room, palette) = (hall.audit.room(place), &hall.palettes[place]);
        let shown = room.taps_by_emoji_since(first);
        let sent_by_emoji = sent.sent_by_emoji(place);
        let emoji = palette.emoji.iter().enumerate().map(|(id, emoji)| EmojiRow {
            id: id as u16,
            glyph: emoji.glyph.clone(),
            taps_sent: sent_by_emoji.get(id).copied().unwrap_or(0),
            taps_framed: 0,
        });
        RoomRow {
            room: stage.crowd.room(place).0,
            name: palette.name.clone(),
            people: people[place].into(),
            taps_sent: sent.sent_to(place),
            taps_unconfirmed: sent.unconfirmed_to(place),
            taps_framed: 0,
            shows_all_emoji: shown.values().sum::<u64>() == room.taps_since(first),
            emoji: emoji.collect(),
        }
    };
    (0..stage.shape.rooms).map(row).collect()
}

fn window_rows(played: &Played, hall: &Hall, sent: &Ledger) -> Vec<WindowRow> {
    let stage = &played.stage;
    // What the fleet saw is of all rooms together, so it says something about a window only where there is one room.
    let fleet: BTreeMap<u64, &WindowArrivals> = match (&played.watched, stage.shape.rooms) {
        (Some(watched), 1) => watched.windows.iter().map(|window| (window.window.0, window)).collect(),
        _ => BTreeMap::new(),
    };
    let mut rows = Vec::new();
    for place in 0..stage.shape.rooms {
        let room = hall.audit.room(place);
        let first = stage.shape.grid.first_window().0;
        let shown = room.newest().map_or(0, |newest| (newest.0 + 1).saturating_sub(first) as usize);
        for number in 0..shown.max(sent.windows(place)) {
            let window = WindowSeq(first + number as u64);
            let bounds = Bounds::of(sent, place, number);
            rows.push(window_row(&room, stage.crowd.room(place).0, window, &bounds, fleet.get(&window.0).copied()));
        }
    }
    rows
}

fn window_row(room: &Room, id: u32, window: WindowSeq, bounds: &Bounds, fleet: Option<&WindowArrivals>) -> WindowRow {
    let seen = room.seen(window);
    let window_ms = room.window().unwrap_or_default().as_millis() as u64;
    let end_unix_ms = seen.map_or((window.0 + 1) * window_ms, |seen| seen.end_unix_ms);
    let first_us = |arrivals: &WindowArrivals| arrivals.first_at.unix_us.saturating_sub(end_unix_ms * 1000);
    let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
    WindowRow {
        room: id,
        window: window.0,
        end_unix_ms,
        taps_sent_min: bounds.least.iter().sum(),
        taps_sent_max: bounds.most.iter().sum(),
        taps_framed: seen.map(|seen| seen.total),
        top: seen.map_or_else(Vec::new, |seen| seen.top.clone()),
        emoji_sent_min: bounds.least.clone(),
        emoji_sent_max: bounds.most.clone(),
        disagreement: String::new(),
        conflicting: false,
        first_us: least(seen.and_then(|seen| seen.lateness_us_min), fleet.map(first_us)),
        p50_us: fleet.map(|arrivals| arrivals.lateness_us_p50),
        p99_us: fleet.map(|arrivals| arrivals.lateness_us_p99),
        last_us: fleet.map(|arrivals| arrivals.lateness_us_max).max(seen.and_then(|seen| seen.lateness_us_max)),
    }
}

fn subscribers(played: &Played, hall: &Hall) -> Subscribers {
    let received = hall.audit.received();
    let connections = hall.reacting() as u64 + watchers(played) + u64::from(hall.auditors.connections());
    let mut row = Subscribers {
        count: connections,
        lost_by_reason: hall.audit.lost(),
        frames_received: received.frames,
        frames_missing: received.missing,
        frames_twice: received.twice,
        frames_conflicting: received.conflicting,
        handshakes: hall.reacting() as u64 + u64::from(hall.auditors.connections()),
        ..Subscribers::default()
    };
    if let Some(Watched { totals, missing, .. }) = &played.watched {
        row.frames_received += totals.frames;
        row.frames_missing += missing;
        row.frames_twice += totals.duplicates;
        row.frames_conflicting += totals.conflicting;
        row.handshakes += totals.handshakes;
        row.socket_drops += totals.socket_drops;
        for (reason, count) in &totals.lost {
            *row.lost_by_reason.entry(reason.clone()).or_default() += count;
        }
    }
    if let Some(reason) = &played.watchers_lost {
        *row.lost_by_reason.entry(format!("all watchers: {reason}")).or_default() += hall.watcher_count as u64;
    }
    row.lost = row.lost_by_reason.values().sum();
    row
}

/// The most watchers that were there at once.
fn watchers(played: &Played) -> u64 {
    played.watched.as_ref().map_or(0, |watched| watched.subscribers_max)
}

fn acts(watched: &Watched) -> Vec<Act> {
    let acts = watched.acts.iter();
    acts.map(|act| Act {
        kind: act.kind,
        at_s: act.at_s,
        subscribers: act.subscribers as u64,
        back_after_ms: act.back_after.map(|after| after.as_millis() as u64),
    })
    .collect()
}

fn hostile(ledger: &HostileLedger) -> Hostile {
    Hostile {
        inputs: ledger.rejects.values().sum(),
        quic_packets: ledger.packets.values().sum(),
        unexpected: ledger.unexpected,
        unexpected_first: ledger.unexpected_first.clone(),
        failed: ledger.failed.values().sum(),
        unsent: ledger.unsent,
    }
}

fn latencies(played: &Played, hall: &Hall, sent: &Ledger) -> BTreeMap<String, Latency> {
    let (grid, is_alone) = (&played.stage.shape.grid, played.stage.part == Part::WHOLE && !played.visitors);
    // Of whole windows, or the window's length would be seen in it.
    let intervals = played.stage.shape.interval.as_micros().div_ceil(hall.window.as_micros().max(1));
    let mut delays_us = Recorder::new(hall.window * intervals as u32);
    let (mut lateness_us, mut spread_us) = (histogram(), histogram());
    for place in 0..played.stage.shape.rooms {
        let room = hall.audit.room(place);
        let own = |window: WindowSeq| sent.sent_in_window(place, (window.0 - grid.first_window().0) as usize);
        let shown = |window, seen: &Seen| if is_alone { seen.total } else { own(window) };
        tap_to_frame(&room, sent.curve(place), grid, shown, &mut delays_us);
    }
    let measures = hall.audit.measures();
    merge(&mut lateness_us, &measures.lateness_us);
    merge(&mut spread_us, &measures.spread_us);
    let (mut handshake_us, mut subscribe_us, mut staleness_us) = (histogram(), histogram(), histogram());
    if let Some(quic) = &hall.quic {
        merge(&mut handshake_us, quic.handshake_us());
    }
    if let Some(Watched { measures, .. }) = &played.watched {
        merge(&mut lateness_us, &measures.lateness_us);
        merge(&mut spread_us, &measures.spread_us);
        merge(&mut staleness_us, &measures.staleness_us);
        merge(&mut handshake_us, &measures.handshake_us);
        merge(&mut subscribe_us, &measures.subscribe_us);
    }
    let over_time = [("tap_to_frame", &delays_us), ("tap_to_202", &sent.confirmed_us), ("generator_lag", &sent.lag_us)];
    let in_all = [
        ("window_end_to_frame", lateness_us),
        ("frame_spread", spread_us),
        ("frame_staleness", staleness_us),
        ("handshake", handshake_us),
        ("subscribe", subscribe_us),
    ];
    let over_time = over_time.into_iter().map(|(name, recorder)| (name, Latency::over_time(recorder)));
    let in_all = in_all.iter().map(|(name, histogram)| (*name, Latency::of(histogram)));
    let measured = over_time.chain(in_all).filter(|(_, latency)| latency.all.count > 0);
    measured.map(|(name, latency)| (name.to_owned(), latency)).collect()
}

fn rates(scenario: &Scenario, sent: &Ledger) -> Rates {
    let moments = scenario.moments.iter().map(|moment| {
        let ends_s = moment.at_s + moment.rise_s + moment.hold_s + moment.decay_s;
        (moment.name.clone(), moment.at_s, ends_s.min(scenario.duration_s))
    });
    Rates {
        interval_s: sent.shape().interval.as_secs_f64(),
        planned: sent.planned_by_interval.clone(),
        sent: sent.sent_by_interval.clone(),
        moments: moments.collect(),
    }
}

fn server(played: &Played) -> Option<Server> {
    let (before, after) = (played.before.as_ref().ok()?, played.after.as_ref().ok()?);
    let on_purpose = played.hostile.as_ref().map_or_else(Vec::new, HostileLedger::refusals);
    let series = played.series.iter().flat_map(|series| &series.samples);
    let rss_bytes_max = series.filter_map(|sample| sample.reading.as_ref()?.rss_bytes).max();
    Some(Server::between(before.samples(), after.samples(), on_purpose, rss_bytes_max))
}

fn generator(played: &Played) -> Generator {
    Generator {
        cpu_s: played.cost.cpu().as_secs_f64(),
        udp_cpu_s: played.ledgers[Transport::Udp as usize].1.cpu.as_secs_f64(),
        udp_cpu_ns_per_datagram: None,
        rss_bytes_max: cost::rss_bytes_max(),
    }
}

fn environment(targets: &Targets) -> Environment {
    let at =
        [("reactions", targets.reactions), ("http", targets.http), ("quic", targets.quic), ("admin", targets.admin)];
    Environment {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: cost::kernel(),
        cpu: cost::cpu_name(),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        targets: at.into_iter().map(|(what, address)| (what.to_owned(), address.to_string())).collect(),
    }
}
