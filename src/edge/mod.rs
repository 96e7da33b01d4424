//! The edge: the only part that touches the kernel. Sockets, rings, clocks, threads, files.
//!
//! In the order in which a process meets them: [`placement`] picks cores, [`listen`] binds ports with the
//! [`socket_buffer`]s that were asked for, [`tls`] brings the certificate (`pem` reads its files, and [`certificate`] says until when), and
//! [`key_file`] the other keys, [`mesh`] connects the shards and [`board`] tells them who is least busy. Each shard then
//! lives in its [`shard_loop`], which reads [`udp`] (and sends through its [`outlet`]) and [`tcp`] (whose connections
//! [`admission`] lets in), asks the [`clock`] once per turn, pays [`attention`] to how long that was, and sleeps at its
//! [`doorbell`], or shorter ([`sleep`]). The main thread and shard 0 have a [`control`] line; the supervisor of
//! the process is told by [`notify`] how it is. What the kernel knows about the [`process`] is asked when somebody scrapes,
//! and about the [`machine`] before anything starts, when the [`checks`] are made. The [`opening`] says how the node was
//! started, and the [`announcement`] to programs that it was. What an operator must know goes to the [`log`]; a running shard finds it among its [`incidents`], the process in
//! its [`life`], and a shard that panics has [`last_words`]. What a command that ends prints is [`output`], as far as the
//! [`terminal`] can show it. Unsafe code is in [`sys`] only.

pub mod admission;
pub mod announcement;
pub mod attention;
pub mod board;
pub mod certificate;
pub mod checks;
pub mod clock;
pub mod control;
pub mod doorbell;
pub mod incidents;
pub mod key_file;
pub mod last_words;
pub mod life;
pub mod listen;
pub mod log;
pub mod machine;
pub mod mesh;
pub mod notify;
pub mod opening;
pub mod outlet;
pub mod output;
mod pem;
pub mod placement;
pub mod process;
pub mod shard_loop;
pub mod sleep;
pub mod socket_buffer;
pub mod sys;
pub mod tcp;
pub mod terminal;
pub mod tls;
pub mod token;
pub mod udp;
