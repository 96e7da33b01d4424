//! The first thing a stranger runs: a real appliance, a short match against it by UDP and QUIC, its frames live, and at the
//! end the proof that what was tapped is what was shown. Whoever opens the appliance's page meanwhile sees the match and
//! taps in it, by HTTP or WebTransport; the proof has a line for them.
//!
//! Invariant: no way in has taps of the crowd and of visitors, so each counter of the appliance is of one of them. Those of the
//! crowd must be what it sent, and a witness who is there from before the first tap to the appliance's end must see
//! exactly what was counted by all ways.
//!
//! Deliberately not here: certificates. The appliance makes one for itself and this end believes any, which is right on
//! loopback and nowhere else.

use crate::appliance::{Appliance, ApplianceError};
use crate::crowd::Part;
use crate::interrupt::Interrupt;
use crate::live::Live;
use crate::play::house::usable_emoji;
use crate::play::{self, Options, RunError, Targets};
use crate::report::{Quantiles, Report};
use crate::scenario::{Limits, Moment, Quic, Scenario, Sources, Subscribers, Udp};
use crate::table::grouped;
use crate::view::{RoomView, Screen};
use crate::witness::Witness;
use tokio::sync::mpsc;
use uproar::edge::output::{self, Unwritten};
use uproar_client::{RoomEvent, Trust};
use uproar_wire::RoomId;
use uproar_wire::frame::Palette;
use uproar_wire::label::is_same;

