//! The board: how many TCP connections each shard has, for the choice of where the next one goes, and whether the process has
//! files for it.
//!
//! Besides the mesh it is the only thing that shards share. It is touched when a connection begins and when it ends,
//! never by what happens on it. A connection is counted from the moment its place is chosen, so that one on its way over
//! the mesh is not overlooked. Not here: who may connect ([`super::admission`]).

use crate::ids::ShardId;
use crate::limits::{ADMIN_CONNECTIONS_MAX, FILES_AT_HAND, FILES_OF_A_SHARD, FILES_OF_THE_PROCESS};
use crate::limits::{FILES_TO_START, FILES_TO_START_A_SHARD};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Where a shard lies above the least busy one by up to this part of it, the connection stays.
const SLACK_DIVISOR: u32 = 8;

/// Connections by shard.
#[derive(Debug)]
pub struct Board {
    counts: Box<[Count]>,
    /// What a shard takes.
    shard_max: AtomicU32,
    /// Of the connections counted above, those of the admin port.
    admin: AtomicU32,
    files: Files,
}

/// How many connections the process may have by the files that it may have open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Files {
    /// Connections of the public port.
    pub public: u32,
    /// Connections of the admin port.
    pub admin: u32,
}

impl Files {
    /// Any number.
    pub const UNLIMITED: Self = Self { public: u32::MAX, admin: ADMIN_CONNECTIONS_MAX as u32 };

    /// What `shards` shards leave of `limit` files: a quarter for the admin port, up to [`ADMIN_CONNECTIONS_MAX`], so that the
    /// node can be looked at when the public ones have the rest; and some at hand for files that are read while it serves.
    pub fn of(limit: u64, shards: usize) -> Self {
        let shards = shards as u64;
        let least = FILES_TO_START + shards * FILES_TO_START_A_SHARD;
        let spare = limit.saturating_sub(least);
        let admin = (spare / 4).clamp(1, ADMIN_CONNECTIONS_MAX as u64);
        let at_hand = (spare / 8).min(FILES_OF_THE_PROCESS + shards * FILES_OF_A_SHARD - least).max(FILES_AT_HAND);
        let public = spare.saturating_sub(admin + at_hand).max(1);
        Self { public: u32::try_from(public).unwrap_or(u32::MAX), admin: admin as u32 }
    }
}

/// On cache lines of its own: processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Count(AtomicU32);

impl Board {
    /// Of a process with `shards` shards of at most `shard_max` connections, without any.
    pub fn new(shards: usize, shard_max: usize) -> Self {
        let board = Self {
            counts: (0..shards).map(|_| Count::default()).collect(),
            shard_max: AtomicU32::new(0),
            admin: AtomicU32::new(0),
            files: Files::UNLIMITED,
        };
        board.set_shard_max(shard_max);
        board
    }

    /// Sets the limits of the process; without them any number of connections may be open.
    pub fn with_files(self, files: Files) -> Self {
        Self { files, ..self }
    }

    /// Whether the process has a file for one more connection of the public port. Shards that ask at the same time may
    /// exceed it by one each; there are more at hand.
    pub fn has_files(&self) -> bool {
        let all: u32 = self.counts.iter().map(|count| count.0.load(Relaxed)).sum();
        all.saturating_sub(self.admin.load(Relaxed)) < self.files.public
    }

    /// Connections of the admin port that there may be.
    pub fn admin_max(&self) -> usize {
        self.files.admin as usize
    }

    /// Shards take so many connections from here on.
    pub fn set_shard_max(&self, shard_max: usize) {
        self.shard_max.store(u32::try_from(shard_max).unwrap_or(u32::MAX), Relaxed);
    }

    /// Chooses the shard for a connection that `here` has accepted, and counts it there.
    pub fn place(&self, here: ShardId) -> ShardId {
        loop {
            let (shard, seen) = self.choose(here);
            // Another shard may have placed one there meanwhile: then the choice is made anew.
            if self.counts[shard.index()].0.compare_exchange_weak(seen, seen + 1, Relaxed, Relaxed).is_ok() {
                return shard;
            }
        }
    }

    /// Counts a connection of the admin port, which has no choice.
    pub fn join_admin(&self, shard: ShardId) {
        self.admin.fetch_add(1, Relaxed);
        self.counts[shard.index()].0.fetch_add(1, Relaxed);
    }

