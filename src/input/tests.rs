//! What a path can lead to.

use super::*;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// Nothing below waits this long but what is there to wait for it.
const PATIENCE: Duration = Duration::from_secs(60);
const BRIEF: Duration = Duration::from_millis(20);
const LIMIT: u64 = 1000;

fn place(name: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    (directory, path)
}

fn fifo() -> (TempDir, PathBuf) {
    let (directory, path) = place("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    (directory, path)
}

fn both() -> [Input; 2] {
    [Input::file(LIMIT), Input::file_or_pipe(LIMIT, PATIENCE)]
}

fn refusal(input: Input, path: &Path) -> String {
    input.read(path).expect_err("this is no file").to_string()
}

#[test]
fn a_file_is_read_up_to_its_limit() {
    let (_directory, path) = place("file");
    for input in both() {
        for len in [0, 1, LIMIT as usize] {
            std::fs::write(&path, vec![b'x'; len]).unwrap();
            assert_eq!(input.read(&path).unwrap().len(), len);
        }
        std::fs::write(&path, vec![b'x'; LIMIT as usize + 1]).unwrap();
        assert_eq!(refusal(input, &path), "it is larger than 1000 bytes");
        // One byte a terabyte away costs neither memory nor time.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(refusal(input, &path), "it is larger than 1000 bytes");
        assert!(input.read(Path::new("/proc/self/status")).is_err(), "which says that it is empty, and is longer");
    }
    assert!(!Input::file(1 << 20).read(Path::new("/proc/self/status")).unwrap().is_empty());
}

#[test]
fn what_is_no_file_is_named() {
    let (directory, path) = place("socket");
    let _socket = UnixListener::bind(&path).unwrap();
    let (looped, dangling) = (directory.path().join("looped"), directory.path().join("dangling"));
    symlink(&looped, &looped).unwrap();
    symlink("nowhere", &dangling).unwrap();
    for input in both() {
        assert_eq!(refusal(input, directory.path()), "it is a directory, not a file");
        assert_eq!(refusal(input, &path), "it is a socket, not a file");
        for device in ["/dev/zero", "/dev/urandom", "/dev/full"] {
            assert_eq!(refusal(input, Path::new(device)), "it is a device, not a file", "{device}");
        }
        assert_eq!(refusal(input, &dangling), "there is no such file");
        assert!(refusal(input, &looped).contains("symbolic links"), "{}", refusal(input, &looped));
        assert!(refusal(input, &path.join("below")).contains("Not a directory"));
        assert!(refusal(input, Path::new("a\0b")).contains("NUL"), "{}", refusal(input, Path::new("a\0b")));
    }
    for input in both() {
        assert_eq!(input.read(Path::new("/dev/null")).unwrap(), b"");
    }
}

#[test]
fn a_pipe_is_read_to_its_end_where_it_makes_sense() {
    let (_directory, path) = fifo();
    assert_eq!(refusal(Input::file(LIMIT), &path), "it is a pipe, not a file");
    let input = Input::file_or_pipe(LIMIT, PATIENCE);
    let filled = |parts: &'static [&'static str]| {
        let pipe = path.clone();
        let write = move || {
            // Waits for the reader.
            let mut pipe = OpenOptions::new().write(true).open(pipe).unwrap();
            parts.iter().try_for_each(|part| io::Write::write_all(&mut pipe, part.as_bytes()))
        };
        let writer = std::thread::spawn(write);
        let read = input.read(&path);
        // One whose reader has had enough fails.
        let _ = writer.join().unwrap();
        read
    };
    assert_eq!(filled(&["a", "b", "c"]).unwrap(), b"abc");
    let long: &'static str = "x".repeat(100_000).leak();
    let error = filled(std::slice::from_ref(Box::leak(Box::new(long)))).unwrap_err();
    assert!(matches!(error, InputError::TooLarge { .. }), "{error}");
}

#[test]
fn a_pipe_that_nobody_writes_to_or_closes_is_not_waited_for_without_end() {
    let (_directory, path) = fifo();
    let input = Input::file_or_pipe(LIMIT, BRIEF);
    assert!(matches!(input.read(&path), Err(InputError::Silent(_))), "nobody has opened it");
    let mut writer = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    assert!(matches!(input.read(&path), Err(InputError::Silent(_))), "nobody writes");
    io::Write::write_all(&mut writer, b"half").unwrap();
    let error = input.read(&path).unwrap_err();
    assert!(matches!(error, InputError::Silent(_)), "nobody ends");
    assert!(error.to_string().contains("it is a pipe"), "{error}");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_read_again() {
    let (_directory, path) = place("file");
    std::fs::write(&path, "first").unwrap();
    let file = File::open(&path).unwrap();
    // What it was before somebody wrote to it.
    let before = file.metadata().unwrap();
    std::fs::write(&path, "second").unwrap();
    assert_eq!(Input::file(LIMIT).read_file(file, before).unwrap(), b"second");
}

#[test]
fn text_may_begin_with_a_mark_and_is_utf_8() {
    assert_eq!(text(b"\xef\xbb\xbfa = 1".to_vec()).unwrap(), "a = 1");
    assert_eq!(text(Vec::new()).unwrap(), "");
    assert_eq!(text(b"a\nb\n\xff\n".to_vec()).unwrap_err().to_string(), "line 3 is not UTF-8 text");
    for mark in [b"\xff\xfea\0", b"\xfe\xff\0a"] {
        assert_eq!(text(mark.to_vec()).unwrap_err().to_string(), "it is UTF-16 text; save it as UTF-8");
    }
}

#[test]
fn limits_are_said_as_people_write_them() {
    assert_eq!([1000, 2048, 16 << 20].map(bytes_text), ["1000 bytes", "2 KiB", "16 MiB"]);
}
