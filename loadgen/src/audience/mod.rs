//! Everybody who watches: a few who audit, and many who are there because an audience is.
//!
//! 1. [`auditors`]: real clients that read every frame of every room, for the audit.
//! 2. [`watchers`]: the fleet, which comes, goes, pauses and reconnects as the scenario says.
//!
//! Those who also react are `drivers::quic`.

pub mod auditors;
pub mod watchers;

use crate::crowd::{Crowd, Part};
use uproar_wire::RoomId;

/// How many of `count` people are in each room, when they choose as the crowd does. Rooms in which nobody is are left out.
pub fn by_room(crowd: &Crowd, count: u32) -> Vec<(RoomId, u32)> {
    let people = crowd.people_by_room(Part::WHOLE);
    let all: u64 = people.iter().map(|people| u64::from(*people)).sum();
    let (mut reached, mut seated) = (0, 0);
    let rooms = people.iter().enumerate().map(|(place, people)| {
        reached += u64::from(*people);
        let upto = (u64::from(count) * reached / all.max(1)) as u32;
        let here = upto - seated;
        seated = upto;
        (crowd.room(place), here)
    });
    rooms.filter(|(_, here)| *here > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn an_audience_sits_where_the_crowd_is() {
        let crowd = Crowd::new(Scenario::parse("people = 1000\n[rooms]\ncount = 4\n[udp]").unwrap());
        let seats = by_room(&crowd, 25);
        assert_eq!(seats.iter().map(|(_, here)| here).sum::<u32>(), 25);
        assert_eq!(seats[0], (RoomId(1), 12));
        assert_eq!(by_room(&crowd, 1).len(), 1);
        assert!(by_room(&crowd, 0).is_empty());
    }
}
