//! The line between the main thread, which may wait for files, and shard 0, which hears signals and must not.
//!
//! ```text
//! shard 0 --ShardEvent--> main thread        shard 0 <--Command-- main thread
//! ```
//! Events wait in a channel that the main thread sleeps at. Commands wait in one that a byte in a pipe announces, which
//! shard 0's ring polls. An eventfd would not do: the kernel does not signal the ring's doorbell, which is one, from within
//! the signal of another, and the shard slept on. Neither end ever waits for the other.
//!
//! Invariant: of reloads one is under way at a time, and of beats too. The main thread sees to it, so that shard 0 needs
//! no numbers for them.

use super::shard_loop::ShardEnd;
use super::sys::descriptor;
use super::sys::ring::Ring;
use super::token::Purpose;
use crate::config::Config;
use crate::ids::ShardId;
use crate::quic::QuicSettings;
use crate::shard::{RoomChanges, RoomsChanged, ShardSettings};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::{Arc, mpsc};

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
    /// The drain has begun.
    Draining,
    /// Its loop is over.
    Ended(ShardId, io::Result<ShardEnd>),
    /// Its thread unwinds.
    Panicked(ShardId),
}

/// What the main thread wants of shard 0.
pub enum Command {
    /// All shards shall take in these settings, and then change these rooms.
    Reload(Arc<Reload>, RoomChanges),
    /// The configuration was read again and cannot be used: count that.
    Refused,
    /// Say when the loop of every shard has turned.
    Beat,
}

/// Settings that a shard takes in while it runs.
pub struct Reload {
    /// Limits of the sockets.
    pub config: Config,
    /// Limits of the shard.
    pub shard: ShardSettings,
    /// Certificate and limits of QUIC.
    pub quic: QuicSettings,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reload").field("config", &self.config).finish_non_exhaustive()
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
    events: mpsc::Sender<ShardEvent>,
    has_rung: bool,
    /// The rooms of a reload that shards take in, and how many have yet to.
    pub(super) reloading: Option<(usize, RoomChanges)>,
    /// Shards that have yet to answer a beat.
    pub(super) beating: usize,
}

/// Both ends. `signals` are the signals of the process, and `events` leads to the main thread.
pub fn line(signals: File, events: mpsc::Sender<ShardEvent>) -> io::Result<(Commander, Control)> {
    let (bell, ringer) = io::pipe()?;
    let (sender, commands) = mpsc::channel();
    let commander = Commander { commands: sender, bell: ringer };
    Ok((commander, Control { signals, commands, bell, events, has_rung: false, reloading: None, beating: 0 }))
}

impl Control {
    /// Has the ring say when there are signals and commands.
    pub(super) fn start(&self, ring: &mut Ring) -> io::Result<()> {
        ring.poll_readable(self.signals.as_raw_fd(), Purpose::Signal.token())?;
        ring.poll_readable(self.bell.as_raw_fd(), Purpose::Command.token())
    }

    /// The ring has said that there is a signal.
    pub(super) fn handle_signal(&mut self, ring: &mut Ring) -> io::Result<Option<libc::c_int>> {
        let signal = descriptor::next_signal(&mut self.signals);
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
        let _ = self.events.send(event);
    }
}
