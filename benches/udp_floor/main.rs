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
//! cargo bench --bench udp_floor -- --quick           a few datagrams; also what tests run
//! ```

#[path = "../process/mod.rs"]
mod process;
#[path = "../provided/mod.rs"]
mod provided;

mod bare;
mod sender;

use bare::Way;
use process::{Appliance, Process};
use sender::Sender;
use serde::Serialize;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// Argument that makes this program one of the bare loops.
const BARE: &str = "--bare";
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
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == BARE) {
        let way = Way::ALL.into_iter().find(|way| way.name() == args[1]).expect("a bare loop's name");
        bare::run(way, args[2] == "gro");
    }
    let is_measuring = args.iter().any(|arg| arg == "--bench") && !args.iter().any(|arg| arg == "--quick");
    let json = args.iter().position(|arg| arg == "--json").map(|at| args.get(at + 1).expect("--json FILE"));
    let effort = if is_measuring { FULL } else { QUICK };
    let cores = process::cores();
    let (sending, receiving) = (cores[0], cores[cores.len() - 1]);

    println!(
        "records  gro  cpu_ns_datagram  recvmmsg_ns  multishot_ns  floor_ns_datagram  cpu_ns_record  ratio  taken"
    );
    let mut rows = Vec::new();
    for is_coalesced in [false, true] {
        let mut receivers = Receiver::start_all(Some(receiving), is_coalesced);
        process::pin(sending);
        for records in RECORDS {
            let row = measure(&mut receivers, records, is_coalesced, &effort);
            row.print();
            rows.push(row);
        }
    }
    if let Some(file) = json {
        let text = serde_json::to_string_pretty(&Report { rows }).expect("numbers have a JSON form");
        std::fs::write(file, text + "\n").unwrap_or_else(|error| panic!("{file}: {error}"));
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
                costs.push(turn.cpu_ns as f64 / turn.datagrams as f64);
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

/// What one receiver did in one turn.
struct Turn {
    cpu_ns: u64,
    datagrams: u64,
}

/// Whoever takes datagrams, in a process of its own.
enum Receiver {
    Appliance { appliance: Appliance, counted: u64 },
    Bare { process: Process, port: SocketAddr },
}

impl Receiver {
    fn start_all(core: Option<usize>, is_coalesced: bool) -> [Self; 3] {
        let [recvmmsg, multishot] = Way::ALL.map(|way| Self::start_bare(way, core, is_coalesced));
        let appliance = Appliance::start(&["--shards=1"], core);
        [Self::Appliance { appliance, counted: 0 }, recvmmsg, multishot]
    }

    fn start_bare(way: Way, core: Option<usize>, is_coalesced: bool) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let gro = if is_coalesced { "gro" } else { "single" };
        let mut process = Process::start(program, &[BARE, way.name(), gro], core);
        let port = process.line().parse().expect("a bare loop prints its address first");
        Self::Bare { process, port }
    }

    fn take(&mut self, sender: &mut Sender, bursts: u64) -> Turn {
        let before = self.process().cpu_ns();
        for _ in 0..bursts {
            self.process().stop();
            sender.send(sender.burst(), self.port());
            self.process().resume();
            self.wait_until_drained();
        }
        let cpu_ns = self.process().cpu_ns() - before;
        // Asked afterwards, so that the answer costs nothing in this turn.
        Turn { cpu_ns, datagrams: self.count() }
    }

    fn process(&self) -> &Process {
        match self {
            Self::Appliance { appliance, .. } => &appliance.process,
            Self::Bare { process, .. } => process,
        }
    }

    fn port(&self) -> SocketAddr {
        match self {
            Self::Appliance { appliance, .. } => appliance.port("reactions"),
            Self::Bare { port, .. } => *port,
        }
    }

    /// Datagrams since it was last asked, by its own count.
    fn count(&mut self) -> u64 {
        match self {
            Self::Appliance { appliance, counted } => {
                let now = appliance.metric("uproar_datagrams_total");
                now - std::mem::replace(counted, now)
            }
            Self::Bare { process, port } => {
                let asking = UdpSocket::bind("127.0.0.1:0").expect("a free port");
                asking.send_to(&[0; bare::REPORT_LEN], *port).expect("it listens");
                let answer = process.line();
                answer.split(' ').next().and_then(|count| count.parse().ok()).expect("a number of datagrams")
            }
        }
    }

    /// Waits until its socket is empty and its threads sleep again.
    fn wait_until_drained(&self) {
        let port = format!(":{:04X}", self.port().port());
        loop {
            process::wait(Duration::from_millis(2));
            let sockets = std::fs::read_to_string("/proc/net/udp").expect("the kernel lists its sockets");
            let socket = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let mut queues = socket.filter(|fields| fields[1].ends_with(&port)).map(|fields| fields[4].to_owned());
            if queues.all(|queued| queued.ends_with(":00000000")) {
                break;
            }
        }
        process::wait(Duration::from_millis(2));
    }
}
