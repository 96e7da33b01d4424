//! Reactions by QUIC DATAGRAM frame, from connections that also watch their room.
//!
//! Deliberately not here: knowing whether a datagram arrived. QUIC does not repeat DATAGRAM frames; the audit finds out.

use super::Lane;
use crate::ledger::{Ledger, Outcome};
use crate::schedule::Batch;
use uproar_client::Client;
use uproar_wire::EmojiId;

/// Plays a lane over a connection, and returns when its last reaction has left.
pub(crate) async fn send_all(mut lane: Lane, client: Client) -> Ledger {
    let (mut batch, mut taps): (Batch, Vec<(EmojiId, u16)>) = Default::default();
    while let Some(due) = lane.poll_batch(&mut batch) {
        taps.clear();
        taps.extend(batch.records.iter().map(|record| (record.emoji, record.taps)));
        tokio::time::sleep_until(due.into()).await;
        lane.handle_departure(due);
        let outcome = match client.react(lane.of().room(batch.room), &taps).await {
            Ok(()) => Outcome::Sent,
            Err(error) => Outcome::Refused(format!("quic: {error}")),
        };
        lane.handle_outcome(&batch, outcome);
    }
    client.flush().await;
    lane.into_ledger()
}
