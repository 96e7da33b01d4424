//! Who watches what.
//!
//! Invariant: every subscriber of a checked fleet has rooms to watch, and every watched room has a place of its own in
//! tables that are kept by room.

use super::viewer::Wishes;
use std::collections::BTreeSet;
use uproar_wire::RoomId;
use uproar_wire::hello::{Hello, ROOMS_MAX};

/// Rooms of [`Seating::OneEach`] at most.
pub const ROOMS_ONE_EACH_MAX: usize = 10_000;

/// Who watches what. No room is named twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seating {
    /// Each subscriber watches all of these rooms, 1 to [`ROOMS_MAX`].
    All(Vec<RoomId>),
    /// Each subscriber watches one room; so many watch each, their numbers consecutive in the order of the rooms, of
    /// which there are 1 to [`ROOMS_ONE_EACH_MAX`]. The sum is the fleet.
    OneEach(Vec<(RoomId, u32)>),
}

impl Seating {
    /// The rooms that are watched, in order.
    pub fn rooms(&self) -> impl Iterator<Item = RoomId> {
        let (all, one_each) = match self {
            Self::All(rooms) => (&rooms[..], &[][..]),
            Self::OneEach(rooms) => (&[][..], &rooms[..]),
        };
        all.iter().copied().chain(one_each.iter().map(|&(room, _)| room))
    }

    /// Rooms that each subscriber watches.
    pub(super) fn rooms_each(&self) -> usize {
        match self {
            Self::All(rooms) => rooms.len(),
            Self::OneEach(_) => 1,
        }
    }

    /// Whether `subscribers` can be seated so.
    pub(super) fn check(&self, subscribers: usize) -> Result<(), String> {
        let rooms_max = match self {
            Self::All(_) => ROOMS_MAX,
            Self::OneEach(_) => ROOMS_ONE_EACH_MAX,
        };
        let (different, rooms) = (self.rooms().collect::<BTreeSet<_>>().len(), self.rooms().count());
        if different == 0 || rooms > rooms_max || different != rooms {
            return Err(format!("a fleet watches 1 to {rooms_max} rooms, each once"));
        }
        match self {
            Self::OneEach(rooms) => {
                let seats: u64 = rooms.iter().map(|&(_, seats)| u64::from(seats)).sum();
                match seats == subscribers as u64 {
                    true => Ok(()),
                    false => Err(format!("the rooms have {seats} subscribers in sum, the fleet has {subscribers}")),
                }
            }
            Self::All(_) => Ok(()),
        }
    }
}

/// The wishes of every subscriber.
pub(super) struct Chart {
    wishes: Vec<Wishes>,
    /// By wishes: the number of the first subscriber that does not have them, nor any before.
    ends: Vec<usize>,
}

impl Chart {
    pub(super) fn new(seating: &Seating) -> Self {
        match seating {
            Seating::All(rooms) => Self { wishes: vec![wishes(0, rooms.clone())], ends: vec![usize::MAX] },
            Seating::OneEach(rooms) => {
                let ends = rooms.iter().scan(0, |end, &(_, seats)| {
                    *end += seats as usize;
                    Some(*end)
                });
                let each = rooms.iter().enumerate().map(|(place, &(room, _))| wishes(place, vec![room]));
                Self { ends: ends.collect(), wishes: each.collect() }
            }
        }
    }

    /// Where the wishes of the subscriber with this number are.
    pub(super) fn place_of(&self, number: usize) -> u32 {
        self.ends.partition_point(|&end| end <= number) as u32
    }

    /// The wishes there.
    pub(super) fn at(&self, place: u32) -> &Wishes {
        &self.wishes[place as usize]
    }
}

fn wishes(first: usize, rooms: Vec<RoomId>) -> Wishes {
    let hello_of = Hello { rooms, token: Vec::new() };
    let mut hello = Vec::new();
    hello_of.encode(&mut hello);
    Wishes { first: first as u32, rooms: hello_of.rooms.into(), hello: hello.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_consecutive_by_room() {
        let seating = Seating::OneEach(vec![(RoomId(9), 2), (RoomId(4), 0), (RoomId(7), 3)]);
        let chart = Chart::new(&seating);
        let seated: Vec<_> = (0..5).map(|number| chart.at(chart.place_of(number))).collect();
        assert_eq!(seated.iter().map(|wishes| wishes.rooms[0].0).collect::<Vec<_>>(), [9, 9, 7, 7, 7]);
        assert_eq!(seated.iter().map(|wishes| wishes.first).collect::<Vec<_>>(), [0, 0, 2, 2, 2]);
        let all = Chart::new(&Seating::All(vec![RoomId(1), RoomId(2)]));
        assert_eq!(*all.at(all.place_of(1_000_000)).rooms, [RoomId(1), RoomId(2)]);
    }

    #[test]
    fn who_has_no_room_or_too_many_is_refused() {
        let one_each = |seats: &[u32]| {
            Seating::OneEach(seats.iter().enumerate().map(|(id, &seats)| (RoomId(id as u32), seats)).collect())
        };
        assert_eq!(one_each(&[2, 0, 3]).check(5), Ok(()));
        assert!(one_each(&[2, 0, 3]).check(6).unwrap_err().contains("5 subscribers"));
        assert!(one_each(&[]).check(0).is_err());
        assert_eq!(one_each(&[1; ROOMS_ONE_EACH_MAX]).check(ROOMS_ONE_EACH_MAX), Ok(()));
        assert!(one_each(&[1; ROOMS_ONE_EACH_MAX + 1]).check(ROOMS_ONE_EACH_MAX + 1).is_err());
        let all = |ids: std::ops::Range<u32>| Seating::All(ids.map(|id| RoomId(id % 64)).collect());
        assert_eq!(all(0..64).check(1), Ok(()));
        assert!(all(0..65).check(1).is_err() && all(64..64).check(1).is_err());
        assert!(Seating::OneEach(vec![(RoomId(1), 1); 2]).check(2).is_err(), "a room twice");
    }
}
