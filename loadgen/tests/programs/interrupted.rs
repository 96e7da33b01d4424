//! What an interrupted command leaves: a result of what was done until then, or none and no half of one.

use crate::support::{Running, Server, children, eventually, is_gone, launched, loadgen, signal};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

/// Longer than any test, by every way in, with rooms that have to be made.
const MATCH: &str = "name = 'long'\nduration_s = 3600\npeople = 2000\nsections = 10\nreactions_per_second = 300\n\
    [udp]\n[http]\nconnections = 2\n[quic]\nconnections = 2\n[subscribers]\ncount = 5\n\
    [rooms]\nfirst = 5\ncount = 2\ncreate = true\n[limits]\nborder_ms = 250\nlag_p99_ms_max = 60000\n";

/// A run against a server, with all kinds of files.
struct Run {
    folder: TempDir,
    args: Vec<String>,
}

impl Run {
    fn new(server: &Server, scenario: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("results")).unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(file("match.toml"), scenario).unwrap();
        let mut args = vec!["run".to_owned(), file("match.toml")];
        args.extend(
            ["json", "html", "hgrm", "hlog"].map(|kind| format!("--{kind}={}", file(&format!("results/r.{kind}")))),
        );
        args.extend(server.flags());
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        Self { folder, args }
    }

    fn args(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }

    fn start(&self) -> Running {
        Running::start(loadgen(&self.args()))
    }

    /// Names of the files that are there, in order.
    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path().join("results")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("results").join(name)).unwrap()
    }

    /// That there is a whole report of what was sent until it was interrupted.
    fn assert_complete(&self, by: &str) {
        let report: Value = serde_json::from_str(&self.read("r.json")).unwrap();
        assert_eq!(report["interrupted"]["by"], by);
        assert!(report["interrupted"]["after_s"].as_f64().unwrap() < 3600.0);
        let count = |name: &str| report[name].as_u64().unwrap();
        assert!(count("taps_sent") > 0 && count("taps_sent") == count("taps_planned"), "{report}");
        assert_eq!((count("taps_framed"), count("taps_lost")), (count("taps_sent"), 0), "{report}");
        assert_eq!(report["verdict"], "invalid");
        let html = self.read("r.html");
        assert!(html.contains(&format!("interrupted by {by}")) && html.trim_end().ends_with("</html>"));
        assert!(self.read("r.hgrm").contains("#[Max"));
        assert!(self.read("r.hlog").contains("Tag=tap_to_frame"));
        assert!(self.files().iter().all(|name| !name.ends_with(".part")), "{:?}", self.files());
    }
}

