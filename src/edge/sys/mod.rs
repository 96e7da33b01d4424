//! The one room with unsafe code: system calls and memory that the kernel shares with this process.
//!
//! Everything public in here is safe to call. Each unsafe block says why it holds.
#![allow(unsafe_code)]

pub mod accept;
pub mod buffer_ring;
pub mod datagram_receiver;
pub mod datagram_sender;
pub mod descriptor;
pub mod heap;
pub mod memory_map;
pub mod prefetch;
pub mod ring;
pub mod socket_address;
pub mod socket_option;
pub mod system;
