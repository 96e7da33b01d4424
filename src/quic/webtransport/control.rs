//! A client's unidirectional streams that last as long as its connection: its control stream and those of QPACK.
//!
//! Invariant: kept is at most one SETTINGS frame, and that only until it has come whole.

use super::error::{Code, Fault};
use super::records::{Piece, Records};
use super::settings;
use crate::limits::HTTP3_SETTINGS_BYTES_MAX;
use web_transport_proto::VarInt;

const DATA: u64 = 0x0;
const HEADERS: u64 = 0x1;
const CANCEL_PUSH: u64 = 0x3;
const SETTINGS: u64 = 0x4;
const PUSH_PROMISE: u64 = 0x5;
const GOAWAY: u64 = 0x7;
const MAX_PUSH_ID: u64 = 0xd;
/// Types of HTTP/2 that HTTP/3 has no use for (RFC 9114, 7.2.8).
const OF_HTTP2: [u64; 4] = [0x2, 0x6, 0x8, 0x9];

/// Whether a frame of this kind has its place on a control stream, or nowhere: never on a request stream.
pub(super) fn is_out_of_place_in_request(kind: u64) -> bool {
    matches!(kind, CANCEL_PUSH | SETTINGS | PUSH_PROMISE | GOAWAY | MAX_PUSH_ID) || OF_HTTP2.contains(&kind)
}

/// The control stream, after its type.
#[derive(Default)]
pub(super) struct Control {
    records: Records,
    kind: u64,
    /// What has come of a frame that is read: settings, or one number.
    payload: Vec<u8>,
    has_settings: bool,
    goaway: Option<u64>,
    max_push_id: Option<u64>,
}

impl Control {
    pub(super) fn has_settings(&self) -> bool {
        self.has_settings
    }

    pub(super) fn handle_bytes(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while let Some(piece) = self.records.next(&mut bytes) {
            match piece {
                Piece::Head { kind, len } => {
                    self.handle_head(kind, len)?;
                    self.kind = kind;
                }
                Piece::Payload(payload) if matches!(self.kind, SETTINGS | GOAWAY | MAX_PUSH_ID) => {
                    self.payload.extend_from_slice(payload);
                }
                // A later version may say more than this one understands.
                Piece::Payload(_) => {}
            }
            if self.records.is_between() {
                self.handle_frame()?;
            }
        }
        Ok(())
    }

    fn handle_head(&mut self, kind: u64, len: u64) -> Result<(), Fault> {
        if !self.has_settings && kind != SETTINGS {
            return Err(Fault::new(Code::MissingSettings, "the control stream does not begin with settings"));
        }
        match kind {
            SETTINGS if self.has_settings => Err(Fault::new(Code::FrameUnexpected, "settings a second time")),
            SETTINGS if len > HTTP3_SETTINGS_BYTES_MAX as u64 => {
                Err(Fault::new(Code::ExcessiveLoad, "settings without end"))
            }
            // The server has promised nothing.
            CANCEL_PUSH => Err(Fault::new(Code::IdError, "a push that was never promised")),
            GOAWAY | MAX_PUSH_ID if len > VarInt::MAX_SIZE as u64 => {
                Err(Fault::new(Code::FrameError, "a frame of one number is longer"))
            }
            DATA | HEADERS | PUSH_PROMISE => Err(Fault::new(Code::FrameUnexpected, "a frame of requests")),
            _ if OF_HTTP2.contains(&kind) => Err(Fault::new(Code::FrameUnexpected, "a frame of HTTP/2")),
            _ => Ok(()),
        }
    }

    fn handle_frame(&mut self) -> Result<(), Fault> {
        let mut payload = std::mem::take(&mut self.payload);
        let result = self.handle_payload(&payload);
        // Settings come once; what holds a number is used again.
        if self.kind != SETTINGS {
            payload.clear();
            self.payload = payload;
        }
        result
    }

