//! What does the appliance spend on a datagram beside a bare loop that only touches the bytes?
//!
//! The real process takes reactions on its real socket and ring; beside it, in the same run and from the same sender,
//! two bare loops ([`bare`]) take the same datagrams. Receivers share one core, the sender has another. They take turns,
//! A B C A B C; a figure is the median of its rounds, and the floor is the cheaper of the bare loops. Every receiver is
//! saturated: it is stopped while a burst fills its socket, then takes the burst without waiting for anything, whatever
//! else the machine does. CPU time of the receiving process is divided by the datagrams that it took.
//!
//! ```text
//! cargo bench --bench udp_floor                      the table
//! cargo bench --bench udp_floor -- --json FILE       and the same as JSON
//! cargo bench --bench udp_floor -- --sizes           what batches and buffers of other sizes cost a bare loop
//! cargo bench --bench udp_floor -- --quick           a few datagrams
//! ```

#[path = "../process/mod.rs"]
mod process;
#[path = "../provided/mod.rs"]
mod provided;

mod bare;
mod receiver;
mod sender;
mod sizes;

use bare::{Bare, Way};
use receiver::Receiver;
use sender::Sender;
use serde::Serialize;

/// Records of a datagram: one tap, a phone's few seconds, as many as fit.
const RECORDS: [usize; 3] = [1, 16, 296];

/// How much is measured.
struct Effort {
    rounds: usize,
    /// Bursts of one receiver's turn.
    bursts: u64,
}

const FULL: Effort = Effort { rounds: 5, bursts: 30 };
const QUICK: Effort = Effort { rounds: 1, bursts: 1 };

fn main() {
    Bare::run_if_asked();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let is_measuring = args.iter().any(|arg| arg == "--bench") && !args.iter().any(|arg| arg == "--quick");
    let json = args.iter().position(|arg| arg == "--json").map(|at| args.get(at + 1).expect("--json FILE"));
    let effort = if is_measuring { FULL } else { QUICK };
    let cores = process::cores();
    let (sending, receiving) = (cores[0], cores[cores.len() - 1]);
    if args.iter().any(|arg| arg == "--sizes") {
        return sizes::measure(sending, receiving, &effort);
    }

    println!(
        "records  gro  cpu_ns_datagram  recvmmsg_ns  multishot_ns  floor_ns_datagram  cpu_ns_record  ratio  taken"
    );
    let mut rows = Vec::new();
    for is_coalesced in [false, true] {
        let [recvmmsg, multishot] =
            [Way::Recvmmsg, Way::Multishot].map(|way| Receiver::bare(Bare::new(way, is_coalesced), Some(receiving)));
        let mut receivers = [Receiver::appliance(&["--shards=1"], Some(receiving)), recvmmsg, multishot];
        process::pin(sending);
        for records in RECORDS {
            let row = measure(&mut receivers, records, is_coalesced, &effort);
            row.print();
            rows.push(row);
        }
    }
    if let Some(file) = json {
        process::write_json(file, &Report { rows });
    }
}

#[derive(Serialize)]
struct Report {
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    records: usize,
    gro: bool,
    cpu_ns_datagram: f64,
    recvmmsg_ns_datagram: f64,
    multishot_ns_datagram: f64,
    /// The cheaper of the two bare loops.
    floor_ns_datagram: f64,
    cpu_ns_record: f64,
    /// The appliance over the floor.
    ratio: f64,
    /// Of the datagrams sent, the part that the appliance took; the kernel dropped the others.
    taken: f64,
}

impl Row {
    fn print(&self) {
        let Self { records, gro, cpu_ns_datagram: cpu, floor_ns_datagram: floor, .. } = self;
        println!(
            "{records:7}  {:3}  {cpu:15.1}  {:11.1}  {:12.1}  {floor:17.1}  {:13.2}  {:5.2}  {:5.2}",
            if *gro { "yes" } else { "no" },
            self.recvmmsg_ns_datagram,
            self.multishot_ns_datagram,
            self.cpu_ns_record,
            self.ratio,
            self.taken
        );
    }
}

fn measure(receivers: &mut [Receiver; 3], records: usize, is_coalesced: bool, effort: &Effort) -> Row {
    let mut sender = Sender::new(records, is_coalesced);
    let mut costs: [Vec<f64>; 3] = Default::default();
    let mut taken = Vec::new();
    // The first round brings memory and caches into their usual state.
    for round in 0..=effort.rounds {
        for (receiver, costs) in receivers.iter_mut().zip(&mut costs) {
            let turn = receiver.take(&mut sender, if round == 0 { 1 } else { effort.bursts });
            if round > 0 {
                costs.push(turn.cpu_ns_datagram());
                if matches!(receiver, Receiver::Appliance { .. }) {
                    taken.push(turn.datagrams as f64 / (sender.burst() * effort.bursts) as f64);
                }
            }
        }
    }
    let [cpu, recvmmsg, multishot] = costs.map(process::median);
    let floor = recvmmsg.min(multishot);
    Row {
        records,
        gro: is_coalesced,
        cpu_ns_datagram: cpu,
        recvmmsg_ns_datagram: recvmmsg,
        multishot_ns_datagram: multishot,
        floor_ns_datagram: floor,
        cpu_ns_record: cpu / records as f64,
        ratio: cpu / floor,
        taken: process::median(taken),
    }
}
