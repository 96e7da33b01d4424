//! The master secret of the QUIC port: from a file, or made at start.
//!
//! ```text
//! uproar keys 1
//! 64 hexadecimal digits
//! ```
//! A file that does not exist is made, so that the first start needs no other tool than the server; nodes that should
//! know one another's tickets get copies of it. Once there it is never written again.
//!
//! Invariant: a file that others can read or change is refused, and the name never holds half a file. Not here: which
//! keys come from it ([`crate::quic::MasterSecret`]).

use super::life;
use crate::quic::{MASTER_SECRET_LEN, MasterSecret};
use aws_lc_rs::rand;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read, Write};
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
    /// The file cannot be read or made.
    #[error("quic.key_file = {path:?}: {source}; name a file that the server may read, or may make in that directory")]
    Io {
        /// Its path.
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

/// The secret of the configured file, or one for this process alone.
///
/// # Errors
/// When the file cannot be used or made.
pub fn master_secret(file: Option<&Path>) -> Result<MasterSecret, KeyFileError> {
    let Some(path) = file else { return Ok(MasterSecret::new(random()?)) };
    let failed = |source| KeyFileError::Io { path: path.into(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(path, &random()?).map_err(failed)?;
            tracing::info!(
                event = life::KEY_FILE_MADE,
                remedy = "copy it to nodes that should resume one another's sessions",
                "made {path:?}"
            );
            File::open(path).map_err(failed)?
        }
        opened => opened.map_err(failed)?,
    };
    let mode = file.metadata().map_err(failed)?.mode() & 0o777;
    if mode & FORBIDDEN != 0 {
        return Err(KeyFileError::Exposed { path: path.into(), mode });
    }
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    let secret = parse(&text).map_err(|reason| KeyFileError::Malformed { path: path.into(), reason })?;
    Ok(MasterSecret::new(secret))
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
        master_secret(Some(path)).expect_err("this is no key file").to_string()
    }

    fn write_file(path: &Path, text: &[u8], mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_that_is_missing_is_made_for_its_owner_alone_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let made = master_secret(Some(&path)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(made == master_secret(Some(&path)).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!((text.lines().next(), text.lines().count()), (Some(VERSION), 2));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing else is left there");
        assert!(made != master_secret(None).unwrap(), "without a file each process has its own");
    }

    #[test]
    fn a_file_that_another_process_made_meanwhile_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let first = master_secret(Some(&path)).unwrap();
        make(&path, &[9; 32]).unwrap();
        assert!(first == master_secret(Some(&path)).unwrap());
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
            assert!(master_secret(Some(&path)).unwrap() == MasterSecret::new([0x1f; 32]));
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
            (format!("{VERSION}\n{}\n", digits.repeat(8)), "shorter or longer"),
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
        assert!(refusal(directory.path()).contains("quic.key_file"));
        assert!(refusal(&directory.path().join("missing/keys")).contains("name a file"));
    }

    #[test]
    fn line_ends_of_other_systems_are_taken() {
        let text = format!("{VERSION}\r\n{}\r\n", "AB".repeat(32));
        assert_eq!(parse(text.as_bytes()), Ok([0xab; 32]));
    }
}
