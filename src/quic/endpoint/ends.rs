//! How connections end: closed for a reason, when their peers have everything, or by a peer; and the farewell of a
//! session of WebTransport, whose end is told on a stream before its connection closes.
//!
//! Invariant: the end of a connection is reported once. One in its farewell has been reported, and holds its slot until its
//! time is up.

use super::{Quic, room_stream};
use crate::metrics::Outcome;
use crate::quic::QuicEvent;
use crate::quic::slots::Slot;
use crate::quic::webtransport::{Code, without_error};
use bytes::Bytes;
use quinn_proto::{ConnectionHandle, Event, VarInt};
use std::time::Instant;
use uproar_wire::hello::CloseCode;

impl Quic {
    /// Connections that have ended so far.
    pub fn ended(&self) -> u64 {
        self.accepted - self.slots.len() as u64
    }

    /// Nothing more is written to a stream of [`Self::open_room_stream`]; what was written still arrives, unless its
    /// connection was closed.
    pub fn finish(&mut self, conn: usize, stream: u64) {
        let (Some(slot), Some(stream)) = (self.slots.slot_mut(conn), room_stream(stream)) else { return };
        let Slot { connection, web, closed, .. } = slot;
        match web {
            Some(web) if *closed => web.cut_off_room(connection, stream),
            Some(web) => web.finish_room(connection, stream),
            None if *closed => return,
            // A stream that the peer has stopped is over already.
            None => _ = connection.send_stream(stream).finish(),
        }
        self.dirty.mark(conn);
    }

    /// Closes `conn` for a reason that the peer is told. Streams are cut off where they are.
    pub fn close(&mut self, now: Instant, conn: usize, code: CloseCode, reason: &'static str) {
        self.close_as(now, conn, code, reason, code.into());
    }

    /// Closes every connection, each as soon as its peer has everything of its finished streams; those without streams
    /// at once. Finish the streams first. The only pass over all connections.
    ///
    /// The closes that leave from now on are kept for [`Self::repeat_closes`].
    pub fn drain(&mut self, now: Instant, code: CloseCode, reason: &'static str) {
        self.closes.begin();
        for conn in self.slots.numbers() {
            self.part(now, conn, code, reason);
        }
    }

    /// Closes every connection, whatever its peer still has to get. Sessions of WebTransport are still being told why;
    /// see [`Self::farewells`].
    pub fn close_all(&mut self, now: Instant, code: CloseCode, reason: &'static str) {
        for conn in self.slots.numbers() {
            self.close(now, conn, code, reason);
        }
    }

    /// Sends the closes since [`Self::drain`] once more, as a peer that misses one waits for its idle time-out.
    pub fn repeat_closes(&mut self) {
        self.closes.repeat();
    }

    /// Connections whose session of WebTransport is over and that wait for its end to be known, which they do for no
    /// longer than [`crate::limits::WEBTRANSPORT_FAREWELL`].
    pub fn farewells(&self) -> usize {
        self.farewells
    }

    /// Waits no longer for [`Self::farewells`].
    pub fn end_farewells(&mut self, now: Instant) {
        for conn in self.slots.numbers() {
            self.end_farewell(now, conn);
        }
    }

    /// Closes one connection once its peer has everything of its finished streams.
    pub fn part(&mut self, now: Instant, conn: usize, code: CloseCode, reason: &'static str) {
        if let Some(slot) = self.slots.slot_mut(conn) {
            slot.parting = Some((code, reason));
            self.close_if_parted(now, conn);
        }
    }

    /// Whether `conn` will be closed once its peer has everything.
    pub fn is_parting(&mut self, conn: usize) -> bool {
        self.slots.slot_mut(conn).is_some_and(|slot| slot.parting.is_some())
    }

    pub(super) fn close_if_parted(&mut self, now: Instant, conn: usize) {
        if let Some(slot) = self.slots.slot_mut(conn).filter(|slot| slot.open_streams == 0)
            && let Some((code, reason)) = slot.parting
        {
            self.close(now, conn, code, reason);
        }
    }

