//! Parts of matches that never happened.

use super::*;
use crate::report::Verdict;
use crate::report::synthetic::Play;
use crate::scenario::ActKind;
use crate::scenario::{Scenario, Sources};
use proptest::prelude::*;

fn parts(play: &Play, of: u32) -> Vec<Report> {
    (1..=of).map(|number| play.report(Part { number, of })).collect()
}

fn refused(reports: &[Report]) -> String {
    merge(reports).unwrap_err().to_string()
}

#[test]
fn ten_parts_are_the_whole() {
    let mut play = Play::new(7);
    play.lose_before_server("udp", 3);
    play.reject("http", "bad_json", 2);
    let (merged, whole) = (merge(&parts(&play, 10)).unwrap(), play.report(Part::WHOLE));
    assert!(merged.is_whole());
    assert_eq!(merged.parts[9], "10/10");
    assert_eq!((merged.verdict, &merged.findings), (Verdict::Failed, &whole.findings));
    assert_eq!(merged.losses, whole.losses);
    let taps = |report: &Report| {
        let sums = (report.taps_planned, report.taps_sent, report.taps_framed, report.taps_lost);
        (sums, report.people, report.people_acted, report.achieved_ratio, report.generator_lag_p99_us)
    };
    assert_eq!(taps(&merged), taps(&whole));
    assert_eq!((&merged.rooms, &merged.windows), (&whole.rooms, &whole.windows));
    for measure in ["tap_to_frame", "tap_to_202", "generator_lag"] {
        assert_eq!(merged.latency[measure], whole.latency[measure], "{measure}");
    }
    let counts = |row: &TransportRow| (row.taps_sent, row.taps_counted, row.batches);
    assert!(merged.transports.iter().map(counts).eq(whole.transports.iter().map(counts)));
    assert_eq!(merged.server, whole.server);
    assert_eq!(merged.rates, whole.rates);
    assert_eq!((merged.real.machines, merged.real.udp_sockets), (10, 80));
    assert_eq!(merged.environment.cores, 20);
    assert_eq!(merged.environment.cpu, whole.environment.cpu);
}

#[test]
fn a_match_that_was_all_right_passes_when_its_parts_are_together() {
    let parts = parts(&Play::new(7), 3);
    let some = merge(&parts[..2]).unwrap();
    assert!(some.notes[0].starts_with("only the parts 1/3, 2/3"), "{:?}", some.notes);
    let all = merge(&[parts[2].clone(), some]).unwrap();
    assert!(all.passed, "{:?}", all.findings);
    assert_eq!(all.parts, ["1/3", "2/3", "3/3"]);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let (play, of) = (Play::new(7), |text: &str| Play::new(7).report(text.parse().unwrap()));
    assert!(refused(&[]).contains("at least one"));
    assert!(refused(&[of("1/2"), of("1/2")]).contains("part 1/2 is there more than once"));
    assert!(refused(&[of("1/2"), of("2/3")]).contains("1/2 and 2/3"));
    assert!(refused(&[of("1/1"), of("1/2")]).contains("different divisions"));
    let overlapping = merge(&parts(&play, 4)[..2]).unwrap();
    assert!(refused(&[overlapping, of("2/4")]).contains("part 2/4"));
    let mut other = of("2/2");
    other.scenario.seed += 1;
    other.scenario.limits.lost_ppm_max = 5;
    let error = refused(&[of("1/2"), other]);
    assert!(error.contains("seed") && error.contains("limits") && !error.contains("people"), "{error}");
    let late = Report { start_unix_ms: of("2/2").start_unix_ms + 3_600_000, ..of("2/2") };
    assert!(refused(&[of("1/2"), late]).contains("3600000 ms apart"));
    let mut damaged = of("2/2");
    damaged.latency.get_mut("tap_to_frame").unwrap().histogram = "?".into();
    damaged.latency.get_mut("tap_to_frame").unwrap().interval_s = 0.0;
    assert!(refused(&[of("1/2"), damaged]).contains("tap_to_frame"));
    let nameless = Report { parts: vec!["all".into()], ..of("2/2") };
    assert!(refused(&[nameless]).contains("\"all\""));
}

#[test]
fn machines_may_differ_in_what_is_theirs() {
    let of = |text: &str| Play::new(7).report(text.parse().unwrap());
    let own = |change: fn(&mut Scenario)| {
        let mut other = of("2/2");
        change(&mut other.scenario);
        [other, of("1/2")]
    };
    let listed = || Sources::Listed(vec!["192.0.2.1".parse().unwrap()]);
    let allowed: [fn(&mut Scenario); 5] = [
        |scenario| {
            let udp = scenario.udp.as_mut().unwrap();
            (udp.sockets, udp.threads, udp.trains, udp.from) = (99, 3, true, Sources::Loopback(9));
        },
        |scenario| {
            let http = scenario.http.as_mut().unwrap();
            (http.connections, http.from) = (99, Sources::Loopback(9));
        },
        |scenario| {
            let quic = scenario.quic.as_mut().unwrap();
            (quic.connections, quic.endpoints, quic.from) = (99, 9, Sources::Loopback(9));
        },
        |scenario| scenario.hostile.as_mut().unwrap().from = Sources::Loopback(9),
        |scenario| scenario.subscribers.connecting_max = 9,
    ];
    for change in allowed {
        let [other, first] = own(change);
        assert_ne!(other.scenario, first.scenario);
        let one_way = merge(&[other.clone(), first.clone()]).unwrap();
        assert_eq!((&one_way, one_way.passed), (&merge(&[first.clone(), other]).unwrap(), true));
        assert_eq!(one_way.scenario, first.scenario, "the first part's");
    }
    let [mut other, first] = own(|scenario| scenario.udp.as_mut().unwrap().share = 2.0);
    assert!(refused(&[other.clone(), first.clone()]).contains("differ in udp"));
    other.scenario.udp = None;
    assert!(refused(&[other.clone(), first.clone()]).contains("differ in udp"));
    other.scenario = first.scenario.clone();
    other.scenario.hostile.as_mut().unwrap().from = listed();
    assert!(merge(&[first, other]).is_ok());
}

