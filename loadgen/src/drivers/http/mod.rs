//! Reactions by HTTP: `POST` with a JSON body, on keep-alive connections, one request at a time on each. A request
//! that waits for the one before it is late, and its latency counts from when it was meant to go.
//!
//! [`request`]: what is sent. What carries it is [`crate::exchange`].
//!
//! Deliberately not here: pipelining, which phones and gateways do not do.

pub mod request;

#[cfg(test)]
mod tests;

pub use crate::exchange::{Connection, ExchangeError, Tcp};
pub use request::Names;

use super::desk::{Desk, Lane};
use super::dispatch::dispatch;
use super::{OPENING_MAX, SourceAddresses, now};
use crate::exchange::{Answer, Connect};
use crate::ledger::{Ledger, Outcome};
use crate::scenario::Http;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Opens the scenario's connections, so that the first requests do not pay for it; `opened` hears how many there are.
///
/// # Errors
/// [`ExchangeError::Connect`] of the first one that fails.
pub async fn open(
    http: &Http,
    server: SocketAddr,
    mut opened: impl FnMut(u32),
) -> Result<Vec<Connection<Tcp>>, ExchangeError> {
    let sources = SourceAddresses::new(&http.from, server);
    let opening = (0..http.connections).map(|number| {
        let from = sources.of(number as usize).map(|ip| SocketAddr::new(ip, 0));
        async move {
            let mut connection = Connection::by(Tcp { server, from });
            connection.open().await.map(|()| connection)
        }
    });
    let mut opening = stream::iter(opening).buffer_unordered(OPENING_MAX);
    let mut connections = Vec::with_capacity(http.connections as usize);
    while let Some(connection) = opening.try_next().await? {
        connections.push(connection);
        opened(connections.len() as u32);
    }
    Ok(connections)
}

/// Plays the desk's part of the match over connections to `host`, and returns when the last request is over. `names` are
/// the emoji of each room. Ends early when dropped.
///
/// # Panics
/// When planning or a connection's task has.
pub async fn play<C: Connect + 'static>(
    desk: &Arc<Desk>,
    connections: Vec<Connection<C>>,
    host: &str,
    names: &Arc<Names>,
) -> Ledger {
    let records_max = desk.stage().crowd.scenario().http.as_ref().map_or(1, |http| http.reactions_per_request.into());
    let mut lanes = JoinSet::new();
    let mut queues = Vec::with_capacity(connections.len());
    for connection in connections {
        let (queue, lane) = Lane::open(desk);
        queues.push(queue);
        lanes.spawn(send_all(lane, connection, host.into(), Arc::clone(names)));
    }
    dispatch(Arc::clone(desk), records_max, queues).await;
    lanes.join_all().await;
    desk.take_ledger()
}

/// The client id of a section; 0 would say that there is none.
fn client(section: u32) -> u64 {
    u64::from(section) + 1
}

async fn send_all<C: Connect>(mut lane: Lane, mut connection: Connection<C>, host: Arc<str>, names: Arc<Names>) {
    let (mut body, mut request) = (Vec::new(), Vec::new());
    while let Some(departure) = lane.next().await {
        names.encode_body(departure.room, &departure.taps, &mut body);
        let room = lane.desk().stage().crowd.room(departure.room);
        // Many people's taps come over one connection, as behind a proxy; their section stands for them.
        request::encode(room, &host, client(departure.section), &body, &mut request);
        let left = now();
        let outcome = match connection.ask(&request).await {
            Ok(Answer { status: 202, .. }) => Outcome::Sent,
            Ok(Answer { status, .. }) => Outcome::Refused(format!("http {status}")),
            Err(ExchangeError::Connect(error)) => Outcome::Refused(format!("http connect: {}", error.kind())),
            Err(_) => Outcome::Unconfirmed,
        };
        lane.handle_outcome(&departure, left, left, outcome);
    }
}
