//! Why a datagram reached no connection. QUIC's endpoint answers such a datagram or ignores it, and does not say why; so its
//! header is read again here, by the endpoint's rules and in the order of its checks.
//!
//! Invariant: datagrams of known connections never come here, so this costs them nothing. Not here: first packets that are
//! turned away for want of room (`endpoint`).

use super::connection_id::CONNECTION_ID_LEN;
use crate::limits::{QUIC_WAITING_BYTES, QUIC_WAITING_BYTES_TOTAL};
use crate::metrics::QuicRefusal;
use quinn_proto::{ConnectionId, DEFAULT_SUPPORTED_VERSIONS};
use std::collections::HashMap;
use web_transport_proto::VarInt;

/// Bytes of the smallest datagram that may carry a client's first packet, or ask which versions are spoken
/// (RFC 9000, 14.1).
const FIRST_DATAGRAM_MIN: usize = 1200;
/// Bytes of the longest connection id (RFC 9000, 17.2).
const ID_MAX: usize = 20;
/// Bytes of the shortest connection id that a client may choose for its first packet (RFC 9000, 7.2).
const CHOSEN_ID_MIN: usize = 8;

/// A header, as far as the reasons depend on it.
enum Header<'a> {
    Short,
    /// A version that is not spoken.
    OtherVersion,
    Initial {
        id: &'a [u8],
        has_token: bool,
    },
    ZeroRtt {
        id: &'a [u8],
    },
    /// Any other packet with a long header.
    Other,
}

/// Reads the header of a datagram's first packet; `None` when it is none.
fn header(datagram: &[u8]) -> Option<Header<'_>> {
    let (&first, rest) = datagram.split_first()?;
    if first & 0x80 == 0 {
        return (rest.len() >= CONNECTION_ID_LEN).then_some(Header::Short);
    }
    let (version, rest) = rest.split_first_chunk()?;
    let version = u32::from_be_bytes(*version);
    let (id, rest) = split_id(rest)?;
    let (_, mut rest) = split_id(rest)?;
    if version == 0 {
        return Some(Header::Other);
    }
    if !DEFAULT_SUPPORTED_VERSIONS.contains(&version) {
        return Some(Header::OtherVersion);
    }
    let header = match first & 0x30 {
        0x00 => {
            let token_len = usize::try_from(varint(&mut rest)?).ok()?;
            rest = rest.get(token_len..)?;
            Header::Initial { id, has_token: token_len > 0 }
        }
        0x10 => Header::ZeroRtt { id },
        0x20 => Header::Other,
        // A Retry has no length.
        _ => return Some(Header::Other),
    };
    let payload_len = varint(&mut rest)?;
    (payload_len <= rest.len() as u64).then_some(header)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    VarInt::decode(bytes).ok().map(VarInt::into_inner)
}

fn split_id(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    rest.split_at_checked(len.into()).filter(|(id, _)| id.len() <= ID_MAX)
}

/// Of a datagram that was answered, though by no connection.
pub(super) fn of_answered(datagram: &[u8], answer: &[u8]) -> QuicRefusal {
    match (answer, header(datagram)) {
        ([first, ..], _) if first & 0x80 == 0 => QuicRefusal::Reset,
        ([_, 0, 0, 0, 0, ..], _) => QuicRefusal::VersionNegotiated,
        (_, Some(Header::Initial { id, has_token }))
            if id.len() < CHOSEN_ID_MIN && !(has_token && id.len() == CONNECTION_ID_LEN) =>
        {
            QuicRefusal::BadConnectionId
        }
        _ => QuicRefusal::BadToken,
    }
}

/// Of a datagram that was ignored; `None` for one that is kept for a client in line. `is_saturated` says whether the
/// endpoint takes no first packets.
pub(super) fn of_ignored(datagram: &[u8], line: &mut Line, is_saturated: bool) -> Option<QuicRefusal> {
    Some(match header(datagram) {
        None => QuicRefusal::Malformed,
        Some(Header::OtherVersion) => QuicRefusal::BadVersion,
        Some(Header::Short | Header::Other) => QuicRefusal::UnknownConnection,
        Some(Header::ZeroRtt { id } | Header::Initial { id, .. }) if line.has(id) => {
            return (!line.keep(id, datagram.len())).then_some(QuicRefusal::WaitingFull);
        }
        Some(Header::ZeroRtt { .. }) => QuicRefusal::UnknownConnection,
        Some(Header::Initial { .. }) if datagram.len() < FIRST_DATAGRAM_MIN => QuicRefusal::TooSmall,
        Some(Header::Initial { .. }) if is_saturated => QuicRefusal::HandshakesFull,
        Some(Header::Initial { .. }) => QuicRefusal::Undecryptable,
    })
}

/// The connection id that a first packet names.
pub(super) fn id_of_first(datagram: &[u8]) -> ConnectionId {
    match header(datagram) {
        Some(Header::Initial { id, .. }) => ConnectionId::new(id),
        _ => unreachable!("the endpoint has read it as a first packet"),
    }
}

/// The clients that wait for their handshake, by the connection id of their first packet, and the bytes of further packets
/// that the endpoint keeps of each.
#[derive(Default)]
pub(super) struct Line {
    bytes_by_id: HashMap<ConnectionId, u64, foldhash::quality::RandomState>,
    bytes: u64,
}

impl Line {
    pub(super) fn join(&mut self, id: ConnectionId) {
        self.bytes_by_id.insert(id, 0);
    }

    pub(super) fn leave(&mut self, id: ConnectionId) {
        self.bytes -= self.bytes_by_id.remove(&id).unwrap_or_default();
        if self.bytes_by_id.is_empty() {
            // The line of a storm is not kept for the next one.
            self.bytes_by_id = HashMap::default();
        }
    }

    fn has(&self, id: &[u8]) -> bool {
        self.bytes_by_id.contains_key(&ConnectionId::new(id))
    }

    /// Whether the endpoint keeps another datagram of this client.
    fn keep(&mut self, id: &[u8], len: usize) -> bool {
        let Some(kept) = self.bytes_by_id.get_mut(&ConnectionId::new(id)) else { return false };
        let len = len as u64;
        let is_kept = *kept + len <= QUIC_WAITING_BYTES && self.bytes + len <= QUIC_WAITING_BYTES_TOTAL;
        if is_kept {
            *kept += len;
            self.bytes += len;
        }
        is_kept
    }
}
