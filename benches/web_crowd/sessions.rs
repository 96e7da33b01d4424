//! Subscribers by WebTransport, each on a connection and in a task of its own, all in one thread.

use crate::ROOM;
use crate::kind::{Kind, Record};
use crate::web_session::{WebClient, WebViewer};
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Looks for the end.
const LOOK: Duration = Duration::from_millis(50);

/// Starts so many, and waits until all are welcome.
pub(crate) fn start(quic: SocketAddr, certificate: CertificateDer<'static>, count: usize) -> Kind {
    Kind::start("webtransport", move |record, ending, ready| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = WebClient::new(certificate);
            let mut viewers = Vec::new();
            for _ in 0..count {
                viewers.push(client.watch(quic, ROOM).await.expect("a session is opened"));
            }
            ready();
            let until_the_end = async {
                while !ending.load(Ordering::Relaxed) {
                    tokio::time::sleep(LOOK).await;
                }
            };
            let watching = viewers.into_iter().enumerate().map(|(at, viewer)| watch(record, at, viewer));
            tokio::select! {
                _ = futures_util::future::join_all(watching) => panic!("all sessions were ended"),
                () = until_the_end => {}
            }
        });
    })
}

async fn watch(record: &Record, at: usize, mut viewer: WebViewer) {
    while let Some(frame) = viewer.next_frame().await {
        record.handle_frame(at, frame.window, frame.total);
    }
    eprintln!("session {at} was ended: {:?}", viewer.session.closed().await);
}
