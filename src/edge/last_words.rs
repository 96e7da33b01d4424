//! A panic is told at once, and ends the process even if nobody listens.
//!
//! Invariant: from the panic of a shard's thread on, the process lives [`LAST_WORDS`] at most. Unwinding alone would not do:
//! an executor that panics between two turns of the loop leaks what it runs, so nothing of the shard is dropped and
//! nobody hears of it, and what unwinds may come to stand still. Nor would writing: a log that nobody reads stops
//! whoever writes it. Not here: how the process ends otherwise (`appliance`).

use crate::ids::ShardId;
use crate::limits::LAST_WORDS;
use std::cell::Cell;
use std::panic::{set_hook, take_hook};
use std::sync::mpsc;

thread_local! {
    static SHARD: Cell<Option<ShardId>> = const { Cell::new(None) };
}

/// From now on the calling thread is that shard's.
pub fn speak_for(shard: ShardId) {
    SHARD.set(Some(shard));
}

/// Has `tell` called in each shard's thread that panics, once the panic is written down. If nothing else ends the process
/// then, it exits with `exit_code`. For the whole process.
pub fn on_panic(exit_code: u8, tell: impl Fn(ShardId) + Send + Sync + 'static) {
    let write = take_hook();
    set_hook(Box::new(move |panic| {
        let shard = SHARD.get();
        if shard.is_some() {
            end_soon(exit_code);
        }
        write(panic);
        shard.into_iter().for_each(&tell);
    }));
}

fn end_soon(exit_code: u8) {
    let end = move || {
        let (_speaker, nobody) = mpsc::channel::<()>();
        let _ = nobody.recv_timeout(LAST_WORDS);
        std::process::exit(exit_code.into());
    };
    if std::thread::Builder::new().name("last-words".into()).spawn(end).is_err() {
        // Without a thread that watches over it, nothing may be written.
        std::process::exit(exit_code.into());
    }
}
