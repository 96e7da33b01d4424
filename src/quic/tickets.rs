//! Session tickets that outlive the process: whoever has the key opens them.
//!
//! ```text
//! period (4, big-endian) | nonce (12) | AES-256-GCM of the session, period authenticated | tag (16)
//! ```
//! Every [`PERIOD`] has its own key, derived from the ticket key and the period's number; tickets of this period and of
//! the one before are taken. Keys are derived anew for each ticket: a few hashes
//! in a handshake, and nothing that shards would have to share.
//!
//! A ticket spares the signature and the certificate, never the key exchange: who learns the key can pretend to be
//! this server to those who hold tickets, and reads no connection, past or future.
//!
//! Invariant: whatever the bytes, opening them yields a session that was sealed with the key, or nothing.

use super::keys::expand;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use quinn_proto::TimeSource;
use rustls::server::ProducesTickets;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long one key seals, and the shortest time that a ticket is good for: who watched yesterday's match at this time
/// of the day resumes.
const PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of a period's number.
const PERIOD_LEN: usize = size_of::<u32>();

/// Seals and opens tickets for all shards.
pub struct Tickets {
    secret: hkdf::Prk,
    clock: Arc<dyn TimeSource>,
}

impl Tickets {
    /// With [`super::Keys::ticket`] as `key`; `clock` says which period it is.
    pub fn new(key: &[u8; 32], clock: Arc<dyn TimeSource>) -> Self {
        Self { secret: hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, key), clock }
    }

    fn period(&self) -> u32 {
        let since_1970 = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (since_1970.as_secs() / PERIOD.as_secs()) as u32
    }

    fn key(&self, period: [u8; PERIOD_LEN]) -> Option<RandomizedNonceKey> {
        let key: [u8; 32] = expand(&self.secret, &[b"period", &period]);
        RandomizedNonceKey::new(&AES_256_GCM, &key).ok()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        PERIOD.as_secs() as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let period = self.period().to_be_bytes();
        let mut sealed = plain.to_vec();
        let nonce = self.key(period)?.seal_in_place_append_tag(Aad::from(period), &mut sealed).ok()?;
        Some([&period, nonce.as_ref().as_slice(), &sealed].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (period, rest) = cipher.split_first_chunk::<PERIOD_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let age = self.period().checked_sub(u32::from_be_bytes(*period))?;
        if age > 1 {
            return None;
        }
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain_len = self.key(*period)?.open_in_place(nonce, Aad::from(*period), &mut sealed).ok()?.len();
        sealed.truncate(plain_len);
        Some(sealed)
    }
}

/// Shows nothing of the key.
impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    const SESSION: &[u8] = b"what a session is resumed from";

    /// Seconds since 1970.
    struct Clock(AtomicU64);

    impl TimeSource for Clock {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    fn tickets(key: u8) -> (Tickets, Arc<Clock>) {
        // The last second of a period.
        let clock = Arc::new(Clock(AtomicU64::new(20_000 * PERIOD.as_secs() - 1)));
        (Tickets::new(&[key; 32], clock.clone()), clock)
    }

    #[test]
    fn a_ticket_is_opened_by_whoever_has_the_key_and_by_nobody_else() {
        let (issuer, _) = tickets(1);
        let ticket = issuer.encrypt(SESSION).unwrap();
        assert_eq!(ticket.len(), PERIOD_LEN + NONCE_LEN + SESSION.len() + 16);
        assert_eq!(issuer.decrypt(&ticket).as_deref(), Some(SESSION));
        assert_eq!(tickets(1).0.decrypt(&ticket).as_deref(), Some(SESSION));
        assert_eq!(tickets(2).0.decrypt(&ticket), None);
        assert_ne!(issuer.encrypt(SESSION).unwrap(), ticket, "no nonce is used twice");
    }

    #[test]
    fn a_ticket_that_was_changed_or_cut_is_not_opened() {
        let (tickets, _) = tickets(1);
        let ticket = tickets.encrypt(SESSION).unwrap();
        for at in 0..ticket.len() {
            let mut bent = ticket.clone();
            bent[at] ^= 1;
            assert_eq!(tickets.decrypt(&bent), None, "byte {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "{at} bytes");
        }
        assert_eq!(tickets.decrypt(&[&ticket[..], &[0]].concat()), None);
    }

    #[test]
    fn a_ticket_is_good_for_a_period_at_least_and_for_two_at_most() {
        let (tickets, clock) = tickets(1);
        let ticket = tickets.encrypt(SESSION).unwrap();
        assert_eq!(tickets.lifetime(), 86_400);
        clock.0.fetch_add(PERIOD.as_secs(), Ordering::Relaxed);
        assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(SESSION), "one period later");
        let newer = tickets.encrypt(SESSION).unwrap();
        clock.0.fetch_add(1, Ordering::Relaxed);
        assert_eq!(tickets.decrypt(&ticket), None, "the period after the next has begun");
        assert_eq!(tickets.decrypt(&newer).as_deref(), Some(SESSION));
        clock.0.store(0, Ordering::Relaxed);
        assert_eq!(tickets.decrypt(&newer), None, "a ticket of the future");
    }
}
