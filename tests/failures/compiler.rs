//! Compiles the C files of these tests, with the compiler that the product needs, too.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The result's name must say what it was made of: it is shared with test processes that make the same.
///
/// # Panics
/// When it does not compile.
pub(crate) fn compile(source: &str, options: &[String], name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/failures").join(source);
    let made = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let unfinished = made.with_extension(format!("{}.unfinished", std::process::id()));
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let mut command = Command::new(&compiler);
    command.args(["-O1", "-Wall", "-Werror"]).args(options).arg("-o").arg(&unfinished).arg(&source);
    assert!(command.status().is_ok_and(|status| status.success()), "{command:?}");
    // Whole or not at all, also for the others.
    std::fs::rename(unfinished, &made).unwrap();
    made
}
