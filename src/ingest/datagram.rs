//! What arrives on a UDP port: single datagrams, or trains of them.
//!
//! Invariant: a train's cars, joined, are the train, and nothing is copied. Not here: the datagram's layout
//! (`uproar_wire::reaction`), which rooms and emoji exist (the tally).

/// The datagrams of one receive, which may hold a train that the kernel coalesced (GRO): all `segment_len` bytes long
/// but the last. With `segment_len` 0 the receive is one datagram. An empty datagram is one too, to be counted.
pub fn split_train(bytes: &[u8], segment_len: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let train = rest.take()?;
        if segment_len == 0 || train.len() <= segment_len {
            return Some(train);
        }
        let (first, others) = train.split_at(segment_len);
        rest = Some(others);
        Some(first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uproar_wire::reaction::{DatagramError, ReactionBatch};

    fn lengths(bytes: usize, segment_len: usize) -> Vec<usize> {
        split_train(&vec![0; bytes], segment_len).map(<[u8]>::len).collect()
    }

    #[test]
    fn a_receive_that_is_not_coalesced_is_one_datagram() {
        assert_eq!(lengths(1200, 0), [1200]);
        assert_eq!(lengths(20, 1200), [20]);
        assert_eq!(lengths(20, 20), [20]);
    }

    #[test]
    fn the_last_car_of_a_train_may_be_shorter() {
        assert_eq!(lengths(60, 20), [20, 20, 20]);
        assert_eq!(lengths(61, 20), [20, 20, 20, 1]);
    }

    #[test]
    fn an_empty_datagram_is_counted_as_too_short() {
        for segment_len in [0, 20] {
            let reasons: Vec<_> = split_train(b"", segment_len).map(ReactionBatch::parse).collect();
            assert_eq!(reasons, [Err(DatagramError::TooShort)]);
        }
    }

    proptest! {
        #[test]
        fn the_cars_joined_are_the_train(bytes: Vec<u8>, segment_len in 0usize..80) {
            let joined: Vec<u8> = split_train(&bytes, segment_len).flatten().copied().collect();
            prop_assert_eq!(joined, bytes);
        }
    }
}
