//! Reactions by UDP datagram. Each lane is a thread with a socket, as sleeping to the microsecond is what threads do
//! best, and stands for a gateway that packs many people's reactions.
//!
//! Deliberately not here: knowing whether a datagram arrived. No datagram is answered; the audit finds out.

use super::Lane;
use crate::ledger::{Ledger, Outcome};
use crate::schedule::Batch;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Instant;
use tokio::sync::oneshot;
use uproar_wire::reaction::{self, Record};

/// Starts a lane's thread; the ledger comes when it has ended.
pub(crate) fn start(lane: Lane, server: SocketAddr) -> io::Result<oneshot::Receiver<Ledger>> {
    let any = if server.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(server)?;
    let (done, ledger) = oneshot::channel();
    std::thread::Builder::new().name("udp lane".into()).spawn(move || {
        // Nobody waits any more when the run was interrupted.
        let _ = done.send(send_all(lane, &socket));
    })?;
    Ok(ledger)
}

fn send_all(mut lane: Lane, socket: &UdpSocket) -> Ledger {
    let (mut batch, mut records, mut datagram) = (Batch::default(), Vec::new(), Vec::new());
    while let Some(due) = lane.poll_batch(&mut batch) {
        records.clear();
        records.extend(batch.records.iter().map(|record| Record { emoji: record.emoji, count: record.taps }));
        datagram.clear();
        reaction::encode(lane.of().room(batch.room), lane.client, &records, &mut datagram);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        lane.handle_departure(due);
        let outcome = match socket.send(&datagram) {
            Ok(_) => Outcome::Sent,
            Err(error) => Outcome::Refused(format!("udp send: {}", error.kind())),
        };
        lane.handle_outcome(&batch, outcome);
    }
    lane.into_ledger()
}