fn assert_left_as_it_was(server: &Server) {
    let rooms: Value = serde_json::from_str(&server.get("/v1/rooms")).unwrap();
    let ids: Vec<_> = rooms.as_array().unwrap().iter().map(|room| room["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1], "rooms that were made are deleted");
    server.await_goodbyes();
}

#[test]
fn an_interrupted_run_reports_what_was_sent_and_leaves_in_order() {
    for name in ["INT", "TERM", "HUP"] {
        let server = Server::start();
        let run = Run::new(&server, MATCH, &[]);
        let running = run.start();
        server.await_taps();
        running.signal(name);
        let ended = running.wait();
        assert_eq!(ended.code(), Some(3), "SIG{name}: {ended:?}");
        assert!(ended.out.contains(&format!("interrupted by SIG{name} after ")), "{ended:?}");
        run.assert_complete(&format!("SIG{name}"));
        assert_left_as_it_was(&server);
    }
}

#[test]
fn a_run_whose_terminal_is_gone_still_writes_its_report() {
    let server = Server::start();
    let run = Run::new(&server, MATCH, &[]);
    let (running, stdout, stderr) = Running::unread(loadgen(&run.args()));
    drop((stdout, stderr));
    server.await_taps();
    // Once by the kernel, and once by the shell.
    running.signal("HUP");
    running.signal("HUP");
    assert_eq!(running.wait().code(), Some(3));
    run.assert_complete("SIGHUP");
    assert_left_as_it_was(&server);
}

#[test]
fn a_file_that_cannot_be_written_takes_none_of_the_others_with_it() {
    let server = Server::start();
    let mut run = Run::new(&server, MATCH, &[]);
    let json = run.args.iter_mut().find(|arg| arg.starts_with("--json=")).unwrap();
    "--json=/dev/full".clone_into(json);
    let running = run.start();
    server.await_taps();
    running.signal("INT");
    let ended = running.wait();
    assert_eq!(ended.code(), Some(1), "{ended:?}");
    assert!(ended.err.contains("error: --json /dev/full: "), "{ended:?}");
    assert!(ended.out.contains("interrupted by SIGINT after "), "{ended:?}");
    assert!(run.read("r.html").trim_end().ends_with("</html>"));
    assert!(run.read("r.hlog").contains("Tag=tap_to_frame"));
}

#[test]
fn a_second_signal_ends_a_run_at_once_and_leaves_no_half_of_a_file() {
    let server = Server::start();
    let run = Run::new(&server, MATCH, &[]);
    let running = run.start();
    server.await_taps();
    // Nobody answers what the account is waiting for.
    server.signal("STOP");
    running.signal("INT");
    running.await_err("interrupted: nothing more is sent");
    running.signal("TERM");
    let ended = running.wait();
    server.signal("CONT");
    assert_eq!(ended.code(), Some(128 + 15), "{ended:?}");
    assert_eq!(run.files(), [""; 0]);
}

#[test]
fn a_run_that_is_interrupted_before_the_first_tap_has_no_report() {
    let server = Server::start();
    let start = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() + 3600;
    let run = Run::new(&server, MATCH, &["--start-at", &start.to_string()]);
    let running = run.start();
    // The match is shown, and has not begun.
    running.await_err("00:00 of ");
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(ended.code(), Some(3), "{ended:?}");
    assert!(ended.err.contains("error: interrupted before anything was sent"), "{ended:?}");
    assert_eq!(run.files(), [""; 0]);
    assert_left_as_it_was(&server);
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let server = Server::start();
    let text = MATCH.replace("duration_s = 3600", "duration_s = 4");
    let run = Run::new(&server, &text, &[]);
    let running = Running::start(launched(&["--ignore-signal=HUP"], &run.args()));
    server.await_taps();
    running.signal("HUP");
    let ended = running.wait();
    assert_ne!(ended.code(), Some(3), "{ended:?}");
    let report: Value = serde_json::from_str(&run.read("r.json")).unwrap();
    assert_eq!(report["interrupted"], Value::Null);
}

#[test]
fn an_interrupted_fleet_says_what_it_saw_and_leaves_in_order() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("fleet.json");
    let quic = format!("--quic=localhost:{}", server.quic.port());
    let args = ["fleet", &quic, "--subscribers=20", "--seconds=3600", "--json", json.to_str().unwrap()];
    let running = Running::start(loadgen(&args));
    running.await_out("window ");
    assert!(!Path::new(&json).exists(), "there is no result yet");
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(ended.code(), Some(3), "{ended:?}");
    assert!(ended.out.contains("interrupted by SIGTERM\n20 subscribers, "), "{ended:?}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!((&report["interrupted"], report["windows"].as_array().unwrap().is_empty()), (&"SIGTERM".into(), false));
    server.await_goodbyes();
}

/// What the line of a frame says in which there are taps.
const TAPPED: &str = "intensity 100 %";

/// The demo, once it has invited to its page; and its server.
fn demo() -> (Running, u32) {
    let mut demo = loadgen(&["demo", "--seconds=3600", "--taps-per-second=100", "--shards=1"]);
    // Its server takes no settings from here; without its announcement it would never count as ready.
    demo.env("UPROAR_ANNOUNCE", "false");
    let running = Running::start(demo);
    running.await_out("watch and tap:");
    let server = children(running.pid())[0];
    (running, server)
}

#[test]
fn an_interrupted_demo_shows_what_was_played_and_ends_its_server() {
    let (running, server) = demo();
    running.await_out(TAPPED);
    running.signal("INT");
    let ended = running.wait();
    assert_eq!(ended.code(), Some(3), "{ended:?}");
    assert!(
        ended.out.contains("interrupted by SIGINT after ") && ended.out.contains("taps of visitors: 0\n"),
        "{ended:?}"
    );
    assert!(is_gone(server));
}

#[test]
fn the_server_of_a_demo_that_is_killed_ends() {
    let (running, server) = demo();
    running.signal("KILL");
    assert_eq!(running.wait().code(), None);
    eventually("the server ends", || is_gone(server).then_some(()));
}

#[test]
fn the_server_of_a_demo_whose_reader_has_gone_ends() {
    let (running, stdout, _stderr) =
        Running::unread(loadgen(&["demo", "--seconds=5", "--taps-per-second=100", "--shards=1"]));
    drop(stdout);
    let ended = running.wait();
    // The match is played or not, by when its first line could not be written.
    assert_eq!(ended.code(), Some(141), "{ended:?}");
}

#[test]
fn a_demo_whose_server_is_killed_says_so() {
    let (running, server) = demo();
    running.await_out(TAPPED);
    signal(server, "KILL");
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(ended.code(), Some(1), "{ended:?}");
    assert!(ended.err.contains("error: the appliance ended with signal: 9"), "{ended:?}");
}
