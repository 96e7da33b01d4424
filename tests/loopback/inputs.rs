//! What can lie at the path of a configuration, a certificate, a key or a key file: whatever it is, a start and a check end with
//! one line that says what is wrong, and a reload leaves the server as it is.

use crate::support::hostile::Identity;
use crate::support::{Ended, Http, Server, Supervisor, http};
use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The places that an operator names.
const PLACES: [&str; 4] = ["uproar.toml", "certificate.pem", "key.pem", "uproar.keys"];
/// Bytes of a file that no machine has the memory for.
const HUGE: u64 = 1 << 40;

/// Files from which a server starts, and in the place of one of them something else.
struct Setup {
    directory: TempDir,
    identity: Identity,
}

impl Setup {
    fn new() -> Self {
        let setup = Self { directory: tempfile::tempdir().unwrap(), identity: Identity::new() };
        // For another account, too.
        std::fs::set_permissions(setup.directory.path(), Permissions::from_mode(0o777)).unwrap();
        setup.restore();
        setup
    }

    fn path(&self, place: &str) -> PathBuf {
        self.directory.path().join(place)
    }

    fn config(&self) -> String {
        self.path("uproar.toml").display().to_string()
    }

    /// Everything is as it should be.
    fn restore(&self) {
        PLACES.iter().for_each(|place| self.clear(place));
        let keys = self.path("uproar.keys").display().to_string();
        let names = "certificate = \"certificate.pem\"\nprivate_key = \"key.pem\"\n";
        std::fs::write(self.path("uproar.toml"), format!("[quic]\n{names}key_file = {keys:?}\n")).unwrap();
        self.identity.copy_to(&self.path("certificate.pem"), &self.path("key.pem"));
        let text = format!("uproar keys 1\n{}\n", "1f".repeat(32));
        std::fs::write(self.path("uproar.keys"), text).unwrap();
        self.protect("uproar.keys");
    }

    fn clear(&self, place: &str) {
        let path = self.path(place);
        // Whatever it is.
        if std::fs::remove_dir(&path).is_err() {
            let _ = std::fs::remove_file(&path);
        }
    }

    fn protect(&self, place: &str) {
        std::fs::set_permissions(self.path(place), Permissions::from_mode(0o600)).unwrap();
    }

    fn serve(&self, launcher: &[&str]) -> Ended {
        Server::begin_by(launcher, &["--config", &self.config()]).wait_for_end()
    }

