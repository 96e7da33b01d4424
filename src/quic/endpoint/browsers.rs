//! Clients that speak HTTP/3: what their connections report goes to [`WebTransport`] first, and what that says of it
//! is carried out here.
//!
//! Invariant: the streams of HTTP/3 never reach the session or the rooms, and those of the session go the way they go
//! without HTTP/3.

use super::Quic;
use crate::metrics::{Outcome, Proto, webtransport_code_index};
use crate::quic::QuicEvent;
use crate::quic::crypto::AgreedHttp3;
use crate::quic::slots::Slot;
use crate::quic::webtransport::{Code, Doors, Fault, Notice, WebTransport};
use bytes::Bytes;
use quinn_proto::{Dir, Event, StreamEvent, StreamId};
use std::time::Instant;

/// What became of an event.
pub(super) enum Seen {
    /// It was of HTTP/3.
    Taken,
    /// It is of the session, or of its rooms.
    Left,
}

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

    /// An event of a connection that speaks HTTP/3.
    pub(super) fn handle_web_event(&mut self, now: Instant, conn: usize, event: &Event) -> Seen {
        let (Some(slot), Some(origins)) = (self.slots.slot_mut(conn), &self.webtransport) else { return Seen::Left };
        let Slot { connection, session, web: Some(web), .. } = slot else { return Seen::Left };
        let doors = Doors { origins, is_refusing: self.refusing };
        let heard = match *event {
            Event::Connected => {
                web.begin(connection);
                return Seen::Left;
            }
            Event::DatagramReceived => {
                let mut heard = Ok(Vec::new());
                while let Some(datagram) = connection.datagrams().recv() {
                    match web.datagram(datagram) {
                        Ok(Some(datagram)) => {
                            let proto = Proto::WebTransport;
                            self.events.push_back(QuicEvent::Reactions { conn, datagram, proto });
                        }
                        Ok(None) => self.events.push_back(QuicEvent::Stray { conn }),
                        Err(fault) => heard = Err(fault),
                    }
                }
                heard
            }
            Event::Stream(StreamEvent::Opened { dir }) => {
                let mut notices = Ok(Vec::new());
                while let (Ok(so_far), Some(stream)) = (&mut notices, connection.streams().accept(dir)) {
                    match web.handle_opened(connection, stream, doors) {
                        Ok(more) => so_far.extend(more),
                        Err(fault) => notices = Err(fault),
                    }
                }
                notices
            }
            Event::Stream(StreamEvent::Readable { id }) if !session.is_control(id) => {
                web.handle_readable(connection, id, doors)
            }
            Event::Stream(StreamEvent::Writable { id }) if is_of_http3(web, id) && !session.is_control(id) => {
                web.handle_writable(connection, id);
                return Seen::Taken;
            }
            Event::Stream(StreamEvent::Finished { id }) if is_of_http3(web, id) && !session.is_control(id) => {
                return Seen::Taken;
            }
            Event::Stream(StreamEvent::Stopped { id, error_code })
                if is_of_http3(web, id) && !session.is_control(id) =>
            {
                if web.is_critical(id) {
                    Err(Fault { code: Code::ClosedCriticalStream, reason: "the control stream was stopped" })
                } else if web.is_session(id) {
                    Ok(vec![Notice::Ended])
                } else {
                    web.handle_stopped(connection, id, error_code);
                    return Seen::Taken;
                }
            }
            _ => return Seen::Left,
        };
        match heard {
            Ok(notices) => notices.into_iter().for_each(|notice| self.handle_notice(now, conn, &notice)),
            Err(fault) => self.close_http3(now, conn, fault.code, fault.reason, Outcome::Http3Error),
        }
        Seen::Taken
    }

    fn handle_notice(&mut self, now: Instant, conn: usize, notice: &Notice) {
        match *notice {
            Notice::Answered(status) => self.webtransport_requests[webtransport_code_index(status)] += 1,
            Notice::Control(stream) => {
                let Some(slot) = self.slots.slot_mut(conn).filter(|slot| !slot.closed) else { return };
                let heard = slot.session.handle_opened(&mut slot.connection, stream);
                self.handle_heard(now, conn, heard);
            }
            Notice::Second => self.handle_second_stream(now, conn),
            Notice::Ended => self.close_http3(now, conn, Code::NoError, "", Outcome::Done),
        }
    }

    /// Closes the connection at once.
    fn close_http3(&mut self, now: Instant, conn: usize, code: Code, reason: &'static str, outcome: Outcome) {
        let Some(slot) = self.slots.slot_mut(conn).filter(|slot| !slot.closed) else { return };
        slot.connection.close(now, code.into(), Bytes::from_static(reason.as_bytes()));
        self.report_closed(conn, outcome);
        self.dirty.mark(conn);
    }

    /// An event of a connection whose end was reported: its session may have been closed, and what tells the client so be
    /// on its way.
    pub(super) fn handle_farewell_event(&mut self, now: Instant, conn: usize, event: &Event) {
        let Some(Slot { connection, web: Some(web), .. }) = self.slots.slot_mut(conn) else { return };
        if web.farewell_until().is_none() {
            return;
        }
        match *event {
            Event::Stream(StreamEvent::Finished { id } | StreamEvent::Stopped { id, .. }) if web.is_session(id) => {
                self.end_farewell(now, conn);
            }
            Event::Stream(StreamEvent::Writable { id }) if web.is_session(id) => web.handle_writable(connection, id),
            _ => {}
        }
    }

    /// Closes the connection of a session that was closed.
    pub(super) fn end_farewell(&mut self, now: Instant, conn: usize) {
        let Some(slot) = self.slots.slot_mut(conn) else { return };
        if slot.web.as_mut().is_some_and(|web| web.take_farewell()) {
            slot.connection.close(now, Code::NoError.into(), Bytes::new());
            self.dirty.mark(conn);
        }
    }
}

/// Whether a stream that the server sends on is not a room's.
fn is_of_http3(web: &WebTransport, stream: StreamId) -> bool {
    stream.dir() == Dir::Bi || web.is_critical(stream)
}
