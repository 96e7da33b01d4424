//! Shows one room's frames live, until it ends or is interrupted. Whatever ends it, the server is told.

use crate::play;
use crate::view::{RoomView, Screen};
use futures_util::StreamExt;
use std::io;
use std::net::SocketAddr;
use tokio::signal::unix::{Signal, SignalKind, signal};
use uproar_client::{Client, Error, Trust};
use uproar_wire::RoomId;

/// Watches a room; true when the server ended it in order, or a signal did.
pub fn run(server: SocketAddr, server_name: &str, trust: Trust, room: RoomId) -> Result<bool, String> {
    let watching = async {
        let mut interrupt = Interrupt::new().map_err(|error| format!("cannot listen for signals: {error}"))?;
        let client = tokio::select! {
            client = Client::connect(server, server_name, trust) => client.map_err(|error| error.to_string())?,
            () = interrupt.comes() => return Ok(true),
        };
        let watched = tokio::select! {
            watched = watch(&client, room) => watched.map_err(|error| error.to_string()),
            () = interrupt.comes() => Ok(()),
        };
        // Without this the server would keep the connection until it times out.
        client.close().await;
        watched.map(|()| true)
    };
    play::runtime().map_err(|error| error.to_string())?.block_on(watching)
}

async fn watch(client: &Client, room: RoomId) -> Result<(), Error> {
    let mut subscription = client.subscribe(&[room]).await?;
    let (mut view, mut screen) = (RoomView::default(), Screen::stdout());
    while let Some(event) = subscription.next().await {
        if view.handle_event(event?) && screen.show(&view).is_err() {
            // Nobody reads the output any more.
            break;
        }
    }
    Ok(())
}

/// The signals that end a program which a person started in a terminal.
struct Interrupt([Signal; 3]);

impl Interrupt {
    fn new() -> io::Result<Self> {
        let [interrupt, terminate, hangup] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Ok(Self([signal(interrupt)?, signal(terminate)?, signal(hangup)?]))
    }

    async fn comes(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
