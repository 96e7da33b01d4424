//! A panic is told at once, and ends the process even if nobody listens.
//!
//! The order is: the line of the panic, then what the process ends with, then the backtrace that `RUST_BACKTRACE` asks for.
//! A backtrace comes last because finding the names of its frames can take longer than everything else together.
//!
//! Invariant: from the panic of a shard's thread on, the process lives [`LAST_WORDS`] at most, or [`BACKTRACE_MAX`] where a
//! backtrace is asked for. Unwinding alone would not do:
//! an executor that panics between two turns of the loop leaks what it runs, so nothing of the shard is dropped and
//! nobody hears of it, and what unwinds may come to stand still. Nor would writing: a log that nobody reads stops
//! whoever writes it. Not here: how the process ends otherwise (`appliance`).

use super::log::{self, Log};
use crate::ids::ShardId;
use crate::limits::{BACKTRACE_MAX, LAST_WORDS};
use std::cell::Cell;
use std::panic::{set_hook, take_hook};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

/// What the names of shards' threads begin with; the number follows, and what the executor adds.
const NAME: &str = "shard-";

thread_local! {
    /// Whether this thread's panic has been told.
    static IS_TOLD: Cell<bool> = const { Cell::new(false) };
}

/// How far the end of this process is written down.
static END: Mutex<End> = Mutex::new(End { panics: 0, is_error_told: false });
static END_CHANGED: Condvar = Condvar::new();

struct End {
    /// Panics of shards that are still being written down.
    panics: u32,
    /// Whether the error that the process ends with is.
    is_error_told: bool,
}

/// The name of a shard's threads, by which a panic of theirs is known from the first moment on, also before they run
/// anything of ours.
pub fn thread_name(shard: ShardId) -> String {
    format!("{NAME}{shard}")
}

/// The shard whose thread has this name.
fn shard_of(name: &str) -> Option<ShardId> {
    let number = name.strip_prefix(NAME)?.split('-').next()?;
    number.parse().ok().map(ShardId)
}

/// The shard whose thread this is, if its panic has not been told.
fn untold() -> Option<ShardId> {
    let shard = shard_of(std::thread::current().name()?)?;
    (!IS_TOLD.get()).then_some(shard)
}

/// Has `tell` called in each shard's thread that panics, once the line of the panic is in `log` and before any backtrace is.
/// If nothing else ends the process then, it exits with `exit_code`. For the whole process.
pub fn on_panic(exit_code: u8, log: &Log, tell: impl Fn(ShardId) + Send + Sync + 'static) {
    let tell = Arc::new(tell);
    let at_once = tell.clone();
    log.after_panic_line(move || {
        if let Some(shard) = untold() {
            IS_TOLD.set(true);
            at_once(shard);
            await_error();
        }
    });
    let write = take_hook();
    set_hook(Box::new(move |panic| {
        if untold().is_none() {
            return write(panic);
        }
        end_soon(exit_code);
        update(|end| end.panics += 1);
        write(panic);
        update(|end| end.panics = end.panics.saturating_sub(1));
        // Where another program logs, or the line could not be written.
        untold().into_iter().for_each(|shard| tell(shard));
        IS_TOLD.set(true);
    }));
}

/// The error that the process ends with is told. Waits until the backtraces of panics are written, for [`BACKTRACE_MAX`] at
/// most: the end of the process cuts them off.
pub fn await_backtraces() {
    update(|end| end.is_error_told = true);
    wait_while(BACKTRACE_MAX, |end| end.panics > 0);
}

/// A backtrace that began before would be mixed with the error. Without one there is nothing to hold back.
fn await_error() {
    if log::backtraces_wanted() {
        wait_while(LAST_WORDS, |end| !end.is_error_told);
    }
}

fn update(change: impl FnOnce(&mut End)) {
    change(&mut END.lock().unwrap_or_else(PoisonError::into_inner));
    END_CHANGED.notify_all();
}

fn wait_while(longest: Duration, condition: impl Fn(&mut End) -> bool) {
    let end = END.lock().unwrap_or_else(PoisonError::into_inner);
    drop(END_CHANGED.wait_timeout_while(end, longest, condition));
}

fn end_soon(exit_code: u8) {
    let longest = if log::backtraces_wanted() { BACKTRACE_MAX } else { LAST_WORDS };
    let end = move || {
        let (_speaker, nobody) = mpsc::channel::<()>();
        let _ = nobody.recv_timeout(longest);
        std::process::exit(exit_code.into());
    };
    if std::thread::Builder::new().name("last-words".into()).spawn(end).is_err() {
        // Without a thread that watches over it, nothing may be written.
        std::process::exit(exit_code.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_known_by_the_name_of_its_thread() {
        for shard in [0, 7, 127] {
            let name = thread_name(ShardId(shard));
            assert_eq!(shard_of(&name), Some(ShardId(shard)));
            assert_eq!(shard_of(&format!("{name}-42")), Some(ShardId(shard)), "as the executor names it");
        }
        for name in ["main", "log", "shard", "shard-", "shard-x-1", "a-shard-1"] {
            assert_eq!(shard_of(name), None, "{name}");
        }
    }
}
