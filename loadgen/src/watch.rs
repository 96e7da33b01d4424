//! Shows one room's frames live, until it ends, is interrupted, or nobody reads them any more.
//!
//! Invariant: a server that is gone is said to be, is looked for again and again, and is said to be back. A server that can be
//! told hears that the viewer leaves.

use crate::audience::auditors::QuicTarget;
use crate::interrupt::Interrupt;
use crate::play;
use crate::view::{RoomView, Screen};
use futures_util::StreamExt;
use std::io;
use std::time::Duration;
use uproar::edge::output::{self, Unwritten};
use uproar_client::{Client, Error, RoomEvent, Subscription};
use uproar_wire::RoomId;

/// Windows without a frame after which a server is taken for gone: a process that was killed says nothing.
const SILENT_WINDOWS: u32 = 3;
/// And this much more, for whatever holds up a frame.
const GRACE: Duration = Duration::from_secs(3);
/// The same while the length of a window is not known.
const FIRST_FRAME_MAX: Duration = Duration::from_secs(30);
/// Time between two attempts to connect again: at first, and at most.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(8);

/// Why a room cannot be watched.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its text")]
pub enum WatchError {
    #[error("{0}")]
    Runtime(io::Error),
    #[error(transparent)]
    Connect(#[from] Error),
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
}

/// Watches a room until the server ends it in order, or until the end is asked for.
///
/// # Errors
/// When the room cannot be watched at first, or not shown.
pub fn run(target: &QuicTarget, room: RoomId, interrupt: &Interrupt) -> Result<(), WatchError> {
    let watching = async {
        let mut view = RoomView::for_terminal();
        let mut viewer = tokio::select! {
            viewer = Viewer::join(target, room) => viewer?,
            () = interrupt.wait() => return Ok(()),
        };
        loop {
            let ended = tokio::select! {
                ended = viewer.show(&mut view) => ended,
                () = interrupt.wait() => Ok(End::Over),
            };
            let why = match ended {
                Ok(End::Lost(why)) => why,
                ended => {
                    viewer.client.close().await;
                    return ended.map(drop);
                }
            };
            output::say(&format_args!("{}: {why}; trying again", target.address));
            viewer = tokio::select! {
                viewer = Viewer::rejoin(target, room) => viewer,
                () = interrupt.wait() => return Ok(()),
            };
            output::say(&format_args!("{}: connected again", target.address));
        }
    };
    play::runtime().map_err(WatchError::Runtime)?.block_on(watching)
}

/// Why showing has ended.
enum End {
    /// In order.
    Over,
    /// The server is gone.
    Lost(String),
}

struct Viewer {
    client: Client,
    subscription: Subscription,
}

impl Viewer {
    async fn join(target: &QuicTarget, room: RoomId) -> Result<Self, Error> {
        let client = Client::connect(target.address, &target.name, target.trust.clone()).await?;
        let subscription = client.subscribe(&[room]).await?;
        Ok(Self { client, subscription })
    }

    /// Tries until it succeeds, less and less often. The same reason is said once.
    async fn rejoin(target: &QuicTarget, room: RoomId) -> Self {
        let (mut wait, mut said) = (RETRY, String::new());
        loop {
            tokio::time::sleep(wait).await;
            match Self::join(target, room).await {
                Ok(viewer) => return viewer,
                Err(error) if error.to_string() == said => {}
                Err(error) => {
                    said = error.to_string();
                    output::say(&format_args!("{}: {said}; trying again", target.address));
                }
            }
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    async fn show(&mut self, view: &mut RoomView) -> Result<End, WatchError> {
        let (mut screen, mut silence) = (Screen::stdout(), FIRST_FRAME_MAX);
        loop {
            let event = match tokio::time::timeout(silence, self.subscription.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => return Ok(End::Lost(error.to_string())),
                Ok(None) => return Ok(End::Over),
                Err(_) => return Ok(End::Lost(format!("no frame for {:.1} s", silence.as_secs_f64()))),
            };
            if let RoomEvent::Frame(frame) = &event {
                silence = Duration::from_millis(frame.window_ms.into()) * SILENT_WINDOWS + GRACE;
            }
            if view.handle_event(event) {
                screen.show(view).map_err(Unwritten::from)?;
            }
        }
    }
}
