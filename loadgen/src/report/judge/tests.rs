//! Runs with one thing wrong each.

use super::*;
use crate::crowd::Part;
use crate::report::Hostile;
use crate::report::synthetic::Play;
use crate::scenario::ActKind;

fn passing() -> Report {
    Play::new(1).report(Part::WHOLE)
}

/// A passing run in which one thing is otherwise.
fn with(change: impl FnOnce(&mut Report)) -> Report {
    let mut report = passing();
    change(&mut report);
    report.judged()
}

fn only_finding(report: &Report) -> &str {
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    assert!(!report.passed);
    &report.findings[0]
}

fn row<'a>(report: &'a Report, name: &str) -> Option<&'a Threshold> {
    report.thresholds.iter().find(|row| row.name == name)
}

#[test]
fn a_run_that_adds_up_passes() {
    let report = passing();
    assert_eq!((report.verdict, report.passed), (Verdict::Passed, true), "{:?}", report.findings);
    assert!(report.thresholds.iter().all(|row| row.passed));
    assert_eq!((&report.notes[..], &report.losses[..]), (&[][..], &[][..]));
}

#[test]
fn an_interrupted_run_does_not_pass_and_is_judged_by_what_was_played() {
    let interrupted = Some(Interrupted { by: "SIGTERM".to_owned(), after_s: 1.25 });
    let report = with(|report| {
        report.interrupted = interrupted.clone();
        report.scenario.limits.people_acted_min = u32::MAX;
    });
    assert!(only_finding(&report).starts_with("interrupted by SIGTERM after 1.2 s of "), "{:?}", report.findings);
    assert_eq!(report.verdict, Verdict::Invalid);
    assert!(report.to_string().contains(", interrupted by SIGTERM after 1.2 s, "), "{report}");
    let mut play = Play::new(1);
    play.lose_before_fan_out(3);
    let lost = Report { interrupted, ..play.report(Part::WHOLE) }.judged();
    assert!(lost.findings.len() > 1 && lost.taps_lost > 0, "a loss is a loss: {:?}", lost.findings);
}

#[test]
fn a_limit_of_zero_is_no_limit_where_it_says_so() {
    let names =
        ["people_acted_min", "tap_to_frame_p99_ms_max", "http_p99_ms_max", "spread_p99_ms_max", "return_ms_max"];
    let set = passing();
    assert!(names.iter().all(|name| row(&set, name).is_some()));
    let unset = with(|report| {
        report.scenario.limits = Limits { lost_ppm_max: 0, windows_off_max: 0, ..Limits::default() };
    });
    assert!(names.iter().all(|name| row(&unset, name).is_none()));
    assert!(row(&unset, "lost_ppm_max").is_some() && row(&unset, "windows_off_max").is_some());
}

#[test]
fn a_late_generator_makes_a_run_invalid() {
    let late = with(|report| report.scenario.limits.lag_p99_ms_max = 0);
    assert_eq!(late.verdict, Verdict::Invalid);
    assert!(only_finding(&late).starts_with("the generator itself was late by "));
}

#[test]
fn a_late_way_in_is_not_hidden_by_a_busy_one() {
    let late = with(|report| {
        report.transports[1].lag_p99_us = 250_500;
        assert!(report.generator_lag_p99_us < 1000, "all ways together are in time");
    });
    assert_eq!(late.verdict, Verdict::Invalid);
    assert!(only_finding(&late).starts_with("the generator itself was late by http: p99 250.5 ms, 100 ms allowed"));
    assert_eq!(row(&late, "lag_p99_ms_max").unwrap().measured, Some(250.5));
}

#[test]
fn a_run_without_taps_does_not_pass() {
    let nothing = |report: &mut Report| {
        report.scenario.limits = Limits::default();
        report.server = None;
        for row in &mut report.transports {
            (row.taps_planned, row.taps_sent) = (0, 0);
        }
        report.rooms.clear();
        report.windows.clear();
    };
    let nothing = with(nothing);
    assert_eq!(nothing.verdict, Verdict::Invalid);
    assert!(only_finding(&nothing).starts_with("nothing was planned: "));
}

#[test]
fn too_few_taps_are_invalid_or_failed_by_who_is_to_blame() {
    let unsent = |report: &mut Report, count| {
        report.transports[0].taps_planned += count;
        report.transports[0].taps_unsent += count;
    };
    let invalid = with(|report| unsent(report, 500));
    assert_eq!(invalid.verdict, Verdict::Invalid);
    assert!(only_finding(&invalid).contains("500 taps by udp: not sent in time"), "{:?}", invalid.findings);
    let failed = with(|report| {
        report.transports[1].taps_planned += 500;
        report.transports[1].taps_refused = [("http 503".to_owned(), 500)].into();
    });
    assert_eq!(failed.verdict, Verdict::Failed);
    assert!(only_finding(&failed).contains("the server refused 500 taps by http as http 503"), "{:?}", failed.findings);
    let few = with(|report| {
        report.scenario.limits.achieved_ratio_min = 0.5;
        unsent(report, 3);
    });
    assert!(few.passed && few.notes[0].contains("3 of"), "{:?}", few.notes);
}

