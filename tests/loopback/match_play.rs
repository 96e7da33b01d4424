//! Whole matches of the load generator against a real server, as its command line plays them: people by all three ways in,
//! an audience that comes and goes, and an account that must be exact.

use crate::support::{DEADLINE, Server, http};
use std::time::{Duration, UNIX_EPOCH};
use uproar_client::Trust;
use uproar_loadgen::crowd::{Crowd, Part};
use uproar_loadgen::interrupt::Interrupt;
use uproar_loadgen::live::Live;
use uproar_loadgen::plan;
use uproar_loadgen::play::{self, Options, RunError, Targets};
use uproar_loadgen::report::{Report, Verdict, merge};
use uproar_loadgen::scenario::Scenario;

/// Some seconds of everything, in windows of half a second. What a busy machine does to times and to the borders of windows is
/// no finding.
const MATCH: &str = "name = 'small'\nduration_s = 4\npeople = 20000\nsections = 20\nreactions_per_second = 4000\ntaps_max = 3\n\
    moment = [{ name = 'a six', at_s = 1, times = 5, emoji = 2 }]\n\
    [udp]\nshare = 8\nrecords_per_datagram = 8\n[http]\nshare = 1\n[quic]\nshare = 1\n\
    [limits]\nborder_ms = 250\nlag_p99_ms_max = 60000\nframes_missing_ppm_max = 1000000\n";
const WATCHED: &str = "[subscribers]\ncount = 40\npresent = 0.5\nact = [\n\
    { at_s = 0.2, kind = 'join', share = 1 },\n\
    { at_s = 1, kind = 'reconnect', share = 0.2 },\n]\n";

fn targets(server: &Server) -> Targets {
    Targets {
        reactions: server.reactions(),
        http: server.http(),
        admin: server.admin(),
        quic: server.quic(),
        server_name: "localhost".to_owned(),
        trust: Trust::DangerAnyCertificate,
    }
}

fn play(server: &Server, text: &str, part: Part, start_unix_ms: Option<u64>) -> Result<Report, RunError> {
    let mut live = Live::in_lines(Box::new(std::io::sink()));
    let (scenario, targets) = (Scenario::parse(text).unwrap(), targets(server));
    let options = Options { part, start_unix_ms, visitors: false, interrupt: Interrupt::default() };
    let runtime = play::runtime().unwrap();
    runtime.block_on(play::play(scenario, &targets, &options, &mut live, None))
}

/// That nothing was lost or made up; how fast it was is not a test's to judge.
fn assert_exact(report: &Report, planned: u64) {
    assert_eq!((report.taps_planned, report.taps_sent), (planned, planned), "{report}");
    assert_eq!((report.taps_framed, report.taps_lost), (planned, 0), "{report}");
    let counted = report.transports.iter().map(|way| way.taps_counted.unwrap()).sum::<u64>();
    assert_eq!((counted, report.transports.len()), (planned, 3), "{report}");
    for room in &report.rooms {
        assert!(room.shows_all_emoji);
        assert!(room.emoji.iter().all(|emoji| emoji.taps_sent == emoji.taps_framed), "{room:?}");
    }
    let subscribers = &report.subscribers;
    assert_eq!((subscribers.frames_twice, subscribers.frames_conflicting, subscribers.lost), (0, 0, 0), "{report}");
}

#[test]
fn a_match_is_accounted_for_and_its_audience_comes_and_goes() {
    let server = Server::start(&["--shards", "2", "--window", "500ms"]);
    let text = format!("{MATCH}{WATCHED}");
    let report = play(&server, &text, Part::WHOLE, None).unwrap();
    let planned = plan::sums(&Crowd::new(Scenario::parse(&text).unwrap()), Part::WHOLE);
    assert_exact(&report, planned.taps);
    assert_eq!((report.people, report.people_acted), (20_000, planned.people_acted));
    assert_eq!((report.real.udp_sockets, report.real.http_connections, report.real.quic_reacting), (8, 8, 8));
    assert_eq!(report.real.quic_connections, 8 + 40 + 1);
    let acts: Vec<(&str, u64)> = report.acts.iter().map(|act| (act.kind.label(), act.subscribers)).collect();
    assert_eq!(acts, [("join", 40), ("reconnect", 8)]);
    assert!(report.acts.iter().all(|act| act.back_after_ms.is_some()), "{report}");
    for measure in
        ["tap_to_frame", "tap_to_202", "window_end_to_frame", "frame_staleness", "handshake", "generator_lag"]
    {
        assert!(report.latency[measure].all.count > 0, "{measure}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    report.write(file.path()).unwrap();
    assert_eq!(Report::load(file.path()).unwrap(), report, "what is written can be read");
}

/// Two parts of the match that start together after `lead`; an error if that was too soon for one of them.
#[allow(clippy::disallowed_methods, reason = "machines agree on a time by the wall clock")]
fn play_two_parts(server: &Server, lead: Duration) -> Result<[Report; 2], RunError> {
    let start = Some((UNIX_EPOCH.elapsed().unwrap() + lead).as_millis() as u64);
    let [one, other] = std::thread::scope(|scope| {
        let part = |number| scope.spawn(move || play(server, MATCH, Part { number, of: 2 }, start));
        [1, 2].map(part).map(|part| part.join().unwrap())
    });
    Ok([one?, other?])
}

#[test]
fn two_machines_play_one_match() {
    let mut lead = Duration::from_secs(4);
    let (_server, reports) = loop {
        // A new one each time: taps of a part that played alone are in no other match.
        let server = Server::start(&["--shards", "2", "--window", "500ms"]);
        match play_two_parts(&server, lead) {
            Err(RunError::TooLate { .. }) if lead < DEADLINE => lead *= 2,
            reports => break (server, reports.unwrap()),
        }
    };
    let planned = plan::sums(&Crowd::new(Scenario::parse(MATCH).unwrap()), Part::WHOLE);
    for report in &reports {
        assert!(report.taps_sent < planned.taps && report.taps_lost == 0, "{report}");
        assert_ne!(report.verdict, Verdict::Failed, "others' taps are no finding: {report}");
    }
    let merged = merge::merge(&reports).unwrap();
    assert_exact(&merged, planned.taps);
    assert_eq!((merged.people, merged.people_acted), (20_000, planned.people_acted));
    assert_eq!((merged.parts.len(), merged.real.machines), (2, 2));
}

#[test]
fn rooms_that_are_missing_are_made_and_deleted() {
    let server = Server::start(&["--shards", "2", "--window", "200ms"]);
    let text = format!("{MATCH}[rooms]\nfirst = 1\ncount = 5\ncreate = true\n");
    let report = play(&server, &text, Part::WHOLE, None).unwrap();
    assert_eq!((report.rooms.len(), report.taps_lost), (5, 0), "{report}");
    assert_eq!(report.taps_framed, report.taps_sent);
    let rooms = server.ask_admin(&http::get("/v1/rooms")).json();
    let ids: Vec<_> = rooms.as_array().unwrap().iter().map(|room| room["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1], "the one that was there is there");
}
