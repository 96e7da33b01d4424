//! What reaches a shard's loop from outside the traffic: signals and commands, which shard 0 hears, and what it has all
//! shards do about them.
//!
//! Invariant: rooms change after every shard has taken in the settings that came with them, and a reload is done when
//! both are; whoever connects after that meets nothing of before.

use super::ShardLoop;
use crate::edge::control::{Command, Control, Reload, ShardEvent};
use crate::edge::life;
use crate::edge::mesh::EdgeMessage;
use crate::ids::ShardId;
use crate::shard::RoomChanges;
use crate::window::Now;
use std::io;
use std::sync::Arc;

impl ShardLoop {
    /// The ring has said that there is a signal: the first SIGTERM or SIGINT drains, the second stops, SIGHUP reloads.
    pub(super) fn handle_signal(&mut self) -> io::Result<()> {
        let Some(control) = &mut self.control else { return Ok(()) };
        match control.handle_signal(&mut self.ring)? {
            None => {}
            Some(libc::SIGHUP) if self.shard.is_ready() => control.tell(ShardEvent::ReloadAsked),
            Some(libc::SIGHUP) => life::warn_of_ignored("SIGHUP"),
            Some(_) if self.shard.is_ready() => {
                tracing::info!(
                    event = life::DRAIN,
                    "draining has begun: subscribers are sent away for drain.duration, then no more taps are taken and the \
                     last frames go out"
                );
                control.tell(ShardEvent::Draining(self.shard.drain_longest()));
                self.shard.request_drain();
            }
            Some(_) => {
                tracing::warn!(
                    event = life::STOP,
                    remedy = "send one SIGTERM, and wait for drain.duration and drain.timeout",
                    "stopping at once: taps of the open window are lost"
                );
                self.is_stopped = true;
            }
        }
        Ok(())
    }

    /// Does what the main thread wants.
    pub(super) fn handle_commands(&mut self, now: Now) {
        while let Some(command) = self.control.as_mut().and_then(Control::poll_command) {
            match command {
                Command::Reload(reload, rooms) if self.shard.is_ready() => self.begin_reload(now, &reload, rooms),
                Command::Reload(..) => life::warn_of_ignored("the new configuration"),
                Command::Count(outcome) => self.shard.metrics_mut().reloads[outcome.index()] += 1,
                Command::Beat => self.begin_beat(),
            }
        }
    }

    /// Another shard is done with [`EdgeMessage::Reload`].
    pub(super) fn handle_reloaded(&mut self) {
        if let Some(rooms) = self.control.as_mut().and_then(Control::handle_reloaded) {
            self.shard.change_rooms(rooms);
        }
    }

    /// Another shard's loop turns.
    pub(super) fn handle_beaten(&mut self) {
        if let Some(control) = &mut self.control {
            control.handle_beaten();
        }
    }

    /// Takes in settings that shard 0 has sent.
    pub(super) fn reconfigure(&mut self, now: Now, reload: &Reload) {
        self.tcp.reconfigure(&reload.http);
        self.shard.reconfigure(now, &reload.shard, &reload.quic);
    }

    /// Logs which rooms have changed, and tells the main thread when those of a reload have.
    pub(super) fn report_rooms_changed(&mut self) {
        while let Some(changed) = self.shard.poll_changed_room() {
            life::tell_of_room(changed);
        }
        if let Some(control) = &self.control
            && let Some(changed) = self.shard.poll_rooms_changed()
        {
            control.tell(ShardEvent::Reloaded(changed));
        }
    }

    fn begin_reload(&mut self, now: Now, reload: &Arc<Reload>, rooms: RoomChanges) {
        self.reconfigure(now, reload);
        let others = self.send_to_others(|| EdgeMessage::Reload(reload.clone()));
        if let Some(rooms) = self.control.as_mut().and_then(|control| control.begin_reload(others, rooms)) {
            self.shard.change_rooms(rooms);
        }
    }

    fn begin_beat(&mut self) {
        let others = self.send_to_others(|| EdgeMessage::Beat);
        if let Some(control) = &mut self.control {
            control.begin_beat(others);
        }
    }

    /// Sends to every other shard, and says how many there are.
    fn send_to_others(&mut self, message: impl Fn() -> EdgeMessage) -> usize {
        let others = ShardId::all(self.shards).filter(|&shard| shard != self.id);
        others.map(|shard| self.mesh.send(shard, message())).count()
    }
}
