//! What does an appliance cost that nobody uses?
//!
//! The real process with two shards and no traffic: all its CPU time over ten seconds, in which it only closes windows,
//! as a part of one core. `cargo bench --bench idle`; tests look at a tenth of a second.

#[path = "../process/mod.rs"]
mod process;

use process::Appliance;
use std::time::Duration;

fn main() {
    let is_measuring = std::env::args().any(|arg| arg == "--bench") && !std::env::args().any(|arg| arg == "--quick");
    let time = if is_measuring { Duration::from_secs(10) } else { Duration::from_millis(100) };
    let appliance = Appliance::start(&["--shards=2"], None);
    // What starting leaves behind is not idling.
    process::wait(Duration::from_secs(1).min(time));
    let before_ns = appliance.process.cpu_ns();
    process::wait(time);
    let cpu_ns = appliance.process.cpu_ns() - before_ns;
    let part = cpu_ns as f64 / time.as_nanos() as f64;
    println!("idle over {time:?}: {:.3} ms of CPU, {:.4} % of one core", cpu_ns as f64 / 1e6, part * 100.0);
}
