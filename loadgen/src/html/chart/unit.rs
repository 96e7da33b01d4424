//! Numbers as people read them: microseconds grow into seconds, taps into millions, and nothing has more digits than
//! the eye takes in.
//!
//! Invariant: a label never says more than three significant digits below the point, and never `NaN`. Exact numbers
//! belong in tables, see [`crate::table::grouped`].

/// Seconds from which on moments of a run are read as minutes.
pub(super) const CLOCK_FROM_S: f64 = 180.0;

/// What a number counts, which decides how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Plain things.
    Count,
    /// Microseconds.
    Us,
    /// Seconds since the first tap, as a place on the time axis.
    Clock,
    /// Busy cores.
    Cores,
    /// MiB of memory.
    Mib,
}

impl Unit {
    /// A number with its unit.
    pub(crate) fn label(self, value: f64) -> String {
        match self {
            Self::Count => scaled(value, &[("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9)]),
            Self::Us => scaled(value, &[(" µs", 1.0), (" ms", 1e3), (" s", 1e6)]),
            Self::Clock => clock(value),
            Self::Cores => scaled(value, &[("", 1.0)]),
            Self::Mib => scaled(value, &[(" MiB", 1.0), (" GiB", 1024.0), (" TiB", 1024.0 * 1024.0)]),
        }
    }
}

/// The number in the largest step that it reaches.
fn scaled(value: f64, steps: &[(&str, f64)]) -> String {
    let value = if value.is_finite() { value } else { 0.0 };
    let (name, size) = steps.iter().rev().find(|(_, size)| value.abs() >= *size).unwrap_or(&steps[0]);
    format!("{}{name}", digits(value / size))
}

/// Three significant digits, without zeros at the end.
fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        at_least if at_least >= 99.95 => 0,
        at_least if at_least >= 9.995 => 1,
        at_least if at_least >= 0.9995 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    if !text.contains('.') {
        return text;
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

fn clock(seconds: f64) -> String {
    if seconds.abs() < CLOCK_FROM_S { format!("{} s", digits(seconds)) } else { minutes(seconds) }
}

/// `0:45`, `7:30`, `1:02:30`.
pub(super) fn minutes(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "-" } else { "" };
    let whole = seconds.abs().round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{sign}{minutes}:{seconds:02}"),
        _ => format!("{sign}{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_have_their_unit() {
        let labels = [
            (Unit::Us, 0.0, "0 µs"),
            (Unit::Us, 850.0, "850 µs"),
            (Unit::Us, 12_345.0, "12.3 ms"),
            (Unit::Us, 2_000_000.0, "2 s"),
            (Unit::Count, 999.0, "999"),
            (Unit::Count, 1_500_000.0, "1.5M"),
            (Unit::Mib, 512.0, "512 MiB"),
            (Unit::Mib, 1536.0, "1.5 GiB"),
            (Unit::Cores, 0.25, "0.25"),
            (Unit::Clock, 20.0, "20 s"),
            (Unit::Clock, 450.0, "7:30"),
            (Unit::Clock, 3750.0, "1:02:30"),
        ];
        for (unit, value, label) in labels {
            assert_eq!(unit.label(value), label);
        }
    }

    #[test]
    fn what_is_no_number_is_nothing() {
        assert_eq!(Unit::Us.label(f64::NAN), "0 µs");
        assert_eq!(Unit::Count.label(f64::INFINITY), "0");
        assert_eq!(Unit::Count.label(-0.0001), "0");
    }
}
