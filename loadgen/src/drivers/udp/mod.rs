//! Reactions by UDP datagram: a match's datagrams leave in batches, close to their moments, at little more than what the
//! kernel takes to send them.
//!
//! 1. `sockets`: where datagrams leave from. Sections keep to one socket, sockets to one thread.
//! 2. `agenda`: the datagrams of one slice, planned and encoded before the slice begins.
//! 3. `lane`: what one thread does: sleeps, sends what is due, plans ahead, writes down what became of it.
//! 4. `post`: hands a run of datagrams to the kernel.
//!
//! Invariant: no datagram leaves before its moment, none is dropped: what cannot leave in time is written down as unsent.
//! Nothing is allocated per datagram, and threads share nothing but one bit a person.
//!
//! Deliberately not here: knowing whether a datagram arrived. No datagram is answered; the audit finds out.

mod agenda;
mod lane;
mod post;
mod sockets;

#[cfg(test)]
mod tests;

pub use lane::STEP;
pub use sockets::UdpError;

use crate::cpu;
use crate::crowd::Section;
use crate::ledger::{Ledger, Transport};
use crate::scenario::Udp;
use crate::stage::Stage;
use agenda::Itinerary;
use post::Kernel;
use std::net::{SocketAddr, UdpSocket};
use std::thread::JoinHandle;

/// One thread's sockets and sections.
#[derive(Debug)]
pub struct Lane {
    stage: Stage,
    sockets: Vec<UdpSocket>,
    itinerary: Itinerary,
    trains: bool,
}

impl Lane {
    /// Lanes for all of this part's sections that use UDP, as the scenario wants them; none when it has no such sections.
    /// There are never more sockets than sections, and never more lanes than sockets.
    ///
    /// # Errors
    /// When a socket cannot be opened; the error says what to change.
    pub fn open(stage: &Stage, server: SocketAddr) -> Result<Vec<Self>, UdpError> {
        let sections = stage.sections(Transport::Udp);
        let Some(udp) = stage.crowd.scenario().udp.as_ref().filter(|_| !sections.is_empty()) else {
            return Ok(Vec::new());
        };
        let sockets = (udp.sockets as usize).min(sections.len());
        let lanes = (udp.threads as usize).min(sockets);
        let mut open = sockets::open(&udp.from, server, sockets)?.into_iter();
        let mut lanes: Vec<Self> = (0..lanes).map(|_| Self::empty(stage, udp)).collect();
        for (socket, lane) in (0..sockets).zip((0..lanes.len()).cycle()) {
            let its_sections = sections.iter().skip(socket).step_by(sockets);
            lanes[lane].add(open.next(), its_sections);
        }
        Ok(lanes)
    }

    fn empty(stage: &Stage, udp: &Udp) -> Self {
        let itinerary = Itinerary::new(usize::from(udp.records_per_datagram));
        Self { stage: stage.clone(), sockets: Vec::new(), itinerary, trains: udp.trains }
    }

    fn add<'a>(&mut self, socket: Option<UdpSocket>, sections: impl Iterator<Item = &'a Section>) {
        sections.for_each(|section| self.itinerary.add(section.clone(), self.sockets.len()));
        self.sockets.extend(socket);
    }

    /// Sockets it sends from.
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// Plays its part of the match, in the calling thread: from now until the last datagram has left.
    pub fn play(self) -> Ledger {
        let kernel = Kernel::new(self.sockets, self.trains);
        let cpu_before = cpu::of_thread();
        let mut ledger = lane::play(&self.stage, self.itinerary, kernel, lane::Monotonic(self.stage.interrupt.clone()));
        ledger.cpu = cpu::of_thread().saturating_sub(cpu_before);
        ledger
    }
}

/// The threads of a match that is being played.
#[derive(Debug)]
pub struct Playing {
    sockets: usize,
    threads: Vec<JoinHandle<Ledger>>,
    stage: Stage,
}

/// Plays this part's reactions by UDP, in threads of their own.
///
/// # Errors
/// When a socket or a thread cannot be had; the error says what to change.
pub fn start(stage: &Stage, server: SocketAddr) -> Result<Playing, UdpError> {
    let lanes = Lane::open(stage, server)?;
    let sockets = lanes.iter().map(Lane::sockets).sum();
    let mut threads = Vec::with_capacity(lanes.len());
    for (number, lane) in lanes.into_iter().enumerate() {
        let thread = std::thread::Builder::new().name(format!("udp {number}"));
        threads.push(thread.spawn(move || lane.play()).map_err(UdpError::Thread)?);
    }
    Ok(Playing { sockets, threads, stage: stage.clone() })
}

impl Playing {
    /// Sockets that are open.
    pub fn sockets(&self) -> usize {
        self.sockets
    }

    /// Waits for the end of the match, and says what was sent. Blocks.
    pub fn end(self) -> Ledger {
        self.threads.into_iter().fold(self.stage.ledger(), |mut all, thread| {
            match thread.join() {
                Ok(ledger) => all.add(&ledger),
                Err(panic) => std::panic::resume_unwind(panic),
            }
            all
        })
    }
}
