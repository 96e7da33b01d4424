//! A room's frames for people to look at: bars of the top emoji and a spark line of the last windows on a terminal, one
//! line a frame elsewhere.
//!
//! Invariant: [`RoomView`] only makes text; [`Screen`] only puts it somewhere. Deliberately not here: knowing how wide
//! a glyph is, so glyphs come last in a line or before a name of fixed width.

use crate::table::grouped;
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use uproar::edge::terminal;
use uproar_client::RoomEvent;
use uproar_wire::frame::{Frame, TopEntry};

/// Emoji shown.
const BARS: usize = 8;
/// Characters of a full bar.
const BAR_LEN: usize = 40;
/// Windows of the spark line.
const SPARKS: usize = 60;
/// Characters of a name.
const NAME_LEN: usize = 14;

/// One room, as far as its frames tell.
#[derive(Clone, Debug, Default)]
pub struct RoomView {
    name: String,
    /// Glyph and name by emoji id.
    emoji: Vec<(String, String)>,
    totals: VecDeque<u64>,
    frame: Option<Frame>,
    /// Whether glyphs cannot be shown.
    names_only: bool,
}

impl RoomView {
    /// One whose text the terminal of this process can show.
    pub fn for_terminal() -> Self {
        Self { names_only: !terminal::is_utf8(), ..Self::default() }
    }

    /// Takes what is new; true when there is a new frame to show.
    pub fn handle_event(&mut self, event: RoomEvent) -> bool {
        match event {
            RoomEvent::Palette(_, palette) => {
                self.name = palette.name;
                self.emoji = palette.emoji.into_iter().map(|emoji| (emoji.glyph, emoji.name)).collect();
                false
            }
            RoomEvent::Frame(frame) => {
                if self.totals.len() == SPARKS {
                    self.totals.pop_front();
                }
                self.totals.push_back(frame.total);
                self.frame = Some(frame);
                true
            }
        }
    }

    /// The room as a picture of always the same number of lines.
    pub fn lines(&self) -> Vec<String> {
        let Some(frame) = &self.frame else {
            return vec![format!("{}: waiting for the first frame", self.name)];
        };
        let mut lines = vec![
            format!("{}  room {}  window {}", self.name, frame.room, frame.window),
            format!(
                "{:>14} taps in {} s  intensity {:>3} %  {}",
                grouped(frame.total),
                f64::from(frame.window_ms) / 1000.0,
                u32::from(frame.intensity) * 100 / 255,
                self.spark_line()
            ),
        ];
        lines.extend((0..BARS).map(|place| frame.top.get(place).map_or_else(String::new, |entry| self.bar(entry))));
        lines
    }

    /// The newest frame in one line.
    pub fn plain_line(&self) -> Option<String> {
        let frame = self.frame.as_ref()?;
        let top: Vec<String> = frame
            .top
            .iter()
            .take(3)
            .map(|entry| format!("{} {}.{:02} %", self.label(entry).0, entry.share / 100, entry.share % 100))
            .collect();
        Some(format!(
            "window {}  {:>12} taps  intensity {:>3} %  {}",
            frame.window,
            grouped(frame.total),
            u32::from(frame.intensity) * 100 / 255,
            top.join("  ")
        ))
    }

    fn bar(&self, entry: &TopEntry) -> String {
        let (glyph, name) = self.label(entry);
        let full = (usize::from(entry.share) * BAR_LEN).div_ceil(10_000);
        let name: String = name.chars().take(NAME_LEN).collect();
        format!(
            "{:>3}.{:02} % {:<BAR_LEN$} {:>12} {name:<NAME_LEN$} {glyph}",
            entry.share / 100,
            entry.share % 100,
            "█".repeat(full),
            grouped(entry.count)
        )
    }

    fn label(&self, entry: &TopEntry) -> (String, String) {
        let unknown = || (format!("#{}", entry.emoji), String::new());
        let (glyph, name) = self.emoji.get(usize::from(entry.emoji)).cloned().unwrap_or_else(unknown);
        if self.names_only && !name.is_empty() { (name.clone(), name) } else { (glyph, name) }
    }

    fn spark_line(&self) -> String {
        const SPARK: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let highest = self.totals.iter().copied().max().unwrap_or(0).max(1);
        let spark = |total: &u64| SPARK[(u128::from(*total) * 7).div_ceil(u128::from(highest)) as usize];
        self.totals.iter().map(spark).collect()
    }
}

