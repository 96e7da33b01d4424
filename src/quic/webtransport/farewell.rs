//! How a session ends: told on its stream, known to the client, and then with its connection.
//!
//! Invariant: the connection is not closed before a browser has had the time to act on the end of its session, and not much
//! later, whatever the client does.

use super::records::encode_varint;
use super::{Unsent, WebTransport, stream_id};
use crate::limits::{WEBTRANSPORT_FAREWELL, WEBTRANSPORT_LINGER};
use bytes::Bytes;
use quinn_proto::{Connection, StreamEvent, StreamId};
use std::time::Instant;
use uproar_wire::hello::CloseCode;
use web_transport_proto::{Capsule, Frame};

/// How the connection of a session that is over ends.
pub(in crate::quic) struct Farewell {
    until: Instant,
    reason: &'static str,
}

impl Farewell {
    /// What the connection is closed with. To Chromium, whose own servers begin a reason with the number of an error, it
    /// is a loss unless that is 0.
    pub(in crate::quic) fn reason(&self) -> Bytes {
        without_error(self.reason)
    }
}

/// A reason that no browser takes for an error.
pub(in crate::quic) fn without_error(reason: &str) -> Bytes {
    format!("0: {reason}").into()
}

impl WebTransport {
    /// Until when the end of the session is waited for.
    pub(in crate::quic) fn farewell_until(&self) -> Option<Instant> {
        self.farewell.as_ref().map(|farewell| farewell.until)
    }

    /// How the connection ends, if its session is over. Nothing is waited for any more.
    pub(in crate::quic) fn take_farewell(&mut self) -> Option<Farewell> {
        self.farewell.take()
    }

    /// Tells the client why its session ends, as the last that is said in it. False when there is no session.
    pub(in crate::quic) fn close_session(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        code: CloseCode,
        reason: &'static str,
    ) -> bool {
        let Some(session) = self.client.session() else { return false };
        let mut capsule = Vec::new();
        Capsule::CloseWebTransportSession { code: code as u32, reason: reason.to_owned() }.encode(&mut capsule);
        let mut frame = Vec::new();
        Frame::DATA.encode(&mut frame);
        encode_varint(capsule.len() as u64, &mut frame);
        frame.extend_from_slice(&capsule);
        // Before whatever its rooms still have to say.
        let _ = connection.send_stream(stream_id(session)).set_priority(1);
        self.send(connection, Unsent { stream: stream_id(session), bytes: frame.into(), is_last: true });
        self.farewell = Some(Farewell { until: now + WEBTRANSPORT_FAREWELL, reason });
        true
    }

    /// The client has ended its session, and gets its end of it.
    pub(in crate::quic) fn handle_session_end(&mut self, now: Instant, connection: &mut Connection) {
        if let Some(session) = self.client.session() {
            let _ = connection.send_stream(stream_id(session)).finish();
        }
        self.farewell = Some(Farewell { until: now + WEBTRANSPORT_LINGER, reason: "the session has ended" });
    }

    /// An event of a stream of a session that is over.
    pub(in crate::quic) fn handle_farewell_event(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        event: &StreamEvent,
    ) {
        let is_session = |id: StreamId| self.client.session() == Some(id.into());
        match *event {
            StreamEvent::Finished { id } | StreamEvent::Stopped { id, .. } if is_session(id) => {
                if let Some(farewell) = &mut self.farewell {
                    farewell.until = farewell.until.min(now + WEBTRANSPORT_LINGER);
                }
            }
            StreamEvent::Writable { id } if is_session(id) => self.handle_writable(connection, id),
            _ => {}
        }
    }
}
