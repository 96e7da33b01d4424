//! Clients that speak HTTP/3: what their connections report goes to [`WebTransport`] first, and what that says of it
//! is carried out here.
//!
//! Invariant: the streams of HTTP/3 never reach the session or the rooms, and those of the session go the way they go
//! without HTTP/3. What happened before a fault counts, however much of it came at once.

use super::Quic;
use crate::metrics::Proto;
use crate::quic::QuicEvent;
use crate::quic::crypto::AgreedHttp3;
use crate::quic::session::Session;
use crate::quic::slots::Slot;
use crate::quic::webtransport::{Code, Fault, Notice, Rules, Seen, WebTransport};
use quinn_proto::{Connection, Event, StreamEvent};
use std::collections::VecDeque;
use std::time::Instant;

impl Quic {
    /// TLS knows what the client will speak.
    pub(super) fn handle_protocol(&mut self, conn: usize) {
        let Some(slot) = self.slots.slot_mut(conn) else { return };
        let data = slot.connection.crypto_session().handshake_data();
        if self.webtransport.is_some() && data.is_some_and(|data| data.is::<AgreedHttp3>()) {
            let mut web = Box::<WebTransport>::default();
            // With the server's first packets: a browser asks for its session only once it knows the settings.
            web.begin(&mut slot.connection);
            slot.web = Some(web);
        }
    }

    /// Whoever speaks HTTP/3 and has been told no settings by the end of the handshake permits no stream for them, which
    /// it must (RFC 9114, 6.2).
    pub(super) fn begin_http3(&mut self, now: Instant, conn: usize) {
        let Some(Slot { connection, web: Some(web), .. }) = self.slots.slot_mut(conn) else { return };
        if !web.begin(connection) {
            self.close_http3(now, conn, Code::StreamCreationError, "no stream for the settings");
        }
    }

    /// An event of a connection that speaks HTTP/3.
    pub(super) fn handle_web_event(&mut self, now: Instant, conn: usize, event: &Event) -> Seen {
        let (Some(slot), Some(origins)) = (self.slots.slot_mut(conn), &self.webtransport) else { return Seen::Left };
        let Slot { connection, session, web: Some(web), .. } = slot else { return Seen::Left };
        let rules = Rules { origins, is_refusing: self.refusing };
        let mut notices = Vec::new();
        let seen = match event {
            Event::DatagramReceived => take_datagrams(&mut self.events, conn, connection, web),
            Event::Stream(event) if !is_of_control(session, event) => {
                web.handle_stream_event(connection, event, rules, &mut notices)
            }
            _ => return Seen::Left,
        };
        for notice in notices {
            self.handle_notice(now, conn, &notice);
        }
        seen.unwrap_or_else(|fault| {
            self.close_http3(now, conn, fault.code, fault.reason);
            Seen::Taken
        })
    }

    fn handle_notice(&mut self, now: Instant, conn: usize, notice: &Notice) {
        match *notice {
            Notice::Answered(status) => self.webtransport_requests[status.index()] += 1,
            Notice::Refused(refusal) => self.webtransport_refused[refusal.index()] += 1,
            Notice::Stray(count) => self.events.push_back(QuicEvent::Stray { conn, count }),
            Notice::SessionStream(stream) => {
                let Some(slot) = self.slots.slot_mut(conn).filter(|slot| !slot.closed) else { return };
                // As without HTTP/3, a second one is one too many.
                let heard = slot.session.handle_opened(&mut slot.connection, stream);
                self.handle_heard(now, conn, heard);
            }
            Notice::Ended => self.handle_session_end(now, conn),
        }
    }
}

fn is_of_control(session: &Session, event: &StreamEvent) -> bool {
    match *event {
        StreamEvent::Readable { id }
        | StreamEvent::Writable { id }
        | StreamEvent::Finished { id }
        | StreamEvent::Stopped { id, .. } => session.is_control(id),
        StreamEvent::Opened { .. } | StreamEvent::Available { .. } => false,
    }
}

fn take_datagrams(
    events: &mut VecDeque<QuicEvent>,
    conn: usize,
    connection: &mut Connection,
    web: &WebTransport,
) -> Result<Seen, Fault> {
    while let Some(datagram) = connection.datagrams().recv() {
        events.push_back(match web.datagram(datagram)? {
            Some(datagram) => QuicEvent::Reactions { conn, datagram, proto: Proto::WebTransport },
            None => QuicEvent::Stray { conn, count: 1 },
        });
    }
    Ok(Seen::Taken)
}
