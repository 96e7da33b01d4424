//! What the server's counters say about a match, from one look before it and one after.
//!
//! Invariant: everything follows from the two looks, so that looks of several machines can be put together first.

use super::Server;
use crate::metrics_scrape::{self, Samples, label_value};
use std::collections::BTreeMap;

/// Input that was refused, or sent to be: way in, reason and how often.
pub type Refusals = Vec<(String, String, u64)>;

impl Server {
    /// What happened between two looks. `rss_bytes_max` is the largest that was seen meanwhile, if anybody looked.
    pub fn between(before: Samples, after: Samples, on_purpose: Refusals, rss_bytes_max: Option<u64>) -> Self {
        let mut server = Self { before, after, rejected_on_purpose: on_purpose, rss_bytes_max, ..Self::default() };
        server.taps_counted = server.growth_by("uproar_reactions_total", "proto").values().sum();
        server.taps_framed = server.growth_by("uproar_frame_taps_total", "").values().sum();
        server.socket_drops = nonzero(server.growth_by("uproar_socket_drops_total", "socket"));
        server.frames_skipped = nonzero(server.growth_by("uproar_frames_skipped_total", "reason"));
        server.rejected = server.refusals();
        server.cpu_s = server.growth_s("process_cpu_seconds_total");
        let taps = server.taps_counted;
        server.cpu_ns_per_tap = server.cpu_s.filter(|_| taps > 0).map(|cpu_s| cpu_s * 1e9 / taps as f64);
        let seen = [&server.before, &server.after].map(|look| look.get("process_resident_memory_bytes"));
        let rss_bytes = seen.into_iter().flatten().map(|bytes| *bytes as u64);
        server.rss_bytes_max = rss_bytes.chain(server.rss_bytes_max).max();
        server
    }

    /// Taps counted by one way in, as the metrics name it.
    pub fn counted_by(&self, way: &str) -> u64 {
        self.growth_by("uproar_reactions_total", "proto").get(way).copied().unwrap_or(0)
    }

    /// What was refused and not sent to be: way in, reason and how often.
    pub fn rejected_by_mistake(&self) -> Refusals {
        let purpose = |way: &str, reason: &str| {
            let same = self.rejected_on_purpose.iter().filter(|(of, why, _)| of == way && why == reason);
            same.map(|(_, _, count)| count).sum::<u64>()
        };
        let rejected = self.rejected.iter();
        let mistakes = rejected
            .map(|(way, reason, count)| (way.clone(), reason.clone(), count.saturating_sub(purpose(way, reason))));
        mistakes.filter(|(_, _, count)| *count > 0).collect()
    }

    /// The same server as two machines saw it: from the earlier look to the later one.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        // A counter that is not there is 0, which is less than any.
        let in_both =
            self.before.iter().filter_map(|(name, one)| Some((name.clone(), one.min(*other.before.get(name)?))));
        let before = in_both.collect();
        let mut after = self.after.clone();
        for (name, value) in &other.after {
            let most = after.entry(name.clone()).or_insert(*value);
            *most = most.max(*value);
        }
        let mut purpose: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for (way, reason, count) in self.rejected_on_purpose.iter().chain(&other.rejected_on_purpose) {
            *purpose.entry((way, reason)).or_default() += count;
        }
        let purpose = purpose.into_iter().map(|((way, reason), count)| (way.to_owned(), reason.to_owned(), count));
        Self::between(before, after, purpose.collect(), self.rss_bytes_max.max(other.rss_bytes_max))
    }

    fn refusals(&self) -> Refusals {
        let mut refusals: BTreeMap<(String, String), u64> = BTreeMap::new();
        for (labels, growth) in metrics_scrape::growth(&self.before, &self.after, "uproar_rejected_total") {
            let of = |label| label_value(labels, label).to_owned();
            *refusals.entry((of("proto"), of("reason"))).or_default() += growth;
        }
        let some = refusals.into_iter().filter(|(_, count)| *count > 0);
        some.map(|((way, reason), count)| (way, reason, count)).collect()
    }

    fn growth_by(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        metrics_scrape::growth_by(&self.before, &self.after, name, label)
    }

    /// The growth of a counter that has no labels, if it was there on both looks.
    fn growth_s(&self, name: &str) -> Option<f64> {
        Some(self.after.get(name)? - self.before.get(name)?).filter(|growth| *growth >= 0.0)
    }
}

fn nonzero(mut counts: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    counts.retain(|_, count| *count > 0);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(samples: &[(&str, f64)]) -> Samples {
        samples.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    fn server() -> Server {
        let before = samples(&[
            ("uproar_reactions_total{proto=\"udp\"}", 10.0),
            ("process_cpu_seconds_total", 1.0),
            ("process_resident_memory_bytes", 900.0),
        ]);
        let after = samples(&[
            ("uproar_reactions_total{proto=\"udp\"}", 25.0),
            ("uproar_reactions_total{proto=\"http\"}", 5.0),
            ("uproar_frame_taps_total", 20.0),
            ("uproar_rejected_total{proto=\"udp\",reason=\"malformed\"}", 7.0),
            ("uproar_rejected_total{proto=\"http\",reason=\"malformed\"}", 0.0),
            ("uproar_socket_drops_total{socket=\"reactions\"}", 3.0),
            ("process_cpu_seconds_total", 1.5),
            ("process_resident_memory_bytes", 800.0),
        ]);
        Server::between(before, after, vec![("udp".into(), "malformed".into(), 5)], None)
    }

    #[test]
    fn counters_grow_between_two_looks() {
        let server = server();
        assert_eq!((server.taps_counted, server.taps_framed), (20, 20));
        assert_eq!((server.counted_by("udp"), server.counted_by("http"), server.counted_by("quic")), (15, 5, 0));
        assert_eq!(server.rejected, [("udp".into(), "malformed".into(), 7)]);
        assert_eq!(server.socket_drops, [("reactions".into(), 3)].into());
        assert_eq!((server.cpu_s, server.cpu_ns_per_tap), (Some(0.5), Some(25_000_000.0)));
        assert_eq!(server.rss_bytes_max, Some(900));
    }

    #[test]
    fn what_was_sent_to_be_refused_is_no_mistake() {
        assert_eq!(server().rejected_by_mistake(), [("udp".into(), "malformed".into(), 2)]);
    }

    #[test]
    fn two_machines_saw_the_server_from_the_earlier_look_to_the_later() {
        let (mut early, mut late) = (server(), server());
        early.before.insert("uproar_reactions_total{proto=\"udp\"}".into(), 8.0);
        late.after.insert("uproar_reactions_total{proto=\"udp\"}".into(), 30.0);
        let merged = early.merged(&late);
        assert_eq!((merged.counted_by("udp"), merged.counted_by("http")), (22, 5));
        assert_eq!(merged.rejected_by_mistake(), [], "each sent five of the seven to be refused");
        assert_eq!(merged, late.merged(&early));
    }
}
