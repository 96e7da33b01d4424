//! A report as text for people.
//!
//! Invariant: shows, judges nothing. What a run is worth is said in [`crate::report`].

use crate::report::{Quantiles, Report};
use std::fmt::{self, Display, Formatter};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<10} {:>14} {:>14} {:>12} {:>12}",
            "way in", "taps sent", "counted there", "unconfirmed", "refused"
        )?;
        for transport in &self.transports {
            let counted = transport.taps_counted.map_or("?".into(), grouped);
            writeln!(
                f,
                "{:<10} {:>14} {:>14} {:>12} {:>12}",
                transport.transport,
                grouped(transport.taps_sent),
                counted,
                grouped(transport.taps_unconfirmed),
                grouped(transport.taps_refused.values().sum::<u64>() + transport.taps_unsent)
            )?;
        }
        let seen = &self.subscribers;
        writeln!(f, "{:<10} {:>14}  of {} planned", "sent", grouped(self.taps_sent), grouped(self.taps_planned))?;
        writeln!(f, "{:<10} {:>14}  in {} windows", "in frames", grouped(self.taps_framed), seen.windows)?;
        writeln!(
            f,
            "{:<10} {:>14}  seen by {} subscribers; {} missing, {} twice",
            "frames",
            grouped(seen.frames_received),
            seen.count,
            grouped(seen.frames_missing),
            grouped(seen.duplicates)
        )?;
        writeln!(f, "{:<10} {:>14}  of {} tapped", "people", grouped(self.people_acted), grouped(self.people.into()))?;
        writeln!(f, "\n{:<24} {:>10} {:>10} {:>10} {:>10} {:>10}  ms", "latency", "p50", "p90", "p99", "p99.9", "max")?;
        let latency = &self.latency;
        for (name, quantiles) in [
            ("tap to frame", &latency.tap_to_frame),
            ("window's end to frame", &latency.window_close_to_frame),
            ("first to each subscriber", &latency.spread),
            ("HTTP request to 202", &latency.http_confirmed),
            ("the generator's own lag", &latency.generator_lag),
        ] {
            writeln!(f, "{name:<24} {quantiles}")?;
        }
        writeln!(f)?;
        for finding in &self.findings {
            writeln!(f, "FAILED: {finding}")?;
        }
        if self.passed {
            let exact = if self.taps_lost == 0 { "nothing was lost" } else { "no more was lost than allowed" };
            writeln!(f, "{exact}")?;
        }
        Ok(())
    }
}

impl Display for Quantiles {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return write!(f, "{:>10}", "-");
        }
        let ms = |us: u64| us as f64 / 1000.0;
        let [p50, p90, p99, p999, max] = [self.p50_us, self.p90_us, self.p99_us, self.p999_us, self.max_us].map(ms);
        write!(f, "{p50:>10.2} {p90:>10.2} {p99:>10.2} {p999:>10.2} {max:>10.2}")
    }
}

/// A number with a comma after each thousand.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn latencies_are_shown_in_milliseconds_or_not_at_all() {
        let quantiles = Quantiles { count: 2, p50_us: 1500, p90_us: 2000, p99_us: 2000, p999_us: 2000, max_us: 20_004 };
        assert_eq!(quantiles.to_string(), "      1.50       2.00       2.00       2.00      20.00");
        assert_eq!(Quantiles::default().to_string(), "         -");
    }
}
