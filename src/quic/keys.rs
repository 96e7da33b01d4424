//! Every long-lived key of the QUIC port but the certificate's, from one master secret.
//!
//! Whoever has the same master secret has the same keys: a process after its restart, and the nodes beside it. Then old
//! connections are reset at once instead of timing out, and tickets and address tokens of before are still good.
//!
//! Invariant: keys of different purposes tell nothing of one another or of the master secret (HKDF, RFC 5869, a label
//! each). Not here: where a master secret is kept (`edge::key_file`), what keys protect ([`super::tickets`], QUIC).

use aws_lc_rs::hkdf;

/// Bytes of a master secret.
pub const MASTER_SECRET_LEN: usize = 32;

/// Names this derivation: another one, with other labels or purposes, has another name.
const DERIVATION: &[u8] = b"uproar keys 1";

/// The secret that all keys come from.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterSecret([u8; MASTER_SECRET_LEN]);

/// One key a purpose.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Of stateless resets.
    pub reset: [u8; 64],
    /// Of address tokens.
    pub token: [u8; 64],
    /// Of session tickets.
    pub ticket: [u8; 32],
}

impl MasterSecret {
    /// These bytes, which nobody can guess.
    pub fn new(bytes: [u8; MASTER_SECRET_LEN]) -> Self {
        Self(bytes)
    }

    /// The keys that come from it.
    pub fn keys(&self) -> Keys {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, DERIVATION).extract(&self.0);
        Keys {
            reset: expand(&secret, &[b"stateless reset"]),
            token: expand(&secret, &[b"address token"]),
            ticket: expand(&secret, &[b"session ticket"]),
        }
    }
}

/// `N` bytes for the purpose that `info` names.
pub(super) fn expand<const N: usize>(secret: &hkdf::Prk, info: &[&[u8]]) -> [u8; N] {
    struct Len(usize);
    impl hkdf::KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }
    const { assert!(N <= 255 * 32, "HKDF-SHA256 gives at most 255 blocks") };
    let mut key = [0; N];
    secret.expand(info, Len(N)).and_then(|okm| okm.fill(&mut key)).expect("the length is within HKDF's");
    key
}

/// Shows nothing of it.
impl std::fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterSecret")
    }
}

/// Shows nothing of them.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_secret_gives_the_same_keys_and_another_gives_others() {
        let (one, other) = (MasterSecret::new([1; 32]).keys(), MasterSecret::new([2; 32]).keys());
        assert!(one == MasterSecret::new([1; 32]).keys());
        assert!(one.reset != other.reset && one.token != other.token && one.ticket != other.ticket);
        assert!(one.reset != one.token && one.reset[..32] != one.ticket && one.token[..32] != one.ticket);
    }

    /// Nodes of two versions share a key file: what is derived from it never changes.
    #[test]
    fn the_derivation_stays_as_it_is() {
        let keys = MasterSecret::new([7; 32]).keys();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(&keys.reset[..8]), "a33e2fe6e03d1d08");
        assert_eq!(hex(&keys.token[..8]), "67b4f5c538722235");
        assert_eq!(hex(&keys.ticket[..8]), "015e1ba2ba1714f5");
    }

    #[test]
    fn nothing_secret_is_printed() {
        let secret = MasterSecret::new([0x41; 32]);
        assert_eq!(format!("{secret:?} {:?}", secret.keys()), "MasterSecret Keys");
    }
}
