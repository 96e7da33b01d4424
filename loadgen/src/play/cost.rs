//! What a run takes of this machine, and what machine it is.
//!
//! Deliberately not here: the server's cost, which its own metrics say.

use crate::cpu;
use std::time::Duration;

/// CPU time of a process since a moment.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    cpu: Duration,
}

impl Cost {
    /// From now on.
    pub fn begin() -> Self {
        Self { cpu: cpu::of_process() }
    }

    /// Up to now.
    #[must_use]
    pub fn end(self) -> Self {
        Self { cpu: cpu::of_process().saturating_sub(self.cpu) }
    }

    /// CPU time, the kernel's part included.
    pub fn cpu(&self) -> Duration {
        self.cpu
    }
}

/// The largest resident memory that this process ever had, in bytes; 0 where the kernel does not say.
pub fn rss_bytes_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    field(&status, "VmHWM:").and_then(|kib| kib.split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Name and release of the kernel.
pub fn kernel() -> String {
    let name = rustix::system::uname();
    format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy())
}

/// The processor's name, as far as the kernel knows it.
pub fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    field(&info, "model name")
        .map_or_else(|| std::env::consts::ARCH.to_owned(), |name| name.trim_start_matches([':', ' ']).to_owned())
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_spends_time() {
        let cost = Cost::begin();
        let mut sum = 0u64;
        while cost.end().cpu().is_zero() {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(rss_bytes_max() > 1 << 20);
        assert!(kernel().starts_with("Linux "));
        assert!(!cpu_name().is_empty());
    }
}
