//! What the terminal shows now, and what keys and readings change about it.
//!
//! Invariant: no clock, no terminal: readings and keys come in by `handle_*`. While paused, readings are taken as before,
//! and what is shown stays. Not here: drawing ([`super::view`]), the loop ([`super::watch`]).

use super::figures::{Figures, Reading};
use super::history::{History, Trail, WAYS};
use super::scrape::{AdminAddress, ScrapeError};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::ops::ControlFlow;
use std::time::Duration;

/// Lines that a page key scrolls.
const PAGE: usize = 8;

/// What can be scrolled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Table {
    /// The table of shards.
    Shards,
    /// The table of rooms.
    Rooms,
}

/// What is known of the server at one time.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The last figures; none before the first reading.
    pub figures: Option<Figures>,
    /// Taps per second of each way in.
    pub trails: [Trail; WAYS.len()],
    /// Why the last reading failed, if it did.
    pub trouble: Option<Trouble>,
}

/// Why a reading failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// In a few words, beside who was asked.
    pub brief: String,
    /// With what to do about it.
    pub whole: String,
}

/// The state of the view.
#[derive(Debug)]
pub struct Screen {
    address: AdminAddress,
    interval: Duration,
    history: History,
    live: Picture,
    /// What was live when the pause began.
    frozen: Option<Picture>,
    help: bool,
    scrolls: Table,
    scrolled: [usize; 2],
}

impl Screen {
    /// Of a server that is to be read every `interval`.
    pub fn new(address: AdminAddress, interval: Duration) -> Self {
        Self {
            address,
            interval,
            history: History::default(),
            live: Picture::default(),
            frozen: None,
            help: false,
            scrolls: Table::Shards,
            scrolled: [0; 2],
        }
    }

    /// Takes a reading, or why there is none. What was known before stays.
    pub fn handle_reading(&mut self, reading: Result<Reading, ScrapeError>) {
        match reading {
            Ok(reading) => {
                self.live.figures = Some(self.history.handle_reading(reading));
                self.live.trouble = None;
            }
            Err(error) => {
                self.history.handle_silence();
                self.live.trouble = Some(Trouble { brief: error.brief(), whole: error.to_string() });
            }
        }
        self.live.trails.clone_from(self.history.trails());
        self.keep_scrolled_in_sight();
    }

