//! QUIC packets with a short header as both ends of the floor write and read them: RFC 9001, section 5.
//!
//! Invariant: each destination has keys of its own for each direction, expanded and kept as a real server keeps them;
//! AES-128-GCM for the payload, AES for the header. Not here: what a packet says, and handshakes; keys follow from the
//! destination's number, so that both ends have them.

use aws_lc_rs::aead::quic::{AES_128, HeaderProtectionKey};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// First byte, connection id of eight bytes, packet number of two.
pub(crate) const HEADER_LEN: usize = 11;
/// Behind the payload.
pub(crate) const TAG_LEN: usize = 16;
/// An acknowledgement of one range, of packet numbers and delays that need four and two bytes.
pub(crate) const ACKNOWLEDGEMENT: [u8; 9] = [0x02, 0x80, 0, 0, 1, 0x40, 100, 0, 0];

const NUMBER_AT: usize = 9;
/// The sample for the header begins where the payload would if packet numbers had four bytes.
const SAMPLE: std::ops::Range<usize> = NUMBER_AT + 4..NUMBER_AT + 20;
/// Short header, packet number of two bytes.
const FIRST_BYTE: u8 = 0x41;

/// Who seals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sealer {
    Server,
    Destination,
}

/// The keys of one direction of one connection.
pub(crate) struct Keys {
    payload: LessSafeKey,
    header: HeaderProtectionKey,
    iv: [u8; 12],
}

/// The destination that a packet's connection id names.
pub(crate) fn destination_of(packet: &[u8]) -> Option<u32> {
    let id = packet.get(1..NUMBER_AT)?;
    u64::from_le_bytes(id.try_into().ok()?).try_into().ok()
}

impl Keys {
    /// Of a destination's number.
    pub(crate) fn new(destination: u32, sealer: Sealer) -> Self {
        let mut key = [sealer as u8; 16];
        key[..4].copy_from_slice(&destination.to_le_bytes());
        let mut iv = [0; 12];
        iv.copy_from_slice(&key[..12]);
        let payload = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).expect("sixteen bytes are a key"));
        key.reverse();
        let header = HeaderProtectionKey::new(&AES_128, &key).expect("sixteen bytes are a key");
        Self { payload, header, iv }
    }

    /// Writes a whole packet into `out`; its length.
    pub(crate) fn seal(&self, destination: u32, number: u16, payload: &[u8], out: &mut [u8]) -> usize {
        out[0] = FIRST_BYTE;
        out[1..NUMBER_AT].copy_from_slice(&u64::from(destination).to_le_bytes());
        out[NUMBER_AT..HEADER_LEN].copy_from_slice(&number.to_be_bytes());
        let (header, rest) = out.split_at_mut(HEADER_LEN);
        let (body, rest) = rest.split_at_mut(payload.len());
        body.copy_from_slice(payload);
        let tag = self.payload.seal_in_place_separate_tag(self.nonce(number), Aad::from(&*header), body);
        rest[..TAG_LEN].copy_from_slice(tag.expect("a packet is short enough").as_ref());
        self.mask(out);
        HEADER_LEN + payload.len() + TAG_LEN
    }

    /// Takes a packet's protection away; its payload, or none if the packet is not the other end's.
    pub(crate) fn open<'a>(&self, packet: &'a mut [u8]) -> Option<&'a [u8]> {
        if packet.len() < SAMPLE.end {
            return None;
        }
        self.mask(packet);
        let number = u16::from_be_bytes([packet[NUMBER_AT], packet[NUMBER_AT + 1]]);
        let (header, sealed) = packet.split_at_mut(HEADER_LEN);
        self.payload.open_in_place(self.nonce(number), Aad::from(&*header), sealed).ok().map(|payload| &*payload)
    }

    /// Protects a header, or takes the protection away.
    fn mask(&self, packet: &mut [u8]) {
        let mask = self.header.new_mask(&packet[SAMPLE]).expect("a sample of sixteen bytes");
        packet[0] ^= mask[0] & 0x1f;
        packet[NUMBER_AT] ^= mask[1];
        packet[NUMBER_AT + 1] ^= mask[2];
    }

    fn nonce(&self, number: u16) -> Nonce {
        let mut nonce = self.iv;
        let [high, low] = number.to_be_bytes();
        nonce[10] ^= high;
        nonce[11] ^= low;
        Nonce::assume_unique_for_key(nonce)
    }
}
