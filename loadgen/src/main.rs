//! `uproar-loadgen`: see the library, [`uproar_loadgen`].

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    uproar_loadgen::cli::run()
}
