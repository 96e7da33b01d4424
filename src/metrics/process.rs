//! What is known of the whole process and of no shard: what the kernel says of it, until when its certificate serves,
//! and what its log has lost.
//!
//! Invariant: a figure that could not be read is absent, never 0. Not here: reading it, which is the edge's.

use std::time::Duration;

/// One reading. All of the node, so it has no place among the counters of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ProcessMetrics {
    /// CPU time of all threads, in user and kernel mode.
    pub cpu: Option<Duration>,
    /// Memory that is resident now, in bytes.
    pub resident_bytes: Option<u64>,
    /// Descriptors open now.
    pub open_files: Option<u64>,
    /// Descriptors that may be open; [`u64::MAX`] without a limit.
    pub open_files_max: Option<u64>,
    /// When the process started, since 1970 in UTC.
    pub started: Option<Duration>,
    /// When the first certificate of the QUIC port's chain expires, since 1970 in UTC.
    pub certificate_expires: Option<Duration>,
    /// Lines of the log that standard error did not take.
    pub log_lines_lost: Option<u64>,
}
