//! The settings of both sides: what this server says, and whether what a client says is possible.
//!
//! Invariant: the server's are the same bytes for everybody. Nothing of a client's is remembered, as nothing depends on
//! them: whoever asks for a session supports what a session needs.

use super::error::{Code, Fault};
use super::records::{decode_pair, encode_varint};
use crate::limits::HTTP3_FIELD_SECTION_UNPACKED_MAX;
use web_transport_proto::{Frame, Setting, StreamUni};

/// What a setting may be that is a switch.
const SWITCHES: [Setting; 2] = [Setting::ENABLE_CONNECT_PROTOCOL, Setting::ENABLE_DATAGRAM];
/// Settings of HTTP/2 that must not come (RFC 9114, 7.2.4.1).
const OF_HTTP2: [u64; 5] = [0, 2, 3, 4, 5];

/// The server's control stream from its beginning: its type and the settings. One session a connection.
pub(super) fn control_stream() -> Vec<u8> {
    let settings = [
        (Setting::MAX_FIELD_SECTION_SIZE, HTTP3_FIELD_SECTION_UNPACKED_MAX),
        (Setting::ENABLE_CONNECT_PROTOCOL, 1),
        (Setting::ENABLE_DATAGRAM, 1),
        // Of drafts that browsers speak beside the newest one they know.
        (Setting::ENABLE_DATAGRAM_DEPRECATED, 1),
        (Setting::WEBTRANSPORT_ENABLE_DEPRECATED, 1),
        (Setting::WEBTRANSPORT_MAX_SESSIONS_DEPRECATED, 1),
        (Setting::WEBTRANSPORT_MAX_SESSIONS, 1),
    ];
    let mut payload = Vec::new();
    for (setting, value) in settings {
        setting.encode(&mut payload);
        encode_varint(value, &mut payload);
    }
    let mut stream = Vec::new();
    StreamUni::CONTROL.encode(&mut stream);
    Frame::SETTINGS.encode(&mut stream);
    encode_varint(payload.len() as u64, &mut stream);
    stream.extend_from_slice(&payload);
    stream
}

/// Whether the payload of a client's SETTINGS frame is one.
pub(super) fn check(mut payload: &[u8]) -> Result<(), Fault> {
    let mut seen = Vec::new();
    while !payload.is_empty() {
        let Some((id, value)) = decode_pair(&mut payload) else {
            return Err(Fault::new(Code::FrameError, "a setting that is cut off"));
        };
        if OF_HTTP2.contains(&id) {
            return Err(Fault::new(Code::SettingsError, "a setting of HTTP/2"));
        }
        if seen.contains(&id) {
            return Err(Fault::new(Code::SettingsError, "a setting comes twice"));
        }
        if value > 1 && SWITCHES.iter().any(|switch| switch.0.into_inner() == id) {
            return Err(Fault::new(Code::SettingsError, "a setting that is neither on nor off"));
        }
        seen.push(id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(payload: &[u8]) -> Option<Code> {
        check(payload).err().map(|fault| fault.code)
    }

    #[test]
    fn impossible_settings_are_faults() {
        assert_eq!(code(&[]), None);
        assert_eq!(code(&[0x1, 0, 0x33, 1, 0x8, 1, 0x21, 63]), None);
        assert_eq!(code(&[0x33]), Some(Code::FrameError));
        assert_eq!(code(&[0x7, 0x40]), Some(Code::FrameError));
        assert_eq!(code(&[0x7, 1, 0x7, 1]), Some(Code::SettingsError));
        assert_eq!(code(&[0x33, 2]), Some(Code::SettingsError));
        assert_eq!(code(&[0x8, 2]), Some(Code::SettingsError));
        for id in OF_HTTP2 {
            assert_eq!(code(&[id as u8, 1]), Some(Code::SettingsError));
        }
    }

    #[test]
    fn the_servers_settings_are_the_same_every_time_and_allow_one_session() {
        let bytes = control_stream();
        assert_eq!(bytes, control_stream());
        let settings = web_transport_proto::Settings::decode(&mut bytes.as_slice()).unwrap();
        assert_eq!(settings.supports_webtransport(), 1);
        check(&bytes[3..]).unwrap();
    }
}
