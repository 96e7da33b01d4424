//! The live view: who waits for what, and the terminal that is given back.
//!
//! Three threads: one reads the server, one waits for keys, and this one draws what they send. So a server that does not
//! answer keeps nobody from quitting. Invariant: when [`run`] returns or panics, the terminal is as it was; a signal
//! that asks the process to end makes it return.
//! Not here: what keys mean ([`super::screen`]), what is drawn ([`super::view`]).

use super::figures::Reading;
use super::scrape::{ScrapeError, Scraper};
use super::screen::Screen;
use super::view;
use crate::edge::sys::descriptor;
use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::crossterm::event::{self, Event as Input};
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// How long a signal may wait: it is looked for between keys.
const SIGNAL_EVERY: Duration = Duration::from_millis(250);

/// What the view waits for.
#[derive(Debug)]
enum Event {
    /// A signal asks the process to end.
    End,
    /// The server was read, or not.
    Read(Result<Reading, ScrapeError>),
    /// A key, or a new size.
    Input(Input),
    /// A thread is no more, and nothing will come of it.
    Gone(&'static str),
}

/// Shows the server until the user has seen enough.
///
/// # Errors
/// When the terminal cannot be drawn on or read any more.
pub fn run(scraper: Scraper, interval: Duration) -> io::Result<()> {
    let mut screen = Screen::new(scraper.address().clone(), interval);
    // Before any thread starts, as threads inherit it. A signal that ended the process would leave the terminal as it is.
    let signals = descriptor::signals(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP])?;
    // Taken before any key is waited for, so that none is read while the terminal still shows it. This also sets a panic
    // hook that gives the terminal back.
    let mut terminal = ratatui::try_init()?;
    let watched =
        follow(scraper, interval, signals).and_then(|follow| watch(&mut terminal, &mut screen, &follow.events));
    let restored = ratatui::try_restore();
    watched.and(restored)
}

/// What comes from the two other threads. They end when it is dropped, the one that waits for keys with the process.
struct Follow {
    events: Receiver<Event>,
    _stop: Sender<()>,
}

fn follow(scraper: Scraper, interval: Duration, signals: File) -> io::Result<Follow> {
    let (sender, events) = mpsc::channel();
    let (stop, stopped) = mpsc::channel();
    spawn("server", sender.clone(), move |events| read_server(scraper, interval, events, &stopped))?;
    spawn("terminal", sender, move |events| read_keys(&signals, events))?;
    Ok(Follow { events, _stop: stop })
}

fn spawn(
    name: &'static str,
    events: Sender<Event>,
    work: impl FnOnce(&Sender<Event>) + Send + 'static,
) -> io::Result<()> {
    let farewell = Farewell { name, events };
    thread::Builder::new().name(name.into()).spawn(move || work(&farewell.events)).map(drop)
}

/// Says that a thread has ended, also when it ends by a panic.
struct Farewell {
    name: &'static str,
    events: Sender<Event>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        // Nobody is left to tell when the view has ended first.
        let _ = self.events.send(Event::Gone(self.name));
    }
}

/// Reads until nobody wants to know, `interval` after each answer: a slow server is not asked faster than it answers.
fn read_server(mut scraper: Scraper, interval: Duration, events: &Sender<Event>, stopped: &Receiver<()>) {
    while events.send(Event::Read(scraper.read())).is_ok()
        && stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout)
    {}
}

fn read_keys(signals: &File, events: &Sender<Event>) {
    let mut told = true;
    while told {
        let sent =
            match event::poll(SIGNAL_EVERY).and_then(|came| if came { event::read().map(Some) } else { Ok(None) }) {
                Ok(Some(input)) => events.send(Event::Input(input)),
                Ok(None) if descriptor::next_signal(signals).is_some() => events.send(Event::End),
                Ok(None) => Ok(()),
                // That the terminal is gone is said by the end of this thread.
                Err(_) => return,
            };
        told = sent.is_ok();
    }
}

/// Draws, and waits for what changes the picture.
fn watch<B: Backend>(terminal: &mut Terminal<B>, screen: &mut Screen, inbox: &Receiver<Event>) -> io::Result<()>
where
    B::Error: Send + Sync + 'static,
{
    loop {
        terminal.draw(|frame| view::draw(frame, screen)).map_err(io::Error::other)?;
        let Ok(event) = inbox.recv() else { return Err(io::Error::other("nothing is left to wait for")) };
        // What has come in one go, such as the sizes of a window that is dragged, is drawn once.
        for event in std::iter::once(event).chain(inbox.try_iter()) {
            if handle(screen, event)?.is_break() {
                return Ok(());
            }
        }
    }
}

fn handle(screen: &mut Screen, event: Event) -> io::Result<ControlFlow<()>> {
    match event {
        Event::Read(reading) => screen.handle_reading(reading),
        Event::Input(Input::Key(key)) => return Ok(screen.handle_key(key)),
        Event::End => return Ok(ControlFlow::Break(())),
        // Drawing asks for the size itself.
        Event::Input(_) => {}
        Event::Gone(name) => return Err(io::Error::other(format!("the {name} cannot be read any more"))),
    }
    Ok(ControlFlow::Continue(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent};

    fn watched(events: Vec<Event>) -> (io::Result<()>, String) {
        let (sender, inbox) = mpsc::channel();
        events.into_iter().for_each(|event| sender.send(event).unwrap());
        drop(sender);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let mut screen = Screen::new("127.0.0.1:9100".parse().unwrap(), Duration::from_secs(1));
        let ended = watch(&mut terminal, &mut screen, &inbox);
        (ended, terminal.backend().to_string())
    }

    fn key(letter: char) -> Event {
        Event::Input(Input::Key(KeyEvent::from(KeyCode::Char(letter))))
    }

    #[test]
    fn a_key_ends_the_view() {
        let (ended, drawn) = watched(vec![Event::Input(Input::Resize(100, 30)), key('x'), key('q')]);
        ended.unwrap();
        assert!(drawn.contains("127.0.0.1:9100"), "{drawn}");
    }

    #[test]
    fn a_signal_ends_the_view() {
        watched(vec![Event::End]).0.unwrap();
    }

    #[test]
    fn a_terminal_that_is_gone_ends_the_view_with_an_error() {
        let (ended, _) = watched(vec![Event::Gone("terminal"), key('q')]);
        assert_eq!(ended.unwrap_err().to_string(), "the terminal cannot be read any more");
        watched(Vec::new()).0.unwrap_err();
    }

    #[test]
    fn a_thread_that_panics_says_that_it_is_gone() {
        let (sender, inbox) = mpsc::channel();
        spawn("server", sender, |_| std::panic::resume_unwind(Box::new("injected"))).unwrap();
        assert!(matches!(inbox.recv().unwrap(), Event::Gone("server")));
    }
}
