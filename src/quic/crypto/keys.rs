//! AES-128-GCM for packets of connections that are seldom in the cache.
//!
//! Each key is its bytes, one cache line; its schedule is computed when a packet is sealed or opened, in less time than
//! the schedule would take to come from memory. Other suites, which a server that prefers this one seldom meets, stay
//! as rustls has them.

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128, Block};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::crypto::cipher::{self, AeadKey, Iv};
use rustls::crypto::{CipherSuiteCommon, tls13};
use rustls::quic::{Algorithm, HeaderProtectionKey, PacketKey, Suite, Tag};
use rustls::{Error, SupportedCipherSuite, Tls13CipherSuite};
use std::sync::LazyLock;

/// Bytes of a key, and of the sample that header protection is computed from.
const KEY_LEN: usize = 16;
/// Bytes that sealing appends.
const TAG_LEN: usize = 16;
/// Bits of the first byte that are protected: of packets with a long header, and of those with a short one.
const PROTECTED_BITS_LONG: u8 = 0x0F;
const PROTECTED_BITS_SHORT: u8 = 0x1F;
const LONG_HEADER: u8 = 0x80;

/// TLS13_AES_128_GCM_SHA256 with keys as lean as this module says.
pub(in crate::quic) fn lean_aes_128() -> SupportedCipherSuite {
    SupportedCipherSuite::Tls13(suite())
}

/// What protects the first packets of every connection, before a suite is agreed on.
pub(super) fn initial_suite() -> Suite {
    Suite { suite: suite(), quic: &Lean }
}

fn suite() -> &'static Tls13CipherSuite {
    static SUITE: LazyLock<Tls13CipherSuite> = LazyLock::new(|| {
        let provided = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let Some(Tls13CipherSuite { common, hkdf_provider, aead_alg, .. }) = provided.tls13() else {
            unreachable!("the name says TLS 1.3");
        };
        let CipherSuiteCommon { suite, hash_provider, confidentiality_limit } = *common;
        let hkdf_provider: &'static dyn tls13::Hkdf = *hkdf_provider;
        Tls13CipherSuite {
            common: CipherSuiteCommon { suite, hash_provider, confidentiality_limit },
            hkdf_provider,
            aead_alg: *aead_alg,
            quic: Some(&Lean),
        }
    });
    &SUITE
}

struct Lean;

impl Algorithm for Lean {
    fn packet_key(&self, key: AeadKey, iv: Iv) -> Box<dyn PacketKey> {
        Box::new(LeanPacketKey { key, iv })
    }

    fn header_protection_key(&self, key: AeadKey) -> Box<dyn HeaderProtectionKey> {
        Box::new(LeanHeaderKey(key))
    }

    fn aead_key_len(&self) -> usize {
        KEY_LEN
    }
}

/// The bytes are wiped when it is dropped, as [`AeadKey`] does that.
struct LeanPacketKey {
    key: AeadKey,
    iv: Iv,
}

impl LeanPacketKey {
    fn ready(&self) -> Result<LessSafeKey, aws_lc_rs::error::Unspecified> {
        UnboundKey::new(&AES_128_GCM, self.key.as_ref()).map(LessSafeKey::new)
    }

    fn nonce(&self, packet_number: u64) -> Nonce {
        Nonce::assume_unique_for_key(cipher::Nonce::new(&self.iv, packet_number).0)
    }
}

impl PacketKey for LeanPacketKey {
    fn encrypt_in_place(&self, packet_number: u64, header: &[u8], payload: &mut [u8]) -> Result<Tag, Error> {
        let sealed = self
            .ready()
            .and_then(|key| key.seal_in_place_separate_tag(self.nonce(packet_number), Aad::from(header), payload));
        sealed.map(|tag| Tag::from(tag.as_ref())).map_err(|_| Error::EncryptError)
    }

    fn decrypt_in_place<'a>(
        &self,
        packet_number: u64,
        header: &[u8],
        payload: &'a mut [u8],
    ) -> Result<&'a [u8], Error> {
        let key = self.ready().map_err(|_| Error::DecryptError)?;
        let opened = key.open_in_place(self.nonce(packet_number), Aad::from(header), payload);
        opened.map(|plain| &*plain).map_err(|_| Error::DecryptError)
    }

    fn tag_len(&self) -> usize {
        TAG_LEN
    }

    /// RFC 9001, section 6.6.
    fn confidentiality_limit(&self) -> u64 {
        1 << 23
    }

    /// RFC 9001, section 6.6.
    fn integrity_limit(&self) -> u64 {
        1 << 52
    }
}

struct LeanHeaderKey(AeadKey);

