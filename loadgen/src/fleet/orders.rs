//! What subscribers are told to do, and how much of it in one turn: a server that many leave at once gets time to take
//! note, and frames that come meanwhile are not read late.
//!
//! Invariant: orders are carried out one after the other, each in the order of numbers.

use std::collections::VecDeque;
use std::ops::Range;

/// Something that subscribers do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    /// Connect, whoever is not there.
    Join,
    /// Close and stay away.
    Leave,
    /// Close and connect again; connect, whoever is not there.
    Churn,
    /// Forget the connection, tell nobody and stay away.
    Vanish,
}

/// What is still to be done.
#[derive(Default)]
pub(super) struct Orders {
    queue: VecDeque<(Deed, Range<usize>)>,
}

impl Orders {
    /// Adds one.
    pub(super) fn push(&mut self, deed: Deed, subscribers: Range<usize>) {
        if !subscribers.is_empty() {
            self.queue.push_back((deed, subscribers));
        }
    }

    /// Whether all is done.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next part, of `most` subscribers at most.
    pub(super) fn take(&mut self, most: usize) -> Option<(Deed, Range<usize>)> {
        let (deed, rest) = self.queue.front_mut()?;
        let (deed, part) = (*deed, rest.start..rest.end.min(rest.start.saturating_add(most)));
        rest.start = part.end;
        if rest.start >= rest.end {
            self.queue.pop_front();
        }
        Some((deed, part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_taken_in_parts_and_in_order() {
        let mut orders = Orders::default();
        orders.push(Deed::Leave, 3..8);
        orders.push(Deed::Vanish, 4..4);
        orders.push(Deed::Join, 0..2);
        let parts: Vec<_> = std::iter::from_fn(|| orders.take(3)).collect();
        assert_eq!(parts, [(Deed::Leave, 3..6), (Deed::Leave, 6..8), (Deed::Join, 0..2)]);
        assert!(orders.is_empty());
    }
}