/// Where a view is put.
#[derive(Debug)]
pub struct Screen {
    terminal: bool,
    lines: usize,
}

impl Screen {
    /// Standard output.
    pub fn stdout() -> Self {
        Self { terminal: io::stdout().is_terminal() && terminal::moves_cursor(), lines: 0 }
    }

    /// Shows the newest frame: in place of the one before on a terminal, below it elsewhere.
    pub fn show(&mut self, view: &RoomView) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.terminal {
            let lines = view.lines();
            out.write_all(terminal::shown(&redraw(self.lines, &lines)).as_bytes())?;
            self.lines = lines.len();
        } else if let Some(line) = view.plain_line() {
            writeln!(out, "{}", terminal::shown(&line))?;
        }
        out.flush()
    }
}

/// Goes up over what stands there, and writes over it: without clearing first, nothing flickers.
fn redraw(lines_before: usize, lines: &[String]) -> String {
    let mut text = if lines_before > 0 { format!("\x1b[{lines_before}A") } else { String::new() };
    for line in lines {
        text.push_str(line);
        text.push_str("\x1b[K\n");
    }
    text.push_str("\x1b[J");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use uproar_wire::RoomId;
    use uproar_wire::frame::{Palette, PaletteEntry};

    fn view() -> RoomView {
        let mut view = RoomView::default();
        let emoji = |name: &str, glyph: &str| PaletteEntry { name: name.into(), glyph: glyph.into() };
        let palette = Palette {
            room: 1,
            name: "Final".into(),
            emoji: vec![emoji("fire", "🔥"), emoji("a very long name", "💯")],
        };
        assert!(!view.handle_event(RoomEvent::Palette(RoomId(1), palette)));
        for (window, total) in [(7, 0), (8, 500), (9, 4000)] {
            let top = vec![
                TopEntry { count: total / 4 * 3, emoji: 1, share: 7500, intensity: 191 },
                TopEntry { count: total / 4, emoji: 0, share: 2500, intensity: 64 },
            ];
            let frame = Frame { room: 1, window_ms: 2000, window, start_ms: window * 2000, total, intensity: 255, top };
            assert!(view.handle_event(RoomEvent::Frame(frame)));
        }
        view
    }

    #[test]
    fn a_frame_is_drawn_as_bars() {
        let lines = view().lines();
        assert_eq!(lines.len(), 2 + BARS);
        assert_eq!(lines[0], "Final  room 1  window 9");
        assert_eq!(lines[1], "         4,000 taps in 2 s  intensity 100 %  ▁▂█");
        assert_eq!(lines[2], " 75.00 % ██████████████████████████████                  3,000 a very long na 💯");
        assert_eq!(lines[3], " 25.00 % ██████████                                      1,000 fire           🔥");
        assert!(lines[4..].iter().all(String::is_empty));
    }

    #[test]
    fn a_frame_is_one_line_where_there_is_no_terminal() {
        assert_eq!(
            view().plain_line().unwrap(),
            "window 9         4,000 taps  intensity 100 %  💯 75.00 %  🔥 25.00 %"
        );
        assert_eq!(RoomView::default().plain_line(), None);
    }

    #[test]
    fn where_glyphs_cannot_be_shown_there_are_names() {
        let mut view = view();
        view.names_only = true;
        let line = view.plain_line().unwrap();
        assert!(line.ends_with("a very long name 75.00 %  fire 25.00 %"), "{line}");
        let drawn = terminal::ascii(&redraw(0, &view.lines())).into_owned();
        assert!(drawn.is_ascii() && drawn.contains("#####") && drawn.contains(".:#"), "{drawn}");
    }

    #[test]
    fn an_emoji_beyond_the_palette_is_shown_by_its_number() {
        let mut view = view();
        view.emoji.clear();
        assert!(view.lines()[2].ends_with("#1"));
    }

    #[test]
    fn drawing_again_goes_over_what_stood_there() {
        assert_eq!(redraw(0, &["a".into()]), "a\x1b[K\n\x1b[J");
        assert_eq!(redraw(2, &["b".into()]), "\x1b[2Ab\x1b[K\n\x1b[J");
    }
}
