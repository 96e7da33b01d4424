//! One native subscriber on the SDK, who reads what frames say: the fleet only compares their bytes.

use crate::ROOM;
use crate::kind::Kind;
use futures_util::StreamExt as _;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use uproar_client::{Client, RoomEvent, Trust};

/// Looks for the end.
const LOOK: Duration = Duration::from_millis(50);

/// Starts it, and waits until it is subscribed.
pub(crate) fn start(quic: SocketAddr) -> Kind {
    Kind::start("auditor", move |record, ending, ready| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = Client::connect(quic, "localhost", Trust::DangerAnyCertificate).await.expect("it connects");
            let mut subscription = client.subscribe(&[ROOM]).await.expect("it is welcome");
            ready();
            while !ending.load(Ordering::Relaxed) {
                match tokio::time::timeout(LOOK, subscription.next()).await {
                    Ok(Some(Ok(RoomEvent::Frame(frame)))) => record.handle_frame(0, frame.window, frame.total),
                    Ok(Some(Ok(RoomEvent::Palette(..)))) | Err(_) => {}
                    Ok(other) => panic!("the auditor is not served: {other:?}"),
                }
            }
        });
    })
}
