//! Standard output and standard error of a command that ends: `print` for its result, `complain` for its error.
//!
//! Invariant: nothing here panics, whatever has become of the two: a closed pipe, a full disk, a terminal that is gone. A
//! result that could not be written whole is an error and never lost in silence. The one exception is a descriptor that was
//! closed before the program started: the standard library puts `/dev/null` in its place.
//! `print!` and `eprint!` panic instead, which is why they are denied in both programs.

use std::fmt::Display;
use std::io;
#[cfg(not(test))]
use std::io::Write as _;

/// Exit code of a command whose reader has gone: what a shell shows for a program that SIGPIPE ended (128 + 13).
pub const READER_GONE: u8 = 141;
/// Exit code of a command whose result could not be written.
const UNWRITTEN: u8 = 1;

/// Why a result was not written whole.
#[derive(Debug, thiserror::Error)]
#[error("standard output: {0}; the result is not complete")]
pub struct Unwritten(#[from] io::Error);

impl Unwritten {
    /// Says so, unless the reader has gone on purpose, as in `| head`; the exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.is_reader_gone() {
            return READER_GONE;
        }
        complain(self);
        UNWRITTEN
    }

    /// Whether the reader closed the pipe.
    pub fn is_reader_gone(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Writes to standard output, and has it all leave.
///
/// # Errors
/// When it does not take all of it.
pub fn print(text: &dyn Display) -> Result<(), Unwritten> {
    Ok(to_stdout(&text.to_string())?)
}

/// Writes an error to standard error, as one line that begins with `error: `.
pub fn complain(error: &dyn Display) {
    say(&format_args!("error: {error}"));
}

/// Writes a line to standard error. When nobody can read it, the exit code still says what happened.
pub fn say(line: &dyn Display) {
    // One write, so that lines of two programs on one terminal are not mixed.
    let _ = to_stderr(&format!("{line}\n"));
}

#[cfg(not(test))]
fn to_stdout(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(not(test))]
fn to_stderr(text: &str) -> io::Result<()> {
    io::stderr().write_all(text.as_bytes())
}

/// What tests of this crate print is kept with them, which only the macros do. Writing is tested on the whole program.
#[cfg(test)]
fn to_stdout(text: &str) -> io::Result<()> {
    print!("{text}");
    Ok(())
}

#[cfg(test)]
fn to_stderr(text: &str) -> io::Result<()> {
    eprint!("{text}");
    Ok(())
}
