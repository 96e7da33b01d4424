//! What stands where on terminals of several sizes.

use super::super::figures::Reading;
use super::super::figures::{Process, Room, Shard, State};
use super::super::rates::{Count, Quantiles};
use super::super::samples::Samples;
use super::super::scrape::ScrapeError;
use super::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use std::time::Duration;

const PAGE: &str = "\
uproar_build_info{version=\"1.2.3\"} 1
uproar_reactions_total{proto=\"udp\"} TAPS
uproar_frame_taps_total 1234
uproar_rejected_total{proto=\"udp\",reason=\"too_short\"} TAPS
uproar_socket_drops_total{socket=\"reactions\"} 0
uproar_subscribers{proto=\"quic\"} 12345
";

fn reading(at_s: u64, taps: u64, shards: u64, rooms: u32) -> Reading {
    let turns: String =
        (0..shards).map(|shard| format!("uproar_loop_turns_total{{shard=\"{shard}\"}} {at_s}\n")).collect();
    let room = |id| Room { id, name: format!("room number {id}"), emoji: 12 };
    Reading {
        at: Duration::from_secs(at_s),
        wall: Duration::from_secs(1000 + at_s),
        state: State::Ready,
        node: Samples::parse(&PAGE.replace("TAPS", &taps.to_string())),
        shards: Samples::parse(&(turns + &format!("uproar_rooms{{shard=\"0\"}} {rooms}\n"))),
        rooms: Some((1..=rooms).map(room).collect()),
    }
}

fn screen() -> Screen {
    let mut screen = Screen::new("127.0.0.1:9100".parse().unwrap(), Duration::from_secs(1));
    screen.handle_reading(Ok(reading(0, 0, 40, 30)));
    screen.handle_reading(Ok(reading(1, 5000, 40, 30)));
    screen
}

fn drawn(screen: &Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, screen)).unwrap();
    terminal.backend().to_string()
}

fn press(screen: &mut Screen, key: KeyCode) {
    assert!(screen.handle_key(KeyEvent::from(key)).is_continue());
}

#[track_caller]
fn has(drawn: &str, texts: &[&str]) {
    for text in texts {
        assert!(drawn.contains(text), "no {text:?} in\n{drawn}");
    }
}

#[test]
fn everything_has_its_place_on_80_by_24() {
    let drawn = drawn(&screen(), 80, 24);
    has(&drawn, &["uproar 1.2.3, ready, up –", "udp         5.00k/s", "http              –", "█"]);
    has(&drawn, &["taps      5.00k/s; 5,000 counted, 1,234 in frames"]);
    has(&drawn, &["rejected  too_short 5.00k/s; 5,000 since the start", "dropped   0/s; 0 since the start"]);
    has(&drawn, &["12,345 subscribers: quic 12,345", "process   CPU –, memory –, open files – of –"]);
    has(&drawn, &["shards: 40", "starved stalled", "rooms: 30", "room number 2", "q quit"]);
    assert!(drawn.lines().any(|line| line.contains("    0      –     –    1.00        –")), "{drawn}");
}

#[test]
fn scrolling_brings_the_last_shard_and_room() {
    let mut screen = screen();
    press(&mut screen, KeyCode::End);
    press(&mut screen, KeyCode::Tab);
    press(&mut screen, KeyCode::End);
    let drawn = drawn(&screen, 80, 24);
    has(&drawn, &["\"   39 ", "room number 30"]);
    assert!(!drawn.contains("room number 29"), "{drawn}");
}

#[test]
fn a_wide_terminal_has_rooms_beside_shards() {
    let drawn = drawn(&screen(), 160, 50);
    let line = drawn.lines().find(|line| line.contains("shards: 40")).unwrap();
    has(line, &["rooms: 30"]);
    has(&drawn, &["room number 30"]);
}

#[test]
fn a_narrow_terminal_has_the_text() {
    let drawn = drawn(&screen(), 50, 24);
    has(&drawn, &["udp       5.00k/s", "rejected  too_short", "subscribers"]);
}

#[test]
fn no_size_is_too_small() {
    let mut help = screen();
    press(&mut help, KeyCode::Char('?'));
    let empty = Screen::new("127.0.0.1:9100".parse().unwrap(), Duration::from_secs(1));
    for screen in [&screen(), &help, &empty] {
        // The text of this backend has no such size.
        Terminal::new(TestBackend::new(0, 0)).unwrap().draw(|frame| draw(frame, screen)).unwrap();
        for (width, height) in [(1, 1), (2, 24), (80, 1), (80, 3), (71, 19), (72, 20), (131, 20), (300, 5), (500, 200)]
        {
            drawn(screen, width, height);
        }
    }
}

#[test]
fn a_server_that_is_gone_is_said_above_its_last_figures() {
    let mut screen = screen();
    let gone = ScrapeError::NoAnswer { address: "127.0.0.1:9100".into(), why: "Connection refused".into() };
    screen.handle_reading(Err(gone));
    has(&drawn(&screen, 80, 24), &["unreachable  Connection refused", "5,000 counted"]);
}

#[test]
fn before_the_first_answer_the_reason_is_told_whole() {
    let mut screen = Screen::new("127.0.0.1:9100".parse().unwrap(), Duration::from_secs(2));
    has(&drawn(&screen, 80, 24), &["connecting"]);
    let gone = ScrapeError::NoAnswer { address: "127.0.0.1:9100".into(), why: "Connection refused".into() };
    screen.handle_reading(Err(gone));
    has(&drawn(&screen, 80, 24), &["(--admin)?", "Trying again every 2s."]);
}

#[test]
fn in_ascii_everything_has_the_same_place() {
    let mut help = screen();
    press(&mut help, KeyCode::Char('?'));
    for screen in [screen(), help] {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let draw = |frame: &mut Frame<'_>| {
            super::draw(frame, &screen);
            to_ascii(frame);
        };
        terminal.draw(draw).unwrap();
        let (utf8, drawn) = (drawn(&screen, 80, 24), terminal.backend().to_string());
        assert!(drawn.is_ascii(), "{drawn}");
        let columns = |text: &str| text.lines().map(|line| line.chars().count()).collect::<Vec<_>>();
        assert_eq!(columns(&drawn), columns(&utf8));
        has(&drawn, &["uproar 1.2.3, ready, up -", "q quit", "#"]);
    }
}

#[test]
fn help_and_pause_are_shown() {
    let mut screen = screen();
    press(&mut screen, KeyCode::Char('p'));
    press(&mut screen, KeyCode::Char('?'));
    has(&drawn(&screen, 80, 24), &["paused", "scroll the other table", "not told by this server"]);
}

/// Everything that can be said has a place in 80 columns, also when all figures are long.
#[test]
fn the_words_fit_80_columns() {
    let mut screen = screen();
    screen.handle_reading(Ok(reading(2, 9_000, 2, 1)));
    let mut figures = screen.picture().figures.clone().unwrap();
    let long = Count { per_second: Some(123.4e6), total: Some(123_456_789_012) };
    figures.taps_counted = long;
    figures.taps_in_frames = long;
    figures.windows = long;
    figures.late_deltas = long;
    figures.frames_made = long;
    figures.frames_sent = long;
    let late = Quantiles { p50: Some(0.1234), p99: Some(0.1234) };
    (figures.window_close_seconds, figures.fanout_seconds) = (late, late);
    figures.process = Process {
        cpu_cores: Some(128.0),
        resident_bytes: Some(512 << 30),
        open_files: Some(1_000_000),
        open_files_max: Some(1_048_576),
    };
    for row in words::rows(&figures) {
        let columns = usize::from(LABEL) + 1 + row.text.chars().count();
        assert!(columns <= 80, "{columns}: {row:?}");
    }
    let shard = Shard { shard: 127, taps: long, turns: long, busy: Some(1.0), ..Shard::default() };
    for (cell, column) in words::shard(&shard).iter().zip(SHARD_COLUMNS) {
        assert!(cell.chars().count() <= words::shard_cell_columns(column), "{column}: {cell}");
    }
}
