//! A file that only its owner could have written, in a directory of which the same holds.
//!
//! Invariant: what is read was written by the user who reads it; no link is followed to the file, and no
//! file of others is written. The directories above belong to whoever chose the place. Not here: what the file says.

use crate::input::{self, Input, InputError};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Permissions that neither the file nor its directory may give: to change it, to the group or to everybody.
const FORBIDDEN: u32 = 0o022;
/// Bytes of a file that is read: a line for each file of the largest machine takes a tenth of it.
const SAVED_BYTES_MAX: u64 = 4 << 20;
/// Permissions of a directory that is made.
const DIRECTORY_MODE: u32 = 0o700;
/// Permissions of a file that is made.
const FILE_MODE: u32 = 0o600;

/// The text of `file`, which lies in `directory`; `None` if there is no such file or directory.
///
/// # Errors
/// Either belongs to another user, can be written by others, or is a link; or reading fails.
pub(super) fn read(directory: &Path, file: &Path) -> io::Result<Option<String>> {
    let opened = directory_checked(directory)
        .and_then(|()| OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(file));
    let opened = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let metadata = opened.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a file"));
    }
    checked(&metadata)?;
    let text = Input::file(SAVED_BYTES_MAX).read_opened(opened).and_then(input::text);
    text.map(Some).map_err(|error| match error {
        InputError::Io(error) => error,
        error => io::Error::other(error),
    })
}

/// Makes `text` the content of `file`, at once, and its directory if it is missing.
///
/// # Errors
/// A directory that cannot be made or belongs to others, or a file that cannot be written; then the old one is whole.
pub(super) fn replace(file: &Path, text: &str) -> io::Result<()> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make(directory)?;
    directory_checked(directory)?;
    let new = file.with_extension("new");
    // Of a run that was cut off.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Without a sync: after a crash of the machine the values are of an earlier boot.
    made(&new)?.write_all(text.as_bytes())?;
    std::fs::rename(&new, file)
}

fn make(directory: &Path) -> io::Result<()> {
    if let Some(above) = directory.parent() {
        std::fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// `create_new` is `O_EXCL`.
fn made(file: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).custom_flags(libc::O_NOFOLLOW).open(file)
}

fn directory_checked(directory: &Path) -> io::Result<()> {
    let metadata = std::fs::symlink_metadata(directory)?;
    if !metadata.is_dir() {
        return Err(io::Error::other(format!("{} is not a directory", directory.display())));
    }
    checked(&metadata).map_err(|error| io::Error::other(format!("its directory: {error}")))
}

fn checked(metadata: &Metadata) -> io::Result<()> {
    let (user, mode) = (effective_user()?, metadata.mode() & 0o777);
    if metadata.uid() != user {
        return Err(io::Error::other(format!("belongs to user {}, and is not trusted by user {user}", metadata.uid())));
    }
    if mode & FORBIDDEN != 0 {
        return Err(io::Error::other(format!("others may write it (mode {mode:03o}), so it is not trusted")));
    }
    Ok(())
}

/// The second number of `Uid:` (proc_pid_status(5)).
fn effective_user() -> io::Result<u32> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let user = users.and_then(|users| users.split_whitespace().nth(1)?.parse().ok());
    user.ok_or_else(|| io::Error::other("/proc/self/status does not say whose process this is"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn what_is_kept_is_for_its_owner_alone() {
        let above = directory();
        let directory = above.path().join("deep/state");
        let file = directory.join("saved");
        assert_eq!(read(&directory, &file).unwrap(), None);
        replace(&file, "one").unwrap();
        replace(&file, "two").unwrap();
        assert_eq!(read(&directory, &file).unwrap().as_deref(), Some("two"));
        assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
    }

    #[test]
    fn what_others_could_have_written_is_refused() {
        let directory = directory();
        let file = directory.path().join("saved");
        replace(&file, "text").unwrap();
        set_mode(&file, 0o620);
        assert!(read(directory.path(), &file).unwrap_err().to_string().contains("mode 620"));
        set_mode(&file, 0o600);
        set_mode(directory.path(), 0o777);
        assert!(read(directory.path(), &file).unwrap_err().to_string().contains("its directory"));
        assert!(replace(&file, "other").is_err());
        set_mode(directory.path(), 0o700);
        assert_eq!(read(directory.path(), &file).unwrap().as_deref(), Some("text"));
    }

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        if effective_user().unwrap() != 0 {
            eprintln!("skipped: only root can give a file to another user");
            return;
        }
        let directory = directory();
        let file = directory.path().join("saved");
        replace(&file, "text").unwrap();
        chown(&file, Some(65534), None).unwrap();
        assert!(read(directory.path(), &file).unwrap_err().to_string().contains("belongs to user 65534"));
        chown(&file, Some(0), None).unwrap();
        chown(directory.path(), Some(65534), None).unwrap();
        assert!(read(directory.path(), &file).is_err() && replace(&file, "other").is_err());
    }

    #[test]
    fn links_are_not_followed() {
        let directory = directory();
        let (file, elsewhere) = (directory.path().join("saved"), directory.path().join("elsewhere"));
        std::fs::write(&elsewhere, "theirs").unwrap();
        symlink(&elsewhere, &file).unwrap();
        assert!(read(directory.path(), &file).is_err());
        symlink(&elsewhere, file.with_extension("new")).unwrap();
        replace(&file, "mine").unwrap();
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "theirs");
        assert_eq!(read(directory.path(), &file).unwrap().as_deref(), Some("mine"));
        let linked = directory.path().join("linked");
        symlink(directory.path(), &linked).unwrap();
        assert!(read(&linked, &linked.join("saved")).is_err() && replace(&linked.join("saved"), "x").is_err());
    }
}
