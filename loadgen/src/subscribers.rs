//! Real QUIC subscribers: each is a connection of its own, as an application's would be, on a few shared sockets.
//!
//! Deliberately not here: reconnecting. A connection that is lost during a run is a finding.

use crate::audit::{Arrival, RoomAudit};
use crate::play::{RunError, Targets};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use uproar_client::{Client, ClientConfig, ClientEndpoint, RoomEvent, Subscription};
use uproar_wire::{ClientId, RoomId};

/// Bytes of socket buffer asked for: thousands of frames come at the same moment.
const SOCKET_BUFFER: usize = 4 << 20;
/// How long closing may take before the servers are left to find out.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Where subscribers connect from.
#[derive(Debug)]
pub(crate) struct Entrance {
    endpoints: Vec<ClientEndpoint>,
    server: SocketAddr,
    server_name: String,
}

impl Entrance {
    /// Opens so many sockets.
    pub(crate) fn open(targets: &Targets, sockets: u32) -> Result<Self, RunError> {
        let any = if targets.quic.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let config = ClientConfig::new(targets.trust.clone())
            .bind(SocketAddr::new(any, 0))
            .rooms_max(1)
            .socket_buffer_bytes(SOCKET_BUFFER);
        let endpoints: Result<Vec<_>, _> = (0..sockets).map(|_| ClientEndpoint::bind(&config)).collect();
        Ok(Self { endpoints: endpoints?, server: targets.quic, server_name: targets.server_name.clone() })
    }

    /// One connection that watches one room; `place` chooses the socket.
    pub(crate) async fn seat(
        &self,
        place: usize,
        id: ClientId,
        room: RoomId,
        audit: &Arc<RoomAudit>,
        live: Option<mpsc::Sender<RoomEvent>>,
    ) -> Result<Client, RunError> {
        let endpoint = &self.endpoints[place % self.endpoints.len()];
        let connected = endpoint.connect_as(id, self.server, &self.server_name).await;
        let client = connected.map_err(|error| RunError::Connect(self.server, error))?;
        let subscription = client.subscribe(&[room]).await?;
        tokio::spawn(sit(subscription, Arc::clone(audit), live));
        Ok(client)
    }

    /// Seats people who only watch, evenly over the rooms, a few handshakes at a time.
    pub(crate) async fn seat_all(
        &self,
        count: u32,
        arriving: u32,
        rooms: &[(RoomId, Arc<RoomAudit>)],
    ) -> Result<(), RunError> {
        stream::iter(0..count as usize)
            .map(|place| async move {
                let (room, audit) = &rooms[place % rooms.len()];
                // The subscription keeps the connection open.
                self.seat(place, ClientId(0), *room, audit, None).await.map(drop)
            })
            .buffer_unordered(arriving as usize)
            .try_collect()
            .await
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        for endpoint in &self.endpoints {
            // Nothing depends on the servers having heard it.
            let _ = tokio::time::timeout(CLOSE_MAX, endpoint.close()).await;
        }
    }
}

async fn sit(mut subscription: Subscription, audit: Arc<RoomAudit>, live: Option<mpsc::Sender<RoomEvent>>) {
    let seat = audit.take_seat();
    while let Some(event) = subscription.next().await {
        match &event {
            Ok(RoomEvent::Palette(_, palette)) => audit.handle_palette(palette),
            Ok(RoomEvent::Frame(frame)) => {
                let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let arrival = Arrival { instant: Instant::now(), unix_us: since_1970.as_micros() as u64 };
                audit.handle_frame(seat, frame, arrival);
            }
            Err(error) => return audit.leave_seat(seat, error.to_string()),
        }
        if let (Some(live), Ok(event)) = (&live, event) {
            // A slow terminal misses frames, as any slow viewer does.
            let _ = live.try_send(event);
        }
    }
}
