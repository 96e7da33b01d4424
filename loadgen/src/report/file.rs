//! Files of results.
//!
//! Invariant: a file has its old content or all of the new one, at any moment at which the process may be killed. What is no
//! regular file, such as `/dev/stdout` or a pipe, is written as it comes.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What files may be opened for, before the process's mask takes from it.
const MODE: u32 = 0o666;

/// Writes a file, in place of what it had.
///
/// # Errors
/// When it cannot be written; it has its old content then, unless it is no regular file.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some(place) = Place::of(path)? else { return write_in_place(path, bytes) };
    let mut new = match place.create() {
        Ok(new) => new,
        // The file may be written, and its directory may not.
        Err(_) if place.permissions.is_some() => return write_in_place(path, bytes),
        Err(error) => return Err(error),
    };
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    match new.persist(&place.file) {
        Ok(_) => Ok(()),
        // A file that is mounted by itself cannot be replaced, nor one of another account in a directory such as /tmp.
        Err(error) if place.permissions.is_some() && cannot_replace(&error.error) => write_in_place(path, bytes),
        Err(error) => Err(error.error),
    }
}

fn cannot_replace(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::PermissionDenied)
}

/// Whether a file can be written later. Leaves nothing behind.
///
/// # Errors
/// Why not.
pub fn check(path: &Path) -> io::Result<()> {
    match Place::of(path)? {
        Some(place) if place.permissions.is_none() => place.create().map(drop),
        Some(_) => OpenOptions::new().append(true).open(path).map(drop),
        // Opening a pipe would wait for its reader.
        None => Ok(()),
    }
}

/// Where a regular file is, or is to be.
struct Place {
    /// Not a link: a link stays one.
    file: PathBuf,
    /// Of the file that is there.
    permissions: Option<Permissions>,
}

impl Place {
    /// None for what is there and no regular file.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(found) if found.is_file() => {
                Ok(Some(Self { file: fs::canonicalize(path)?, permissions: Some(found.permissions()) }))
            }
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // What a dangling link names is made.
                let file = fs::read_link(path).map_or_else(|_| path.to_owned(), |link| beside(path).join(link));
                Ok(Some(Self { file, permissions: None }))
            }
            Err(error) => Err(error),
        }
    }

    fn create(&self) -> io::Result<tempfile::NamedTempFile> {
        let mut name = std::ffi::OsString::from(".");
        name.push(self.file.file_name().unwrap_or_default());
        name.push(".");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&name).suffix(".part").permissions(Permissions::from_mode(MODE));
        let new = builder.tempfile_in(beside(&self.file))?;
        if let Some(permissions) = &self.permissions {
            new.as_file().set_permissions(permissions.clone())?;
        }
        Ok(new)
    }
}

/// The directory that a file is in.
fn beside(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn write_in_place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_one_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        check(&path).unwrap();
        assert!(!path.exists(), "checking makes no file");
        write(&path, b"old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        // A process that has the old file open still reads it to its end.
        let mut reader = File::open(&path).unwrap();
        check(&path).unwrap();
        write(&path, b"new and longer").unwrap();
        assert_eq!(io::read_to_string(&mut reader).unwrap(), "old");
        assert_eq!(fs::read(&path).unwrap(), b"new and longer");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("latest"), folder.path().join("today"));
        std::os::unix::fs::symlink("today", &link).unwrap();
        for text in ["first", "second"] {
            write(&link, text.as_bytes()).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
    }

    #[test]
    fn what_is_no_file_is_written_or_refused_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write(Path::new("/dev/full"), b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
        write(Path::new("/dev/null"), b"x").unwrap();
        for wrong in [folder.path().to_owned(), folder.path().join("no/report.json")] {
            assert!(check(&wrong).is_err() && write(&wrong, b"x").is_err(), "{}", wrong.display());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
