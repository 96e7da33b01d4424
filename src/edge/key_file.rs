//! The master secret of the QUIC port: from a file, or made at start.
//!
//! ```text
//! uproar keys 1
//! 64 hexadecimal digits
//! ```
//! A file that does not exist is made, so that the first start needs no other tool than the server; nodes that should
//! know one another's tickets get copies of it. Once there it is never written again.
//!
//! Invariant: a file that others can read or change is refused, and the name never holds half a file. A relative name is meant
//! from the working directory, which the unit makes the state directory. Not here: which
//! keys come from it ([`crate::quic::MasterSecret`]).

use super::life;
use super::sys::system;
use crate::config::absolute;
use crate::input::{Input, InputError};
use crate::quic::{MASTER_SECRET_LEN, MasterSecret};
use aws_lc_rs::rand;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The first line: what the file is, and how keys are derived from it.
const VERSION: &str = "uproar keys 1";
/// Bytes of the longest file that is read: twice what one has, for line ends and blanks.
const FILE_BYTES_MAX: u64 = 256;
/// Permissions that a file must not give: to change it to the group, and anything to everybody.
const FORBIDDEN: u32 = 0o027;

/// Why there are no keys. The text says what to change.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("quic.key_file = {path:?}: {source}; name a file that the server may read, or may make in that directory")]
    Unreadable {
        /// Its path, from the root on.
        path: PathBuf,
        /// What is wrong with it.
        source: InputError,
    },
    /// The file is missing and cannot be made.
    #[error(
        "quic.key_file = {path:?}: it is missing and cannot be made: {source}; name a directory that exists, in which the server may make files"
    )]
    Unmade {
        /// Its path, from the root on.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Others can read or change it.
    #[error("quic.key_file = {path:?}: its mode {mode:03o} lets others read or change it; run chmod 600 {path:?}")]
    Exposed {
        /// Its path.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is something else.
    #[error(
        "quic.key_file = {path:?}: {reason}; it has two lines, \"{VERSION}\" and 64 hexadecimal digits; \
         name a file that does not exist to have one made"
    )]
    Malformed {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The system has no random numbers.
    #[error("random numbers: the system has none; QUIC needs them for its keys")]
    NoRandom,
}

/// What to do when the file is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// Make it.
    Make,
    /// Only find out whether it could be made.
    Leave,
}

/// The file: state that the server keeps, so no pipe.
const KEY_FILE: Input = Input::file(FILE_BYTES_MAX);

/// The secret of the configured file, or one for this process alone. With [`Missing::Leave`], a file that could be made counts
/// as one.
///
/// # Errors
/// When the file cannot be used or made.
pub fn master_secret(file: Option<&Path>, missing: Missing) -> Result<MasterSecret, KeyFileError> {
    let Some(path) = file.map(absolute) else { return Ok(MasterSecret::new(random()?)) };
    let path = path.as_path();
    match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && missing == Missing::Leave => {
            may_make(path).map_err(|source| KeyFileError::Unmade { path: path.into(), source })?;
            Ok(MasterSecret::new(random()?))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = random()?;
            make(path, &secret).map_err(|source| KeyFileError::Unmade { path: path.into(), source })?;
            tracing::info!(
                event = life::KEY_FILE_MADE,
                remedy = "copy it to nodes that should resume one another's sessions",
                "made {path:?}"
            );
            read(path, open(path))
        }
        opened => read(path, opened),
    }
}

/// A pipe must not hold up whoever opens it.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

fn read(path: &Path, opened: io::Result<File>) -> Result<MasterSecret, KeyFileError> {
    let failed = |source| KeyFileError::Unreadable { path: path.into(), source };
    let file = opened.map_err(|error| failed(InputError::of_opening(path, error)))?;
    let metadata = file.metadata().map_err(|error| failed(error.into()))?;
    let mode = metadata.mode() & 0o777;
    if metadata.is_file() && mode & FORBIDDEN != 0 {
        return Err(KeyFileError::Exposed { path: path.into(), mode });
    }
    let malformed = |reason| KeyFileError::Malformed { path: path.into(), reason };
    let text = match KEY_FILE.read_opened(file) {
        Err(InputError::TooLarge { .. }) => return Err(malformed("it is too long")),
        text => text.map_err(failed)?,
    };
    parse(&text).map(MasterSecret::new).map_err(malformed)
}

/// Whether a file could be made at `path`, without making it.
fn may_make(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if !fs::metadata(directory)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    system::may_write(directory)
}

fn random() -> Result<[u8; MASTER_SECRET_LEN], KeyFileError> {
    let mut secret = [0; MASTER_SECRET_LEN];
    rand::fill(&mut secret).map_err(|_| KeyFileError::NoRandom)?;
    Ok(secret)
}

/// Makes the file under another name and gives it its own once it is whole. Another process that was faster wins.
fn make(path: &Path, secret: &[u8; MASTER_SECRET_LEN]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    // Nobody else's: processes in containers share their numbers.
    unfinished.push(format!(".{:016x}", RandomState::new().build_hasher().finish()));
    let named = match write(Path::new(&unfinished), secret).and_then(|()| fs::hard_link(&unfinished, path)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        named => named,
    };
    // What was left behind is of no use, but does no harm either.
    let _ = fs::remove_file(&unfinished);
    named
}