    /// Takes a key; breaks when it ends the view.
    pub fn handle_key(&mut self, key: KeyEvent) -> ControlFlow<()> {
        if key.kind == KeyEventKind::Release {
            return ControlFlow::Continue(());
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return ControlFlow::Break(()),
            // The nearest thing first: who has asked for help wants to leave the help.
            KeyCode::Esc | KeyCode::Char('q') if self.help => self.help = false,
            KeyCode::Esc | KeyCode::Char('q') => return ControlFlow::Break(()),
            KeyCode::Char('p' | ' ') => self.frozen = if self.paused() { None } else { Some(self.live.clone()) },
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Left | KeyCode::Right => {
                self.scrolls = if self.scrolls == Table::Shards { Table::Rooms } else { Table::Shards };
            }
            KeyCode::Up => self.scroll(|at| at.saturating_sub(1)),
            KeyCode::Down => self.scroll(|at| at.saturating_add(1)),
            KeyCode::PageUp => self.scroll(|at| at.saturating_sub(PAGE)),
            KeyCode::PageDown => self.scroll(|at| at.saturating_add(PAGE)),
            KeyCode::Home => self.scroll(|_| 0),
            KeyCode::End => self.scroll(|_| usize::MAX),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// What is to be shown.
    pub fn picture(&self) -> &Picture {
        self.frozen.as_ref().unwrap_or(&self.live)
    }

    /// Who is read.
    pub fn address(&self) -> &AdminAddress {
        &self.address
    }

    /// How often.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Whether the picture stands still.
    pub fn paused(&self) -> bool {
        self.frozen.is_some()
    }

    /// Whether the help is open.
    pub fn help(&self) -> bool {
        self.help
    }

    /// Which table the keys scroll.
    pub fn scrolls(&self) -> Table {
        self.scrolls
    }

    /// How many lines of a table are scrolled past.
    pub fn scrolled(&self, table: Table) -> usize {
        self.scrolled[table as usize]
    }

    fn scroll(&mut self, to: impl Fn(usize) -> usize) {
        let place = &mut self.scrolled[self.scrolls as usize];
        *place = to(*place);
        self.keep_scrolled_in_sight();
    }

    /// The last line of a table stays on the screen, also when there are fewer of them than before.
    fn keep_scrolled_in_sight(&mut self) {
        let figures = self.picture().figures.as_ref();
        let lines =
            figures.map_or([0; 2], |figures| [figures.shards.len(), figures.rooms.as_ref().map_or(0, Vec::len)]);
        for (place, lines) in self.scrolled.iter_mut().zip(lines) {
            *place = (*place).min(lines.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::State;
    use super::super::samples::Samples;
    use super::*;

    fn reading(at_s: u64, udp: u64) -> Reading {
        let turns: String = (0..3).map(|shard| format!("uproar_loop_turns_total{{shard=\"{shard}\"}} 5\n")).collect();
        Reading {
            at: Duration::from_secs(at_s),
            wall: Duration::from_secs(1000 + at_s),
            state: State::Ready,
            node: Samples::parse(&format!("uproar_reactions_total{{proto=\"udp\"}} {udp}\n")),
            shards: Samples::parse(&turns),
            rooms: None,
        }
    }

    fn screen() -> Screen {
        let mut screen = Screen::new("127.0.0.1:9100".parse().unwrap(), Duration::from_secs(1));
        screen.handle_reading(Ok(reading(0, 0)));
        screen
    }

    fn press(screen: &mut Screen, keys: impl IntoIterator<Item = KeyCode>) -> ControlFlow<()> {
        keys.into_iter().try_for_each(|key| screen.handle_key(KeyEvent::from(key)))
    }

    fn taps(screen: &Screen) -> Option<u64> {
        screen.picture().figures.as_ref().unwrap().taps_counted.total
    }

    #[test]
    fn q_escape_and_control_c_quit() {
        for key in
            [KeyCode::Char('q').into(), KeyCode::Esc.into(), KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)]
        {
            assert!(screen().handle_key(key).is_break(), "{key:?}");
        }
        assert!(press(&mut screen(), [KeyCode::Char('c'), KeyCode::Enter, KeyCode::Char('x')]).is_continue());
    }

    #[test]
    fn leaving_the_help_leaves_the_help_only() {
        let mut screen = screen();
        assert!(press(&mut screen, [KeyCode::Char('?')]).is_continue());
        assert!(screen.help());
        assert!(press(&mut screen, [KeyCode::Esc]).is_continue());
        assert!(!screen.help());
        assert!(press(&mut screen, [KeyCode::Esc]).is_break());
    }

    #[test]
    fn while_paused_the_picture_stays_and_readings_are_taken() {
        let mut screen = screen();
        let _ = press(&mut screen, [KeyCode::Char('p')]);
        screen.handle_reading(Ok(reading(1, 70)));
        assert_eq!((screen.paused(), taps(&screen)), (true, Some(0)));
        let _ = press(&mut screen, [KeyCode::Char('p')]);
        assert_eq!((screen.paused(), taps(&screen)), (false, Some(70)));
        assert_eq!(screen.picture().trails[0], [None, Some(70)]);
    }

    #[test]
    fn a_server_that_is_gone_leaves_its_last_figures() {
        let mut screen = screen();
        let gone = || ScrapeError::NoAnswer { address: "127.0.0.1:9100".into(), why: "connection refused".into() };
        screen.handle_reading(Err(gone()));
        let trouble = screen.picture().trouble.as_ref().unwrap();
        assert_eq!(trouble.brief, "connection refused");
        assert!(trouble.whole.contains("127.0.0.1:9100"), "{trouble:?}");
        assert_eq!(taps(&screen), Some(0));
        screen.handle_reading(Ok(reading(3, 30)));
        assert_eq!(screen.picture().trouble, None);
        assert_eq!(screen.picture().figures.as_ref().unwrap().taps_counted.per_second, Some(10.0));
    }

    #[test]
    fn a_table_scrolls_to_its_last_line_and_no_further() {
        let mut screen = screen();
        let _ = press(&mut screen, [KeyCode::Down]);
        assert_eq!((screen.scrolled(Table::Shards), screen.scrolled(Table::Rooms)), (1, 0));
        let _ = press(&mut screen, [KeyCode::End, KeyCode::PageDown]);
        assert_eq!(screen.scrolled(Table::Shards), 2);
        let _ = press(&mut screen, [KeyCode::Tab, KeyCode::Down]);
        assert_eq!((screen.scrolled(Table::Shards), screen.scrolled(Table::Rooms)), (2, 0), "there are no rooms");
        let _ = press(&mut screen, [KeyCode::Tab, KeyCode::Up, KeyCode::Home]);
        assert_eq!(screen.scrolled(Table::Shards), 0);
    }
}
