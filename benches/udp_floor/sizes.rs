//! What batches and buffers of other sizes cost: the choice of [`uproar::limits::DATAGRAM_BATCH`] and of
//! [`uproar::limits::DATAGRAM_BUFFER`]. One bare `recvmmsg` loop each, in turns.

use crate::bare::{Bare, Way};
use crate::receiver::Receiver;
use crate::sender::Sender;
use crate::{Effort, process};

const BATCHES: [usize; 5] = [8, 16, 32, 64, 128];
/// One datagram with room to spare; the largest train.
const BUFFERS: [usize; 2] = [2048, 65_536];

/// Prints a row for each size.
pub(crate) fn measure(sending: usize, receiving: usize, effort: &Effort) {
    println!("batch  buffer_bytes  gro  cpu_ns_datagram");
    for coalesce in [false, true] {
        // A small buffer would cut trains off.
        let buffers = BUFFERS.into_iter().filter(|&buffer_len| !coalesce || buffer_len == BUFFERS[1]);
        let sizes = buffers.flat_map(|buffer_len| BATCHES.map(|batch| (batch, buffer_len)));
        let mut loops: Vec<_> = sizes
            .map(|(batch, buffer_len)| {
                let bare = Bare { batch, buffer_len, ..Bare::new(Way::Recvmmsg, coalesce) };
                (bare, Receiver::bare(bare, Some(receiving)), Vec::new())
            })
            .collect();
        process::pin(sending);
        let mut sender = Sender::new(1, coalesce);
        // The first round brings memory and caches into their usual state.
        for round in 0..=effort.rounds {
            for (_, receiver, costs) in &mut loops {
                let turn = receiver.take(&mut sender, if round == 0 { 1 } else { effort.bursts });
                if round > 0 {
                    costs.push(turn.cpu_ns_datagram());
                }
            }
        }
        for (Bare { batch, buffer_len, .. }, _, costs) in loops {
            let gro = if coalesce { "yes" } else { "no" };
            println!("{batch:5}  {buffer_len:12}  {gro:3}  {:15.1}", process::median(costs));
        }
    }
}