fn write(path: &Path, secret: &[u8; MASTER_SECRET_LEN]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(file, "{VERSION}\n{digits}")?;
    file.sync_all()
}

fn parse(text: &[u8]) -> Result<[u8; MASTER_SECRET_LEN], &'static str> {
    let text = str::from_utf8(text).map_err(|_| "it is not text")?;
    let mut lines = text.trim_end().lines().map(str::trim_end);
    match lines.next() {
        Some(VERSION) => {}
        _ => return Err("its first line is another one"),
    }
    let (Some(digits), None) = (lines.next(), lines.next()) else { return Err("it has not two lines") };
    if digits.len() != 2 * MASTER_SECRET_LEN {
        return Err("its second line is shorter or longer");
    }
    let mut secret = [0; MASTER_SECRET_LEN];
    for (byte, digits) in secret.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16).ok_or("its second line has other characters");
        *byte = (value(digits[0])? << 4 | value(digits[1])?) as u8;
    }
    if secret == [0; MASTER_SECRET_LEN] {
        return Err("its secret is all zeros");
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn refusal(path: &Path) -> String {
        master_secret(Some(path), Missing::Make).expect_err("this is no key file").to_string()
    }

    fn write_file(path: &Path, text: &[u8], mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_that_is_missing_is_made_for_its_owner_alone_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let made = master_secret(Some(&path), Missing::Make).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(made == master_secret(Some(&path), Missing::Make).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!((text.lines().next(), text.lines().count()), (Some(VERSION), 2));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing else is left there");
        assert!(made != master_secret(None, Missing::Make).unwrap(), "without a file each process has its own");
    }

    #[test]
    fn a_file_that_another_process_made_meanwhile_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let first = master_secret(Some(&path), Missing::Make).unwrap();
        make(&path, &[9; 32]).unwrap();
        assert!(first == master_secret(Some(&path), Missing::Make).unwrap());
    }

    #[test]
    fn a_file_that_others_can_read_or_change_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let text = format!("{VERSION}\n{}\n", "1f".repeat(32));
        for mode in [0o604, 0o620, 0o644, 0o660, 0o601] {
            write_file(&path, text.as_bytes(), mode);
            let refusal = refusal(&path);
            assert!(refusal.contains(&format!("{mode:03o}")) && refusal.contains("chmod 600"), "{refusal}");
        }
        for mode in [0o400, 0o600, 0o640] {
            write_file(&path, text.as_bytes(), mode);
            assert!(master_secret(Some(&path), Missing::Make).unwrap() == MasterSecret::new([0x1f; 32]));
        }
    }

    #[test]
    fn what_is_not_a_key_file_is_refused_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let digits = "1f".repeat(32);
        for (text, reason) in [
            (String::new(), "first line"),
            (format!("uproar keys 2\n{digits}\n"), "first line"),
            (format!("{VERSION}\n"), "two lines"),
            (format!("{VERSION}\n{digits}\n{digits}\n"), "two lines"),
            (format!("{VERSION}\n{}\n", &digits[1..]), "shorter or longer"),
            (format!("{VERSION}\n{}\n", digits.repeat(2)), "shorter or longer"),
            (format!("{VERSION}\n{}\n", digits.repeat(8)), "too long"),
            (format!("{VERSION}\n{}g\n", &digits[1..]), "other characters"),
            (format!("{VERSION}\n{}\u{e9}\n", &digits[2..]), "other characters"),
            (format!("{VERSION}\n{}\n", "0".repeat(64)), "zeros"),
        ] {
            write_file(&path, text.as_bytes(), 0o600);
            let refusal = refusal(&path);
            assert!(refusal.contains(reason) && refusal.contains("quic.key_file"), "{refusal}");
        }
        write_file(&path, &[0xff; 40], 0o600);
        assert!(refusal(&path).contains("not text"));
        assert!(refusal(directory.path()).contains("it is a directory"));
        let missing = refusal(&directory.path().join("missing/keys"));
        assert!(missing.contains("cannot be made: No such file or directory"), "{missing}");
        assert!(refusal(Path::new("/dev/zero")).contains("it is a device"));
    }

    #[test]
    fn a_check_makes_nothing_and_finds_what_a_start_would() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        assert!(master_secret(Some(&path), Missing::Leave).is_ok());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        for missing in [directory.path().join("missing/keys"), PathBuf::from("/dev/null/keys")] {
            let found = [Missing::Leave, Missing::Make]
                .map(|what| master_secret(Some(&missing), what).unwrap_err().to_string());
            assert!(found.iter().all(|found| found.contains("quic.key_file")), "{found:?}");
        }
        write_file(&path, b"uproar keys 2\n", 0o600);
        assert!(master_secret(Some(&path), Missing::Leave).is_err());
    }

    #[test]
    fn line_ends_of_other_systems_are_taken() {
        let text = format!("{VERSION}\r\n{}\r\n", "AB".repeat(32));
        assert_eq!(parse(text.as_bytes()), Ok([0xab; 32]));
    }
}