    fn check(&self, launcher: &[&str]) -> (Option<i32>, String) {
        let config = self.config();
        let line = [launcher, &[env!("CARGO_BIN_EXE_uproar"), "config", "check", &config]].concat();
        let output = Command::new(line[0]).env_clear().args(&line[1..]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

/// Something that lies at a path, and what is said of it.
struct Odd {
    what: &'static str,
    put: fn(&Path),
    said: &'static str,
}

/// What is no file.
const NO_FILES: [Odd; 6] = [
    Odd { what: "a directory", put: |path| std::fs::create_dir(path).unwrap(), said: "it is a directory" },
    Odd { what: "a device", put: |path| symlink("/dev/zero", path).unwrap(), said: "it is a device" },
    Odd { what: "a socket", put: |path| drop(UnixListener::bind(path).unwrap()), said: "it is a socket" },
    Odd { what: "a loop", put: |path| symlink(path, path).unwrap(), said: "symbolic links" },
    Odd { what: "a terminal", put: |path| symlink("/dev/ptmx", path).unwrap(), said: "it is a device" },
    Odd { what: "no directory", put: |path| symlink("/dev/null/below", path).unwrap(), said: "Not a directory" },
];

/// Files that are not what they should be, by place.
fn files(place: &str) -> Vec<Odd> {
    let bytes = |path: &Path| std::fs::write(path, [0xff; 64]).unwrap();
    let empty = |path: &Path| drop(File::create(path).unwrap());
    let huge = |path: &Path| File::create(path).unwrap().set_len(HUGE).unwrap();
    let words = |path: &Path| std::fs::write(path, "hello\n").unwrap();
    let odd = |what, put: fn(&Path), said| Odd { what, put, said };
    match place {
        "uproar.toml" => vec![
            odd("missing", |_| {}, "there is no such file"),
            odd("huge", huge, "it is larger than 16 MiB"),
            odd("bytes", bytes, "line 1 is not UTF-8 text"),
            odd("UTF-16", |path| std::fs::write(path, b"\xff\xfea\0").unwrap(), "it is UTF-16 text"),
            odd("words", words, ":1: "),
            odd("zeros", |path| std::fs::write(path, [0; 64]).unwrap(), ":1: "),
        ],
        "certificate.pem" => vec![
            odd("missing", |_| {}, "there is no such file"),
            odd("huge", huge, "it is larger than 1 MiB"),
            odd("bytes", bytes, "it holds no certificate"),
            odd("empty", empty, "it is empty"),
            odd("words", words, "it holds no certificate"),
        ],
        "key.pem" => vec![
            odd("missing", |_| {}, "there is no such file"),
            odd("huge", huge, "it is larger than 1 MiB"),
            odd("bytes", bytes, "it holds no private key"),
            odd("empty", empty, "it is empty"),
            odd("words", words, "it holds no private key"),
        ],
        _ => vec![
            odd("huge", huge, "it is too long"),
            odd("bytes", bytes, "it is not text"),
            odd("empty", empty, "its first line is another one"),
            odd("words", words, "its first line is another one"),
        ],
    }
}

/// The directory's files with each oddity in each place, one at a time.
fn each_oddity(mut try_it: impl FnMut(&Setup, &str, &str, &str)) {
    let setup = Setup::new();
    for place in PLACES {
        for Odd { what, put, said } in NO_FILES.into_iter().chain(files(place)) {
            setup.restore();
            setup.clear(place);
            put(&setup.path(place));
            if place == "uproar.keys" && setup.path(place).is_file() {
                setup.protect(place);
            }
            try_it(&setup, place, what, said);
        }
    }
}

#[track_caller]
fn assert_refused(setup: &Setup, case: &str, place: &str, said: &str, (code, log): (Option<i32>, &str)) {
    assert_eq!(code, Some(2), "{case}: {log}");
    let errors: Vec<_> = log.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{case}: one line: {log}");
    assert!(errors[0].contains(said), "{case}: {said:?} is not in: {log}");
    // The whole path: whoever reads it need not know where the program was started.
    assert!(errors[0].contains(setup.path(place).to_str().unwrap()), "{case}: {log}");
    assert!(!log.contains("panic"), "{case}: {log}");
}

#[test]
fn whatever_lies_at_a_path_a_start_and_a_check_refuse_it_in_words() {
    let setup = Setup::new();
    assert_eq!(setup.check(&[]), (Some(0), String::new()), "as it should be");
    each_oddity(|setup, place, what, said| {
        let case = format!("{what} in the place of {place}");
        let ended = setup.serve(&[]);
        assert_refused(setup, &case, place, said, (ended.code, &ended.log));
        let (code, log) = setup.check(&[]);
        assert_refused(setup, &format!("check of {case}"), place, said, (code, &log));
    });
}

#[test]
fn whatever_lies_at_a_path_a_reload_refuses_it_and_serves_on() {
    let setup = Setup::new();
    // The log holds lines of one kind back that are too many.
    let supervisor = Supervisor::new();
    let server = supervisor.start(&[], &["--shards", "1", "--window", "100ms", "--config", &setup.config()]);
    assert_eq!(supervisor.next()[0], "READY=1");
    let before = server.resident_kib();
    let setup = &setup;
    for place in &PLACES[..3] {
        for Odd { what, put, said } in NO_FILES.into_iter().chain(files(place)) {
            setup.clear(place);
            put(&setup.path(place));
            server.send_sighup();
            assert_eq!(supervisor.next()[0], "RELOADING=1");
            let status = &supervisor.next()[1];
            let is_refused = status.contains("the last reload was refused: ") && status.contains(said);
            assert!(is_refused, "{what} as {place}: {said:?} is not in: {status}");
            assert_eq!(Http::to(server.http()).ask(&http::get("/readyz")).status, 200);
            setup.restore();
        }
    }
    server.reload("done");
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more than before, with files that say that they are {HUGE} bytes long");
    assert_eq!(server.terminate().code, Some(0));
}

/// Runs a program as an account that may not read everything.
fn as_nobody() -> &'static [&'static str] {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    if is_root { &["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] } else { &[] }
}

#[test]
fn what_may_not_be_read_is_said_to_be_that() {
    let setup = Setup::new();
    // Files that are there for everybody but one.
    for place in ["uproar.toml", "certificate.pem", "key.pem", "uproar.keys"] {
        setup.restore();
        for other in ["uproar.toml", "certificate.pem", "key.pem"] {
            std::fs::set_permissions(setup.path(other), Permissions::from_mode(0o644)).unwrap();
        }
        std::fs::set_permissions(setup.path(place), Permissions::from_mode(0o000)).unwrap();
        // The key file is for its owner alone anyway, so another one is made where it is not in question.
        if place != "uproar.keys" {
            setup.clear("uproar.keys");
        }
        let ended = setup.serve(as_nobody());
        assert_refused(&setup, place, place, "permission denied", (ended.code, &ended.log));
        let (code, log) = setup.check(as_nobody());
        assert_refused(&setup, place, place, "permission denied", (code, &log));
    }
}

#[test]
fn a_key_file_that_cannot_be_made_is_found_by_a_check_too() {
    let setup = Setup::new();
    setup.clear("uproar.keys");
    assert_eq!(setup.check(&[]), (Some(0), String::new()));
    assert!(!setup.path("uproar.keys").exists(), "a check makes nothing");
    let missing = setup.path("missing").join("uproar.keys").display().to_string();
    std::fs::write(setup.path("uproar.toml"), format!("[quic]\nkey_file = {missing:?}\n")).unwrap();
    let (ended, (code, log)) = (setup.serve(&[]), setup.check(&[]));
    assert_refused(&setup, "serve", "missing", "cannot be made: No such file", (ended.code, &ended.log));
    assert_refused(&setup, "check", "missing", "cannot be made: No such file", (code, &log));
}

#[test]
fn a_certificate_and_the_key_of_another_are_found_by_a_check_too() {
    let (setup, other) = (Setup::new(), Identity::new());
    other.copy_to(&setup.path("certificate.pem"), &setup.path("other.pem"));
    let (ended, (code, log)) = (setup.serve(&[]), setup.check(&[]));
    for (code, log) in [(ended.code, ended.log), (code, log)] {
        assert_eq!(code, Some(2), "{log}");
        assert!(
            log.contains("error: quic.certificate and quic.private_key: the key is not that of the certificate"),
            "{log}"
        );
    }
}

#[test]
fn a_pipe_that_nobody_writes_to_does_not_keep_a_start_from_ending() {
    for place in &PLACES[..3] {
        let setup = Setup::new();
        setup.clear(place);
        assert!(Command::new("mkfifo").arg(setup.path(place)).status().unwrap().success());
        let mut server = Server::begin_by(&[], &["--config", &setup.config()]);
        // As long as it waits, it has the pipe open.
        let descriptors = format!("/proc/{}/fd", server.pid());
        let waits = || {
            let mut open = std::fs::read_dir(&descriptors).ok()?.flatten();
            open.any(|file| std::fs::read_link(file.path()).is_ok_and(|path| path == setup.path(place))).then_some(())
        };
        crate::support::eventually(waits, || format!("{place} is not being read"));
        server.send_sigterm();
        let ended = server.wait_for_end();
        assert_eq!((ended.code, ended.drained), (None, None), "{place}: the signal ends it: {}", ended.log);
    }
}

#[test]
fn a_configuration_and_a_key_may_come_through_pipes() {
    let setup = Setup::new();
    let script = r#"PATH=/usr/bin:/bin; cd "$1"; shift; mkfifo config key; cat uproar.toml >config & cat key.pem >key &
        exec "$@" --config config --private-key key"#;
    let directory = setup.directory.path().to_str().unwrap();
    // Paths in a pipe are relative to the working directory.
    let mut server = Server::begin_by(&["/bin/sh", "-c", script, "sh", directory], &["--shards", "1"]);
    assert!(server.comes_up(), "{}", server.log());
    server.send_sigterm();
    assert_eq!(server.wait_for_end().code, Some(0));
}

#[test]
fn paths_of_the_file_are_relative_to_its_directory() {
    let setup = Setup::new();
    let [directory, config] = [setup.directory.path().to_str().unwrap(), "uproar.toml"];
    for (from, config) in [("/", setup.config()), (directory, config.into()), ("/tmp", setup.config())] {
        let launcher = ["/bin/sh", "-c", r#"cd "$1"; shift; exec "$@""#, "sh", from];
        let mut server = Server::begin_by(&launcher, &["--shards", "1", "--config", &config]);
        assert!(server.comes_up(), "from {from}: {}", server.log());
        server.send_sigterm();
        assert_eq!(server.wait_for_end().code, Some(0));
    }
}
