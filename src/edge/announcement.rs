//! Standard output is for programs: one line an address, then `ready`, and at the end what was counted.
//!
//! Invariant: a reader of the log in JSON finds no other line in it. Where standard output leads to the same place as standard
//! error, or to the journal, those lines are left out; the log says the same in lines of its own.

use super::life;
use super::log;
use crate::config::{Config, LogFormat};
use crate::metrics::ShardMetrics;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// Whether those lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announcement {
    is_made: bool,
}

impl Announcement {
    /// As configured, and as standard output allows.
    pub fn of(config: &Config) -> Self {
        let is_mixed = config.log_format == LogFormat::Json && meets_the_log(io::stdout(), io::stderr());
        Self { is_made: config.announce && !is_mixed }
    }

    /// The node serves, there.
    ///
    /// # Errors
    /// When standard output takes nothing.
    pub fn start(self, listening: &[(&'static str, SocketAddr)]) -> io::Result<()> {
        if !self.is_made {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        for (what, address) in listening {
            writeln!(out, "listening {what} {address}")?;
        }
        writeln!(out, "ready")?;
        out.flush()
    }

    /// Everything was delivered.
    pub fn end(self, total: &ShardMetrics) {
        let (reactions, frame_taps) = (total.reactions.iter().sum::<u64>(), total.frame_taps);
        tracing::info!(
            event = life::DRAINED,
            reactions,
            frame_taps,
            "every window is closed, and its frames have been sent"
        );
        if self.is_made {
            // Nobody may be reading any more.
            let _ = writeln!(io::stdout(), "drained reactions {reactions} frame_taps {frame_taps}");
        }
    }
}

/// Whether lines on `out` come among those of the log on `error`.
fn meets_the_log(out: impl AsFd, error: impl AsFd) -> bool {
    let [out, error] = [identity(out), identity(error)];
    out.is_some_and(|out| Some(out) == error || log::is_journal(out))
}

/// Device and inode.
fn identity(descriptor: impl AsFd) -> Option<(u64, u64)> {
    let file = File::from(descriptor.as_fd().try_clone_to_owned().ok()?);
    file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ways_meet_when_they_lead_to_the_same_place() {
        let [one, other] = [(); 2].map(|()| tempfile::tempfile().unwrap());
        assert!(meets_the_log(&one, &one));
        assert!(meets_the_log(&one, one.try_clone().unwrap()));
        assert!(!meets_the_log(&one, &other));
        let [(_, first), (_, second)] = [(); 2].map(|()| io::pipe().unwrap());
        assert!(meets_the_log(&first, &first) && !meets_the_log(&first, &second));
    }
}
