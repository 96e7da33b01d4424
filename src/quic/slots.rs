//! The connections of one shard, by slot.
//!
//! A connection is more than 6 KB and lives in a box of its own: the table stays dense and moves eight bytes a slot
//! when it grows, and memory comes back when the audience goes home (in chunks, one late viewer would hold 64 slots).
//!
//! Invariant: a slot is free again only when QUIC has drained its connection *and* [`QuicEvent::Closed`] has been
//! polled, so that whoever holds a slot's number never reaches somebody else's connection with it.
//!
//! [`QuicEvent::Closed`]: super::QuicEvent::Closed

use super::Prefetch;
use super::session::Session;
use super::webtransport::WebTransport;
use crate::ids::ClientAddress;
use crate::metrics::Proto;
use quinn_proto::{Connection, EndpointEvent};
use std::time::Instant;
use uproar_wire::hello::CloseCode;

/// One connection and what the server knows of it.
pub(super) struct Slot {
    pub(super) connection: Connection,
    pub(super) session: Session,
    /// What surrounds the session of a client that speaks HTTP/3.
    pub(super) web: Option<Box<WebTransport>>,
    /// For whom it counts until its end is reported; `None` where nobody counts.
    pub(super) client: Option<ClientAddress>,
    /// When its first packet came.
    pub(super) came_at: Instant,
    /// When the time for its handshake is up, and after that the time for its hello.
    pub(super) hello_deadline: Instant,
    /// Whether the handshake has been completed.
    pub(super) established: bool,
    /// Room streams that were opened and whose end the peer has not confirmed.
    pub(super) open_streams: u16,
    /// Whether a room stream may not have taken the beginning that WebTransport gives it.
    pub(super) has_beginnings: bool,
    /// What the peer is told when it is closed, which it is once no room stream is left.
    pub(super) parting: Option<(CloseCode, &'static str)>,
    /// Whether its end has been reported: nothing else of it will be.
    pub(super) closed: bool,
    /// Whether the report has been polled.
    pub(super) closed_polled: bool,
    /// QUIC's last word on it, kept until the slot may be freed.
    pub(super) drained: Option<EndpointEvent>,
}

impl Slot {
    pub(super) fn new(
        connection: Connection,
        client: Option<ClientAddress>,
        came_at: Instant,
        hello_deadline: Instant,
    ) -> Self {
        Self {
            connection,
            session: Session::default(),
            web: None,
            client,
            came_at,
            hello_deadline,
            established: false,
            open_streams: 0,
            has_beginnings: false,
            parting: None,
            closed: false,
            closed_polled: false,
            drained: None,
        }
    }

    /// Whether it still owes a hello.
    pub(super) fn awaits_hello(&self) -> bool {
        !self.closed && !self.session.said_hello()
    }

    /// How its client speaks, as far as that is known.
    pub(super) fn proto(&self) -> Proto {
        if self.web.is_some() { Proto::WebTransport } else { Proto::Quic }
    }

    /// Until when the end of a session that was closed is waited for.
    pub(super) fn farewell_until(&self) -> Option<Instant> {
        // Nobody who watches pays for a look at it.
        self.web.as_ref().filter(|_| self.closed).and_then(|web| web.farewell_until())
    }

    /// When it wants to be asked again if nothing happens before.
    pub(super) fn deadline(&mut self) -> Option<Instant> {
        let hello = self.awaits_hello().then_some(self.hello_deadline);
        self.connection.poll_timeout().into_iter().chain(hello).chain(self.farewell_until()).min()
    }
}

/// Slots by number. QUIC chooses the numbers and takes freed ones first, so that the table stays dense.
#[derive(Default)]
pub(super) struct Slots {
    // One pointer a slot; see above for why the connection is behind it.
    table: Vec<Option<Box<Slot>>>,
    used: usize,
}

impl Slots {
    pub(super) fn insert(&mut self, conn: usize, slot: Slot) {
        if conn >= self.table.len() {
            self.table.resize_with(conn + 1, || None);
        }
        debug_assert!(self.table[conn].is_none(), "slot {conn} is in use");
        self.table[conn] = Some(Box::new(slot));
        self.used += 1;
    }

    pub(super) fn remove(&mut self, conn: usize) {
        if self.table.get_mut(conn).and_then(Option::take).is_some() {
            self.used -= 1;
        }
    }

    pub(super) fn slot_mut(&mut self, conn: usize) -> Option<&mut Slot> {
        self.table.get_mut(conn)?.as_deref_mut()
    }

    /// Has the memory of a slot come.
    pub(super) fn prefetch(&self, conn: usize, prefetch: Prefetch) {
        if let Some(slot) = self.table.get(conn).and_then(Option::as_deref) {
            prefetch(std::ptr::from_ref(slot).cast(), size_of::<Slot>());
        }
    }

    /// Slots in use.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// The first slot in use from `conn` on.
    pub(super) fn first_from(&self, conn: usize) -> Option<usize> {
        let behind = self.table.get(conn..)?;
        behind.iter().position(Option::is_some).map(|gap| conn + gap)
    }

    /// The numbers below which all slots in use lie.
    pub(super) fn numbers(&self) -> std::ops::Range<usize> {
        0..self.table.len()
    }
}
