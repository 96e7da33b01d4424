//! Datagrams that reach no connection: each is counted with a reason, and answered if QUIC has an answer for it.
//!
//! Invariant: a datagram either reaches a connection, waits for its handshake, becomes a connection, or is counted once.

use super::Quic;
use crate::metrics::QuicRefusal;
use crate::quic::refusal;
use quinn_proto::Transmit;

impl Quic {
    /// Datagrams that reached no connection, by [`QuicRefusal::index`].
    pub fn refused(&self) -> &[u64; QuicRefusal::COUNT] {
        &self.refused
    }

    /// A datagram that the endpoint answered, though no connection did.
    pub(super) fn handle_answered(&mut self, datagram: &[u8], answer: &Transmit) {
        let reason = refusal::of_answered(datagram, &self.scratch);
        self.answer_stranger(answer, reason);
    }

    /// A datagram that the endpoint made nothing of, or keeps for a client in line.
    pub(super) fn handle_ignored(&mut self, datagram: &[u8]) {
        let is_saturated = self.handshakes.is_saturated();
        if let Some(reason) = refusal::of_ignored(datagram, &mut self.line, is_saturated) {
            self.count_refusal(reason);
        }
    }

    pub(super) fn count_refusal(&mut self, reason: QuicRefusal) {
        self.refused[reason.index()] += 1;
    }

    /// Counts a datagram that is answered with what QUIC wrote to the scratch buffer; false when no more answers leave in
    /// this turn.
    pub(super) fn answer_stranger(&mut self, answer: &Transmit, reason: QuicRefusal) -> bool {
        let is_answered = self.respond(answer);
        self.count_refusal(if is_answered { reason } else { QuicRefusal::Unanswered });
        is_answered
    }

    /// Sends what QUIC wrote to the scratch buffer; false when no more answers leave in this turn.
    pub(super) fn respond(&mut self, answer: &Transmit) -> bool {
        let has_room = !self.responses.is_full();
        if has_room {
            self.responses.push(answer, &self.scratch);
        }
        has_room
    }
}
