//! PEM files: a certificate chain or a private key, or in words what is wrong with the file.
//!
//! Invariant: a key that is returned is one that the TLS of this build can use, and every certificate can be parsed. Not here:
//! whether the two belong together, which TLS judges.

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::borrow::Cow;

/// First byte of a file in DER, which is a sequence.
const DER_SEQUENCE: u8 = 0x30;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// Labels of private keys (RFC 7468, RFC 5915, RFC 8017).
const KEY_LABELS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
const CERTIFICATE: &str = "CERTIFICATE";

/// One block of a PEM file.
struct Section<'a> {
    label: &'a str,
    /// Whether its END line is there.
    is_whole: bool,
    /// Whether it names a cipher in a header of its own, as old keys do (RFC 1421).
    is_encrypted: bool,
}

/// The certificates of a file, in their order.
pub(super) fn chain(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let (bytes, text) = as_text(bytes, "x509")?;
    let sections = sections(&text);
    if !sections.iter().any(|section| section.label == CERTIFICATE) {
        return Err(match sections.iter().find(|section| is_key(section.label)) {
            Some(_) => "it holds a private key, and no certificate".into(),
            None => format!("it holds no certificate{}", others(&sections)),
        });
    }
    if let Some(cut) = sections.iter().find(|section| section.label == CERTIFICATE && !section.is_whole) {
        return Err(cut_off(cut.label));
    }
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let chain = chain.map_err(damaged)?;
    for (place, certificate) in (1..).zip(&chain) {
        if x509_parser::parse_x509_certificate(certificate).is_err() {
            return Err(format!("certificate {place} of it is damaged"));
        }
    }
    Ok(chain)
}

/// The private key of a file: the first, if there are several.
pub(super) fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let (bytes, text) = as_text(bytes, "pkey")?;
    let sections = sections(&text);
    let key = sections.iter().find(|section| is_key(section.label) || section.label == "ENCRYPTED PRIVATE KEY");
    match key {
        None => return Err(without_key(&sections)),
        Some(key) if key.is_encrypted || !is_key(key.label) => {
            return Err(
                "the key is encrypted, and the server has no passphrase; decrypt it with `openssl pkey -in FILE \
                        -out key.pem`"
                    .into(),
            );
        }
        Some(key) if !key.is_whole => return Err(cut_off(key.label)),
        Some(_) => {}
    }
    let key = PrivateKeyDer::from_pem_slice(bytes).map_err(damaged)?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match provider.key_provider.load_private_key(key.clone_key()) {
        Ok(_) => Ok(key),
        Err(_) => {
            Err("the key is damaged, or of a kind that TLS 1.3 does not use here; take ECDSA P-256, P-384 or P-521, \
                       Ed25519, or RSA of 2048 bits or more"
                .into())
        }
    }
}

fn is_key(label: &str) -> bool {
    KEY_LABELS.contains(&label)
}

/// The file without a byte order mark, and its text, as far as it is text.
fn as_text<'a>(bytes: &'a [u8], command: &str) -> Result<(&'a [u8], Cow<'a, str>), String> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err("it is empty".into());
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("it is UTF-16 text; save it as UTF-8".into());
    }
    let text = String::from_utf8_lossy(bytes);
    if bytes[0] == DER_SEQUENCE && !text.contains(BEGIN) {
        return Err(format!(
            "it is binary (DER or PKCS #12), not PEM; convert DER with `openssl {command} -inform der -in FILE -out FILE.pem`, \
             and PKCS #12 with `openssl pkcs12 -nodes -in FILE -out FILE.pem`"
        ));
    }
    Ok((bytes, text))
}

fn sections(text: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) {
            sections.push(Section { label, is_whole: false, is_encrypted: false });
        } else if let Some(section) = sections.last_mut() {
            let end = line.strip_prefix(END).and_then(|rest| rest.strip_suffix(DASHES));
            section.is_whole |= end == Some(section.label);
            section.is_encrypted |= line.starts_with("Proc-Type:") && line.contains("ENCRYPTED");
        }
    }
    sections
}

