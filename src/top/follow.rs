//! The figures as text, page after page, where there is no terminal to draw on.
//!
//! Not here: what a page says ([`super::text`]).

use super::history::History;
use super::scrape::{ScrapeError, Scraper};
use super::text;
use std::time::Duration;

/// Reads the server every `interval`, and has `print` called with a page of text after each reading but the first, until
/// `print` fails; with what. A server that does not answer later on has a line instead of a page, and is read again.
///
/// # Errors
/// When the server cannot be read the first time.
#[allow(clippy::disallowed_methods, reason = "this thread has nothing else to do until the next reading")]
pub fn follow<E>(
    scraper: &mut Scraper,
    interval: Duration,
    mut print: impl FnMut(&str) -> Result<(), E>,
) -> Result<E, ScrapeError> {
    let mut history = History::default();
    history.handle_reading(scraper.read()?);
    loop {
        std::thread::sleep(interval);
        let page = match scraper.read() {
            Ok(reading) => text::page(&scraper.address().to_string(), &history.handle_reading(reading)),
            Err(error) => {
                history.handle_silence();
                format!("{error}\n")
            }
        };
        if let Err(error) = print(&(page + "\n")) {
            return Ok(error);
        }
    }
}
