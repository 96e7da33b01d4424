//! What a scenario sends, found out without sending: how many taps, by how many people, and a digest of them all.
//!
//! The digest is a sum over all taps, so that it does not depend on their order, and those of ten parts add up (modulo 2^64)
//! to the whole crowd's.

use crate::crowd::{Crowd, Part, Planner, Section, SlicePlan};
use crate::ledger::{Acted, Transport};
use crate::scenario::Scenario;
use crate::table::grouped;
use serde::Serialize;
use std::sync::Arc;

/// What a part of a match comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Sums {
    /// Sections.
    pub sections: u64,
    /// People in them.
    pub people: u64,
    /// Of these, who tap at least once.
    pub people_acted: u64,
    /// Reactions.
    pub reactions: u64,
    /// Taps.
    pub taps: u64,
    /// Datagrams and requests.
    pub batches: u64,
    /// Most taps of one second.
    pub taps_a_second_max: u64,
    /// The digest of all taps.
    pub digest: u64,
}

/// Plans all of a part.
pub fn sums(crowd: &Arc<Crowd>, part: Part) -> Sums {
    let acted = Acted::new(crowd.scenario().people);
    let sections: Vec<(&Section, usize)> = Transport::ALL
        .into_iter()
        .flat_map(|way| crowd.sections_of(part, way).map(move |section| (section, way)))
        .map(|(section, way)| (section, records_max(crowd.scenario(), way)))
        .collect();
    let mut sums = Sums { sections: sections.len() as u64, people: crowd.people_of(part), ..Sums::default() };
    let (mut planner, mut plan, mut second, mut taps_in_second) = (Planner::new(crowd), SlicePlan::default(), 0, 0);
    for slice in crowd.slices() {
        planner.begin(slice);
        if slice.starts_at().as_secs() != second {
            (second, taps_in_second) = (slice.starts_at().as_secs(), 0);
        }
        for (section, records_max) in &sections {
            planner.plan(section, *records_max, &mut plan);
            for batch in plan.batches() {
                sums.batches += 1;
                sums.reactions += batch.taps.len() as u64;
                taps_in_second += batch.count();
                sums.taps += batch.count();
                for tap in batch.taps {
                    sums.people_acted += u64::from(acted.mark(tap.person));
                    sums.digest = sums.digest.wrapping_add(tap.digest(section, batch.due));
                }
            }
        }
        sums.taps_a_second_max = sums.taps_a_second_max.max(taps_in_second);
    }
    sums
}

fn records_max(scenario: &Scenario, way: Transport) -> usize {
    let records = match way {
        Transport::Udp => scenario.udp.as_ref().map(|udp| udp.records_per_datagram),
        Transport::Http => scenario.http.as_ref().map(|http| http.reactions_per_request),
        Transport::Quic => scenario.quic.as_ref().map(|quic| quic.records_per_datagram),
    };
    records.unwrap_or(1).into()
}

/// What a part of a match comes to, for people or as JSON.
pub fn text(scenario: Scenario, part: Part, json: bool) -> String {
    let crowd = Crowd::new(scenario);
    let sums = sums(&crowd, part);
    if json {
        return format!("{:#}\n", serde_json::json!(sums));
    }
    let mut text = format!("{}, seed {}, part {part}\n", crowd.scenario().name, crowd.scenario().seed);
    for (what, count) in [
        ("sections", sums.sections),
        ("people", sums.people),
        ("who tap", sums.people_acted),
        ("reactions", sums.reactions),
        ("taps", sums.taps),
        ("taps a second, at most", sums.taps_a_second_max),
        ("datagrams and requests", sums.batches),
    ] {
        text += &format!("{what:<24} {:>16}\n", grouped(count));
    }
    text + &format!("{:<24} {:>16x}\n", "digest", sums.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd() -> Arc<Crowd> {
        let text = "people = 30000\nsections = 30\nreactions_per_second = 3000\n[rooms]\ncount = 3\n\
            [udp]\nshare = 8\nrecords_per_datagram = 16\n[http]\n[quic]";
        Crowd::new(Scenario::parse(text).unwrap())
    }

    #[test]
    fn ten_parts_add_up_to_the_whole() {
        let crowd = crowd();
        let whole = sums(&crowd, Part::WHOLE);
        let parts: Vec<Sums> = (1..=10).map(|number| sums(&crowd, Part { number, of: 10 })).collect();
        let sum = |of: fn(&Sums) -> u64| parts.iter().map(of).sum::<u64>();
        assert!(whole.taps > 50_000);
        assert_eq!(sum(|part| part.people_acted), whole.people_acted);
        assert_eq!((sum(|part| part.people), sum(|part| part.taps)), (30_000, whole.taps));
        assert_eq!(sum(|part| part.batches), whole.batches);
        assert_eq!(parts.iter().fold(0, |digest: u64, part| digest.wrapping_add(part.digest)), whole.digest);
    }

    #[test]
    fn a_digest_belongs_to_its_seed() {
        assert_eq!(sums(&crowd(), Part::WHOLE), sums(&crowd(), Part::WHOLE));
        let other = Scenario { seed: 2, ..crowd().scenario().clone() };
        assert_ne!(sums(&Crowd::new(other), Part::WHOLE).digest, sums(&crowd(), Part::WHOLE).digest);
    }
}