fn without_key(sections: &[Section<'_>]) -> String {
    let has = |label: &str| sections.iter().any(|section| section.label == label);
    if has("OPENSSH PRIVATE KEY") {
        return "it holds a key of OpenSSH; convert a copy with `ssh-keygen -p -N '' -m PKCS8 -f FILE`".into();
    }
    if has(CERTIFICATE) {
        return "it holds a certificate, and no private key".into();
    }
    format!("it holds no private key{}", others(sections))
}

/// What a file holds instead of what it should.
fn others(sections: &[Section<'_>]) -> String {
    match sections {
        [] => format!("; a PEM file has lines such as {BEGIN}{CERTIFICATE}{DASHES}"),
        [first, ..] => format!(", but a block of the kind {}", first.label.escape_debug()),
    }
}

fn cut_off(label: &str) -> String {
    format!("it is cut off: the line {END}{label}{DASHES} is missing")
}

fn damaged(error: pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => cut_off(&String::from_utf8_lossy(&end_marker)),
        pem::Error::IllegalSectionStart { .. } => "a line that begins with -----BEGIN does not end with -----".into(),
        pem::Error::Base64Decode(_) => {
            "it is damaged: what stands between its BEGIN and END lines is not base64".into()
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[track_caller]
    fn assert_key_refused(file: impl AsRef<[u8]>, said: &str) {
        let refusal = private_key(file.as_ref()).expect_err("this is no key");
        assert!(refusal.contains(said), "{said:?} is not in: {refusal}");
    }

    #[track_caller]
    fn assert_chain_refused(file: impl AsRef<[u8]>, said: &str) {
        let refusal = chain(file.as_ref()).expect_err("this is no chain");
        assert!(refusal.contains(said), "{said:?} is not in: {refusal}");
    }

    #[test]
    fn a_chain_and_a_key_are_read_whatever_stands_around_them() {
        let (certificate, key) = pair();
        let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        for file in [
            key.clone(),
            format!("\u{feff}{key}"),
            key.replace('\n', "\r\n"),
            format!("{parameters}{key}"),
            format!("Bag Attributes\n    friendlyName: x\n{certificate}{key}"),
        ] {
            assert!(private_key(file.as_bytes()).is_ok(), "{file}");
        }
        let mut odd = b"subject=CN = M\xfcller\n".to_vec();
        odd.extend_from_slice(certificate.as_bytes());
        assert_eq!(chain(&odd).unwrap().len(), 1);
        assert_eq!(chain(format!("\u{feff}{certificate}{key}{certificate}").as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn keys_of_other_shapes_are_read() {
        // `openssl ecparam -genkey` and `openssl genrsa -traditional` write these.
        for file in [SEC1, PKCS1] {
            assert!(private_key(file.as_bytes()).is_ok(), "{file}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_in_words() {
        let (certificate, key) = pair();
        assert_key_refused("", "it is empty");
        assert_key_refused(" \n\n", "it is empty");
        assert_key_refused("hello\n", "it holds no private key; a PEM file has lines");
        assert_key_refused(&certificate, "it holds a certificate, and no private key");
        assert_key_refused(key.replace("PRIVATE", "ENCRYPTED PRIVATE"), "the key is encrypted");
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert_key_refused(old, "the key is encrypted");
        assert_key_refused(key.replace("PRIVATE", "PUBLIC"), "a block of the kind PUBLIC KEY");
        assert_key_refused(key.replace("PRIVATE", "OPENSSH PRIVATE"), "ssh-keygen");
        let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        assert_key_refused(parameters, "a block of the kind EC PARAMETERS");
        assert_key_refused(&key[..key.len() / 2], "it is cut off: the line -----END PRIVATE KEY----- is missing");
        assert_key_refused(key.replacen("MIG", "M!G", 1), "not base64");
        assert_key_refused("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "the key is damaged");
        assert_key_refused(private_key(key.as_bytes()).unwrap().secret_der(), "it is binary (DER");
        assert_key_refused(b"\xff\xfe-\0-\0", "UTF-16");
        assert_key_refused([0xff; 64], "it holds no private key");
    }

    #[test]
    fn what_is_no_chain_is_refused_in_words() {
        let (certificate, key) = pair();
        assert_chain_refused("", "it is empty");
        assert_chain_refused("hello", "it holds no certificate; a PEM file has lines");
        assert_chain_refused(&key, "it holds a private key, and no certificate");
        assert_chain_refused(&certificate[..certificate.len() / 2], "it is cut off");
        let half = &certificate[..certificate.len() / 2];
        assert_chain_refused(format!("{half}\n{certificate}"), "it is cut off");
        assert_chain_refused(certificate.replacen("MII", "M!I", 1), "not base64");
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_chain_refused(format!("{certificate}{junk}"), "certificate 2 of it is damaged");
        assert_chain_refused(&chain(certificate.as_bytes()).unwrap()[0], "openssl x509 -inform der");
        assert_chain_refused(certificate.replace("CERTIFICATE", "X509 CRL"), "a block of the kind X509 CRL");
    }

    #[test]
    fn no_part_of_a_file_is_taken_for_a_whole_one() {
        let (certificate, key) = pair();
        let dashes = "-----\n".len();
        for len in 0..certificate.len() - dashes {
            assert!(chain(&certificate.as_bytes()[..len]).is_err(), "{len} bytes");
        }
        for len in 0..key.len() - dashes {
            assert!(private_key(&key.as_bytes()[..len]).is_err(), "{len} bytes");
        }
    }

    // Made for this test.
    const SEC1: &str = "-----BEGIN EC PARAMETERS-----\n\
        BggqhkjOPQMBBw==\n\
        -----END EC PARAMETERS-----\n\
        -----BEGIN EC PRIVATE KEY-----\n\
        MHcCAQEEIMTR+XtdZrQVb4eJOKZDIgdkjfPVYATtdZR+X5E9hhtloAoGCCqGSM49\n\
        AwEHoUQDQgAE+S9tJ6Nw6JYhngQo6T7XAbQZN5aWnQYxepB1m13kM4ZLQxAWVovP\n\
        qZ8glZkYe2gHGOz49/urnTXP1YBYD7ANwg==\n\
        -----END EC PRIVATE KEY-----\n";
    const PKCS1: &str = "-----BEGIN RSA PRIVATE KEY-----\n\
        MIIEpAIBAAKCAQEAtyymuCnbho/XPDcdsfx83uzSeH7rloBVPOg1xZsaF9QZC/Vt\n\
        aTaeI++TzMNyq2Ry6rr+HkeKcjOYelbGtIYIOfhMeoBZVbiiik1KVpNQaoFzWSDK\n\
        kxBADpY9Jn21z+Ze+R9/PBLrvOzQa+ud74vpwt43zGlSRLNb2TfUkAkx04p9gM/W\n\
        wCqDj5Z01/IzizUD4SJJPii3gvQevlDABk2IZHJO37Y55jPG9nwscKPlTlichavQ\n\
        wnGW0XK2XXOZqfc2auIRH9i+ErjiNHu8GkMizCCccU0FvxHKLbkYx2CNIQhNm5TC\n\
        IXAqmEqWJx96QuZU8bLEy1tWn2hjEtfQUHMTDwIDAQABAoIBABjSezE/stj0SxWE\n\
        3ohND9rhus/LWz+E2ogra4YAs7OA8Xf2ZUI5vYpfH+dCoRpqvUvj1SXjSfaZ2VLS\n\
        yZCTDTBV3n9HP1PndldJjAZZZi9YpXnxgKIXNKcFYvoBVQ78R+h4hTRt1/Y9HS1S\n\
        u49HpYDbvjH8H8Lhj1PLRgnSxSbGRfKb+nDNgsNaDJcKv5hhlt3Rc6417Sm0ZVF3\n\
        8qDSnjkk6OsLjsx4jdp1VArgfjkaeeHQstN5MiQqaeukgYfMcTu3NFoZ78Kyb9uW\n\
        e5xoQk/PENgykkLq/llUDv4ZhTK3nVWYf5d9YDUtVtQWfHUsMW7sqmN+t9gK6rgC\n\
        FoO8opECgYEA3GmLa2qZzjVVK2FMklZpeGax4fFQLY6LM1OVxooTD5gzkp7eYZnZ\n\
        8mv3LE0ZzkCBpXOuF3cjV5GtUvxPuZZGT9P4lf6kbkOWyCKSERx0WoqBu8H1P0NW\n\
        yFg4ci4tFjKpy0hjhOfYw34d5nikRCKctzcZyIO6fhg5zgID2JvnqRkCgYEA1L/t\n\
        iZt/XjAeEFQarAp5TF4JZTSkyUQu1dv6eXo7erxqfaU6mxnH2R++jQDniiqPBFJX\n\
        hp0kDrmoj2T9j6UPKNN9pHxQTi021xuAekeEvMgjg6DcRfb7OQ31yee8aAV+IRcY\n\
        h71L43CbUZUicRWTEzf1C5xB07E3cElU6w5NmmcCgYEAkL6HHk1tH+wKOGi3Pkqd\n\
        DMJ0AqrUOnanl1dGvpEiH1WWWK0X4QSGChs4wNEJJ1dZTGwBYcuNXA6AwkSLnpa/\n\
        KeFMGESXewnL1TZOsgn7pxHaTJD9G0R/kyXMO79zQGaY9rRdFoSi5w7FV/rV9SC9\n\
        xdvbhMBtEi2amFzeZbtMkNECgYB3jZMSbQtaBngefOSwIQKg44csFDU11Nbs3r0W\n\
        XpXmFtNQ3/TbC9W+MZSG8CctAVV0/ECrKMsGa1ZJnlrOydaG/rHwKNuH0uiqYI4G\n\
        KQJyg5VRdqfRuUTbfvjMCSla2xtRxQTH4pwupyzg34mHOrR3bE6Lw7dKGqAovUy2\n\
        +kapqQKBgQDEBY9I2CYqRAbo7ubaBQrWdkzDUaxP0YO1SxM0gQ/mhFzHGRSdnq8q\n\
        ahyA6grCFpfY88FhjCxa7Lz8zamN3EtOy0CoKnU2b4yZUZFd35fBVYeE1uWl1Ifx\n\
        8twX3HMp6LiQcMZxS1Ek8LIICz1Vw7zxQDbnMcLmtGEAAB0wbFil2A==\n\
        -----END RSA PRIVATE KEY-----\n";
}
