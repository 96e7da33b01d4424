//! The face for people who look: a bar for the time of the match, or for a step before and after it, and a table below.
//!
//! Deliberately not here: ticking. What is drawn changes when there is news, and not in between.

use super::plain::part;
use super::snapshot::{LiveRates, LiveSnapshot};
use super::text;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Columns of a bar's inside.
const BAR: &str = "[{bar:30.}]";

/// Draws; what it drew is gone when it is dropped.
#[derive(Debug)]
pub(super) struct Terminal {
    bars: MultiProgress,
    play: Option<ProgressBar>,
}

impl Terminal {
    pub(super) fn new(target: ProgressDrawTarget) -> Self {
        Self { bars: MultiProgress::with_draw_target(target), play: None }
    }

    pub(super) fn show(&mut self, picture: &LiveSnapshot, rates: &LiveRates) {
        let moment = &picture.moment;
        let bars = &self.bars;
        let play = self.play.get_or_insert_with(|| {
            let bar = ProgressBar::new(0).with_style(style(&format!("{BAR} {{msg}}")));
            bars.add(bar)
        });
        play.update(|bar| {
            bar.set_len(moment.duration.as_millis() as u64);
            bar.set_pos(moment.at.min(moment.duration).as_millis() as u64);
        });
        // In one message, so that it is drawn once.
        play.set_message(format!("{}\n{}", text::place(picture, "  "), text::table(picture, rates)));
    }

    pub(super) fn begin(&mut self, name: &str, goal: Option<u64>) -> TerminalStep {
        let bar = match goal {
            Some(goal) => ProgressBar::new(goal).with_style(style(&format!("{BAR} {{prefix}}: {{msg}}"))),
            None => ProgressBar::no_length().with_style(style("{prefix}")),
        };
        let bar = self.bars.add(bar);
        bar.set_prefix(name.to_owned());
        let step = TerminalStep { bar, goal };
        step.advance(0);
        step
    }

    pub(super) fn say(&self, text: &str) {
        // A terminal that is gone does not end the run.
        let _ = self.bars.println(text);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(play) = &self.play {
            play.finish_and_clear();
        }
    }
}

/// Something that is being done; its line is gone when it is dropped.
#[derive(Debug)]
pub(super) struct TerminalStep {
    bar: ProgressBar,
    goal: Option<u64>,
}

impl TerminalStep {
    pub(super) fn advance(&self, parts: u64) {
        self.bar.inc(parts);
        self.bar.set_message(part(self.bar.position(), self.goal));
    }
}

impl Drop for TerminalStep {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| unreachable!("our own, which tests draw"));
    style.progress_chars("=>-")
}
