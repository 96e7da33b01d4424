//! Tuning the machine: what a profile wants of the kernel and of devices, where the machine differs, and the way there
//! and back.
//!
//! [`profile`] reads the profiles, which are the files of `tuning/` built into the program, so that what operators read
//! and what is checked cannot drift apart. [`device`] and [`queues`] find the files behind settings of devices, [`rule`]
//! says when a value is good enough, [`tuner`] puts both together: one tuner is one thing of the machine that can be
//! checked and set. [`script`] prints the way there, [`apply`] goes it and back, and [`saved`] remembers what was
//! overwritten, in both cases, for files that `known` accepts, in a file that `owned` keeps from others.
//!
//! [`left`] names what no file can set.
//!
//! Invariant: nothing is written but files that a profile names, each after its old value was saved; everything goes
//! through [`Machine`](crate::edge::machine::Machine). Not here: what the server itself warns about when it starts.

pub mod apply;
pub mod device;
mod known;
pub mod left;
mod owned;
pub mod profile;
pub mod queues;
pub mod rule;
pub mod saved;
pub mod script;
pub mod tuner;
