//! Decoding of field sections without a dynamic table (RFC 9204), and of their Huffman code (RFC 7541, appendix B).
//!
//! Field lines come out as they were written: in their order, with what comes twice, and in the case of their names, which is
//! what decides whether a message is malformed.
//!
//! Invariant: a section takes no more memory unpacked than [`HTTP3_FIELD_SECTION_UNPACKED_MAX`].

use crate::limits::HTTP3_FIELD_SECTION_UNPACKED_MAX;
use std::borrow::Cow;

/// What a field counts beyond its name and its value (RFC 9114, 4.2.2).
const FIELD_OVERHEAD: u64 = 32;

/// A field line.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Field<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) value: Cow<'a, [u8]>,
}

/// Why a section has no fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SectionError {
    /// It cannot be read, or names an entry of a dynamic table.
    Unreadable,
    /// It is too large unpacked.
    TooLarge,
}

/// The fields of a section.
pub(super) fn decode(mut section: &[u8]) -> Result<Vec<Field<'_>>, SectionError> {
    let bytes = &mut section;
    // The required insert count, and the base.
    prefixed(bytes, 8)?;
    prefixed(bytes, 7)?;
    let mut left = HTTP3_FIELD_SECTION_UNPACKED_MAX;
    let mut fields = Vec::new();
    while let Some(&first) = bytes.first() {
        let field = match first {
            // Both from the static table.
            _ if first & 0b1100_0000 == 0b1100_0000 => {
                let (name, value) = entry(prefixed(bytes, 6)?)?;
                Field { name: name.as_bytes().into(), value: value.as_bytes().into() }
            }
            // The name from the static table.
            _ if first & 0b1101_0000 == 0b0101_0000 => {
                let (name, _) = entry(prefixed(bytes, 4)?)?;
                Field { name: name.as_bytes().into(), value: string(bytes, 7)? }
            }
            _ if first & 0b1110_0000 == 0b0010_0000 => Field { name: string(bytes, 3)?, value: string(bytes, 7)? },
            _ => return Err(SectionError::Unreadable),
        };
        let size = (field.name.len() + field.value.len()) as u64 + FIELD_OVERHEAD;
        left = left.checked_sub(size).ok_or(SectionError::TooLarge)?;
        fields.push(field);
    }
    Ok(fields)
}

fn entry(index: u64) -> Result<(&'static str, &'static str), SectionError> {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    STATIC_TABLE.get(index).copied().ok_or(SectionError::Unreadable)
}

/// A number in the low `bits` of the first byte, and as many further bytes as it takes (RFC 7541, 5.1).
fn prefixed(bytes: &mut &[u8], bits: u32) -> Result<u64, SectionError> {
    let mask = ((1_u16 << bits) - 1) as u8;
    let mut number = u64::from(take(bytes)? & mask);
    if number < u64::from(mask) {
        return Ok(number);
    }
    // Beyond 62 bits (RFC 9204, 4.1.1) nothing is a length or an index.
    for shift in (0..=56).step_by(7) {
        let byte = take(bytes)?;
        number += u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(SectionError::Unreadable)
}

/// A string whose length has `bits` in the first byte, below the bit that says whether it is in Huffman code.
fn string<'a>(bytes: &mut &'a [u8], bits: u32) -> Result<Cow<'a, [u8]>, SectionError> {
    let is_huffman = bytes.first().is_some_and(|first| first & (1 << bits) != 0);
    let len = usize::try_from(prefixed(bytes, bits)?).map_err(|_| SectionError::Unreadable)?;
    let (string, rest) = bytes.split_at_checked(len).ok_or(SectionError::Unreadable)?;
    *bytes = rest;
    if is_huffman { huffman(string).map(Cow::Owned) } else { Ok(string.into()) }
}

fn take(bytes: &mut &[u8]) -> Result<u8, SectionError> {
    let (&first, rest) = bytes.split_first().ok_or(SectionError::Unreadable)?;
    *bytes = rest;
    Ok(first)
}

