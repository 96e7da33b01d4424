//! Uproar's Rust SDK: watch rooms and react, over QUIC, from a tokio application.
//!
//! ```no_run
//! use futures_util::StreamExt;
//! use uproar_client::{Client, RoomEvent, Trust};
//! use uproar_wire::{EmojiId, RoomId};
//!
//! # async fn match_day() -> Result<(), Box<dyn std::error::Error>> {
//! let trust = Trust::roots_from_pem(&std::fs::read("ca.pem")?)?;
//! let client = Client::connect("203.0.113.7:7443".parse()?, "uproar.example", trust).await?;
//! let mut subscription = client.subscribe(&[RoomId(1)]).await?;
//! client.react(RoomId(1), &[(EmojiId(0), 3)]).await?;
//! while let Some(event) = subscription.next().await {
//!     match event? {
//!         RoomEvent::Palette(room, palette) => println!("room {room}: {} emoji", palette.active().count()),
//!         RoomEvent::Frame(frame) => println!("window {}: {} taps", frame.window, frame.total),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Rooms come and go while the events go on:
//!
//! ```no_run
//! # use uproar_client::{Client, RoomStatus};
//! # use uproar_wire::RoomId;
//! # async fn switch(client: &Client) -> Result<(), uproar_client::Error> {
//! for (room, status) in client.subscribe_more(&[RoomId(2), RoomId(3)]).await? {
//!     if status != RoomStatus::Subscribed {
//!         eprintln!("room {room}: {status:?}");
//!     }
//! }
//! client.unsubscribe(&[RoomId(1)]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! In the order of a connection's life:
//!
//! 1. [`config`]: what may be chosen. [`trust`]: which servers are believed.
//! 2. [`endpoint`]: one UDP socket, on which any number of connections share.
//! 3. [`client`]: one connection: subscribe, join and leave rooms, react, close; `control` carries the asking, and `batches`
//!    makes datagrams of taps.
//! 4. [`subscription`]: the stream of palettes and frames; `inbox` cuts a room's stream into messages.
//!
//! Invariant: memory a connection holds is bounded by the wire contract's largest message and the receive windows set
//! in [`config`]. Deliberately not here: reconnecting (an application knows when it is still wanted), and HTTP.

mod batches;
pub mod client;
pub mod config;
mod control;
pub mod endpoint;
mod error;
mod inbox;
pub mod subscription;
pub mod trust;

pub use client::Client;
pub use config::ClientConfig;
pub use endpoint::ClientEndpoint;
pub use error::Error;
pub use quinn::ConnectionStats;
pub use rustls::pki_types::CertificateDer;
pub use subscription::{RoomEvent, Subscription};
pub use trust::Trust;
pub use uproar_wire::hello::RoomStatus;
