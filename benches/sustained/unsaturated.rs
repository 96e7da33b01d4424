//! What a datagram costs when nobody is saturated: the appliance beside bare loops at one offered rate.

use crate::Effort;
use crate::bare::{Bare, Way};
use crate::pace;
use crate::process;
use crate::receiver::Receiver;
use crate::sender::Sender;
use serde::Serialize;

/// One receiver at the offered rate.
#[derive(Serialize)]
pub(crate) struct Row {
    name: &'static str,
    cpu_ns_datagram: f64,
    /// Of the datagrams sent, the part that it took.
    taken: f64,
}

/// All receivers, taking turns; prints a row for each.
pub(crate) fn compare(
    appliance: Receiver,
    sender: &mut Sender,
    rate: f64,
    effort: &Effort,
    [sending, receiving]: [usize; 2],
) -> Vec<Row> {
    let bare = |way| Receiver::bare(Bare::new(way, false), Some(receiving));
    let mut receivers =
        [("appliance", appliance), ("recvmmsg", bare(Way::Recvmmsg)), ("poll + recvmmsg", bare(Way::Poll))];
    process::pin(sending);
    let mut costs: [Vec<f64>; 3] = Default::default();
    let mut parts: [Vec<f64>; 3] = Default::default();
    for _ in 0..effort.rounds {
        for (at, (_, receiver)) in receivers.iter_mut().enumerate() {
            let before_ns = receiver.process().cpu_ns();
            let sent = pace::send(sender, receiver.port(), rate, effort.slice, |_| {}).sent;
            receiver.wait_until_drained();
            let cpu_ns = receiver.process().cpu_ns() - before_ns;
            let taken = receiver.count();
            costs[at].push(cpu_ns as f64 / taken as f64);
            parts[at].push(taken as f64 / sent as f64);
        }
    }
    println!("unsaturated      cpu_ns_datagram  taken");
    let rows = receivers.iter().zip(costs).zip(parts).map(|(((name, _), costs), parts)| {
        let row = Row { name, cpu_ns_datagram: process::median(costs), taken: process::median(parts) };
        println!("{name:15}  {:15.1}  {:5.3}", row.cpu_ns_datagram, row.taken);
        row
    });
    rows.collect()
}
