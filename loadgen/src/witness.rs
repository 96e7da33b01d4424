//! Somebody who watches a room from before the first tap to the server's end, and adds up what its frames say.
//!
//! Invariant: nothing is in the sum but what was received; a window that was skipped is missing in it. Deliberately not here:
//! what the sum should be.

use crate::play::Targets;
use futures_util::StreamExt as _;
use std::time::Duration;
use tokio::task::JoinHandle;
use uproar_client::{Client, RoomEvent, Subscription};
use uproar_wire::RoomId;
use uproar_wire::frame::Palette;

/// What was sent before the server's end is here long before.
const LAST_FRAME_MAX: Duration = Duration::from_secs(30);

/// A subscriber on a task of its own.
pub(crate) struct Witness {
    /// What the emoji of the room are.
    pub(crate) palette: Palette,
    /// Taps in all frames, when the connection has ended.
    taps: JoinHandle<u64>,
}

impl Witness {
    /// Subscribes to a room; from the next window on every tap is seen.
    ///
    /// # Errors
    /// When there is no such server, or it has no such room.
    pub(crate) async fn start(targets: &Targets, room: RoomId) -> Result<Self, String> {
        let client = Client::connect(targets.quic, &targets.server_name, targets.trust.clone()).await;
        let client = client.map_err(|error| error.to_string())?;
        let mut subscription = client.subscribe(&[room]).await.map_err(|error| error.to_string())?;
        let palette = loop {
            match subscription.next().await {
                Some(Ok(RoomEvent::Palette(_, palette))) => break palette,
                Some(Ok(RoomEvent::Frame(_))) => {}
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err(format!("room {room} has no palette")),
            }
        };
        Ok(Self { palette, taps: tokio::spawn(watch(client, subscription)) })
    }

    /// Taps that it saw; to be called when the server has ended.
    ///
    /// # Errors
    /// When its connection did not end with the server.
    pub(crate) async fn finish(self) -> Result<u64, String> {
        let ended = tokio::time::timeout(LAST_FRAME_MAX, self.taps).await;
        let ended = ended.map_err(|_| "the appliance has ended, and its connections have not".to_owned())?;
        ended.map_err(|error| error.to_string())
    }
}

async fn watch(_client: Client, mut subscription: Subscription) -> u64 {
    let mut taps = 0;
    while let Some(Ok(event)) = subscription.next().await {
        if let RoomEvent::Frame(frame) = event {
            taps += frame.total;
        }
    }
    taps
}