#[test]
fn a_loss_is_located_and_may_be_allowed() {
    let mut play = Play::new(1);
    play.lose_before_server("udp", 5);
    let lost = play.report(Part::WHOLE);
    assert_eq!(lost.verdict, Verdict::Failed);
    let finding = &lost.findings[0];
    assert!(finding.starts_with("5 of ") && finding.contains("5 taps by udp were sent and not counted"), "{finding}");
    assert!(finding.contains("the kernel dropped 5 datagrams") && finding.ends_with("or more cores"), "{finding}");
    let mut allowed = lost;
    allowed.scenario.limits.lost_ppm_max = 1_000_000;
    allowed.scenario.limits.windows_off_max = 1000;
    let allowed = allowed.judged();
    assert!(allowed.passed && allowed.notes[0].starts_with("5 of "), "{:?} {:?}", allowed.findings, allowed.notes);
}

#[test]
fn a_surplus_fails_unless_it_may_be_other_parts() {
    let surplus = |part: &str| {
        let mut report = Play::new(1).report(part.parse().unwrap());
        let window = &mut report.windows[0];
        window.taps_framed = window.taps_framed.map(|taps| taps + 10_000);
        window.top[0].1 += 10_000;
        report.server = None;
        report.judged()
    };
    let whole = surplus("1/1");
    assert!(whole.findings[0].starts_with("10,000 taps more are in the frames"), "{:?}", whole.findings);
    assert!(whole.findings[1].contains("at most"), "{:?}", whole.findings);
    let part = surplus("1/2");
    assert!(part.passed, "{:?}", part.findings);
    assert!(part.notes[0].starts_with("only the parts 1/2"));
}

#[test]
fn a_part_is_judged_from_below() {
    let mut report = Play::new(1).report("1/2".parse().unwrap());
    let window = report.windows.iter_mut().find(|window| window.taps_sent_min > 0).unwrap();
    window.taps_framed = Some(window.taps_sent_min - 1);
    window.top = Vec::new();
    let report = report.judged();
    assert!(report.findings.iter().any(|finding| finding.contains("windows differ")), "{:?}", report.findings);
    assert!(row(&report, "people_acted_min").is_none());
}

#[test]
fn counters_and_frames_must_agree() {
    let udp = "uproar_reactions_total{proto=\"udp\"}";
    let shifted = |by: f64| {
        with(|report| {
            let server = report.server.as_mut().unwrap();
            *server.after.get_mut(udp).unwrap() += by;
        })
    };
    assert!(only_finding(&shifted(2.0)).contains("counted 2 taps more by udp"));
    assert!(only_finding(&shifted(-2.0)).contains("2 fewer by udp"));
}

#[test]
fn a_server_that_no_longer_answers_is_a_finding_and_one_that_never_did_a_note() {
    let unread = |lost: bool, error: Option<&str>, admin: Option<&str>| {
        with(|report| {
            (report.server, report.server_lost) = (None, lost);
            report.server_error = error.map(str::to_owned);
            report.environment.targets.extend(admin.map(|admin| ("admin".to_owned(), admin.to_owned())));
        })
    };
    let note = |report: &Report| {
        assert!(report.passed, "{:?}", report.findings);
        report.notes.join("\n")
    };
    assert!(note(&unread(false, None, None)).ends_with("were not read; give its admin address with --admin"));
    let given = note(&unread(false, None, Some("127.0.0.1:7003")));
    assert!(given.contains("at 127.0.0.1:7003") && !given.contains("give its"), "{given}");
    let failed = note(&unread(false, Some("status 404"), Some("127.0.0.1:7003")));
    assert_eq!(failed, "the server's metrics were not read: status 404");
    let lost = unread(true, None, Some("127.0.0.1:7003"));
    assert_eq!((lost.verdict, lost.notes.len()), (Verdict::Failed, 0));
    assert!(only_finding(&lost).contains("before the match and not after it: nobody serves them at 127.0.0.1:7003"));
    assert!(with(|report| report.server_lost = true).passed, "another machine has read them");
}

#[test]
fn a_loss_without_metrics_says_what_would_locate_it() {
    let mut play = Play::new(1);
    play.lose_before_server("udp", 5);
    let mut report = play.report(Part::WHOLE);
    (report.server, report.server_error) = (None, Some("status 404".into()));
    let finding = &report.judged().findings[0];
    assert!(finding.ends_with("would say where, and were not read: status 404"), "{finding}");
}

#[test]
fn input_that_is_in_order_must_not_be_refused() {
    let mut play = Play::new(1);
    play.reject("quic", "unknown_room", 4);
    let report = play.report(Part::WHOLE);
    assert_eq!(only_finding(&report), "the server refused 4 inputs by quic as unknown_room that were in order");
    assert!(play.report("1/2".parse().unwrap()).passed, "others may have sent it on purpose");
}