/// The room every appliance has unless it is configured otherwise.
const ROOM: RoomId = RoomId(1);
/// Length of the demo's windows, short enough for people to see something happen.
const WINDOW: &str = "1s";
/// People who only watch.
const WATCHING: u32 = 100;
/// How late the generator may be; from 5 s on it gives taps up, which is a finding of its own.
const LAG_MS_MAX: u32 = 5000;
/// How far from its window's border a tap belongs to that window for sure, whatever else the machine does: this leaves the
/// middle of each window to be checked.
const BORDER_MS: u32 = 400;
/// A server that gets no time for longer than a window skips a frame, which the next one replaces: of a million.
const MISSING_PPM_MAX: u32 = 200_000;
/// Events that may wait for the terminal.
const LIVE_EVENTS: usize = 64;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its text")]
pub enum DemoError {
    #[error(transparent)]
    Appliance(#[from] ApplianceError),
    #[error("{0}")]
    Witness(String),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
}

/// Plays the demo and shows its report. When `interrupt` is raised, what was played until then is checked and shown.
pub fn run(seconds: u32, taps_per_second: u32, shards: u32, interrupt: &Interrupt) -> Result<Report, DemoError> {
    let runtime = play::runtime().map_err(RunError::Io)?;
    let played = runtime.block_on(async {
        let plural = if shards == 1 { "" } else { "s" };
        output::print(&format_args!("starting an appliance of {shards} shard{plural} on loopback\n"))?;
        let appliance = tokio::select! {
            started = Appliance::start(shards, WINDOW) => started?,
            () = interrupt.wait() => return Err(RunError::Interrupted.into()),
        };
        let played = play_against(&appliance, seconds, taps_per_second, interrupt).await;
        // In every case the child is ended in order; only then is there something to say.
        let stopped = appliance.stop().await;
        let (report, witness) = played?;
        let drained = stopped?;
        let seen = witness.finish().await.map_err(DemoError::Witness)?;
        let report = report.concluded(drained.taps, drained.framed, seen);
        output::print(&format_args!("\n{report}\n{}\n", verdict(&report, drained.taps, seen)))?;
        Ok(report)
    });
    // Threads that still send are not waited for.
    runtime.shutdown_background();
    played
}

async fn play_against(
    appliance: &Appliance,
    seconds: u32,
    taps_per_second: u32,
    interrupt: &Interrupt,
) -> Result<(Report, Witness), DemoError> {
    let targets = targets(appliance);
    // Before anybody is invited, or their first taps would be missed.
    let witness = Witness::start(&targets, ROOM).await.map_err(DemoError::Witness)?;
    output::print(&format_args!("\n{}\n\n", invitation(&targets)))?;
    let report = play_match(seconds, taps_per_second, &targets, &witness.palette, interrupt).await?;
    Ok((report, witness))
}

fn targets(appliance: &Appliance) -> Targets {
    let at = appliance.listening;
    Targets {
        reactions: at.reactions,
        http: at.http,
        admin: at.admin,
        quic: at.quic,
        server_name: "localhost".into(),
        trust: Trust::DangerAnyCertificate,
    }
}

/// Where a browser finds the match; early and apart, as it is over soon.
fn invitation(targets: &Targets) -> String {
    format!("watch and tap:  http://{}/?room={ROOM}\nlook inside:    http://{}/", targets.http, targets.admin)
}

async fn play_match(
    seconds: u32,
    taps_per_second: u32,
    targets: &Targets,
    palette: &Palette,
    interrupt: &Interrupt,
) -> Result<Report, DemoError> {
    let scenario = scenario(seconds, taps_per_second, palette);
    output::print(&format_args!(
        "{}: {} people, {} taps/s over UDP and QUIC, {} s; {}\n\n",
        palette.name,
        grouped(scenario.people.into()),
        grouped(taps_per_second.into()),
        seconds,
        scenario.moments.iter().map(|m| format!("{} at {:.0} s", m.name, m.at_s)).collect::<Vec<_>>().join(", ")
    ))?;
    let (told, events) = mpsc::channel(LIVE_EVENTS);
    let showing = tokio::spawn(show(events));
    // The frames are what is to be seen here.
    let mut live = Live::in_lines(Box::new(std::io::sink()));
    let options = Options { part: Part::WHOLE, start_unix_ms: None, visitors: true, interrupt: interrupt.clone() };
    let report = play::play(scenario, targets, &options, &mut live, Some(told)).await;
    showing.abort();
    Ok(report?)
}

async fn show(mut events: mpsc::Receiver<RoomEvent>) {
    let (mut view, mut screen) = (RoomView::for_terminal(), Screen::stdout());
    while let Some(event) = events.recv().await {
        // Without anywhere to show it, the match is still played and checked.
        if view.handle_event(event) && screen.show(&view).is_err() {
            return;
        }
    }
}

/// A short match: quiet stretches, and moments that everybody reacts to. Most taps come packed by UDP gateways, some
/// over QUIC from phones; HTTP is for visitors.
fn scenario(seconds: u32, taps_per_second: u32, palette: &Palette) -> Scenario {
    let length_s = f64::from(seconds);
    let emoji = usable_emoji(palette) as u16;
    let moment = |name: &str, begins: f64, lasts: f64, times: f64, words: &[&str], otherwise: u16| {
        let known = palette
            .emoji
            .iter()
            .take(emoji.into())
            .position(|emoji| words.iter().any(|word| is_same(word, &emoji.name)));
        Moment {
            name: name.into(),
            at_s: begins * length_s,
            times,
            rise_s: 0.2,
            hold_s: lasts * length_s,
            decay_s: 0.1 * lasts * length_s,
            emoji: Some(known.map_or(otherwise % emoji.max(1), |place| place as u16)),
            share: 0.8,
        }
    };
    Scenario {
        name: "demo".to_owned(),
        seed: 11,
        duration_s: length_s,
        people: 1_000_000,
        emoji: emoji.max(1),
        reactions_per_second: taps_per_second.into(),
        udp: Some(Udp {
            share: 0.9,
            sockets: 4,
            from: Sources::Loopback(4),
            records_per_datagram: 32,
            ..Udp::default()
        }),
        quic: Some(Quic { share: 0.10, connections: 16, records_per_datagram: 8, ..Quic::default() }),
        subscribers: Subscribers { count: WATCHING, ..Subscribers::default() },
        moments: vec![
            moment("kick-off", 0.05, 0.10, 2.0, &["clap", "party"], 0),
            moment("a six", 0.35, 0.10, 4.0, &["six", "fire"], 1),
            moment("a wicket", 0.60, 0.08, 3.0, &["wicket", "wow"], 2),
            moment("the final", 0.85, 0.15, 5.0, &["trophy", "heart"], 3),
        ],
        limits: limits(),
        ..Scenario::default()
    }
}

/// Wide limits for everything that depends on time. The demo shows that no tap is lost; it measures nothing, and it often runs
/// beside a compiler, where taps are sent late and fall on the other side of a window's border.
fn limits() -> Limits {
    Limits {
        lag_p99_ms_max: LAG_MS_MAX,
        border_ms: BORDER_MS,
        frames_missing_ppm_max: MISSING_PPM_MAX,
        ..Limits::default()
    }
}

/// The account in one line: `counted` is the appliance's last word, `seen` what the witness saw.
fn verdict(report: &Report, counted: u64, seen: u64) -> String {
    let by: Vec<String> = report
        .transports
        .iter()
        .filter(|t| t.taps_planned > 0)
        .map(|t| format!("{} {}", t.transport.label(), grouped(t.taps_sent)))
        .collect();
    let delay = |of: fn(&Quantiles) -> u64| {
        report.latency.get("tap_to_frame").map_or(0.0, |latency| of(&latency.all) as f64 / 1000.0)
    };
    let visitors = counted.saturating_sub(report.taps_sent);
    let equal = if report.taps_sent + visitors == seen { "=" } else { "is not" };
    format!(
        "taps of visitors: {}\n\
         taps sent ({}) and those of visitors {equal} taps in frames: {} + {} {equal} {}; \
         tap to frame p50 {:.0} ms, p99 {:.0} ms",
        grouped(visitors),
        by.join(" + "),
        grouped(report.taps_sent),
        grouped(visitors),
        grouped(seen),
        delay(|delay| delay.p50_us),
        delay(|delay| delay.p99_us)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic::Play;
    use uproar_wire::frame::PaletteEntry;

    fn palette(names: &[&str]) -> Palette {
        let emoji = names.iter().map(|name| PaletteEntry { name: (*name).into(), glyph: (*name).into() }).collect();
        Palette { room: 1, name: "Demo".into(), emoji }
    }

    #[test]
    fn the_match_fits_any_palette_and_is_a_valid_scenario() {
        for names in [&["heart"][..], &["clap", "heart", "fire", "wow", "trophy"][..]] {
            for seconds in [5, 20, 3600] {
                let scenario = scenario(seconds, 20_000, &palette(names));
                let text = toml::to_string(&scenario).unwrap();
                Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            }
        }
    }

    #[test]
    fn visitors_have_a_line_and_are_in_the_sum() {
        let report = Play::new(1).report(Part::WHOLE);
        let say = |counted, seen| verdict(&report, counted, seen);
        assert!(say(4000, 4000).starts_with("taps of visitors: 0\n"));
        let some = say(4012, 4012);
        assert!(some.starts_with("taps of visitors: 12\n") && some.contains(": 4,000 + 12 = 4,012; "), "{some}");
        assert!(say(4012, 4011).contains(" is not taps in frames: 4,000 + 12 is not 4,011; "));
        assert!(say(3999, 3999).contains(": 4,000 + 0 is not 3,999; "));
    }

    #[test]
    fn the_page_is_where_the_room_is() {
        let at = |port| ([127, 0, 0, 1], port).into();
        let targets = Targets {
            reactions: at(1),
            http: at(8080),
            admin: at(9100),
            quic: at(2),
            server_name: "localhost".into(),
            trust: Trust::DangerAnyCertificate,
        };
        let invitation = invitation(&targets);
        assert!(invitation.contains("http://127.0.0.1:8080/?room=1") && invitation.contains("http://127.0.0.1:9100/"));
    }

    #[test]
    fn moments_choose_their_emoji_by_name() {
        let scenario = scenario(20, 20_000, &palette(&["clap", "trophy", "fire"]));
        let chosen: Vec<_> = scenario.moments.iter().map(|moment| moment.emoji.unwrap()).collect();
        assert_eq!(chosen, [0, 2, 2, 1]);
    }
}
