//! What a completion belongs to, packed into the 64 bits that the ring carries.
//!
//! ```text
//! bit 63: the ring's own     bits 56..63: kind     bits 32..56: generation     bits 0..32: slot
//! ```

use super::sys::ring::Token;
use crate::shard::HttpConn;

/// Generations of a slot before they repeat.
pub const GENERATIONS: u32 = 1 << 24;

/// What a completion belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Connections wait at the listener in this slot.
    Accept(u32),
    /// Bytes of a connection.
    Receive(HttpConn),
    /// Replies to a connection.
    Send(HttpConn),
    /// A connection takes replies again.
    Writable(HttpConn),
    /// The end of another operation was asked for.
    Cancel,
    /// Reaction datagrams are there.
    Reactions,
    /// QUIC datagrams are there.
    Quic,
    /// The QUIC socket takes datagrams again.
    QuicWritable,
    /// A deadline has come.
    Timeout,
    /// The process was signalled.
    Signal,
    /// The main thread wants something.
    Command,
}

impl Purpose {
    /// As the ring carries it.
    pub fn token(self) -> Token {
        let pack = |kind: u64, slot: u32, generation: u32| {
            kind << 56 | u64::from(generation % GENERATIONS) << 32 | u64::from(slot)
        };
        match self {
            Self::Accept(listener) => pack(0, listener, 0),
            Self::Receive(conn) => pack(1, conn.slot, conn.generation),
            Self::Send(conn) => pack(2, conn.slot, conn.generation),
            Self::Cancel => pack(3, 0, 0),
            Self::Reactions => pack(4, 0, 0),
            Self::Quic => pack(5, 0, 0),
            Self::QuicWritable => pack(6, 0, 0),
            Self::Timeout => pack(7, 0, 0),
            Self::Signal => pack(8, 0, 0),
            Self::Command => pack(10, 0, 0),
            Self::Writable(conn) => pack(9, conn.slot, conn.generation),
        }
    }

    /// What [`Self::token`] packed.
    pub fn of(token: Token) -> Self {
        let slot = token as u32;
        let conn = HttpConn { slot, generation: (token >> 32) as u32 % GENERATIONS };
        match token >> 56 {
            0 => Self::Accept(slot),
            1 => Self::Receive(conn),
            2 => Self::Send(conn),
            4 => Self::Reactions,
            5 => Self::Quic,
            6 => Self::QuicWritable,
            7 => Self::Timeout,
            8 => Self::Signal,
            9 => Self::Writable(conn),
            10 => Self::Command,
            _ => Self::Cancel,
        }
    }
}