#[test]
fn input_that_is_to_be_refused_must_be_unless_the_kernel_dropped_it() {
    let accepted = |way: &str, drops: u64| {
        with(|report| {
            let server = report.server.as_mut().unwrap();
            server.rejected_on_purpose.push((way.into(), "bad_json".into(), 2));
            server.socket_drops =
                [("reactions".to_owned(), drops)].into_iter().filter(|(_, drops)| *drops > 0).collect();
        })
    };
    assert_eq!(only_finding(&accepted("http", 0)), "2 of 2 inputs by http that are bad_json were not refused as such");
    assert!(only_finding(&accepted("http", 1)).starts_with("2 of 2 inputs by http"), "drops are of datagrams");
    assert!(only_finding(&accepted("udp", 0)).starts_with("2 of 2 inputs by udp"));
    let dropped = accepted("udp", 1);
    assert!(dropped.passed && dropped.notes[0].contains("which may be these"), "{:?}", dropped.notes);
}

#[test]
fn a_malformed_request_that_is_answered_otherwise_is_a_finding() {
    let hostile = with(|report| {
        let unexpected_first = vec!["400 instead of 404".to_owned()];
        report.hostile = Some(Hostile { inputs: 10, unexpected: 1, unexpected_first, ..Hostile::default() });
    });
    assert_eq!(only_finding(&hostile), "1 malformed requests were answered otherwise: 400 instead of 404");
}

#[test]
fn subscribers_must_get_each_frame_once() {
    let missing = with(|report| {
        report.subscribers.frames_missing = 5000;
        report.subscribers.socket_drops = 3;
        report.server.as_mut().unwrap().frames_skipped = [("busy".to_owned(), 4)].into();
    });
    let finding = only_finding(&missing);
    assert!(finding.contains("skipped 4 as busy") && finding.contains("own kernel dropped 3"), "{finding}");
    let twice = with(|report| (report.subscribers.frames_twice, report.subscribers.frames_conflicting) = (1, 2));
    assert_eq!(twice.findings.len(), 2);
    let lost = with(|report| {
        report.subscribers.lost = 2;
        report.subscribers.lost_by_reason = [("timed out".to_owned(), 2)].into();
    });
    assert_eq!(only_finding(&lost), "2 subscribers lost their connection (2: timed out)");
}

#[test]
fn latencies_have_limits() {
    for (name, set) in [
        ("tap_to_frame_p99_ms_max", (|limits| limits.tap_to_frame_p99_ms_max = 1) as fn(&mut Limits)),
        ("http_p99_ms_max", |limits| limits.http_p99_ms_max = 1),
        ("spread_p99_ms_max", |limits| limits.spread_p99_ms_max = 1),
        ("return_ms_max", |limits| limits.return_ms_max = 1),
    ] {
        let slow = with(|report| set(&mut report.scenario.limits));
        assert_eq!(slow.verdict, Verdict::Failed, "{name}");
        assert!(only_finding(&slow).contains("1 ms allowed"), "{name}");
        assert!(!row(&slow, name).unwrap().passed);
    }
    let unmeasured = with(|report| drop(report.latency.remove("tap_to_frame")));
    assert!(only_finding(&unmeasured).contains("nothing could be measured"));
    assert!(
        with(|report| {
            report.subscribers.count = 1;
            report.latency.remove("frame_spread");
        })
        .passed
    );
}

#[test]
fn who_does_not_come_back_is_missed_even_without_a_limit() {
    let gone = with(|report| {
        report.scenario.limits.return_ms_max = 0;
        report.acts[0].back_after_ms = None;
    });
    assert!(only_finding(&gone).starts_with("not all of 20 subscribers were back after reconnect at 1 s"));
    let left = with(|report| (report.acts[0].kind, report.acts[0].back_after_ms) = (ActKind::Leave, None));
    assert!(left.passed, "{:?}", left.findings);
}

#[test]
fn emoji_must_be_those_that_were_sent() {
    let swapped = with(|report| {
        let window = report.windows.iter_mut().find(|window| window.top.len() > 1).unwrap();
        window.top[0].1 += 1;
        window.top[1].1 -= 1;
    });
    assert!(swapped.findings[0].contains("in its frames as another emoji"), "{:?}", swapped.findings);
}

#[test]
fn what_could_not_be_checked_is_noted() {
    let hidden = with(|report| report.rooms[1].shows_all_emoji = false);
    assert!(hidden.passed && hidden.notes.len() == 1, "{:?}", hidden.notes);
    assert!(hidden.notes[0].starts_with("1 of 2 rooms were not compared emoji by emoji"), "{:?}", hidden.notes);
    let bordered = |border_ms| with(|report| report.scenario.limits.border_ms = border_ms).notes;
    assert_eq!(bordered(499), [""; 0]);
    let wide = bordered(500);
    assert!(wide.len() == 1 && wide[0].contains("border_ms is 500, and of a window of 1000 ms"), "{wide:?}");
    let unknown = with(|report| {
        report.scenario.limits.border_ms = 500;
        report.windows.iter_mut().for_each(|window| window.end_unix_ms = 0);
    });
    assert_eq!(unknown.notes, [""; 0]);
}
