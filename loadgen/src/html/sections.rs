//! Everything of a report that is not a plot: verdict, numbers, tables, and what was real.
//!
//! Invariant: no verdict is told by colour alone; each has a sign and a word.

use super::view::{Fact, Loss, Page, Table, Threshold, Verdict};
use crate::table::grouped;
use maud::{Markup, html};

/// Rows of a table; what is beyond stands in the JSON report.
const ROWS_MAX: usize = 40;

impl Verdict {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Passed => "good",
            Self::Failed => "bad",
            Self::Invalid => "odd",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Passed => "M9 16.5l5 5 9.5-11",
            Self::Failed => "M10.5 10.5l11 11m0-11l-11 11",
            Self::Invalid => "M16 8.5v9.5m0 4.4v.2",
        }
    }
}

impl Page {
    /// What was run and how it ended.
    pub(super) fn opening(&self) -> Markup {
        html! {
            header {
                p.maker { "Uproar load run" }
                h1 { (self.title) }
                p.subtitle { (self.subtitle) }
                section class=(format!("verdict {}", self.verdict.class())) {
                    svg viewBox="0 0 32 32" aria-hidden="true" { circle cx="16" cy="16" r="16" {} path d=(self.verdict.sign()) {} }
                    div {
                        h2 { (self.verdict.word()) }
                        p { (self.summary) }
                        @if !self.findings.is_empty() {
                            ul { @for finding in &self.findings { li { (finding) } } }
                        }
                        @if !self.notes.is_empty() {
                            p.aside { "To be known:" }
                            ul { @for note in &self.notes { li { (note) } } }
                        }
                    }
                }
            }
        }
    }

    pub(super) fn headlines(&self) -> Markup {
        html! {
            dl.headlines {
                @for Fact { name, value, note } in &self.headlines {
                    div { dt { (name) } dd { strong { (value) } @if !note.is_empty() { small { (note) } } } }
                }
            }
        }
    }

    /// Thresholds, losses and all tables.
    pub(super) fn numbers(&self) -> Markup {
        html! {
            h2 { "In numbers" }
            @if !self.thresholds.is_empty() { (self.thresholds()) }
            (self.losses())
            @for table in &self.tables { (table.draw()) }
        }
    }

    fn thresholds(&self) -> Markup {
        html! {
            section.card {
                h3 { "Thresholds" }
                p.note { "As the scenario sets them; they give the exit code." }
                div.scroll tabindex="0" role="region" aria-label="Thresholds" {
                    table {
                        thead { tr { th scope="col" { "threshold" } th scope="col" { "verdict" } th scope="col" { "measured" } th scope="col" { "limit" } } }
                        tbody { @for threshold in &self.thresholds { (threshold.row()) } }
                    }
                }
            }
        }
    }

    fn losses(&self) -> Markup {
        html! {
            section.card {
                h3 { "Where loss was seen" }
                @if self.losses.is_empty() {
                    p.note { "Nowhere." }
                } @else {
                    p.note { "What is in no frame, by the last place where it was seen." }
                    div.scroll tabindex="0" role="region" aria-label="Where loss was seen" {
                        table {
                            thead { tr { th scope="col" { "place" } th.text scope="col" { "reason" } th scope="col" { "how much" } } }
                            tbody { @for loss in &self.losses { (loss.row()) } }
                        }
                    }
                }
            }
        }
    }

    /// What was real, what was played, and where.
    pub(super) fn closing(&self) -> Markup {
        html! {
            h2 { "What was real" }
            section.card {
                (facts(&self.real))
                @if self.extrapolated.is_empty() {
                    p.extrapolated { "Nothing was extrapolated: every number on this page was counted or measured." }
                } @else {
                    p.extrapolated { "Extrapolated, not measured:" }
                    ul { @for sentence in &self.extrapolated { li { (sentence) } } }
                }
            }
            @if !self.charts.moments.is_empty() { (self.moments().draw()) }
            @if !self.environment.is_empty() {
                h2 { "Environment" }
                section.card { (facts(&self.environment)) }
            }
            h2 { "Scenario as played" }
            section.card { pre.scroll tabindex="0" role="region" aria-label="Scenario file" { code { (self.scenario_text) } } }
        }
    }

    fn moments(&self) -> Table {
        let at = |seconds: f64| super::chart::unit::Unit::Clock.label(seconds);
        let rows =
            self.charts.moments.iter().map(|moment| vec![moment.name.clone(), at(moment.from_s), at(moment.to_s)]);
        Table {
            title: "Moments of the match".into(),
            note: "Since the first tap.".into(),
            heads: ["moment", "from", "to"].map(String::from).into(),
            rows: rows.collect(),
        }
    }
}

impl Threshold {
    fn row(&self) -> Markup {
        let verdict = if self.passed { Verdict::Passed } else { Verdict::Failed };
        html! {
            tr {
                th scope="row" { (self.name) }
                td class=(format!("mark {}", verdict.class())) { (if self.passed { "✓ " } else { "✕ " }) (verdict.word()) }
                td { (self.measured) }
                td { (self.limit) }
            }
        }
    }
}

impl Loss {
    fn row(&self) -> Markup {
        html! { tr { th scope="row" { (self.place) } td.text { (self.reason) } td { (self.count) } } }
    }
}

impl Table {
    fn draw(&self) -> Markup {
        let beyond = self.rows.len().saturating_sub(ROWS_MAX);
        html! {
            section.card {
                h3 { (self.title) }
                @if !self.note.is_empty() { p.note { (self.note) } }
                div.scroll tabindex="0" role="region" aria-label=(self.title) {
                    table {
                        thead { tr { @for head in &self.heads { th scope="col" { (head) } } } }
                        tbody { @for row in self.rows.iter().take(ROWS_MAX) { (cells(row)) } }
                    }
                }
                @if beyond > 0 { p.note { "And " (grouped(beyond as u64)) " more, in the JSON report." } }
            }
        }
    }
}

fn cells(row: &[String]) -> Markup {
    html! {
        tr { @for (column, cell) in row.iter().enumerate() { @if column == 0 { th scope="row" { (cell) } } @else { td { (cell) } } } }
    }
}

fn facts(facts: &[Fact]) -> Markup {
    html! {
        dl.facts {
            @for Fact { name, value, note } in facts {
                div { dt { (name) } dd { (value) @if !note.is_empty() { " " small { (note) } } } }
            }
        }
    }
}
