//! Random numbers that are the same on every machine and in every version.
//!
//! Deliberately not here: secrecy. Whoever knows the seed knows the match, which is the point.

/// SplitMix64 (Steele, Lea, Flood 2014): a state of 8 bytes, about a nanosecond a number.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The numbers that belong to `key`: keys that differ anywhere have unrelated numbers.
    pub(crate) fn of(key: [u64; 3]) -> Self {
        key.into_iter().fold(Self(0), |mut rng, part| Self(rng.next() ^ mixed(part)))
    }

    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed(self.0)
    }

    /// Fills bytes, eight from each number.
    pub(crate) fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The numbers of SplitMix64 are its counter, mixed: each input has an output of its own.
#[inline]
pub(crate) fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// `below(n)` from 32 random bits, by their place among all; the bias is below n / 2^32.
#[inline]
pub(crate) fn scaled(bits: u32, n: u32) -> u32 {
    ((u64::from(bits) * u64::from(n)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_anywhere_have_unrelated_numbers() {
        let first = |key| Rng::of(key).next();
        let firsts = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [1, 2, 4], [0, 0, 0]].map(first);
        for (at, number) in firsts.iter().enumerate() {
            assert!(!firsts[..at].contains(number), "{firsts:x?}");
        }
    }

    #[test]
    fn numbers_are_the_published_ones() {
        // The first outputs of SplitMix64 for the state 1234567, as its reference implementation prints them.
        let mut rng = Rng(1_234_567);
        let numbers = [(); 3].map(|()| rng.next());
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn scaling_keeps_within_its_bound() {
        assert_eq!([scaled(0, 7), scaled(u32::MAX, 7), scaled(u32::MAX / 2, 2)], [0, 6, 0]);
    }
}