/// The code is canonical: codes of one length follow one another in the order of their symbols, and those of the next length
/// follow them. So the lengths say it all.
fn huffman(coded: &[u8]) -> Result<Vec<u8>, SectionError> {
    let mut decoded = Vec::with_capacity(coded.len() * 8 / 5);
    let (mut code, mut len) = (0_u32, 0);
    for bit in coded.iter().flat_map(|byte| (0..8).rev().map(move |place| u32::from(byte >> place & 1))) {
        (code, len) = (code << 1 | bit, len + 1);
        let Some(nth) = code.checked_sub(CODES.first[len]).filter(|&nth| nth < CODES.count[len]) else { continue };
        let symbol = CODES.symbols[(CODES.begin[len] + nth) as usize];
        // The end of the string has a code that must not be written.
        decoded.push(u8::try_from(symbol).map_err(|_| SectionError::Unreadable)?);
        (code, len) = (0, 0);
    }
    // What is left is the beginning of the longest code, all ones, and less than a byte.
    let is_padding = len < 8 && code == (1 << len) - 1;
    is_padding.then_some(decoded).ok_or(SectionError::Unreadable)
}

const SYMBOLS: usize = 257;
const CODE_BITS_MAX: usize = 30;

struct Codes {
    /// By length: the first code, how many there are, and where their symbols begin.
    first: [u32; CODE_BITS_MAX + 1],
    count: [u32; CODE_BITS_MAX + 1],
    begin: [u32; CODE_BITS_MAX + 1],
    symbols: [u16; SYMBOLS],
}

static CODES: Codes = codes();

const fn codes() -> Codes {
    let mut codes = Codes {
        first: [0; CODE_BITS_MAX + 1],
        count: [0; CODE_BITS_MAX + 1],
        begin: [0; CODE_BITS_MAX + 1],
        symbols: [0; SYMBOLS],
    };
    let (mut code, mut sorted, mut len) = (0, 0, 1);
    while len <= CODE_BITS_MAX {
        code <<= 1;
        (codes.first[len], codes.begin[len]) = (code, sorted);
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if CODE_BITS[symbol] as usize == len {
                codes.symbols[sorted as usize] = symbol as u16;
                (code, sorted) = (code + 1, sorted + 1);
            }
            symbol += 1;
        }
        codes.count[len] = sorted - codes.begin[len];
        len += 1;
    }
    codes
}

