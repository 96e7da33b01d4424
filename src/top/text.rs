//! Figures as plain text: what `--once` prints, and what is shown where the picture does not fit.
//!
//! Not here: the words themselves ([`super::words`]), JSON ([`super::figures`]).

use super::figures::Figures;
use super::history::WAYS;
use super::words::{self, ROOM_COLUMNS, SHARD_COLUMNS};
use std::fmt::Write as _;

/// Rooms that the text names; JSON and the picture have them all.
const ROOMS_NAMED: usize = 8;

/// The whole text: who, and everything about it.
pub fn page(address: &str, figures: &Figures) -> String {
    let over = figures.interval_seconds.map(|seconds| format!(", rates over {}", words::time(seconds)));
    format!("{address}: {}{}\n{}", words::headline(figures), over.unwrap_or_default(), body(figures))
}

/// The text without its first line.
pub fn body(figures: &Figures) -> String {
    let mut text = String::new();
    for way in WAYS {
        line(&mut text, &format!("{way:<10}{}", words::way(figures, way)));
    }
    for row in words::rows(figures) {
        line(&mut text, &format!("{:<10}{}", row.label, row.text));
    }
    line(&mut text, &cells(&SHARD_COLUMNS.map(String::from)));
    for shard in &figures.shards {
        line(&mut text, &cells(&words::shard(shard)));
    }
    line(&mut text, &words::rooms_title(figures));
    let rooms = figures.rooms.as_deref().unwrap_or_default();
    for room in rooms.iter().take(ROOMS_NAMED) {
        let [id, emoji, name] = words::room(room);
        line(&mut text, &format!("{id:>10}  {name} ({emoji} {})", ROOM_COLUMNS[1]));
    }
    if rooms.len() > ROOMS_NAMED {
        line(&mut text, &format!("{:>10}  and {} more", "", rooms.len() - ROOMS_NAMED));
    }
    text
}

fn cells(cells: &[String]) -> String {
    let mut text = String::new();
    for (cell, column) in cells.iter().zip(SHARD_COLUMNS) {
        let width = words::shard_cell_columns(column);
        let written = write!(text, "{cell:>width$} ");
        debug_assert!(written.is_ok(), "a String takes whatever is written");
    }
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}
