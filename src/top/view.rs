//! The picture on the terminal.
//!
//! Invariant: pure, from a [`Screen`] to cells; draws on any area, however small, without a panic. Where the picture does
//! not fit, the plain text is shown as far as it goes. Not here: which keys do what ([`super::screen`]), what figures say
//! ([`super::words`]).

use super::figures::Figures;
use super::history::{Trail, WAYS};
use super::screen::{Screen, Table as Shown};
use super::text;
use super::words::{self, ROOM_COLUMNS, SHARD_COLUMNS, Tone};
use crate::edge::terminal::ascii;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Row, Sparkline, Table, Wrap};

/// Below this the picture does not fit.
const WIDTH_MIN: u16 = 72;
const HEIGHT_MIN: u16 = 20;
/// From here on rooms stand beside shards.
const WIDTH_BESIDE: u16 = 132;
/// Columns of a row's label.
const LABEL: u16 = 10;
/// Columns of a way's rate.
const RATE: u16 = 10;
/// Lines of the table of rooms when it stands below that of shards, with its title and head.
const ROOMS_BELOW: u16 = 5;

const HELP: &str = "\
q, Esc, Ctrl-C  quit
p, space        pause: the picture stands still, reading goes on
up, down        scroll the table (page up, page down, home, end too)
Tab             scroll the other table
?               this help

Rates are over the last interval; latencies, windows and frames over 10 s.
starved   times a ring had no provided buffer left, since the start
stalled   times a peer took less than was sent, since the start
mesh      messages between shards that wait
busy      part of the time for which a shard's loop was awake
–         not told by this server";

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let area = frame.area();
    // A terminal that nobody has told its size says that it has none.
    if area.is_empty() {
        return;
    }
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)]).areas(area);
    draw_head(frame, head, screen);
    match &screen.picture().figures {
        None => draw_nothing_yet(frame, body, screen),
        Some(figures) if area.width < WIDTH_MIN || area.height < HEIGHT_MIN => draw_text(frame, body, figures),
        Some(figures) => draw_figures(frame, body, figures, screen),
    }
    if screen.picture().trouble.is_some() {
        // Not of now.
        frame.buffer_mut().set_style(body, Style::new().dim());
    }
    frame.render_widget(Line::from(" q quit  p pause  ↑↓ scroll  Tab shards/rooms  ? help").dim(), foot);
    if screen.help() {
        draw_help(frame, area);
    }
}

/// Draws what is there in ASCII, for terminals that show nothing else.
pub fn to_ascii(frame: &mut Frame<'_>) {
    for cell in &mut frame.buffer_mut().content {
        if !cell.symbol().is_ascii() {
            // One cell has one character.
            let ascii = ascii(cell.symbol());
            cell.set_char(ascii.chars().next().unwrap_or(' '));
        }
    }
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let picture = screen.picture();
    let mut spans = vec![Span::from(format!(" {} ", screen.address())).bold()];
    match (&picture.trouble, &picture.figures) {
        (Some(_), _) => spans.push(" unreachable ".white().on_red()),
        (None, Some(figures)) => spans.push(words::headline(figures).into()),
        (None, None) => spans.push("connecting".into()),
    }
    if screen.paused() {
        spans.extend([" ".into(), " paused ".black().on_yellow()]);
    }
    // The reason may be long, and is the first thing to be cut off.
    if let Some(trouble) = &picture.trouble {
        spans.extend([" ".into(), trouble.brief.clone().into()]);
    }
    frame.render_widget(Line::from(spans), area);
}

fn draw_nothing_yet(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let every = humantime::format_duration(screen.interval());
    let text = match &screen.picture().trouble {
        Some(trouble) => format!("{}\n\nTrying again every {every}.", trouble.whole),
        None => format!("Reading {} every {every}.", screen.address()),
    };
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
}

fn draw_text(frame: &mut Frame<'_>, area: Rect, figures: &Figures) {
    frame.render_widget(Paragraph::new(text::body(figures)), area);
}

fn draw_figures(frame: &mut Frame<'_>, area: Rect, figures: &Figures, screen: &Screen) {
    let rows = words::rows(figures);
    let heights = [WAYS.len() as u16, rows.len() as u16].map(Constraint::Length);
    let [ways, subjects, tables] = Layout::vertical([heights[0], heights[1], Constraint::Min(0)]).areas(area);
    draw_ways(frame, ways, figures, &screen.picture().trails);
    frame.render_widget(Paragraph::new(rows.iter().map(subject).collect::<Vec<_>>()), subjects);
    let [shards, rooms] = match area.width {
        WIDTH_BESIDE.. => Layout::horizontal([Constraint::Percentage(66), Constraint::Min(0)]).areas(tables),
        _ => Layout::vertical([Constraint::Min(0), Constraint::Length(ROOMS_BELOW)]).areas(tables),
    };
    draw_shards(frame, shards, figures, screen);
    draw_rooms(frame, rooms, figures, screen);
}

