//! Who of a crew is there: who connects, stops reading, goes, and is lost.
//!
//! Invariant: every change of a member's phase is counted in the ledger at the same time. Who is told to go is not lost.

use super::{Course, Crew, NOBODY, Seat};
use crate::fleet::Pause;
use crate::fleet::arrivals::Moment;
use crate::fleet::ledger::Ledger;
use crate::fleet::measures;
use crate::fleet::viewer::{Fault, Viewer};
use bytes::Bytes;
use quinn_proto::{ConnectionHandle, EndpointEvent, VarInt};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;
use uproar_wire::hello::CloseCode;

/// The first of the loopback addresses that subscribers have, one each.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

/// Where a subscriber is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nowhere: not connected yet, or no longer.
    Out,
    /// Between its first packet and its last palette.
    Arriving,
    Subscribed,
    Lost,
}

#[derive(Clone, Copy)]
pub(super) struct Member {
    pub(super) phase: Phase,
    /// Its connection, unless it is out.
    pub(super) conn: u32,
}

impl Crew {
    /// Connects one, and sends its first packet at once: the time that its handshake takes counts from here.
    pub(in crate::fleet) fn connect(&mut self, now: Instant, member: usize, course: &Course, ledger: &mut Ledger) {
        let connected = self.endpoint.connect(now, course.client.clone(), course.server, &course.server_name);
        let (ConnectionHandle(conn), connection) = match connected {
            Ok(connected) => connected,
            Err(error) => return self.lose(member, error.to_string(), ledger),
        };
        if conn >= self.seats.len() {
            self.seats.resize_with(conn + 1, || None);
        }
        let wishes = course.chart.place_of(self.first + member);
        let viewer = Viewer::new(course.chart.at(wishes).rooms.len());
        let local_ip = address_of(&course.server, self.first + member);
        let seat = Seat { connection, since: now, viewer, wishes, member, local_ip, pause: None, is_queued: false };
        self.seats[conn] = Some(Box::new(seat));
        self.members[member] = Member { phase: Phase::Arriving, conn: conn as u32 };
        ledger.arriving += 1;
        self.transmit(now, conn, ledger);
        self.flush(ledger);
    }

    /// Stops the reading of one.
    pub(in crate::fleet) fn pause(&mut self, member: usize, pause: Pause, ledger: &mut Ledger) {
        let Some(seat) = self.seat_of(member) else { return };
        if seat.pause.replace(pause).is_none() {
            seat.viewer.leave(&mut ledger.arrivals);
        }
    }

    /// Lets one read again, beginning with what has come.
    pub(in crate::fleet) fn resume(&mut self, at: Moment, member: usize, course: &Course, ledger: &mut Ledger) {
        let Some(seat) = self.seat_of(member).filter(|seat| seat.pause.is_some()) else { return };
        seat.pause = None;
        seat.viewer.come_back(&ledger.arrivals);
        let Seat { connection, viewer, wishes, .. } = seat;
        let heard = viewer.read_rooms(connection, course.chart.at(*wishes), at, &mut ledger.arrivals);
        // A server that has given it up meanwhile, unheard, says so only in answer to something.
        connection.ping();
        let conn = self.members[member].conn as usize;
        self.judge(at.instant, conn, heard, ledger);
        self.settle(at, conn, course, ledger);
    }

    /// Closes the connection of one and tells the server. It is then out.
    pub(in crate::fleet) fn close(&mut self, now: Instant, member: usize, ledger: &mut Ledger) {
        let Some(conn) = self.disembark(member, ledger) else { return };
        if let Some(seat) = &mut self.seats[conn] {
            seat.connection.close(now, VarInt::from_u32(CloseCode::Done as u32), Bytes::new());
            // From here on it has to hear, to be done with.
            seat.pause = None;
        }
        self.transmit(now, conn, ledger);
    }

    /// Forgets one without a word. It is then out.
    pub(in crate::fleet) fn vanish(&mut self, member: usize, ledger: &mut Ledger) {
        if let Some(conn) = self.disembark(member, ledger) {
            self.free(conn, EndpointEvent::drained());
        }
    }

    /// That one lost its connection is no longer held against it.
    pub(in crate::fleet) fn forget_loss(&mut self, member: usize, ledger: &mut Ledger) {
        let phase = &mut self.members[member].phase;
        if *phase == Phase::Lost {
            *phase = Phase::Out;
            ledger.lost_now -= 1;
        }
    }

    /// Whether one has no connection.
    pub(in crate::fleet) fn is_out(&self, member: usize) -> bool {
        matches!(self.members[member].phase, Phase::Out | Phase::Lost)
    }

    pub(super) fn note_subscribed(&mut self, now: Instant, conn: usize, ledger: &mut Ledger) {
        let Some(seat) = self.seats[conn].as_ref().filter(|seat| seat.member != NOBODY) else { return };
        let member = &mut self.members[seat.member];
        if member.phase == Phase::Arriving && seat.viewer.is_subscribed() {
            member.phase = Phase::Subscribed;
            ledger.arriving -= 1;
            ledger.subscribed += 1;
            measures::record(&mut ledger.subscribe_us, now.saturating_duration_since(seat.since));
        }
    }

    /// Gives a connection up on which the server says what cannot be understood.
    pub(super) fn judge(&mut self, now: Instant, conn: usize, heard: Result<(), Fault>, ledger: &mut Ledger) {
        let Err(fault) = heard else { return };
        let Some(seat) = self.seats[conn].as_mut().filter(|seat| seat.member != NOBODY) else { return };
        let member = seat.member;
        seat.connection.close(now, VarInt::from_u32(CloseCode::Done as u32), Bytes::from_static(fault.as_bytes()));
        self.lose(member, fault.to_owned(), ledger);
    }

    /// One has no connection any more, and that is not what it was told.
    pub(super) fn lose(&mut self, member: usize, reason: String, ledger: &mut Ledger) {
        self.disembark(member, ledger);
        self.members[member].phase = Phase::Lost;
        ledger.count_loss(reason);
    }

    fn seat_of(&mut self, member: usize) -> Option<&mut Seat> {
        let Member { phase, conn, .. } = self.members[member];
        let is_aboard = matches!(phase, Phase::Arriving | Phase::Subscribed);
        self.seats.get_mut(conn as usize).and_then(Option::as_deref_mut).filter(|_| is_aboard)
    }

    /// Takes one off its connection, which is returned.
    fn disembark(&mut self, member: usize, ledger: &mut Ledger) -> Option<usize> {
        let seat = self.seat_of(member)?;
        seat.member = NOBODY;
        seat.viewer.leave(&mut ledger.arrivals);
        let Member { phase, conn, .. } = self.members[member];
        *(if phase == Phase::Arriving { &mut ledger.arriving } else { &mut ledger.subscribed }) -= 1;
        self.members[member] = Member { phase: Phase::Out, conn: 0 };
        Some(conn as usize)
    }
}

/// The address that a subscriber sends from: on loopback one of its own, elsewhere what the machine has.
fn address_of(server: &SocketAddr, number: usize) -> Option<IpAddr> {
    match server.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => Some(Ipv4Addr::from(u32::from(FIRST_ADDRESS) + number as u32).into()),
        _ => None,
    }
}
