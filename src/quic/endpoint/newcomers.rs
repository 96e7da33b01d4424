//! Who comes: first packets wait for their handshake, are asked to prove their address, or are turned away.
//!
//! Invariant: every first packet ends in a slot, in a counted outcome, or is counted as refused. Not here: how many may wait and when they begin
//! ([`crate::quic::handshakes`]).

use super::{Quic, Waiting};
use crate::limits::{self, QUIC_HANDSHAKES_PER_BUSY_TURN, QUIC_HANDSHAKES_PER_TURN, TRANSMIT_SLICE};
use crate::metrics::{Outcome, QuicRefusal};
use crate::quic::handshakes::Verdict;
use crate::quic::slots::Slot;
use crate::quic::{outcome, refusal};
use quinn_proto::{AcceptError, ConnectionError, ConnectionHandle, Incoming};
use std::time::Instant;

impl Quic {
    /// From here on, who comes is refused; so is who waits for a handshake.
    pub fn refuse_new(&mut self) {
        self.refusing = true;
        while let Some(Waiting { id, incoming, .. }) = self.handshakes.poll_waiting() {
            self.line.leave(id);
            self.refuse(incoming, QuicRefusal::Draining);
        }
    }

    /// Begins handshakes that wait, as many as may begin now: fewer while existing subscribers wait for what is due to
    /// them, of which `is_busy` tells the caller's part. True while more may begin at once.
    pub fn begin_handshakes(&mut self, now: Instant, is_busy: bool) -> bool {
        let most = match is_busy || self.dirty.len() > TRANSMIT_SLICE {
            true => QUIC_HANDSHAKES_PER_BUSY_TURN,
            false => QUIC_HANDSHAKES_PER_TURN,
        };
        for _ in 0..most {
            let Some(Waiting { came_at, id, incoming }) = self.handshakes.poll_begin(now) else { return false };
            self.line.leave(id);
            self.accept(now, came_at, incoming);
        }
        self.handshakes.has_due(now)
    }

    /// A first packet: it waits for its turn, or is sent away in one of three ways.
    pub(super) fn handle_incoming(&mut self, now: Instant, incoming: Incoming, datagram: &[u8]) {
        if self.refusing {
            return self.refuse(incoming, QuicRefusal::Draining);
        }
        if self.slots.len() + self.handshakes.waiting() >= self.max_connections {
            return self.refuse(incoming, QuicRefusal::Full);
        }
        let client = self.addresses.client(incoming.remote_address().ip());
        if self.addresses.is_full(client) {
            return self.refuse(incoming, QuicRefusal::AddressFull);
        }
        // Whoever takes an address that is not theirs takes half of what it may have at most.
        if self.addresses.is_half_full(client) && !incoming.remote_address_validated() {
            return self.retry(incoming);
        }
        match self.handshakes.judge(incoming.remote_address_validated()) {
            Verdict::Wait => {
                let id = refusal::id_of_first(datagram);
                self.line.join(id);
                self.handshakes.handle_incoming(Waiting { came_at: now, id, incoming });
            }
            Verdict::Retry => self.retry(incoming),
            Verdict::Drop => self.drop_incoming(incoming),
        }
    }

    /// Its sender is told nothing, and tries again by itself.
    fn drop_incoming(&mut self, incoming: Incoming) {
        self.endpoint.ignore(incoming);
        self.outcomes[Outcome::Dropped.index()] += 1;
        self.count_refusal(QuicRefusal::HandshakesFull);
    }

    fn retry(&mut self, incoming: Incoming) {
        self.scratch.clear();
        match self.endpoint.retry(incoming, &mut self.scratch) {
            Ok(retry) => {
                let outcome = match self.answer_stranger(&retry, QuicRefusal::Retried) {
                    true => Outcome::Retried,
                    false => Outcome::Dropped,
                };
                self.outcomes[outcome.index()] += 1;
            }
            // QUIC allows one for every address that is not validated.
            Err(error) => self.drop_incoming(error.into_incoming()),
        }
    }

    fn accept(&mut self, now: Instant, came_at: Instant, incoming: Incoming) {
        let client = self.addresses.client(incoming.remote_address().ip());
        // Others of its address may have come in while it waited.
        if self.addresses.is_full(client) {
            return self.refuse(incoming, QuicRefusal::AddressFull);
        }
        if self.addresses.is_half_full(client) && !incoming.remote_address_validated() {
            return self.retry(incoming);
        }
        self.scratch.clear();
        match self.endpoint.accept(incoming, now, &mut self.scratch, None) {
            Ok((ConnectionHandle(conn), connection)) => {
                self.accepted += 1;
                self.open += 1;
                self.handshakes.handle_begun();
                self.addresses.add(client);
                self.slots.insert(conn, Slot::new(connection, client, came_at, now + limits::HANDSHAKE_TIMEOUT));
                self.settle(now, conn);
            }
            // What cannot be decrypted was sent by nobody who wants a connection, and is the only packet that is not answered.
            Err(AcceptError { cause: ConnectionError::TransportError(_), response: None }) => {
                self.count_refusal(QuicRefusal::Undecryptable);
            }
            Err(error) => {
                self.outcomes[outcome::of_loss(&error.cause, false, false).index()] += 1;
                if let Some(response) = error.response {
                    self.respond(&response);
                }
            }
        }
    }

    fn refuse(&mut self, incoming: Incoming, reason: QuicRefusal) {
        self.scratch.clear();
        let refusal = self.endpoint.refuse(incoming, &mut self.scratch);
        let outcome = match reason {
            QuicRefusal::AddressFull => Outcome::AddressFull,
            _ => Outcome::Refused,
        };
        self.outcomes[outcome.index()] += 1;
        self.answer_stranger(&refusal, reason);
    }
}
