//! Lines of Prometheus text, version 0.0.4: heads, series, and the buckets of a distribution.
//!
//! Invariant: label values never need escaping, as they are this project's own words and numbers. Not here: which
//! families there are ([`super::render`]).

use super::Latency;
use super::latency::BUCKETS;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// What Prometheus is told a family is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The series of one family and one shard, or of the node.
pub(super) struct Writer<'a, 'o> {
    pub(super) text: &'a mut Text<'o>,
    pub(super) name: &'a str,
    pub(super) shard: Option<&'a str>,
}

impl Writer<'_, '_> {
    /// A family without labels.
    pub(super) fn one(&mut self, value: u64) {
        self.series(&[], value);
    }

    /// A family without labels that counts time.
    pub(super) fn seconds(&mut self, time: Duration) {
        let name = self.name;
        self.suffixed(name, &[], time.as_secs_f64());
    }

    /// A family with one label.
    pub(super) fn each<T: Copy>(
        &mut self,
        variants: &[T],
        label: impl Fn(T) -> (&'static str, &'static str),
        value: impl Fn(T) -> u64,
    ) {
        for &variant in variants {
            self.series(&[label(variant)], value(variant));
        }
    }

    /// One series of a family with any labels.
    pub(super) fn series(&mut self, labels: &[(&str, &str)], value: u64) {
        let name = self.name;
        self.suffixed(name, labels, value);
    }

    /// All series of a distribution.
    pub(super) fn latency(&mut self, latency: &Latency) {
        let name = self.name;
        let bucket = format!("{name}_bucket");
        for ((_, upper), count) in BUCKETS.iter().zip(latency.cumulative()) {
            self.suffixed(&bucket, &[("le", upper)], count);
        }
        self.suffixed(&bucket, &[("le", "+Inf")], latency.count());
        self.suffixed(&format!("{name}_sum"), &[], latency.sum_seconds());
        self.suffixed(&format!("{name}_count"), &[], latency.count());
    }

    fn suffixed(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        let shard = self.shard.map(|shard| ("shard", shard));
        self.text.labelled(name, shard.iter().chain(labels), value);
    }
}

/// A page under way.
pub(super) struct Text<'o> {
    pub(super) out: &'o mut String,
}

impl Text<'_> {
    /// HELP and TYPE of a family, whose series follow.
    pub(super) fn head(&mut self, name: &str, help: &str, kind: Kind) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// A whole family of one series, if it has a value.
    pub(super) fn figure(&mut self, name: &str, help: &str, kind: Kind, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.head(name, help, kind);
            self.series(name, &[], value);
        }
    }

    /// One series.
    pub(super) fn series(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.labelled(name, labels.iter(), value);
    }

    fn labelled<'l>(
        &mut self,
        name: &str,
        labels: impl Iterator<Item = &'l (&'l str, &'l str)>,
        value: impl fmt::Display,
    ) {
        self.out.push_str(name);
        let mut before = '{';
        for (key, text) in labels {
            self.out.push(before);
            for part in [key, "=\"", text, "\""] {
                self.out.push_str(part);
            }
            before = ',';
        }
        self.out.push_str(if before == '{' { " " } else { "} " });
        self.line(format_args!("{value}\n"));
    }

    fn line(&mut self, text: fmt::Arguments<'_>) {
        let written = self.out.write_fmt(text);
        debug_assert!(written.is_ok(), "a String takes whatever is written");
    }
}