    /// One of those is gone.
    pub fn leave_admin(&self, shard: ShardId) {
        self.leave(shard);
        self.admin.fetch_sub(1, Relaxed);
    }

    /// A connection that was counted for `shard` is gone.
    pub fn leave(&self, shard: ShardId) {
        self.counts[shard.index()].0.fetch_sub(1, Relaxed);
    }

    fn choose(&self, here: ShardId) -> (ShardId, u32) {
        let count = |shard: ShardId| self.counts[shard.index()].0.load(Relaxed);
        let own = count(here);
        // From the next shard on, so that shards which look at the same moment do not all find the same one.
        let others = (1..self.counts.len()).map(|step| ShardId(((here.index() + step) % self.counts.len()) as u8));
        let least = others.map(|shard| (shard, count(shard))).min_by_key(|&(_, count)| count);
        match least {
            Some((_, least)) if own <= least + least / SLACK_DIVISOR && own < self.shard_max.load(Relaxed) => {
                (here, own)
            }
            Some(least) => least,
            None => (here, own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(board: &Board) -> Vec<u32> {
        board.counts.iter().map(|count| count.0.load(Relaxed)).collect()
    }

    #[test]
    fn few_connections_spread_evenly_whoever_accepts_them() {
        let board = Board::new(4, 10_000);
        for placed in 1..=32u32 {
            // The kernel gives them all to one shard.
            board.place(ShardId(2));
            let counts = counts(&board);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{counts:?}");
            assert_eq!(counts.iter().sum::<u32>(), placed);
        }
    }

    #[test]
    fn many_connections_stay_where_the_kernel_puts_them() {
        let board = Board::new(4, 10_000);
        for _ in 0..1000 {
            ShardId::all(4).for_each(|shard| board.join_admin(shard));
        }
        for _ in 0..=125 {
            assert_eq!(board.place(ShardId(1)), ShardId(1), "within the slack");
        }
        assert_eq!(board.place(ShardId(1)), ShardId(2), "beyond the slack");
        assert_eq!(counts(&board), [1000, 1126, 1001, 1000]);
    }

    #[test]
    fn what_one_shard_lost_it_gets_back() {
        let board = Board::new(3, 10_000);
        for _ in 0..18 {
            board.place(ShardId(0));
        }
        (0..6).for_each(|_| board.leave(ShardId(1)));
        assert_eq!(counts(&board), [6, 0, 6]);
        (0..6).for_each(|_| assert_eq!(board.place(ShardId(2)), ShardId(1)));
    }

    #[test]
    fn shards_that_look_at_the_same_time_count_everything() {
        let board = Board::new(4, 10_000);
        std::thread::scope(|scope| {
            for shard in ShardId::all(4) {
                let board = &board;
                scope.spawn(move || (0..10_000).for_each(|_| board.leave(board.place(shard))));
            }
        });
        assert_eq!(counts(&board), [0; 4]);
    }

    #[test]
    fn few_files_are_shared_out_and_many_leave_what_the_node_needs() {
        for (limit, shards, expected) in [
            (128, 1, Files { public: 50, admin: 20 }),
            (128, 2, Files { public: 40, admin: 16 }),
            (20_000, 2, Files { public: 20_000 - 2 * 32 - 64 - 256, admin: 256 }),
            (48, 1, Files { public: 1, admin: 1 }),
            (u64::MAX, 1, Files { public: u32::MAX, admin: 256 }),
        ] {
            assert_eq!(Files::of(limit, shards), expected, "{limit} files for {shards} shards");
        }
    }

    #[test]
    fn files_are_counted_over_all_shards_and_without_those_of_the_admin_port() {
        let board = Board::new(2, 10_000).with_files(Files { public: 3, admin: 2 });
        board.join_admin(ShardId(0));
        for _ in 0..3 {
            assert!(board.has_files());
            board.place(ShardId(0));
        }
        assert!(!board.has_files());
        board.leave_admin(ShardId(0));
        assert!(!board.has_files(), "what the admin port leaves is not for the public one");
        board.leave(ShardId(1));
        assert!(board.has_files());
    }

    #[test]
    fn a_shard_alone_keeps_everything() {
        let board = Board::new(1, 10_000);
        assert_eq!(board.place(ShardId(0)), ShardId(0));
    }
}
