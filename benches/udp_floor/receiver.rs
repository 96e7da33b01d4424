//! Whoever takes datagrams, in a process of its own: the appliance, or a bare loop beside it.
//!
//! A receiver is saturated by being stopped while a burst fills its socket; then it takes the burst without waiting for
//! anything, whatever else the machine does.

#![allow(dead_code, reason = "each bench is its own crate and uses its part of this file")]

use crate::bare::{Bare, REPORT_LEN};
use crate::process::{self, Appliance, Process};
use crate::sender::Sender;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// What one receiver did in one turn.
pub(crate) struct Turn {
    pub(crate) cpu_ns: u64,
    pub(crate) datagrams: u64,
}

impl Turn {
    /// CPU time of one datagram.
    pub(crate) fn cpu_ns_datagram(&self) -> f64 {
        self.cpu_ns as f64 / self.datagrams as f64
    }
}

/// One receiver.
pub(crate) enum Receiver {
    Appliance { appliance: Appliance, counted: u64 },
    Bare { process: Process, port: SocketAddr },
}

impl Receiver {
    /// The appliance, with these arguments of `uproar serve`.
    pub(crate) fn appliance(args: &[&str], core: Option<usize>) -> Self {
        Self::Appliance { appliance: Appliance::start(args, core), counted: 0 }
    }

    /// A bare loop.
    pub(crate) fn bare(bare: Bare, core: Option<usize>) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let args = bare.args();
        let mut process = Process::start(program, &args.each_ref().map(String::as_str), core);
        let port = process.line().parse().expect("a bare loop prints its address first");
        Self::Bare { process, port }
    }

    /// Takes this many bursts, saturated.
    pub(crate) fn take(&mut self, sender: &mut Sender, bursts: u64) -> Turn {
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

    /// The process that does the work.
    pub(crate) fn process(&self) -> &Process {
        match self {
            Self::Appliance { appliance, .. } => &appliance.process,
            Self::Bare { process, .. } => process,
        }
    }

    /// Where it takes datagrams.
    pub(crate) fn port(&self) -> SocketAddr {
        match self {
            Self::Appliance { appliance, .. } => appliance.port("reactions"),
            Self::Bare { port, .. } => *port,
        }
    }

    /// Datagrams since it was last asked, by its own count.
    pub(crate) fn count(&mut self) -> u64 {
        match self {
            Self::Appliance { appliance, counted } => {
                let now = appliance.metric("uproar_datagrams_total");
                now - std::mem::replace(counted, now)
            }
            Self::Bare { process, port } => {
                let asking = UdpSocket::bind("127.0.0.1:0").expect("a free port");
                asking.send_to(&[0; REPORT_LEN], *port).expect("it listens");
                let answer = process.line();
                answer.split(' ').next().and_then(|count| count.parse().ok()).expect("a number of datagrams")
            }
        }
    }

    /// Waits until its socket is empty and its threads sleep again.
    pub(crate) fn wait_until_drained(&self) {
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
