//! Files that an operator names, read whole: the configuration, certificates, keys, scenarios.
//!
//! Invariant: reading a file takes at most its limit of memory, whatever lies at the path. A device is never read, and
//! a pipe is waited for only until `Input::patience` has passed, so a wrong path is an error and neither an endless wait
//! nor the end of the machine's memory. A file that changes while it is read is read again. Not here: what a file says.

use std::fmt;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a path may lead to, and how much is read of it.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    bytes_max: u64,
    /// How long a pipe may be silent; none where a pipe makes no sense.
    patience: Option<Duration>,
}

/// Why a file cannot be read. The text follows the file's name: `/etc/uproar/uproar.toml: it is a directory`.
#[derive(Debug)]
pub enum InputError {
    /// The kernel refuses.
    Io(io::Error),
    /// It is no file. Says what it is.
    Kind(&'static str),
    /// It is larger than anything that belongs there.
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// It is a pipe, and nobody has written to it, or closed it, for so long.
    Silent(Duration),
    /// It was written each time that it was read.
    Changing,
    /// It is not UTF-8.
    NotText {
        /// The first line that is not, counted from 1.
        line: usize,
    },
    /// It is UTF-16, as some editors of Windows write it.
    Utf16,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if error.kind() == ErrorKind::NotFound => f.write_str("there is no such file"),
            Self::Io(error) if error.kind() == ErrorKind::PermissionDenied => {
                f.write_str("permission denied: the account that the program runs as may not read it")
            }
            Self::Io(error) => error.fmt(f),
            Self::Kind(kind) => write!(f, "it is {kind}, not a file"),
            Self::TooLarge { bytes_max } => write!(f, "it is larger than {}", bytes_text(*bytes_max)),
            Self::Silent(patience) => {
                write!(f, "it is a pipe, and nothing came, or its end did not come, for {} s", patience.as_secs_f64())
            }
            Self::Changing => f.write_str("it changed each time it was read; write it whole, then try again"),
            Self::NotText { line } => write!(f, "line {line} is not UTF-8 text"),
            Self::Utf16 => f.write_str("it is UTF-16 text; save it as UTF-8"),
        }
    }
}

impl InputError {
    /// Why the file at `path` could not be opened. A socket cannot, and the kernel says so in other words.
    pub(crate) fn of_opening(path: &Path, error: io::Error) -> Self {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.file_type().is_socket() => Self::Kind(kind_of(metadata.file_type())),
            _ => error.into(),
        }
    }
}

impl std::error::Error for InputError {}

impl From<io::Error> for InputError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Pause between two looks at a pipe.
const PIPE_POLL: Duration = Duration::from_millis(5);
/// Readings of a file that changes: a program that writes a file in place is done after one or two.
const READINGS_MAX: usize = 5;
/// Pause between two readings.
const READING_PAUSE: Duration = Duration::from_millis(20);
/// Mark that some editors put before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Input {
    /// A file, or a pipe such as `/dev/stdin` or a shell's `<(command)`, that is silent for `patience` at most.
    pub const fn file_or_pipe(bytes_max: u64, patience: Duration) -> Self {
        Self { bytes_max, patience: Some(patience) }
    }

    /// A file. Here as well as there, `/dev/null` stands for an empty one.
    pub const fn file(bytes_max: u64) -> Self {
        Self { bytes_max, patience: None }
    }

    /// The text of the file at `path`, without a byte order mark.
    ///
    /// # Errors
    /// As [`Self::read`], and when it is not UTF-8.
    pub fn read_text(&self, path: &Path) -> Result<String, InputError> {
        text(self.read(path)?)
    }

    /// What the file at `path` holds.
    ///
    /// # Errors
    /// A file that is missing, too large or not to be read; something that is no file; a pipe that is silent.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, InputError> {
        // A pipe without a writer would hold up whoever opens it.
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
        self.read_opened(opened.map_err(|error| InputError::of_opening(path, error))?)
    }

    /// What an open file holds. It was opened not to block.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_opened(&self, mut file: File) -> Result<Vec<u8>, InputError> {
        let metadata = file.metadata()?;
        match self.patience {
            _ if metadata.is_file() => self.read_file(file, metadata),
            Some(patience) if metadata.file_type().is_fifo() => self.read_pipe(&mut file, patience),
            _ if is_null(&metadata) => Ok(Vec::new()),
            _ => Err(InputError::Kind(kind_of(metadata.file_type()))),
        }
    }

    fn read_file(&self, mut file: File, mut before: Metadata) -> Result<Vec<u8>, InputError> {
        for _ in 0..READINGS_MAX {
            let bytes = self.read_once(&mut file, &before)?;
            let after = file.metadata()?;
            if stamp(&before) == stamp(&after) {
                return Ok(bytes);
            }
            before = after;
            pause(READING_PAUSE);
            io::Seek::rewind(&mut file)?;
        }
        Err(InputError::Changing)
    }

    fn read_once(&self, file: &mut File, metadata: &Metadata) -> Result<Vec<u8>, InputError> {
        let too_large = InputError::TooLarge { bytes_max: self.bytes_max };
        if metadata.len() > self.bytes_max {
            return Err(too_large);
        }
        let mut bytes = Vec::new();
        // Those below /proc say that they are empty, and one that grows is longer than it said.
        file.take(self.bytes_max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > self.bytes_max { Err(too_large) } else { Ok(bytes) }
    }

    /// A pipe that nobody has opened to write yet looks like one that was closed, so an end without a byte before it is
    /// waited out.
    fn read_pipe(&self, pipe: &mut File, patience: Duration) -> Result<Vec<u8>, InputError> {
        let (mut bytes, mut part, mut heard_at) = (Vec::new(), [0; 4096], now());
        loop {
            match pipe.read(&mut part) {
                Ok(0) if !bytes.is_empty() => return Ok(bytes),
                Ok(0) => pause(PIPE_POLL),
                Ok(len) => {
                    bytes.extend_from_slice(&part[..len]);
                    heard_at = now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => pause(PIPE_POLL),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if bytes.len() as u64 > self.bytes_max {
                return Err(InputError::TooLarge { bytes_max: self.bytes_max });
            }
            if now().saturating_duration_since(heard_at) >= patience {
                return Err(InputError::Silent(patience));
            }
        }
    }
}

/// Bytes as text, without a byte order mark.
///
/// # Errors
/// When they are not UTF-8.
pub fn text(mut bytes: Vec<u8>) -> Result<String, InputError> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(InputError::Utf16);
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        InputError::NotText { line: 1 + before.iter().filter(|&&byte| byte == b'\n').count() }
    })
}

fn kind_of(file: FileType) -> &'static str {
    match () {
        () if file.is_dir() => "a directory",
        () if file.is_fifo() => "a pipe",
        () if file.is_socket() => "a socket",
        () if file.is_char_device() || file.is_block_device() => "a device",
        () => "something else",
    }
}

/// `/dev/null`, by its number (devices.txt of the kernel: major 1, minor 3).
fn is_null(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == libc::makedev(1, 3)
}

/// What changes when somebody writes a file.
fn stamp(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// As people write them: `16 MiB`.
pub fn bytes_text(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

#[allow(clippy::disallowed_methods, reason = "a file is read by a thread that may wait for it, never by a shard")]
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods, reason = "a file is read by a thread that may wait for it, never by a shard")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests;
