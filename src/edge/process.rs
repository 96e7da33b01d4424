//! What the kernel knows about this process, read from `/proc` when somebody scrapes.
//!
//! Invariant: a reading costs the same however many connections there are, as it is taken on the thread of a shard.
//! Not here: how it is shown ([`crate::metrics`]).

use super::sys::{descriptor, system};
use crate::metrics::ProcessMetrics;
use std::fs;
use std::io;
use std::time::Duration;

/// Reads the figures of this process.
#[derive(Debug)]
pub struct ProcessReader {
    /// When the machine booted, since 1970. It does not change, and `/proc/stat` is long on a large machine.
    booted: Option<Duration>,
    units: Units,
}

/// What the kernel counts in.
#[derive(Clone, Copy, Debug)]
struct Units {
    ticks_per_second: u64,
    page_bytes: u64,
}

impl ProcessReader {
    /// Learns what stays the same.
    pub fn new() -> io::Result<Self> {
        let units = Units { ticks_per_second: system::clock_ticks_per_second()?, page_bytes: system::page_bytes()? };
        let booted = fs::read_to_string("/proc/stat").ok().and_then(|stat| boot_time(&stat));
        Ok(Self { booted, units })
    }

    /// The figures as they are now. What cannot be read, for instance where `/proc` is not mounted, is absent.
    pub fn read(&self) -> ProcessMetrics {
        let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| Stat::parse(&stat));
        // Linux tells their number as the directory's size since 6.2. Before, it says 0, and counting the entries would
        // keep a shard from its work for a time that grows with its connections.
        let open_files = fs::metadata("/proc/self/fd").ok().map(|fds| fds.len()).filter(|&open| open > 0);
        ProcessMetrics {
            cpu: stat.map(|stat| self.units.duration(stat.cpu_ticks)),
            resident_bytes: stat.map(|stat| stat.resident_pages.saturating_mul(self.units.page_bytes)),
            open_files,
            open_files_max: descriptor::open_files_max().ok(),
            // Whoever holds the certificate, and whoever writes the log, says so.
            certificate_expires: None,
            log_lines_lost: None,
            started: stat.zip(self.booted).map(|(stat, booted)| booted + self.units.duration(stat.started_ticks)),
        }
    }
}

impl Units {
    fn duration(self, ticks: u64) -> Duration {
        let per_second = self.ticks_per_second;
        Duration::from_secs(ticks / per_second) + Duration::from_secs(ticks % per_second) / per_second as u32
    }
}

/// What is read from `/proc/self/stat`; fields and their numbers as in proc_pid_stat(5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stat {
    /// `utime` (14) and `stime` (15).
    cpu_ticks: u64,
    /// `starttime` (22), since the machine booted.
    started_ticks: u64,
    /// `rss` (24).
    resident_pages: u64,
}

impl Stat {
    fn parse(stat: &str) -> Option<Self> {
        // The second field is the program's name, which may hold anything but ends with the last parenthesis.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace().zip(3..);
        let mut field = |number: u32| fields.find(|&(_, at)| at == number)?.0.parse::<u64>().ok();
        // In the order in which they stand: each look-up goes on where the last one ended.
        let (user, kernel) = (field(14)?, field(15)?);
        Some(Self { cpu_ticks: user.checked_add(kernel)?, started_ticks: field(22)?, resident_pages: field(24)? })
    }
}

/// The line `btime` of `/proc/stat`: seconds since 1970.
fn boot_time(stat: &str) -> Option<Duration> {
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4242 (uproar) S 1 4242 4242 0 -1 4194560 9241 0 3 0 1507 2293 0 0 20 0 5 0 88213 412340224 6210 \
        18446744073709551615 1 1 0 0 0 0 0 4096 16386 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn fields_are_taken_by_their_numbers() {
        let expected = Stat { cpu_ticks: 1507 + 2293, started_ticks: 88_213, resident_pages: 6210 };
        assert_eq!(Stat::parse(STAT), Some(expected));
        for name in ["(up roar)", "(a) S 1 2 (b)", "())", "()"] {
            assert_eq!(Stat::parse(&STAT.replace("(uproar)", name)), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_is_cut_short_or_no_number_is_absent() {
        let resident_ends = STAT.find(" 18446744073709551615").unwrap();
        let resident_begins = resident_ends - "6210".len();
        for len in 0..resident_begins {
            assert_eq!(Stat::parse(&STAT[..len]), None, "{len} bytes");
        }
        assert_eq!(Stat::parse(&STAT.replace("2293", "-1")), None);
        assert_eq!(Stat::parse(&STAT.replace("2293", "18446744073709551615")), None, "a sum beyond 64 bits");
    }

    #[test]
    fn the_time_of_boot_has_a_line_of_its_own() {
        let stat = "cpu  1 2 3\nintr 99 0 0\nctxt 5\nbtime 1802469134\nprocesses 7\n";
        assert_eq!(boot_time(stat), Some(Duration::from_secs(1_802_469_134)));
        assert_eq!(boot_time("cpu  1 2 3\nbtime soon\n"), None);
        assert_eq!(boot_time(""), None);
    }

    #[test]
    fn ticks_become_time_without_rounding() {
        let units = Units { ticks_per_second: 100, page_bytes: 4096 };
        assert_eq!(units.duration(3807), Duration::from_millis(38_070));
        assert_eq!(units.duration(0), Duration::ZERO);
    }

    #[test]
    fn this_process_has_memory_and_descriptors_and_has_started() {
        let process = ProcessReader::new().unwrap().read();
        assert!(process.cpu.is_some());
        assert!(process.resident_bytes.unwrap() > 4096);
        assert!(process.open_files_max.unwrap() > 2);
        assert!(process.open_files.is_none_or(|open| open > 2), "standard input, output and error are open");
        let now = Duration::from_millis(crate::edge::clock::now().unix_ms);
        let age = now.saturating_sub(process.started.unwrap());
        assert!(age < Duration::from_secs(24 * 3600), "a test that runs for a day: {age:?}");
    }
}
