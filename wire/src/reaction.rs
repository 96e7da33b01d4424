//! The reaction datagram: what a phone or a gateway sends by UDP, in a QUIC DATAGRAM frame or as an
//! `application/octet-stream` body.
//!
//! ```text
//! 0   u8   version = 1
//! 1   u8   flags (bit 0: an authenticated trailer follows; the others 0)
//! 2   u16  record count n, 1..=296
//! 4   u32  room id
//! 8   u64  client id
//! 16  n x { u16 emoji id, u16 count (1..=65535) }
//! ```
//! All numbers are little-endian. A datagram is taken whole or dropped whole; none is ever answered.

use crate::ids::{ClientId, EmojiId, RoomId};

/// Bytes before the first record.
pub const HEADER_LEN: usize = 16;
/// Bytes of one record.
pub const RECORD_LEN: usize = 4;
/// Records a datagram may carry.
pub const RECORDS_MAX: usize = 296;
/// Taps that a node takes in one record, unless it is configured otherwise: a person's. Twenty a second, which takes two thumbs,
/// for the half minute that an SDK keeps them while there is no connection are 600.
pub const RECORD_TAPS: u16 = 600;
/// Taps that a node takes in one datagram or one request, unless it is configured otherwise: as many as an array of 1,024 single
/// taps or a full datagram has, with room to spare, and a few people's.
pub const REQUEST_TAPS: u32 = 2400;
/// Bytes of the largest datagram.
pub const DATAGRAM_MAX: usize = HEADER_LEN + RECORDS_MAX * RECORD_LEN;

// The largest datagram passes unfragmented wherever QUIC does, which needs 1,200 bytes.
const _: () = assert!(DATAGRAM_MAX == 1200);

/// Why bytes are not a reaction datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DatagramError {
    /// Shorter than its header, or than its record count says.
    #[error("shorter than its header and records")]
    TooShort,
    /// Longer than its record count says.
    #[error("longer than its header and records")]
    TooLong,
    /// A version other than [`crate::VERSION`].
    #[error("unknown version")]
    BadVersion,
    /// A flag that this version does not know.
    #[error("unknown flags")]
    BadFlags,
    /// No records, more than [`RECORDS_MAX`], or a record that counts nothing.
    #[error("record count or a record's count out of range")]
    BadCount,
}

/// One emoji of one datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// Which emoji.
    pub emoji: EmojiId,
    /// How often it was tapped, at least 1.
    pub count: u16,
}

/// A datagram whose shape has been checked; borrows the receive buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReactionBatch<'a> {
    /// The room that every record belongs to.
    pub room: RoomId,
    /// Who sent it.
    pub client: ClientId,
    records: &'a [[u8; RECORD_LEN]],
}

impl<'a> ReactionBatch<'a> {
    /// Checks the shape of `datagram`. Whether room and emoji exist is the tally's to say.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, DatagramError> {
        let Some((header, body)) = datagram.split_first_chunk::<HEADER_LEN>() else {
            return Err(DatagramError::TooShort);
        };
        let [version, flags, n0, n1, r0, r1, r2, r3, c0, c1, c2, c3, c4, c5, c6, c7] = *header;
        if version != crate::VERSION {
            return Err(DatagramError::BadVersion);
        }
        if flags != 0 {
            return Err(DatagramError::BadFlags);
        }
        let count = usize::from(u16::from_le_bytes([n0, n1]));
        if count == 0 || count > RECORDS_MAX {
            return Err(DatagramError::BadCount);
        }
        match body.len().cmp(&(count * RECORD_LEN)) {
            std::cmp::Ordering::Less => return Err(DatagramError::TooShort),
            std::cmp::Ordering::Greater => return Err(DatagramError::TooLong),
            std::cmp::Ordering::Equal => {}
        }
        let (records, _) = body.as_chunks::<RECORD_LEN>();
        // Not a search with an early end: a plain pass that the compiler turns into vector code.
        let empty = records.iter().fold(0, |empty, &record| empty | u32::from(u32::from_le_bytes(record) >> 16 == 0));
        if empty > 0 {
            return Err(DatagramError::BadCount);
        }
        Ok(Self {
            room: RoomId(u32::from_le_bytes([r0, r1, r2, r3])),
            client: ClientId(u64::from_le_bytes([c0, c1, c2, c3, c4, c5, c6, c7])),
            records,
        })
    }

    /// The records, in the order they were sent.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record> + Clone + 'a {
        self.records.iter().map(|&[e0, e1, c0, c1]| Record {
            emoji: EmojiId(u16::from_le_bytes([e0, e1])),
            count: u16::from_le_bytes([c0, c1]),
        })
    }
}

/// Appends the datagram of `records` to `out`.
///
/// # Panics
/// When there are no records or more than [`RECORDS_MAX`]: the caller splits, as only it knows where.
pub fn encode(room: RoomId, client: ClientId, records: &[Record], out: &mut Vec<u8>) {
    assert!(
        (1..=RECORDS_MAX).contains(&records.len()),
        "a datagram carries 1 to {RECORDS_MAX} records, not {}",
        records.len()
    );
    out.reserve(HEADER_LEN + records.len() * RECORD_LEN);
    out.extend_from_slice(&[crate::VERSION, 0]);
    out.extend_from_slice(&(records.len() as u16).to_le_bytes());
    out.extend_from_slice(&room.0.to_le_bytes());
    out.extend_from_slice(&client.0.to_le_bytes());
    let start = out.len();
    out.resize(start + records.len() * RECORD_LEN, 0);
    // Of known length, so that the compiler writes many records at once.
    let (places, _) = out[start..].as_chunks_mut::<RECORD_LEN>();
    for (place, record) in places.iter_mut().zip(records) {
        *place = (u32::from(record.emoji.0) | u32::from(record.count) << 16).to_le_bytes();
    }
}
