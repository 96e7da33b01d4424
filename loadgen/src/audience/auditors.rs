//! Real clients that watch every room of the match, as an application would, and read every frame for the audit.
//!
//! Invariant: each room has one auditor. Deliberately not here: reconnecting. A connection that is lost during a run is a
//! finding.

use crate::audit::{Arrival, Audit, Sitter};
use crate::interrupt::Interrupt;
use futures_util::StreamExt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use uproar_client::{ClientConfig, ClientEndpoint, RoomEvent, RoomStatus, Subscription, Trust};
use uproar_wire::RoomId;
use uproar_wire::hello::ROOMS_MAX;

/// Bytes of socket buffer asked for: frames of all rooms come at the same moment.
const SOCKET_BUFFER: usize = 4 << 20;
/// How long closing may take before the server is left to find out.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Why rooms cannot be audited.
#[derive(Debug, thiserror::Error)]
pub enum AuditorError {
    /// There is no connection.
    #[error("no connection to {0}: {1}; is an appliance listening there? see --quic")]
    Connect(SocketAddr, uproar_client::Error),
    /// There was one.
    #[error("QUIC: {0}")]
    Quic(#[from] uproar_client::Error),
    /// The match is about rooms that do not exist.
    #[error("room {0} does not exist ({1:?}); make it over the admin port, or set rooms.create = true")]
    NoRoom(RoomId, RoomStatus),
    /// The run was interrupted before all were there.
    #[error("interrupted")]
    Interrupted,
}

/// Where the server is, and whether it is believed.
#[derive(Clone, Debug)]
pub struct QuicTarget {
    /// Its address.
    pub address: SocketAddr,
    /// The name its certificate is for.
    pub name: String,
    /// Whom to believe.
    pub trust: Trust,
}

/// All auditors. They watch until they are closed.
#[derive(Debug)]
pub struct Auditors {
    endpoint: ClientEndpoint,
    connections: u32,
}

impl Auditors {
    /// Subscribes to all rooms of the audit. Events of the first room also go to `live`, as far as it takes them.
    ///
    /// # Errors
    /// When the server is not there, or does not have a room, and [`AuditorError::Interrupted`].
    pub async fn take_seats(
        audit: &Arc<Audit>,
        rooms: &[RoomId],
        target: &QuicTarget,
        live: Option<mpsc::Sender<RoomEvent>>,
        interrupt: &Interrupt,
    ) -> Result<Self, AuditorError> {
        let any = if target.address.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let config = ClientConfig::new(target.trust.clone())
            .bind(SocketAddr::new(any, 0))
            .rooms_max(ROOMS_MAX as u16)
            .socket_buffer_bytes(SOCKET_BUFFER);
        let mut auditors = Self { endpoint: ClientEndpoint::bind(&config)?, connections: 0 };
        let seated = tokio::select! {
            seated = auditors.sit_down(audit, rooms, target, live) => seated,
            () = interrupt.wait() => Err(AuditorError::Interrupted),
        };
        match seated {
            Ok(()) => Ok(auditors),
            Err(error) => {
                auditors.close().await;
                Err(error)
            }
        }
    }

    async fn sit_down(
        &mut self,
        audit: &Arc<Audit>,
        rooms: &[RoomId],
        target: &QuicTarget,
        mut live: Option<mpsc::Sender<RoomEvent>>,
    ) -> Result<(), AuditorError> {
        for rooms in rooms.chunks(ROOMS_MAX) {
            let client = self.endpoint.connect(target.address, &target.name).await;
            let client = client.map_err(|error| AuditorError::Connect(target.address, error))?;
            let subscription = client.subscribe(rooms).await?;
            let refused = subscription.rooms().iter().find(|(_, status)| *status != RoomStatus::Subscribed);
            if let Some(&(room, status)) = refused {
                return Err(AuditorError::NoRoom(room, status));
            }
            self.connections += 1;
            tokio::spawn(sit(subscription, Sitter::new(audit), live.take()));
        }
        Ok(())
    }

    /// How many connections they are.
    pub fn connections(&self) -> u32 {
        self.connections
    }

    /// They leave.
    pub async fn close(&self) {
        // Nothing depends on the server having heard it.
        let _ = tokio::time::timeout(CLOSE_MAX, self.endpoint.close()).await;
    }
}

/// Reads what a subscription brings, until it ends.
pub async fn sit(mut subscription: Subscription, mut sitter: Sitter, live: Option<mpsc::Sender<RoomEvent>>) {
    while let Some(event) = subscription.next().await {
        match event {
            Ok(event) => {
                sitter.handle_event(&event, now());
                if let Some(live) = &live {
                    // A slow terminal misses frames, as any slow viewer does.
                    let _ = live.try_send(event);
                }
            }
            Err(error) => return sitter.handle_loss(error.to_string()),
        }
    }
}

fn now() -> Arrival {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Arrival { instant: Instant::now(), unix_us: since_1970.as_micros() as u64 }
}
