//! `uproar top`: what a running server does, for a person at a terminal, or as text or JSON once.
//!
//! In the order in which a figure comes to the screen: [`scrape`] asks the admin port, [`samples`] finds the numbers in
//! the text, [`rates`] compares them with those before, [`figures`] says what they mean, and [`history`] keeps what later
//! readings need. [`words`] turns figures into what people read, [`text`] into a page of it, and [`view`] into a picture
//! of the [`screen`], which [`watch`] keeps up to date. Where there is no terminal to draw on, [`follow`] prints page after
//! page.
//!
//! Invariant: a program of its own beside the server, which knows of it only what its admin port tells everybody.
//! Not here: flags and exit codes, which are the command line's.

pub mod figures;
pub mod follow;
pub mod history;
pub mod rates;
pub mod samples;
pub mod scrape;
pub mod screen;
pub mod text;
pub mod view;
pub mod watch;
pub mod words;

use figures::Figures;
use history::History;
use scrape::{ScrapeError, Scraper};
use std::ops::RangeInclusive;
use std::time::Duration;

/// How often a server may be read: being read is work for every shard.
pub const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
/// How often it is read for the view.
pub const INTERVAL_LIVE: Duration = Duration::from_secs(1);
/// How long it is looked at for one answer: so that a window of the default length ends in between.
pub const INTERVAL_ONCE: Duration = Duration::from_millis(2500);

/// Reads the server twice, `interval` apart, and says what it did in between.
///
/// # Errors
/// When it cannot be read either time.
#[allow(clippy::disallowed_methods, reason = "this thread has nothing else to do until the second reading")]
pub fn once(scraper: &mut Scraper, interval: Duration) -> Result<Figures, ScrapeError> {
    let mut history = History::default();
    history.handle_reading(scraper.read()?);
    std::thread::sleep(interval);
    Ok(history.handle_reading(scraper.read()?))
}