    fn handle_payload(&mut self, payload: &[u8]) -> Result<(), Fault> {
        match self.kind {
            SETTINGS => {
                self.has_settings = true;
                settings::check(payload)
            }
            GOAWAY => {
                let id = only_number(payload)?;
                if self.goaway.is_some_and(|before| id > before) {
                    return Err(Fault::new(Code::IdError, "a farewell that is taken back"));
                }
                self.goaway = Some(id);
                Ok(())
            }
            MAX_PUSH_ID => {
                let id = only_number(payload)?;
                if self.max_push_id.is_some_and(|before| id < before) {
                    return Err(Fault::new(Code::IdError, "pushes that are taken back"));
                }
                self.max_push_id = Some(id);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn only_number(mut payload: &[u8]) -> Result<u64, Fault> {
    match VarInt::decode(&mut payload) {
        Ok(number) if payload.is_empty() => Ok(number.into_inner()),
        _ => Err(Fault::new(Code::FrameError, "a frame of one number is not")),
    }
}

/// The client's QPACK encoder stream: the table it could fill has no room, which it may say too.
pub(super) fn check_encoder(bytes: &[u8]) -> Result<(), Fault> {
    /// Set Dynamic Table Capacity, to 0.
    const NO_CAPACITY: u8 = 0b0010_0000;
    match bytes.iter().all(|&byte| byte == NO_CAPACITY) {
        true => Ok(()),
        false => Err(Fault::new(Code::QpackEncoderStreamError, "an entry for a table without room")),
    }
}

/// The client's QPACK decoder stream, after its type: it may cancel streams, and has nothing to acknowledge.
#[derive(Default)]
pub(super) struct Decoder {
    /// Bytes of a stream's id that have come, while more of it follow.
    id_bytes: usize,
}

impl Decoder {
    pub(super) fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        /// The first byte of Stream Cancellation, and of an id that goes on in the next one.
        const CANCELLATION: u8 = 0b0100_0000;
        const LONG_ID: u8 = 0b0011_1111;
        /// Bytes of the longest number that QUIC has, seven bits in each.
        const ID_BYTES_MAX: usize = 9;
        const FAULT: Fault = Fault::new(Code::QpackDecoderStreamError, "an acknowledgement of nothing");
        for &byte in bytes {
            match self.id_bytes {
                0 if byte & 0b1100_0000 != CANCELLATION => return Err(FAULT),
                0 => self.id_bytes = usize::from(byte & LONG_ID == LONG_ID),
                ID_BYTES_MAX => return Err(FAULT),
                so_far if byte & 0x80 != 0 => self.id_bytes = so_far + 1,
                _ => self.id_bytes = 0,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a control stream, whole and byte by byte.
    fn code(bytes: &[u8]) -> Option<Code> {
        let whole = Control::default().handle_bytes(bytes).err();
        let mut control = Control::default();
        let one_by_one = bytes.iter().find_map(|&byte| control.handle_bytes(&[byte]).err());
        assert_eq!(whole, one_by_one, "{bytes:x?}");
        assert!(control.payload.capacity() <= HTTP3_SETTINGS_BYTES_MAX);
        whole.map(|fault| fault.code)
    }

    #[test]
    fn frames_that_may_come_are_taken() {
        assert_eq!(code(&[0x4, 0]), None);
        assert_eq!(code(&[0x4, 2, 0x33, 1, 0x21, 3, 1, 2, 3, 0x40, 0xff, 0, 0x7, 1, 4, 0x7, 1, 4, 0xd, 1, 0]), None);
        assert_eq!(code(&[0x4, 0, 0x21, 0xbf, 0xff, 0xff, 0xff, 9, 9, 9]), None, "a long one that nobody knows");
    }

    #[test]
    fn frames_that_may_not_come_are_faults() {
        for first in [0x0, 0x1, 0x21, 0x7] {
            assert_eq!(code(&[first, 0]), Some(Code::MissingSettings));
        }
        for after in [0x0, 0x1, 0x4, 0x5, 0x2, 0x6, 0x8, 0x9] {
            assert_eq!(code(&[0x4, 0, after, 0]), Some(Code::FrameUnexpected));
        }
        assert_eq!(code(&[0x4, 0, 0x3, 1, 0]), Some(Code::IdError));
        assert_eq!(code(&[0x4, 0, 0x7, 0]), Some(Code::FrameError));
        assert_eq!(code(&[0x4, 0, 0x7, 2, 0, 0]), Some(Code::FrameError));
        assert_eq!(code(&[0x4, 0, 0xd, 9]), Some(Code::FrameError));
        assert_eq!(code(&[0x4, 0, 0x7, 1, 0, 0x7, 1, 4]), Some(Code::IdError));
        assert_eq!(code(&[0x4, 0, 0xd, 1, 4, 0xd, 1, 0]), Some(Code::IdError));
        assert_eq!(code(&[0x4, 0x44, 0x01]), Some(Code::ExcessiveLoad), "1025 bytes of settings");
        assert_eq!(code(&[0x4, 4, 0x7, 1, 0x7, 1]), Some(Code::SettingsError));
    }

    #[test]
    fn a_table_without_room_stays_empty() {
        assert_eq!(check_encoder(&[0x20, 0x20]), Ok(()));
        for entry in [0x21, 0x3f, 0x80, 0xc0, 0x40, 0x00] {
            assert_eq!(check_encoder(&[0x20, entry]).unwrap_err().code, Code::QpackEncoderStreamError);
        }
    }

    #[test]
    fn only_cancellations_come_back() {
        let check = |bytes: &[u8]| {
            let whole = Decoder::default().handle_bytes(bytes).map_err(|fault| fault.code);
            let mut decoder = Decoder::default();
            let one_by_one = bytes.iter().try_for_each(|&byte| decoder.handle_bytes(&[byte]));
            assert_eq!(whole, one_by_one.map_err(|fault| fault.code));
            whole
        };
        assert_eq!(check(&[0x40, 0x44, 0x7f, 0x80, 0x01, 0x48]), Ok(()));
        for wrong in [&[0x80][..], &[0x01], &[0x7f, 0x80, 0x00, 0x00], &[0xff]] {
            assert_eq!(check(wrong), Err(Code::QpackDecoderStreamError), "{wrong:x?}");
        }
        assert_eq!(check(&[&[0x7f][..], &[0x80; 12]].concat()), Err(Code::QpackDecoderStreamError), "an endless id");
    }
}