impl LeanHeaderKey {
    /// RFC 9001, sections 5.4.1 and 5.4.3. `number_len` says how long the packet number is, given the first byte
    /// before and after its protection is changed.
    fn change(
        &self,
        sample: &[u8],
        first: &mut u8,
        packet_number: &mut [u8],
        number_len: impl FnOnce(u8, u8) -> u8,
    ) -> Result<(), Error> {
        let Ok(mut mask) = <[u8; KEY_LEN]>::try_from(sample).map(Block::from) else {
            return Err(Error::General("a sample has 16 bytes".into()));
        };
        let Ok(key) = Aes128::new_from_slice(self.0.as_ref()) else {
            return Err(Error::General("a key has 16 bytes".into()));
        };
        if packet_number.len() > 4 {
            return Err(Error::General("a packet number has at most 4 bytes".into()));
        }
        key.encrypt_block(&mut mask);
        let bits = if *first & LONG_HEADER == 0 { PROTECTED_BITS_SHORT } else { PROTECTED_BITS_LONG };
        let changed = *first ^ (mask[0] & bits);
        let number_len = usize::from(number_len(*first, changed) & 0b11) + 1;
        *first = changed;
        for (byte, mask) in packet_number.iter_mut().zip(&mask[1..]).take(number_len) {
            *byte ^= mask;
        }
        Ok(())
    }
}

impl HeaderProtectionKey for LeanHeaderKey {
    fn encrypt_in_place(&self, sample: &[u8], first: &mut u8, packet_number: &mut [u8]) -> Result<(), Error> {
        self.change(sample, first, packet_number, |plain, _| plain)
    }

    fn decrypt_in_place(&self, sample: &[u8], first: &mut u8, packet_number: &mut [u8]) -> Result<(), Error> {
        self.change(sample, first, packet_number, |_, plain| plain)
    }

    fn sample_len(&self) -> usize {
        KEY_LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustls::Side;
    use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    use rustls::quic::{Keys, Version};

    /// The keys of a client, as this module has them, and those of its server, as rustls has them: what one seals is for
    /// the other to open. Derived as a handshake would, since nothing else makes a key of 16 bytes.
    fn keys(connection_id: &[u8]) -> [Keys; 2] {
        let of = |suite: SupportedCipherSuite, side| {
            let suite = suite.tls13().unwrap();
            Suite { suite, quic: suite.quic.unwrap() }.keys(connection_id, side, Version::V1)
        };
        [of(lean_aes_128(), Side::Client), of(TLS13_AES_128_GCM_SHA256, Side::Server)]
    }

    proptest! {
        /// For any key and any packet; so both are the algorithm that the RFC names.
        #[test]
        fn what_one_seals_rustls_opens_and_the_other_way_round(
            connection_id: [u8; 20], number: u64,
            header in proptest::collection::vec(any::<u8>(), 0..40),
            plain in proptest::collection::vec(any::<u8>(), 1..1500),
        ) {
            let [ours, theirs] = keys(&connection_id);
            for (sealer, opener) in [(&ours, &theirs), (&theirs, &ours)] {
                let (sealer, opener) = (&sealer.local.packet, &opener.remote.packet);
                let mut packet = plain.clone();
                let tag = sealer.encrypt_in_place(number, &header, &mut packet).unwrap();
                packet.extend_from_slice(tag.as_ref());
                let mut opened = packet.clone();
                prop_assert_eq!(opener.decrypt_in_place(number, &header, &mut opened).unwrap(), &plain[..]);
                packet[0] ^= 1;
                prop_assert!(opener.decrypt_in_place(number, &header, &mut packet).is_err());
                prop_assert_eq!(sealer.tag_len(), opener.tag_len());
                prop_assert_eq!(sealer.confidentiality_limit(), opener.confidentiality_limit());
                prop_assert_eq!(sealer.integrity_limit(), opener.integrity_limit());
            }
        }

        #[test]
        fn headers_are_protected_and_bared_as_rustls_does(
            connection_id: [u8; 20], sample: [u8; KEY_LEN], first: u8, number: [u8; 4],
        ) {
            let [ours, theirs] = keys(&connection_id);
            for (protector, barer) in [(&ours, &theirs), (&theirs, &ours)] {
                let (protector, barer) = (&protector.local.header, &barer.remote.header);
                let number_len = usize::from(first & 0b11) + 1;
                let (mut protected_first, mut protected) = (first, number);
                protector.encrypt_in_place(&sample, &mut protected_first, &mut protected[..number_len]).unwrap();
                // The peer does not know the length yet and offers all four bytes.
                barer.decrypt_in_place(&sample, &mut protected_first, &mut protected).unwrap();
                prop_assert_eq!((protected_first, protected), (first, number));
                prop_assert_eq!(protector.sample_len(), barer.sample_len());
            }
        }
    }

    #[test]
    fn what_has_the_wrong_length_is_refused() {
        let [ours, _] = keys(&[1; 8]);
        assert!(ours.local.header.encrypt_in_place(&[0; 15], &mut 0, &mut [0; 4]).is_err());
        assert!(ours.local.header.encrypt_in_place(&[0; 16], &mut 0, &mut [0; 5]).is_err());
        assert!(ours.remote.packet.decrypt_in_place(1, &[], &mut [0; 15]).is_err(), "shorter than a tag");
    }
}
