//! A report as one page of HTML that needs nothing else: no network, no script to be read, no fonts.
//!
//! 1. `of_report`: what of a report is worth showing. `view`: that, as words, numbers and series.
//! 2. `figures`: the plots, which `chart` draws. `sections`: everything in words.
//! 3. `style.css`: light, dark, phone and paper. `readings.js`: values under the pointer, where scripts may run.
//!
//! Invariant: whatever a scenario is called, its text stays text; the same view gives the same page.
//!
//! Deliberately not here: judging, which [`crate::report`] does.

mod chart;
mod figures;
mod of_report;
mod sections;
#[cfg(test)]
mod tests;
mod view;

use crate::report::Report;
use view::*;

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("readings.js");

/// The page of a report. It is complete: to be sent, kept and opened anywhere.
pub fn page(report: &Report) -> String {
    Page::from(report).render()
}

impl Page {
    /// The whole document.
    pub(crate) fn render(&self) -> String {
        printable(&self.document().into_string())
    }

    fn document(&self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · " (self.verdict.word()) }
                    // An icon of nothing, so that a browser does not ask a server for one.
                    link rel="icon" href="data:,";
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (self.opening())
                    main {
                        (self.headlines())
                        h2 { "Over time" }
                        (figures::figures(&self.charts))
                        (self.numbers())
                        (self.closing())
                    }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        }
    }
}

/// Control characters have no place in a page; what names contain of them is shown as replaced.
fn printable(page: &str) -> String {
    page.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}
