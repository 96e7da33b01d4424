//! The live view: who waits for what, and the terminal that is given back.
//!
//! Four threads: one reads the server, one waits for keys, one looks for signals and whether the terminal is still there, and
//! this one draws what they send. So a server that does not answer keeps nobody from quitting, and neither does a terminal
//! that is gone, whose end of input the thread for keys may never see. Invariant: when [`run`] returns or panics, the
//! terminal is as it was, if it is there; a signal that asks the process to end makes it return.
//! Not here: what keys mean ([`super::screen`]), what is drawn ([`super::view`]).

use super::figures::Reading;
use super::scrape::{ScrapeError, Scraper};
use super::screen::Screen;
use super::view;
use crate::edge::sys::descriptor;
use crate::edge::terminal::is_utf8;
use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event as Input};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use std::fs::File;
use std::io::{self, IsTerminal as _, Stdout};
use std::mem::ManuallyDrop;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// How long a signal may wait, and the end of the terminal.
const LOOK_EVERY: Duration = Duration::from_millis(250);

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
    // Taken before any key is waited for, so that none is read while the terminal still shows it.
    let mut terminal = take_terminal()?;
    let watched =
        follow(scraper, interval, signals).and_then(|follow| watch(&mut terminal, &mut screen, &follow.events));
    watched.and(give_terminal_back())
}

/// Never dropped: dropping it shows the cursor, and panics when neither the terminal nor standard error is there any more.
type TakenTerminal = ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>;

/// Takes the whole terminal, and sets a panic hook that gives it back before anything is written on it.
fn take_terminal() -> io::Result<TakenTerminal> {
    let write = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Whether it is there or not: the panic is told next.
        let _ = give_terminal_back();
        write(panic);
    }));
    let taken = enable_raw_mode()
        .and_then(|()| execute!(io::stdout(), EnterAlternateScreen))
        .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
    taken.map(ManuallyDrop::new).inspect_err(|_| {
        // The error that is told is the first one.
        let _ = give_terminal_back();
    })
}

/// Every step is tried, whatever comes of the others.
fn give_terminal_back() -> io::Result<()> {
    let shown = execute!(io::stdout(), LeaveAlternateScreen, Show);
    disable_raw_mode().and(shown)
}

/// What comes from the three other threads. They end when it is dropped, the one that waits for keys with the process.
struct Follow {
    events: Receiver<Event>,
    _stop: Sender<()>,
}

fn follow(scraper: Scraper, interval: Duration, signals: File) -> io::Result<Follow> {
    let (sender, events) = mpsc::channel();
    let (stop, stopped) = mpsc::channel();
    spawn("server", sender.clone(), move |events| read_server(scraper, interval, events, &stopped))?;
    spawn("terminal", sender.clone(), read_keys)?;
    spawn("terminal", sender, move |events| read_signals(&signals, events))?;
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

/// That the keys cannot be read is said by the end of this thread.
fn read_keys(events: &Sender<Event>) {
    while event::read().is_ok_and(|input| events.send(Event::Input(input)).is_ok()) {}
}

/// Looks for signals. That the terminal is gone is said by the end of this thread: a process that is not in the foreground is
/// not hung up on, and one that reads a terminal which is gone may read nothing for ever.
#[allow(clippy::disallowed_methods, reason = "nothing announces that the terminal is gone")]
fn read_signals(signals: &File, events: &Sender<Event>) {
    while io::stdout().is_terminal() {
        if descriptor::next_signal(signals).is_some() && events.send(Event::End).is_err() {
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Draws, and waits for what changes the picture.
fn watch<B: Backend>(terminal: &mut Terminal<B>, screen: &mut Screen, inbox: &Receiver<Event>) -> io::Result<()>
where
    B::Error: Send + Sync + 'static,
{
    let is_utf8 = is_utf8();
    loop {
        let draw = |frame: &mut ratatui::Frame<'_>| {
            view::draw(frame, screen);
            if !is_utf8 {
                view::to_ascii(frame);
            }
        };
        terminal.draw(draw).map_err(io::Error::other)?;
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
