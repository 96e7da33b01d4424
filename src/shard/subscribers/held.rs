//! The subscriptions of one connection: none, one, or several.
//!
//! Invariant: nearly every connection watches one room, and then nothing is on the heap. No room is there twice.

use crate::fanout::SubscriptionId;
use uproar_wire::RoomId;

/// One room that a connection watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Subscribed {
    pub(super) room: RoomId,
    pub(super) subscription: SubscriptionId,
    pub(super) stream: u64,
}

/// What one connection holds.
#[derive(Debug, Default)]
pub(super) enum Held {
    #[default]
    Nothing,
    One(Subscribed),
    Several(Vec<Subscribed>),
}

const _: () = assert!(size_of::<Held>() <= 24, "one of these a slot, as much as a vector's own words");

impl Held {
    pub(super) fn as_slice(&self) -> &[Subscribed] {
        match self {
            Self::Nothing => &[],
            Self::One(subscribed) => std::slice::from_ref(subscribed),
            Self::Several(several) => several,
        }
    }

    pub(super) fn push(&mut self, subscribed: Subscribed) {
        match self {
            Self::Nothing => *self = Self::One(subscribed),
            Self::One(first) => *self = Self::Several(vec![*first, subscribed]),
            Self::Several(several) => several.push(subscribed),
        }
    }

    /// Takes out the subscription that has this stream.
    pub(super) fn remove(&mut self, stream: u64) -> Option<Subscribed> {
        let place = self.as_slice().iter().position(|subscribed| subscribed.stream == stream)?;
        match self {
            Self::Several(several) if several.len() > 2 => Some(several.swap_remove(place)),
            Self::Several(several) => {
                let (removed, left) = (several[place], several[1 - place]);
                *self = Self::One(left);
                Some(removed)
            }
            Self::One(only) => {
                let removed = *only;
                *self = Self::Nothing;
                Some(removed)
            }
            Self::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscribed(number: u32) -> Subscribed {
        let stream = u64::from(number) * 4 + 3;
        Subscribed { room: RoomId(number), subscription: SubscriptionId(number), stream }
    }

    fn rooms(held: &Held) -> Vec<u32> {
        let mut rooms: Vec<_> = held.as_slice().iter().map(|subscribed| subscribed.room.0).collect();
        rooms.sort_unstable();
        rooms
    }

    #[test]
    fn subscriptions_come_and_go_in_any_order() {
        for first_out in 0..4 {
            let mut held = Held::default();
            (0..4).for_each(|number| held.push(subscribed(number)));
            let mut left: Vec<u32> = (0..4).collect();
            while !left.is_empty() {
                let out = left.remove(first_out % left.len());
                assert_eq!(held.remove(subscribed(out).stream), Some(subscribed(out)));
                assert_eq!(held.remove(subscribed(out).stream), None, "once");
                assert_eq!(rooms(&held), left);
            }
            assert!(matches!(held, Held::Nothing));
            held.push(subscribed(9));
            assert!(matches!(held, Held::One(_)), "one takes no memory of its own");
        }
    }
}
