//! Shows one room's frames live, until it ends or is interrupted.

use crate::play;
use crate::view::{RoomView, Screen};
use futures_util::StreamExt;
use std::net::SocketAddr;
use uproar_client::{Client, Trust};
use uproar_wire::RoomId;

/// Watches a room; true when the server ended it in order.
pub fn run(server: SocketAddr, server_name: &str, trust: Trust, room: RoomId) -> Result<bool, String> {
    let watching = async {
        let client = Client::connect(server, server_name, trust).await?;
        let mut subscription = client.subscribe(&[room]).await?;
        let (mut view, mut screen) = (RoomView::default(), Screen::stdout());
        while let Some(event) = subscription.next().await {
            if view.handle_event(event?) && screen.show(&view).is_err() {
                // Whoever read this has gone.
                break;
            }
        }
        Ok(true)
    };
    let ended: Result<bool, uproar_client::Error> =
        play::runtime().map_err(|error| error.to_string())?.block_on(watching);
    ended.map_err(|error| error.to_string())
}
