//! One bit a person: who has tapped.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Who of the crowd has tapped at least once.
#[derive(Debug)]
pub struct Acted(Box<[AtomicU64]>);

impl Acted {
    /// Nobody of so many has.
    pub fn new(people: u32) -> Self {
        Self((0..people.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    /// This one has; true for the first time. Order against anything else does not matter: it is read when all have ended.
    #[inline]
    pub fn mark(&self, person: u32) -> bool {
        let (word, bit) = (&self.0[(person / 64) as usize], 1 << (person % 64));
        // Most have already, and reading is much cheaper than an atomic write.
        word.load(Ordering::Relaxed) & bit == 0 && word.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    /// These have, who are among `own`: people whom only the calling thread marks, for as long as it does. How many of
    /// them for the first time.
    ///
    /// Without a locked instruction for each person: those wait for memory one after the other, which in a crowd of
    /// millions costs more than all else that is done for a tap.
    pub fn mark_own(&self, own: &Range<u32>, people: impl Iterator<Item = u32>) -> u64 {
        // Only the words at the borders have bits of others.
        let borders = [own.start / 64, own.end / 64];
        people.fold(0, |first_times, person| {
            debug_assert!(own.contains(&person));
            let (at, place) = (person / 64, person % 64);
            let word = &self.0[at as usize];
            let before = if borders.contains(&at) {
                word.fetch_or(1 << place, Ordering::Relaxed)
            } else {
                let bits = word.load(Ordering::Relaxed);
                word.store(bits | 1 << place, Ordering::Relaxed);
                bits
            };
            first_times + (!before >> place & 1)
        })
    }

    /// How many have. Reads everything.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|bits| u64::from(bits.load(Ordering::Relaxed).count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_counted_once() {
        let acted = Acted::new(130);
        assert_eq!([0, 64, 129, 129].map(|person| acted.mark(person)), [true, true, true, false]);
        assert_eq!(acted.count(), 3);
    }

    #[test]
    fn marking_ones_own_keeps_the_neighbours_marks() {
        let acted = Acted::new(300);
        acted.mark(0);
        acted.mark(299);
        assert_eq!(acted.mark_own(&(3..290), [3, 63, 64, 130, 130, 289].into_iter()), 5);
        assert_eq!(acted.mark_own(&(3..290), [3, 128, 130].into_iter()), 1);
        assert_eq!(acted.mark_own(&(290..300), [299, 290].into_iter()), 1);
        assert!(!acted.mark(130) && acted.mark(131));
        assert_eq!(acted.count(), 10);
    }
}
