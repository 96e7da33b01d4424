//! The binary: an allocator and the command line. Everything else is the library, so that tests reach it.

use std::process::ExitCode;

// Per-thread heaps: shards that share nothing should not meet in the allocator either.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    uproar::cli::run(std::env::args_os())
}
