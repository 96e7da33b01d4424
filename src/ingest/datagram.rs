//! What arrives on the reaction port: trains of datagrams, and the reasons why a datagram is dropped.
//!
//! Invariant: a train's cars, joined, are the train, and nothing is copied. Not here: the datagram's layout
//! (`uproar_wire::reaction`), which rooms and emoji exist (the tally).

use super::reason::reasons;
use uproar_wire::reaction::DatagramError;

reasons! {
    /// Why a reaction datagram was dropped. None is ever answered.
    pub enum Rejected {
        /// Shorter than its header, or than its record count says.
        TooShort => "too_short",
        /// Longer than its record count says.
        TooLong => "too_long",
        /// A version that is not ours.
        BadVersion => "bad_version",
        /// A flag that this version does not know.
        BadFlags => "bad_flags",
        /// No records, too many, or a record that counts nothing.
        BadCount => "bad_count",
        /// A room that this node does not have.
        UnknownRoom => "unknown_room",
        /// An emoji that the room's palette does not have.
        UnknownEmoji => "unknown_emoji",
    }
}

impl From<DatagramError> for Rejected {
    fn from(error: DatagramError) -> Self {
        match error {
            DatagramError::TooShort => Self::TooShort,
            DatagramError::TooLong => Self::TooLong,
            DatagramError::BadVersion => Self::BadVersion,
            DatagramError::BadFlags => Self::BadFlags,
            DatagramError::BadCount => Self::BadCount,
        }
    }
}

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
    use crate::ingest::reason::assert_reasons;
    use proptest::prelude::*;
    use uproar_wire::reaction::ReactionBatch;

    fn lengths(bytes: usize, segment_len: usize) -> Vec<usize> {
        split_train(&vec![0; bytes], segment_len).map(<[u8]>::len).collect()
    }

    #[test]
    fn labels_are_the_names_of_the_variants() {
        assert_reasons!(Rejected);
    }

    #[test]
    fn every_wire_error_keeps_its_name() {
        use DatagramError as E;
        for error in [E::TooShort, E::TooLong, E::BadVersion, E::BadFlags, E::BadCount] {
            assert_eq!(format!("{:?}", Rejected::from(error)), format!("{error:?}"));
        }
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
            let reasons: Vec<_> =
                split_train(b"", segment_len).map(|d| ReactionBatch::parse(d).map_err(Rejected::from)).collect();
            assert_eq!(reasons, [Err(Rejected::TooShort)]);
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