/// One line a way in: its rate, and the last readings as bars, the newest at the right. Each way has its own scale.
fn draw_ways(frame: &mut Frame<'_>, area: Rect, figures: &Figures, trails: &[Trail; WAYS.len()]) {
    let lines: [Rect; WAYS.len()] = Layout::vertical([Constraint::Length(1); WAYS.len()]).areas(area);
    for ((way, trail), line) in WAYS.into_iter().zip(trails).zip(lines) {
        let columns = [Constraint::Length(LABEL), Constraint::Length(RATE), Constraint::Min(0)];
        let [label, rate, bars] = Layout::horizontal(columns).areas(line);
        frame.render_widget(Line::from(format!(" {way}")).bold(), label);
        frame.render_widget(Line::from(words::way(figures, way)).right_aligned(), rate);
        let room = usize::from(bars.width.saturating_sub(2));
        let newest = trail.range(trail.len().saturating_sub(room)..);
        let empty = std::iter::repeat_n(None, room.saturating_sub(trail.len()));
        let bars = Rect { x: bars.x + 2.min(bars.width), width: room as u16, ..bars };
        let sparkline = Sparkline::default().data(empty.chain(newest.copied())).fg(Color::Cyan);
        frame.render_widget(sparkline, bars);
    }
}

fn subject(row: &words::Row) -> Line<'static> {
    let label = Span::from(format!(" {:<width$}", row.label, width = usize::from(LABEL))).bold();
    Line::from(vec![label, Span::styled(row.text.clone(), style(row.tone))])
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Calm => Style::new(),
        Tone::Watch => Style::new().fg(Color::Yellow),
        Tone::Alarm => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

fn draw_shards(frame: &mut Frame<'_>, area: Rect, figures: &Figures, screen: &Screen) {
    let title = format!("shards: {}", figures.shards.len());
    let shown = figures.shards.iter().skip(screen.scrolled(Shown::Shards)).take(area.height.into());
    let rows = shown.map(|shard| Row::new(aligned(words::shard(shard))).style(style(words::shard_tone(shard))));
    let widths = SHARD_COLUMNS.map(|column| Constraint::Length(words::shard_cell_columns(column) as u16));
    let head = Row::new(aligned(SHARD_COLUMNS.map(String::from))).dim();
    let table = Table::new(rows, widths).header(head).block(titled(&title, screen, Shown::Shards));
    frame.render_widget(table, area);
}

fn aligned<const N: usize>(cells: [String; N]) -> [Line<'static>; N] {
    cells.map(|cell| Line::from(cell).right_aligned())
}

fn draw_rooms(frame: &mut Frame<'_>, area: Rect, figures: &Figures, screen: &Screen) {
    let rooms = figures.rooms.as_deref().unwrap_or_default();
    let rows = rooms.iter().skip(screen.scrolled(Shown::Rooms)).take(area.height.into()).map(|room| {
        let [id, emoji, name] = words::room(room);
        Row::new([Line::from(id).right_aligned(), Line::from(emoji).right_aligned(), Line::from(name)])
    });
    let widths = [Constraint::Length(10), Constraint::Length(6), Constraint::Min(0)];
    let [id, emoji, name] = ROOM_COLUMNS.map(Line::from);
    let head = Row::new([id.right_aligned(), emoji.right_aligned(), name]).dim();
    let table = Table::new(rows, widths).header(head).block(titled(&words::rooms_title(figures), screen, Shown::Rooms));
    frame.render_widget(table, area);
}

/// A line with a title above a table; bright above the one that scrolls.
fn titled(title: &str, screen: &Screen, table: Shown) -> Block<'static> {
    let title = Line::from(format!(" {title} "));
    let title = if screen.scrolls() == table { title.bold() } else { title.dim() };
    Block::new().borders(Borders::TOP).title(title)
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let lines = HELP.lines().count() as u16 + 2;
    let width = HELP.lines().map(|line| line.chars().count()).max().unwrap_or(0) as u16 + 4;
    let popup = area.centered(Constraint::Length(width), Constraint::Length(lines));
    frame.render_widget(Clear, popup);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" help ")), popup);
}

#[cfg(test)]
mod tests;