    pub(super) fn close_without_hello(&mut self, now: Instant, conn: usize) {
        let Some(slot) = self.slots.slot_mut(conn) else { return };
        let outcome = match slot.established {
            true => Outcome::HelloTimeout,
            false => Outcome::HandshakeFailed,
        };
        self.close_as(now, conn, CloseCode::HelloTimeout, "no hello in time", outcome);
    }

    fn close_as(&mut self, now: Instant, conn: usize, code: CloseCode, reason: &'static str, outcome: Outcome) {
        let Some(slot) = self.slots.slot_mut(conn).filter(|slot| !slot.closed) else { return };
        let connection = &mut slot.connection;
        match &mut slot.web {
            None => connection.close(now, VarInt::from_u32(code as u32), Bytes::from_static(reason.as_bytes())),
            Some(web) => {
                let is_told = web.close_session(now, connection, code, reason);
                self.farewells += usize::from(is_told);
                if !is_told {
                    connection.close(now, Code::NoError.into(), without_error(reason));
                }
            }
        }
        self.report_closed(conn, outcome);
        self.dirty.mark(conn);
    }

    pub(super) fn report_closed(&mut self, conn: usize, outcome: Outcome) {
        let Some(slot) = self.slots.slot_mut(conn) else { return };
        slot.closed = true;
        self.open -= 1;
        self.established -= usize::from(slot.established);
        self.outcomes[outcome.index()] += 1;
        self.addresses.remove(slot.client);
        self.events.push_back(QuicEvent::Closed { conn, outcome });
    }

    pub(super) fn free_if_over(&mut self, conn: usize) {
        let Some(slot) = self.slots.slot_mut(conn).filter(|slot| slot.closed_polled) else { return };
        if let Some(drained) = slot.drained.take() {
            self.endpoint.handle_event(ConnectionHandle(conn), drained);
            if !slot.established {
                self.handshakes.handle_ended();
            }
            self.farewells -= usize::from(slot.farewell_until().is_some());
            self.slots.remove(conn);
            self.timers.disarm(conn);
        }
    }

    /// Closes a connection of HTTP/3 at once, for what its client did.
    pub(super) fn close_http3(&mut self, now: Instant, conn: usize, code: Code, reason: &'static str) {
        let Some(slot) = self.slots.slot_mut(conn).filter(|slot| !slot.closed) else { return };
        slot.connection.close(now, code.into(), Bytes::from_static(reason.as_bytes()));
        self.report_closed(conn, Outcome::Http3Error);
        self.dirty.mark(conn);
    }

    /// The client has ended its session.
    pub(super) fn handle_session_end(&mut self, now: Instant, conn: usize) {
        let Some(slot) = self.slots.slot_mut(conn).filter(|slot| !slot.closed) else { return };
        let Slot { connection, web: Some(web), .. } = slot else { return };
        web.handle_session_end(now, connection);
        self.farewells += 1;
        self.report_closed(conn, Outcome::Done);
        self.dirty.mark(conn);
    }

    /// An event of a connection whose end was reported: what tells its client so may be on its way.
    pub(super) fn handle_farewell_event(&mut self, now: Instant, conn: usize, event: &Event) {
        let Some(Slot { connection, web: Some(web), .. }) = self.slots.slot_mut(conn) else { return };
        match event {
            Event::Stream(event) => web.handle_farewell_event(now, connection, event),
            Event::DatagramReceived => {
                let count = std::iter::from_fn(|| connection.datagrams().recv()).count() as u64;
                self.events.push_back(QuicEvent::Stray { conn, count });
            }
            Event::ConnectionLost { .. } => self.end_farewell(now, conn),
            _ => {}
        }
    }

    /// Closes the connection of a session that is over.
    pub(super) fn end_farewell(&mut self, now: Instant, conn: usize) {
        let Some(slot) = self.slots.slot_mut(conn).filter(|slot| slot.closed) else { return };
        if let Some(farewell) = slot.web.as_mut().and_then(|web| web.take_farewell()) {
            slot.connection.close(now, Code::NoError.into(), farewell.reason());
            self.farewells -= 1;
            self.dirty.mark(conn);
        }
    }
}
