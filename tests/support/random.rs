//! Bytes that nobody chose, the same in every run: a failure can be looked at again.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// `count` texts of 1 to `len_max` random bytes.
pub(crate) fn junk(seed: u64, count: usize, len_max: usize) -> Vec<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count)
        .map(|_| {
            let mut bytes = vec![0; 1 + random.next_u64() as usize % len_max];
            random.fill_bytes(&mut bytes);
            bytes
        })
        .collect()
}
