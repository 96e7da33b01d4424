//! Is every tap in a frame after a minute at 70 % of saturation?
//!
//! First it finds saturation: what a datagram of one tap costs the server when it is saturated, and what it costs the
//! sender, whose system call on loopback also carries the datagram to the receiver's socket. Each has a core, so the
//! dearer of the two is what saturates first. Then the appliance and two bare loops take turns at 70 % of that rate: what
//! a datagram costs when nobody is saturated and receivers sleep between datagrams. At last the appliance takes 70 % for
//! a minute, from a sender that follows a schedule whatever becomes of what it sent, and is told to drain.
//!
//! It fails unless the sender kept to its schedule, the kernel dropped nothing, every datagram sent was taken, and the
//! appliance's last line says that as many taps are in frames. A small run only has to account for
//! every datagram, taken or dropped, so that it can run beside whatever else the machine does.
//!
//! ```text
//! cargo bench --bench sustained                      a minute
//! cargo bench --bench sustained -- --seconds 10      or any other time
//! cargo bench --bench sustained -- --json FILE       and the same as JSON
//! cargo bench --bench sustained -- --quick           two seconds, a small run
//! ```

#[path = "../udp_floor/bare.rs"]
mod bare;
#[path = "../process/mod.rs"]
mod process;
#[path = "../provided/mod.rs"]
mod provided;
#[path = "../udp_floor/receiver.rs"]
mod receiver;
#[path = "../udp_floor/sender.rs"]
mod sender;

mod minute;
mod pace;
mod unsaturated;

use receiver::Receiver;
use sender::Sender;
use serde::Serialize;
use std::process::ExitCode;
use std::time::Duration;

/// Of saturation, what is offered.
const LOAD: f64 = 0.7;

/// How much is measured.
struct Effort {
    /// Bursts with which saturation is found.
    bursts: u64,
    /// One receiver's turn of the unsaturated comparison, and how many it has.
    slice: Duration,
    rounds: usize,
    long_run: Duration,
    is_strict: bool,
}

#[derive(Serialize)]
struct Report {
    saturation: Saturation,
    offered_per_s: f64,
    unsaturated: Vec<unsaturated::Row>,
    long_run: minute::Outcome,
    has_held: bool,
}

fn main() -> ExitCode {
    bare::Bare::run_if_asked();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| args.iter().position(|arg| arg == flag).map(|at| args.get(at + 1).expect("a value"));
    let is_measuring = args.iter().any(|arg| arg == "--bench") && !args.iter().any(|arg| arg == "--quick");
    let mut effort = match is_measuring {
        true => Effort {
            bursts: 50,
            slice: Duration::from_secs(5),
            rounds: 2,
            long_run: Duration::from_secs(60),
            is_strict: true,
        },
        false => Effort {
            bursts: 2,
            slice: Duration::from_millis(200),
            rounds: 1,
            long_run: Duration::from_secs(2),
            is_strict: false,
        },
    };
    if let Some(seconds) = value("--seconds") {
        effort.long_run = Duration::from_secs(seconds.parse().expect("--seconds N"));
    }
    let cores = process::cores();
    let (sending, receiving) = (cores[0], cores[cores.len() - 1]);

    let mut appliance = Receiver::appliance(&["--shards=1"], Some(receiving));
    process::pin(sending);
    let mut sender = Sender::new(1, false);
    let saturation = Saturation::find(&mut appliance, &mut sender, effort.bursts);
    let rate = saturation.datagrams_per_s() * LOAD;
    saturation.print(rate);
    let unsaturated = unsaturated::compare(appliance, &mut sender, rate, &effort, [sending, receiving]);
    let long_run = minute::run(rate, effort.long_run, [sending, receiving]);
    let broken = long_run.broken(effort.is_strict);
    for line in &broken {
        println!("FAILED: {line}");
    }
    let has_held = broken.is_empty();
    if let Some(file) = value("--json") {
        process::write_json(file, &Report { saturation, offered_per_s: rate, unsaturated, long_run, has_held });
    }
    if has_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What one core can do at most.
#[derive(Serialize)]
struct Saturation {
    server_cpu_ns_datagram: f64,
    sender_cpu_ns_datagram: f64,
}

impl Saturation {
    fn find(appliance: &mut Receiver, sender: &mut Sender, bursts: u64) -> Self {
        // Brings memory and caches into their usual state.
        appliance.take(sender, 1);
        let server_cpu_ns_datagram = appliance.take(sender, bursts).cpu_ns_datagram();
        let before_ns = process::own_cpu_ns();
        // Beyond the socket's buffer: what is dropped costs the sender no more than what is not.
        let datagrams = bursts * sender.burst();
        sender.send(datagrams, appliance.port());
        let sender_cpu_ns_datagram = (process::own_cpu_ns() - before_ns) as f64 / datagrams as f64;
        appliance.wait_until_drained();
        appliance.count();
        Self { server_cpu_ns_datagram, sender_cpu_ns_datagram }
    }

    fn datagrams_per_s(&self) -> f64 {
        1e9 / self.server_cpu_ns_datagram.max(self.sender_cpu_ns_datagram)
    }

    fn print(&self, rate: f64) {
        let Self { server_cpu_ns_datagram: server, sender_cpu_ns_datagram: sender } = self;
        println!("saturated: server {server:.0} ns, sender {sender:.0} ns of CPU a datagram");
        let first = if server > sender { "the server" } else { "the sender (on loopback it carries the receive path)" };
        println!(
            "saturation: {:.0} datagrams/s, where {first} has a core to the full; offered: {rate:.0}/s",
            self.datagrams_per_s()
        );
        let utilisation = rate * server / 1e9;
        println!("at that rate the server would be busy for {:.0} % of a core", utilisation * 100.0);
    }
}
