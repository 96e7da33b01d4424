//! The line between the main thread, which has files read, and shard 0, which hears signals and must not.
//!
//! ```text
//! shard 0 --ShardEvent--> main thread        shard 0 <--Command-- main thread
//! ```
//! Events wait in a channel that the main thread sleeps at. Commands wait in one that a byte in a pipe announces, which
//! shard 0's ring polls. An eventfd would not do: the kernel does not signal the ring's doorbell, which is one, from within
//! the signal of another, and the shard slept on. Neither end ever waits for the other.
//!
//! Invariant: of reloads one is under way at a time, and of beats too. The main thread sees to it, so that shard 0 needs
//! no numbers for them, and only counts who has yet to answer.

use super::shard_loop::ShardEnd;
use super::sys::descriptor;
use super::sys::ring::Ring;
use super::token::Purpose;
use crate::config;
use crate::ids::ShardId;
use crate::metrics::Reload as ReloadOutcome;
use crate::quic::QuicSettings;
use crate::shard::{RoomChanges, RoomsChanged, ShardSettings};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// What a shard's thread tells the main thread.
#[derive(Debug)]
pub enum ShardEvent {
    /// It serves.
    Started,
    /// The configuration shall be read again.
    ReloadAsked,
    /// Every shard has taken in what [`Command::Reload`] brought, and this became of the rooms.
    Reloaded(RoomsChanged),
    /// The loop of every shard has turned since [`Command::Beat`].
    Beaten,
    /// The drain has begun, and takes this long at most by what shards go by.
    Draining(Duration),
    /// Its loop is over.
    Ended(ShardId, io::Result<ShardEnd>),
    /// Its thread unwinds.
    Panicked(ShardId),
}

/// What the main thread wants of shard 0.
pub enum Command {
    /// All shards shall take in these settings, and then change these rooms.
    Reload(Arc<Reload>, RoomChanges),
    /// A reload is over: count it.
    Count(ReloadOutcome),
    /// Say when the loop of every shard has turned.
    Beat,
}

/// Settings that a shard takes in while it runs.
pub struct Reload {
    /// Limits of the public HTTP port.
    pub http: config::Http,
    /// Limits of the shard.
    pub shard: ShardSettings,
    /// Certificate and limits of QUIC.
    pub quic: QuicSettings,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reload").field("http", &self.http).field("shard", &self.shard).finish_non_exhaustive()
    }
}

/// The main thread's end.
pub struct Commander {
    commands: mpsc::Sender<Command>,
    bell: PipeWriter,
}

impl Commander {
    /// Has shard 0 do something soon. Where there is no shard 0 any more, nothing happens.
    pub fn send(&mut self, command: Command) {
        if self.commands.send(command).is_ok() {
            // It fails only when shard 0 has gone meanwhile. There is room: commands are few, and each takes a byte.
            let _ = self.bell.write(&[1]);
        }
    }
}

/// Shard 0's end, and what it waits for.
pub struct Control {
    signals: File,
    commands: mpsc::Receiver<Command>,
    bell: PipeReader,
    tell: Box<dyn Fn(ShardEvent) + Send>,
    has_rung: bool,
    /// The rooms of a reload that shards take in, and how many have yet to.
    reloading: Option<(usize, RoomChanges)>,
    /// Shards that have yet to answer a beat.
    beating: usize,
}

/// Both ends. `signals` are the signals of the process, and `tell` tells the main thread.
///
/// # Errors
/// When the kernel gives no pipe.
pub fn line(signals: File, tell: impl Fn(ShardEvent) + Send + 'static) -> io::Result<(Commander, Control)> {
    let (bell, ringer) = io::pipe()?;
    let (sender, commands) = mpsc::channel();
    let commander = Commander { commands: sender, bell: ringer };
    let tell = Box::new(tell);
    Ok((commander, Control { signals, commands, bell, tell, has_rung: false, reloading: None, beating: 0 }))
}

impl Control {
    /// Has the ring say when there are signals and commands.
    pub(super) fn start(&self, ring: &mut Ring) -> io::Result<()> {
        ring.poll_readable(self.signals.as_raw_fd(), Purpose::Signal.token())?;
        ring.poll_readable(self.bell.as_raw_fd(), Purpose::Command.token())
    }

    /// The ring has said that there is a signal.
    pub(super) fn handle_signal(&mut self, ring: &mut Ring) -> io::Result<Option<libc::c_int>> {
        let signal = descriptor::next_signal(&self.signals);
        ring.poll_readable(self.signals.as_raw_fd(), Purpose::Signal.token())?;
        Ok(signal)
    }

    /// The ring has said that there are commands.
    pub(super) fn handle_bell(&mut self, ring: &mut Ring) -> io::Result<()> {
        self.has_rung = true;
        // There is a byte at least, so this does not wait; how many does not matter.
        let _ = self.bell.read(&mut [0; 64]);
        ring.poll_readable(self.bell.as_raw_fd(), Purpose::Command.token())
    }

    /// The next command.
    pub(super) fn poll_command(&mut self) -> Option<Command> {
        let command = self.has_rung.then(|| self.commands.try_recv().ok()).flatten();
        self.has_rung = command.is_some();
        command
    }

    /// Tells the main thread, unless it is gone, which ends the process.
    pub(super) fn tell(&self, event: ShardEvent) {
        (self.tell)(event);
    }

    /// So many `others` have been asked to take in what goes before `rooms`; what there is to do at once, as
    /// [`Self::handle_reloaded`] has it.
    pub(super) fn begin_reload(&mut self, others: usize, rooms: RoomChanges) -> Option<RoomChanges> {
        self.reloading = Some((others, rooms));
        self.poll_rooms()
    }

    /// One of the others has taken it in. When it was the last, the rooms that are to change now.
    pub(super) fn handle_reloaded(&mut self) -> Option<RoomChanges> {
        let (missing, _) = self.reloading.as_mut()?;
        *missing = missing.saturating_sub(1);
        self.poll_rooms()
    }

    fn poll_rooms(&mut self) -> Option<RoomChanges> {
        self.reloading.take_if(|(missing, _)| *missing == 0).map(|(_, rooms)| rooms)
    }

    /// So many `others` have been asked whether they turn.
    pub(super) fn begin_beat(&mut self, others: usize) {
        self.beating = others;
        self.tell_if_beaten();
    }

    /// One of the others turns. When it was the last, the main thread is told.
    pub(super) fn handle_beaten(&mut self) {
        self.beating = self.beating.saturating_sub(1);
        self.tell_if_beaten();
    }

    fn tell_if_beaten(&self) {
        if self.beating == 0 {
            self.tell(ShardEvent::Beaten);
        }
    }
}