/// Bits of each symbol's code; the last one ends a string.
#[rustfmt::skip]
const CODE_BITS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// RFC 9204, appendix A.
#[rustfmt::skip]
const STATIC_TABLE: [(&str, &str); 99] = [
    (":authority", ""),
    (":path", "/"),
    ("age", "0"),
    ("content-disposition", ""),
    ("content-length", "0"),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("referer", ""),
    ("set-cookie", ""),
    (":method", "CONNECT"),
    (":method", "DELETE"),
    (":method", "GET"),
    (":method", "HEAD"),
    (":method", "OPTIONS"),
    (":method", "POST"),
    (":method", "PUT"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "103"),
    (":status", "200"),
    (":status", "304"),
    (":status", "404"),
    (":status", "503"),
    ("accept", "*/*"),
    ("accept", "application/dns-message"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-ranges", "bytes"),
    ("access-control-allow-headers", "cache-control"),
    ("access-control-allow-headers", "content-type"),
    ("access-control-allow-origin", "*"),
    ("cache-control", "max-age=0"),
    ("cache-control", "max-age=2592000"),
    ("cache-control", "max-age=604800"),
    ("cache-control", "no-cache"),
    ("cache-control", "no-store"),
    ("cache-control", "public, max-age=31536000"),
    ("content-encoding", "br"),
    ("content-encoding", "gzip"),
    ("content-type", "application/dns-message"),
    ("content-type", "application/javascript"),
    ("content-type", "application/json"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "image/gif"),
    ("content-type", "image/jpeg"),
    ("content-type", "image/png"),
    ("content-type", "text/css"),
    ("content-type", "text/html; charset=utf-8"),
    ("content-type", "text/plain"),
    ("content-type", "text/plain;charset=utf-8"),
    ("range", "bytes=0-"),
    ("strict-transport-security", "max-age=31536000"),
    ("strict-transport-security", "max-age=31536000; includesubdomains"),
    ("strict-transport-security", "max-age=31536000; includesubdomains; preload"),
    ("vary", "accept-encoding"),
    ("vary", "origin"),
    ("x-content-type-options", "nosniff"),
    ("x-xss-protection", "1; mode=block"),
    (":status", "100"),
    (":status", "204"),
    (":status", "206"),
    (":status", "302"),
    (":status", "400"),
    (":status", "403"),
    (":status", "421"),
    (":status", "425"),
    (":status", "500"),
    ("accept-language", ""),
    ("access-control-allow-credentials", "FALSE"),
    ("access-control-allow-credentials", "TRUE"),
    ("access-control-allow-headers", "*"),
    ("access-control-allow-methods", "get"),
    ("access-control-allow-methods", "get, post, options"),
    ("access-control-allow-methods", "options"),
    ("access-control-expose-headers", "content-length"),
    ("access-control-request-headers", "content-type"),
    ("access-control-request-method", "get"),
    ("access-control-request-method", "post"),
    ("alt-svc", "clear"),
    ("authorization", ""),
    ("content-security-policy", "script-src 'none'; object-src 'none'; base-uri 'none'"),
    ("early-data", "1"),
    ("expect-ct", ""),
    ("forwarded", ""),
    ("if-range", ""),
    ("origin", ""),
    ("purpose", "prefetch"),
    ("server", ""),
    ("timing-allow-origin", "*"),
    ("upgrade-insecure-requests", "1"),
    ("user-agent", ""),
    ("x-forwarded-for", ""),
    ("x-frame-options", "deny"),
    ("x-frame-options", "sameorigin"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names_and_values(section: &[u8]) -> Result<Vec<(String, String)>, SectionError> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields = decode(section)?;
        Ok(fields.iter().map(|field| (text(&field.name), text(&field.value))).collect())
    }

    #[test]
    fn lines_come_in_their_order_with_what_comes_twice() {
        let mut section = vec![0, 0, 0xc0 | 15, 0xc0 | 23, 0x50, 1, b'a', 0x21, b'X', 1, b'1', 0x21, b'X', 0];
        // The huffman code of "www.example.com" (RFC 7541, C.4.1).
        section.extend([0x50, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]);
        let expected = [
            (":method", "CONNECT"),
            (":scheme", "https"),
            (":authority", "a"),
            ("X", "1"),
            ("X", ""),
            (":authority", "www.example.com"),
        ];
        assert_eq!(names_and_values(&section).unwrap(), expected.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn what_cannot_be_read_has_no_fields() {
        let sections: [&[u8]; 13] = [
            &[],
            &[0],
            // An entry that is not in the table, and such of a dynamic one.
            &[0, 0, 0xff, 36],
            &[0, 0, 0x80],
            &[0, 0, 0x40, 0],
            &[0, 0, 0x10],
            &[0, 0, 0x00, 0],
            // Cut off, and numbers without end.
            &[0, 0, 0x50],
            &[0, 0, 0x50, 2, b'a'],
            &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            // Padding that is a byte too long, that is not all ones, and the end of the string.
            &[0, 0, 0x50, 0x82, 0x1f, 0xff],
            &[0, 0, 0x50, 0x81, 0x18],
            &[0, 0, 0x50, 0x84, 0xff, 0xff, 0xff, 0xff],
        ];
        for section in sections {
            assert_eq!(decode(section), Err(SectionError::Unreadable), "{section:x?}");
        }
        let long = [&[0, 0][..], &[0xc0; 481]].concat();
        assert_eq!(decode(&long).err(), Some(SectionError::TooLarge), "34 times 482 is more than 16,384");
    }

    proptest! {
        /// What `web-transport-proto` writes is read as what it was, and other bytes do no harm.
        #[test]
        fn a_request_is_read_as_it_was_written(path in "/[a-z0-9/]{0,40}", name in "[a-z][a-z-]{0,20}", value in "[ -~]{0,40}") {
            let url = url::Url::parse(&format!("https://uproar.test{path}")).unwrap();
            let mut request = web_transport_proto::ConnectRequest::new(url.clone());
            request.headers.append(
                web_transport_proto::http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
            let mut frame = Vec::new();
            request.encode(&mut frame).unwrap();
            let mut section = frame.as_slice();
            super::super::records::decode_pair(&mut section).unwrap();
            let read = names_and_values(section).unwrap();
            prop_assert!(read.contains(&(":path".into(), url.path().into())));
            prop_assert!(read.contains(&(name, value)));
            prop_assert_eq!(read.len(), 6);
        }

        #[test]
        fn any_bytes_are_read_or_not(section in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&section);
        }
    }
}
