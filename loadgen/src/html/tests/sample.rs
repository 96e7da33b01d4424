//! Made-up runs: one as a good one looks, one with next to nothing to show, one whose every name is an attack.

use super::super::chart::bars::Pair;
use super::super::*;

/// Seconds of the good run.
const SECONDS: usize = 300;
/// What an attacker would call a room.
pub(super) const HOSTILE: &str =
    "<script>alert(1)</script> \"' onload=x & </style> <img src=x onerror=alert(1)> \u{1b}[31m 🏏";

/// Something between 0 and 1 that looks like chance.
fn chance(index: usize, salt: usize) -> f64 {
    let mixed =
        (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (salt as u64).wrapping_mul(0xd1b5_4a32_d192_ed03);
    (mixed.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 40) as f64 / (1u64 << 24) as f64
}

fn moments() -> Vec<Moment> {
    let moment = |name: &str, from_s: f64, to_s: f64| Moment { name: name.into(), from_s, to_s };
    vec![
        moment("toss", 12.0, 18.0),
        moment("six over long on", 58.0, 66.0),
        moment("wicket", 71.0, 80.0),
        moment("half-time", 128.0, 176.0),
        moment("six", 214.0, 220.0),
        moment("six again", 226.0, 232.0),
        moment("last ball", 270.0, 288.0),
    ]
}

fn rate(second: usize) -> f64 {
    let at = second as f64;
    let peaks = [
        (12.0, 3.0, 5.0),
        (58.0, 9.0, 6.0),
        (71.0, 7.0, 8.0),
        (214.0, 8.0, 5.0),
        (226.0, 9.0, 5.0),
        (270.0, 10.0, 10.0),
    ];
    let burst: f64 = peaks
        .iter()
        .map(|(from, peak, decay)| if at < *from { 0.0 } else { (peak - 1.0) * (-(at - from) / decay * 2.0).exp() })
        .sum();
    let quiet = if (128..176).contains(&second) { 0.35 } else { 1.0 };
    42_000.0 * (quiet + burst) * (0.97 + 0.06 * chance(second, 1))
}

/// Percentiles of every second as multiples of a base that grows with the rate; six seconds have no sample.
fn latency(base_us: f64, load_us: f64, factors: [f64; 4], spikes: [f64; 4]) -> LatencyOverTime {
    let column = |rank: usize| -> Series {
        (0..SECONDS)
            .map(|second| {
                let load = rate(second) / 420_000.0;
                let tail = chance(second, 10 + rank).powi(16) * spikes[rank];
                (!(190..196).contains(&second)).then_some((base_us + load_us * load) * factors[rank] * (1.0 + tail))
            })
            .collect()
    };
    LatencyOverTime { interval_s: 1.0, p50_us: column(0), p90_us: column(1), p99_us: column(2), max_us: column(3) }
}

fn spectrum() -> Spectrum {
    let quantiles: Vec<f64> = (0..120).map(|step| 1.0 - 10f64.powf(-f64::from(step) / 20.0)).collect();
    let measure = |name: &str, samples: f64, us: &dyn Fn(f64) -> f64| Measure {
        name: name.into(),
        us: quantiles
            .iter()
            .map(|quantile| (1.0 - quantile >= 1.0 / samples).then(|| us(-(1.0 - quantile).log10())))
            .collect(),
    };
    let measures = vec![
        measure("tap to frame", 1e6, &|nines| {
            2_000_000.0 * (1.0 - 10f64.powf(-nines)) + 9_000.0 * (1.0 + nines.powi(2))
        }),
        measure("HTTP tap to 202", 1e5, &|nines| 240.0 * 2.1f64.powf(nines) + 160.0 * nines.powi(3)),
        measure("window's end to frame", 3e4, &|nines| 2_400.0 * 1.9f64.powf(nines)),
        measure("generator's lag", 1e6, &|nines| 38.0 * 1.8f64.powf(nines)),
    ];
    Spectrum { quantiles, measures }
}

fn windows() -> Vec<Arrivals> {
    (1..SECONDS / 2)
        .map(|window| {
            let busy = 1.0 + rate(window * 2) / 200_000.0;
            let first_us = 900.0 * busy * (0.9 + 0.2 * chance(window, 5));
            let p99_us = 14_000.0 * busy * (0.9 + 0.3 * chance(window, 6));
            let last_us = p99_us * (1.2 + chance(window, 7).powi(6) * 4.0);
            Arrivals {
                end_s: window as f64 * 2.0,
                first_us: Some(first_us),
                p50_us: Some(p99_us * 0.45),
                p99_us: Some(p99_us),
                last_us: Some(last_us),
            }
        })
        .collect()
}

fn charts() -> Charts {
    let late = |second: usize| if (58..60).contains(&second) { 0.93 } else { 1.0 };
    Charts {
        moments: moments(),
        rates: RatesOverTime {
            interval_s: 1.0,
            planned: (0..SECONDS).map(|second| Some(rate(second))).collect(),
            sent: (0..SECONDS).map(|second| Some(rate(second) * late(second))).collect(),
        },
        tap_to_frame: latency(1_010_000.0, 60_000.0, [1.0, 1.78, 2.0, 2.06], [0.03, 0.03, 0.06, 0.3]),
        tap_to_202: latency(210.0, 900.0, [1.0, 1.9, 3.1, 5.2], [0.1, 0.3, 1.0, 6.0]),
        spectrum: spectrum(),
        windows_note: String::new(),
        windows: windows(),
        server: Ok(ServerOverTime {
            at_s: (0..SECONDS).map(|second| second as f64 + 0.5).collect(),
            cores: (0..SECONDS).map(|second| Some(0.05 + rate(second) / 520_000.0)).collect(),
            mib: (0..SECONDS)
                .map(|second| {
                    (!(40..48).contains(&second))
                        .then_some(180.0 + 24.0 * (second as f64 / 60.0).tanh() + chance(second, 9))
                })
                .collect(),
        }),
        emoji_note: String::new(),
        emoji: [
            ("🏏 bat", 9_120_411),
            ("❤️ heart", 7_004_120),
            ("🔥 fire", 5_310_992),
            ("😱 shock", 2_881_013),
            ("👏 clap", 2_210_006),
            ("😂 joy", 1_204_444),
            ("😭 cry", 804_211),
            ("🙏 pray", 300_012),
        ]
        .map(|(name, taps)| Pair { name: name.into(), sent: taps, shown: taps })
        .into(),
    }
}

fn table(title: &str, note: &str, heads: &[&str], rows: &[&[&str]]) -> Table {
    Table {
        title: title.into(),
        note: note.into(),
        heads: heads.iter().copied().map(String::from).collect(),
        rows: rows.iter().map(|row| row.iter().copied().map(String::from).collect()).collect(),
    }
}

/// A good run of the flagship scenario.
pub(super) fn sample() -> Page {
    let threshold = |name: &str, limit: &str, measured: &str| Threshold {
        name: name.into(),
        limit: limit.into(),
        measured: measured.into(),
        passed: true,
    };
    Page {
        title: "final_over".into(),
        subtitle: "5 min of match, seed 2027, played on 22 November 2026, 07:40 UTC".into(),
        verdict: Verdict::Passed,
        summary: "All 28,835,209 taps are in frames, of the right emoji, and every threshold held.".into(),
        findings: Vec::new(),
        notes: Vec::new(),
        headlines: vec![
            Fact::new("People simulated", "50,000,000", "in 1,000 rooms, by Zipf"),
            Fact::new("People who acted", "41,203,118", "82.4 % at least once"),
            Fact::new("Taps sent = taps in frames", "28,835,209", "nothing lost, nothing twice"),
            Fact::new("Achieved of planned", "99.98 %", "28,840,976 taps planned"),
            Fact::new("Tap to frame, p50", "1.01 s", "windows of 2 s"),
            Fact::new("Tap to frame, p99", "2.04 s", "p99.9 2.31 s"),
            Fact::new("Server CPU a tap", "1.42 µs", "40.9 s of CPU in 300 s"),
            Fact::new("Generator lag, p99", "121 µs", "a run is valid up to 10 ms"),
        ],
        charts: charts(),
        thresholds: vec![
            threshold("taps lost", "at most 0", "0"),
            threshold("tap to frame, p99", "at most 2.5 s", "2.04 s"),
            threshold("HTTP tap to 202, p99", "at most 20 ms", "3.4 ms"),
            threshold("generator's lag, p99", "at most 10 ms", "121 µs"),
            threshold("achieved of planned", "at least 99.9 %", "99.98 %"),
        ],
        losses: Vec::new(),
        tables: vec![
            table(
                "Ways in",
                "What each driver sent, and what the server says it counted there.",
                &["way in", "sent", "counted", "refused", "unconfirmed", "unsent"],
                &[
                    &["UDP", "27,900,112", "27,900,112", "0", "0", "0"],
                    &["HTTP", "512,048", "512,048", "0", "0", "0"],
                    &["QUIC", "423,049", "423,049", "0", "0", "0"],
                ],
            ),
            table(
                "Latencies",
                "All from the planned moment, not from when a tap got out.",
                &["measure", "samples", "p50", "p90", "p99", "p99.9", "p99.99", "max"],
                &[
                    &["tap to frame", "28,835,209", "1.01 s", "1.82 s", "2.04 s", "2.31 s", "2.6 s", "2.72 s"],
                    &["HTTP tap to 202", "512,048", "240 µs", "812 µs", "3.4 ms", "7.9 ms", "14.2 ms", "18.1 ms"],
                    &["window's end to frame", "300,000", "4.1 ms", "9.8 ms", "21 ms", "38 ms", "61 ms", "64 ms"],
                    &["generator's lag", "2,402,114", "38 µs", "70 µs", "121 µs", "410 µs", "1.2 ms", "3.1 ms"],
                ],
            ),
        ],
        real: vec![
            Fact::new("People simulated", "50,000,000", "numbers with a seeded life, no process each"),
            Fact::new("People who acted", "41,203,118", "at least once"),
            Fact::new("UDP sockets", "64", "real"),
            Fact::new("Source addresses", "32", "127.0.0.2 to 127.0.0.33"),
            Fact::new("HTTP connections", "2,048", "real, keep-alive"),
            Fact::new("QUIC connections", "4,000", "real; 2,000 react, 2,000 only watch"),
        ],
        extrapolated: Vec::new(),
        scenario_text: "# The flagship: a final's last over.\nseed = 2027\npeople = 50_000_000\n\n[rooms]\ncount = 1000\nzipf = 1.1\n\n[[moment]]\nname = \"six over long on\"\nat_s = 58\nrise_ms = 200\npeak = 10.0\n".into(),
        environment: vec![
            Fact::new("Machine", "2 cores", "x86_64"),
            Fact::new("Kernel", "Linux 6.1", ""),
            Fact::new("uproar", "0.1.0", ""),
            Fact::new("uproar-loadgen", "0.1.0", "part 1/1"),
        ],
    }
}

/// A run that ended before anything happened.
pub(super) fn scarce() -> Page {
    Page {
        title: "steady".into(),
        subtitle: String::new(),
        verdict: Verdict::Invalid,
        summary: "The generator could not do what was planned.".into(),
        findings: vec![
            "the generator itself was late: p99 840 ms, 10 ms allowed; latencies of this run say little".into(),
        ],
        notes: Vec::new(),
        headlines: vec![Fact::new("People simulated", "0", "")],
        charts: Charts {
            moments: Vec::new(),
            rates: RatesOverTime { interval_s: 1.0, planned: vec![Some(100.0)], sent: vec![None] },
            tap_to_frame: LatencyOverTime::default(),
            tap_to_202: LatencyOverTime::default(),
            spectrum: Spectrum::default(),
            windows_note: String::new(),
            windows: vec![Arrivals { end_s: 2.0, first_us: Some(0.0), p50_us: None, p99_us: None, last_us: Some(0.0) }],
            server: Err("No admin address was given.".into()),
            emoji_note: String::new(),
            emoji: Vec::new(),
        },
        thresholds: Vec::new(),
        losses: Vec::new(),
        tables: Vec::new(),
        real: Vec::new(),
        extrapolated: Vec::new(),
        scenario_text: String::new(),
        environment: Vec::new(),
    }
}

/// A failed run whose names are all [`HOSTILE`].
pub(super) fn hostile() -> Page {
    let mut page = sample();
    let hostile = || HOSTILE.to_owned();
    page.title = hostile();
    page.verdict = Verdict::Failed;
    page.summary = hostile();
    page.findings = vec![hostile(), "100 of 1,000 taps are in no frame: the kernel dropped 2 datagrams".into()];
    page.notes = vec![hostile()];
    page.losses = vec![Loss { place: hostile(), reason: hostile(), count: hostile() }];
    page.scenario_text = hostile();
    page.charts.server = Err(hostile());
    page.extrapolated = vec![hostile()];
    page.thresholds.push(Threshold { name: hostile(), limit: hostile(), measured: hostile(), passed: false });
    page.tables.push(table(HOSTILE, HOSTILE, &[HOSTILE, HOSTILE], &[[HOSTILE, HOSTILE].as_slice(); 50]));
    page.real.push(Fact::new(hostile(), hostile(), hostile()));
    for moment in &mut page.charts.moments {
        moment.name = hostile();
    }
    for measure in &mut page.charts.spectrum.measures {
        measure.name = hostile();
    }
    for pair in &mut page.charts.emoji {
        pair.name = hostile();
        pair.shown = pair.sent / 2;
    }
    page
}