#[test]
fn parts_start_within_one_window() {
    let late = |ms: u64, windows: bool| {
        let mut parts = parts(&Play::new(7), 2);
        parts[1].start_unix_ms += ms;
        if !windows {
            parts.iter_mut().for_each(|part| part.windows.clear());
        }
        merge(&parts)
    };
    assert!(late(1000, true).is_ok() && late(1000, false).is_ok());
    for windows in [true, false] {
        let error = late(1001, windows).unwrap_err().to_string();
        assert!(error.contains("1001 ms apart") && error.ends_with("--start-at"), "{error}");
    }
    let mut short = parts(&Play::new(7), 2);
    short.iter_mut().flat_map(|part| &mut part.windows).for_each(|row| row.end_unix_ms = 100 * row.window);
    short[1].start_unix_ms += 101;
    assert!(refused(&short).contains("within 100 ms"));
}

#[test]
fn machines_that_saw_different_frames_disagree() {
    let mut parts = parts(&Play::new(7), 3);
    let window = &mut parts[1].windows[4];
    window.taps_framed = window.taps_framed.map(|taps| taps + 1);
    let merged = merge(&parts).unwrap();
    assert!(merged.windows[4].conflicting);
    assert_eq!(merged.windows.iter().filter(|window| window.conflicting).count(), 1);
    assert_eq!(merged.verdict, Verdict::Failed);
    // Who saw no frame at all does not disagree with anybody.
    let mut silent = parts[2].clone();
    silent.windows.iter_mut().for_each(|window| (window.taps_framed, window.top) = (None, Vec::new()));
    let merged = merge(&[parts[0].clone(), silent]).unwrap();
    assert!(merged.windows.iter().all(|window| !window.conflicting && window.taps_framed.is_some()));
}

#[test]
fn a_server_is_lost_when_no_machine_saw_it_to_the_end() {
    let mut parts = parts(&Play::new(7), 2);
    (parts[0].server, parts[0].server_lost, parts[0].server_error) = (None, true, Some("refused".into()));
    let seen = merge(&parts).unwrap();
    assert!(seen.server_lost && seen.findings.iter().all(|finding| !finding.contains("not after it")));
    (parts[1].server, parts[1].server_error) = (None, Some("timed out".into()));
    let lost = merge(&parts).unwrap();
    assert_eq!(lost.findings.len(), 1);
    assert!(lost.findings[0].ends_with("not after it: refused; timed out"), "{:?}", lost.findings);
}

#[test]
fn an_act_is_over_when_the_last_machine_is_back() {
    let act = |subscribers, back_after_ms| Act { kind: ActKind::Break, at_s: 1.0, subscribers, back_after_ms };
    let both = |one: &Act, other: &Act| {
        let mut sum = one.clone();
        sum.add(other);
        (sum.subscribers, sum.back_after_ms)
    };
    assert_eq!(both(&act(3, Some(10)), &act(4, Some(30))), (7, Some(30)));
    assert_eq!(both(&act(3, Some(10)), &act(4, None)), (7, None));
    assert_eq!(both(&act(3, Some(10)), &act(0, None)), (3, Some(10)));
    assert_eq!(both(&act(0, None), &act(3, Some(10))), (3, Some(10)));
}

/// A match in which something may be lost or refused, and in which machines differ.
fn any_parts() -> impl Strategy<Value = Vec<Report>> {
    (any::<u64>(), 0..20_u64, 0..20_usize, 3..6_u32, prop::collection::vec((0.0..9.0, 0..5_usize, 0..3_u64), 5))
        .prop_map(|(seed, before, after, of, machines)| {
            let mut play = Play::new(seed);
            play.lose_before_server("udp", before);
            play.lose_before_fan_out(after);
            let mut reports = parts(&play, of);
            for (report, (cpu_s, window, more)) in reports.iter_mut().zip(machines) {
                report.generator.cpu_s = cpu_s;
                report.environment.cpu = format!("processor {more}");
                report.windows[window].taps_framed = (more > 0).then_some(400 + more);
                report.windows[window].p99_us = (more > 1).then_some(more);
                report.start_unix_ms += more;
                if more == 0 {
                    report.server = None;
                    report.latency.remove("tap_to_frame");
                    report.windows.truncate(window);
                }
            }
            reports
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn order_and_grouping_do_not_matter(reports in any_parts(), cut in 1..3_usize, turn in 0..5_usize) {
        let at_once = merge(&reports).unwrap();
        let (left, right) = reports.split_at(cut);
        prop_assert_eq!(&merge(&[merge(left).unwrap(), merge(right).unwrap()]).unwrap(), &at_once);
        let mut turned = reports.clone();
        turned.rotate_left(turn % reports.len());
        turned.swap(0, 1);
        prop_assert_eq!(&merge(&turned).unwrap(), &at_once);
        let one_by_one = turned[1..].iter().fold(turned[0].clone(), |sum, next| merge(&[sum, next.clone()]).unwrap());
        prop_assert_eq!(one_by_one, at_once);
    }
}
