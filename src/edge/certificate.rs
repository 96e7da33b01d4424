//! From when and until when the certificate of the QUIC port serves.
//!
//! Invariant: what is not understood is unknown, never a wrong moment. Not here: whether the certificate is any good,
//! which TLS judges.

use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// No certificate lasts that long.
const UNKNOWN: u64 = u64::MAX;

/// When the certificate in force expires; whoever sets another one in force says so to the copy of whoever reads it.
#[derive(Clone, Debug)]
pub struct Expiry(Arc<AtomicU64>);

impl Expiry {
    /// Of a chain: of the first of its certificates that expires.
    pub fn of(chain: &[CertificateDer<'_>]) -> Self {
        Self(Arc::new(AtomicU64::new(first_end(chain))))
    }

    /// Another chain is in force.
    pub fn replace(&self, chain: &[CertificateDer<'_>]) {
        self.0.store(first_end(chain), Relaxed);
    }

    /// Since 1970 in UTC; `None` when a certificate of the chain does not say.
    pub fn read(&self) -> Option<Duration> {
        Some(self.0.load(Relaxed)).filter(|&unix_s| unix_s != UNKNOWN).map(Duration::from_secs)
    }
}

/// The time in which every certificate of a chain is valid, since 1970 in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    /// The last beginning.
    pub begins: Duration,
    /// The first end.
    pub ends: Duration,
}

impl Validity {
    /// Of a chain; `None` when it is empty, or a certificate of it does not say.
    pub fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let each: Option<Vec<_>> = chain.iter().map(|certificate| validity(certificate)).collect();
        let each = each?;
        let begins = each.iter().map(|&(begins, _)| begins).max()?;
        let ends = each.iter().map(|&(_, ends)| ends).min()?;
        Some(Self { begins: Duration::from_secs(begins), ends: Duration::from_secs(ends) })
    }
}

fn first_end(chain: &[CertificateDer<'_>]) -> u64 {
    Validity::of(chain).map_or(UNKNOWN, |validity| validity.ends.as_secs())
}

/// Seconds since 1970 from which, and until which, a certificate is valid. Before 1970 is as good as 1970.
fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let validity = certificate.validity();
    let begins = u64::try_from(validity.not_before.timestamp()).unwrap_or(0);
    Some((begins, u64::try_from(validity.not_after.timestamp()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use time::OffsetDateTime;

    fn certificate(expires: OffsetDateTime) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_before = OffsetDateTime::UNIX_EPOCH;
        params.not_after = expires;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn at(unix_s: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(unix_s).unwrap()
    }

    #[test]
    fn both_forms_of_time_are_read() {
        // The second lies after 2049, which two digits cannot say.
        for unix_s in [1_802_469_134, 2_600_000_000] {
            let chain = [certificate(at(unix_s))];
            assert_eq!(Expiry::of(&chain).read(), Some(Duration::from_secs(unix_s as u64)));
        }
    }

    #[test]
    fn a_chain_serves_until_its_first_end_and_can_be_replaced() {
        let [first, second] = [1_900_000_000, 1_800_000_000].map(|unix_s| certificate(at(unix_s)));
        let expiry = Expiry::of(&[first.clone(), second]);
        let read_elsewhere = expiry.clone();
        assert_eq!(read_elsewhere.read(), Some(Duration::from_secs(1_800_000_000)));
        expiry.replace(&[first]);
        assert_eq!(read_elsewhere.read(), Some(Duration::from_secs(1_900_000_000)));
    }

    #[test]
    fn a_chain_is_valid_while_all_of_it_is() {
        let mut late = CertificateParams::new(vec!["localhost".into()]).unwrap();
        (late.not_before, late.not_after) = (at(1_700_000_000), at(1_900_000_000));
        let late = late.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
        let validity = Validity::of(&[certificate(at(1_800_000_000)), late]).unwrap();
        let [begins, ends] = [1_700_000_000, 1_800_000_000].map(Duration::from_secs);
        assert_eq!(validity, Validity { begins, ends });
        assert_eq!(Validity::of(&[]), None);
    }

    #[test]
    fn what_is_no_certificate_has_no_end_rather_than_a_wrong_one() {
        let whole = certificate(at(1_802_469_134));
        let end = whole.windows(13).rposition(|text| text.starts_with(b"270212")).expect("the time as text");
        for len in 0..end + 13 {
            assert_eq!(validity(&whole[..len]), None, "{len} bytes");
        }
        let mut wrong = whole.to_vec();
        wrong[end] = b'x';
        assert_eq!(validity(&wrong), None, "a letter in a time");
        wrong[end..end + 13].copy_from_slice(b"271301000000Z");
        assert_eq!(validity(&wrong), None, "a thirteenth month");
        assert_eq!(Expiry::of(&[]).read(), None);
        assert_eq!(Expiry::of(&[whole, CertificateDer::from(vec![0x30, 0x84])]).read(), None);
    }
}
