//! `uproar top` beside a real server: what it prints, how it ends, and that it gives the terminal back.

use crate::support::{DEADLINE, Server, Tapper, eventually, http};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};

/// Runs `uproar top` to its end.
fn top(admin: SocketAddr, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uproar"));
    command.env_clear().args(["top", "--interval=600ms", "--admin"]).arg(admin.to_string()).args(flags);
    command.stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    std::str::from_utf8(&output.stdout).unwrap()
}

/// The exit code, and what standard error says.
fn failure(output: &Output) -> (Option<i32>, &str) {
    assert_eq!(output.stdout, b"", "{output:?}");
    (output.status.code(), std::str::from_utf8(&output.stderr).unwrap())
}

fn tapped_server() -> Server {
    let server = Server::for_gateways(&["--shards=2", "--window=200ms"]);
    Tapper::to(server.reactions()).tap(1, 0, 1234);
    Tapper::to(server.reactions()).send(b"no datagram");
    server.await_metric("uproar_frame_taps_total", 1234);
    server.await_metric("uproar_rejected_total", 1);
    server
}

#[test]
fn once_prints_what_the_server_does() {
    let server = tapped_server();
    let output = top(server.admin(), &["--once"]);
    let text = stdout(&output);
    let head = format!("{}: uproar {}, ready, up ", server.admin(), env!("CARGO_PKG_VERSION"));
    assert!(text.starts_with(&head), "{text}");
    for part in ["1,234 counted, 1,234 in frames", "rejected  0/s; 1 since the start", "rooms: 1\n"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn json_has_the_same_as_numbers() {
    let server = tapped_server();
    let output = top(server.admin(), &["--json"]);
    let figures: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(figures["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&figures["state"], &figures["restarted"]), (&"ready".into(), &false.into()));
    assert_eq!(figures["taps"]["udp"]["total"], 1234);
    assert_eq!(figures["taps"]["udp"]["per_second"], 0.0);
    assert_eq!(figures["taps_in_frames"]["total"], 1234);
    assert_eq!(figures["rejected"]["too_short"]["total"], 1);
    assert!(figures["windows"]["per_second"].as_f64().unwrap() > 0.0, "{figures}");
    assert!(figures["process"]["resident_bytes"].as_u64().unwrap() > 0, "{figures}");
    assert_eq!(figures["shards"].as_array().unwrap().len(), 2);
    assert_eq!((&figures["rooms_count"], &figures["rooms"][0]["id"]), (&1.into(), &1.into()));
}

#[test]
fn looking_on_takes_one_connection() {
    let server = tapped_server();
    let accepted = "uproar_connections_total{proto=\"http\",outcome=\"accepted\"}";
    let before = server.metric(accepted);
    stdout(&top(server.admin(), &["--once"]));
    assert_eq!(server.metric(accepted), before + 1);
}

/// The table of `docs/TOP.md` and the JSON have the same keys.
#[test]
fn every_key_is_documented() {
    let server = tapped_server();
    let output = top(server.admin(), &["--json"]);
    let figures: Value = serde_json::from_str(stdout(&output)).unwrap();
    let page = include_str!("../../docs/TOP.md");
    let documented: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let mut keys: Vec<_> = figures.as_object().unwrap().keys().cloned().collect();
    keys.extend(figures["shards"][0].as_object().unwrap().keys().map(|key| format!("shards[].{key}")));
    keys.extend(figures["process"].as_object().unwrap().keys().map(|key| format!("process.{key}")));
    for key in &keys {
        assert!(documented.contains(&key.as_str()), "{key} is not in docs/TOP.md");
    }
    for key in documented {
        assert!(keys.iter().any(|known| known == key), "docs/TOP.md has {key}, which is no key");
    }
}

#[test]
fn a_server_that_drains_is_said_to() {
    let server = Server::start(&["--shards=1", "--drain-duration=60s"]);
    server.send_sigterm();
    let draining = || (server.ask_admin(&http::get("/readyz")).status == 503).then_some(());
    eventually(draining, || "the node is ready".into());
    let output = top(server.admin(), &["--json"]);
    let figures: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(figures["state"], "draining");
    server.kill();
}

/// Starts `uproar top` with its standard output in a pipe, which nobody clears.
fn pages(admin: &str, environment: &[(&str, &str)]) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uproar"));
    command.env_clear().envs(environment.iter().copied()).args(["top", "--interval=300ms", "--admin", admin]);
    let mut top = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = top.stdout.take().unwrap();
    (top, BufReader::new(stdout))
}

#[test]
fn without_a_terminal_it_prints_page_after_page() {
    let server = tapped_server();
    // By its name.
    let admin = format!("localhost:{}", server.admin().port());
    let (mut top, stdout) = pages(&admin, &[]);
    let head = format!("{admin}: uproar {}, ready, up ", env!("CARGO_PKG_VERSION"));
    let mut lines = stdout.lines().map_while(Result::ok);
    let mut read = Vec::new();
    while read.iter().filter(|line: &&String| line.starts_with(&head)).count() < 3 {
        read.push(lines.next().unwrap_or_else(|| panic!("it ended: {read:?}")));
    }
    assert!(read.iter().all(|line| line.is_ascii() && !line.contains('\u{1b}')), "{read:?}");
    drop(lines);
    let ended = eventually(|| top.try_wait().unwrap(), || "nobody reads it, and it does not end".into());
    assert_eq!(ended.code(), Some(141));
}

#[test]
fn a_locale_of_utf8_has_the_characters_that_others_do_not() {
    let server = Server::start(&["--shards=1"]);
    for (variable, value, is_utf8) in
        [("LANG", "C.UTF-8", true), ("LC_ALL", "en_US.utf8", true), ("LC_ALL", "C", false), ("LANG", "de_DE", false)]
    {
        let (mut top, stdout) = pages(&server.admin().to_string(), &[(variable, value)]);
        // Nobody has connected, so that their latency is unknown.
        let line = stdout.lines().map_while(Result::ok).find(|line| line.starts_with("latency")).unwrap();
        top.kill().unwrap();
        top.wait().unwrap();
        assert_eq!(line.contains('–'), is_utf8, "{variable}={value}: {line}");
        assert_ne!(line.is_ascii(), is_utf8, "{variable}={value}: {line}");
    }
}

#[test]
fn a_server_that_goes_is_said_to_be_gone_and_read_again() {
    let server = Server::start(&["--shards=1"]);
    let admin = server.admin().to_string();
    let (mut top, stdout) = pages(&admin, &[]);
    let mut lines = stdout.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains(", ready, up ")));
    server.kill();
    assert!(lines.any(|line| line.contains("does not answer")));
    let next = Server::start(&["--shards=1", "--admin", &admin]);
    assert!(lines.any(|line| line.contains(", ready, up ")));
    top.kill().unwrap();
    top.wait().unwrap();
    drop(next);
}

#[test]
fn where_nobody_answers_it_fails_and_names_the_flag() {
    // The port is held at one address, so that nobody comes to it at another.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = SocketAddr::from(([127, 9, 9, 9], held.local_addr().unwrap().port()));
    let output = top(nobody, &["--once"]);
    let (code, error) = failure(&output);
    assert_eq!(code, Some(1));
    assert!(error.contains("does not answer") && error.contains("--admin"), "{error}");
}

#[test]
fn a_server_that_is_held_up_is_given_up() {
    let server = Server::start(&["--shards=1"]);
    server.stop();
    let output = top(server.admin(), &["--once"]);
    server.resume();
    let (code, error) = failure(&output);
    assert_eq!(code, Some(1));
    assert!(error.contains("no answer within"), "{error}");
}

#[test]
fn a_port_that_is_not_the_admin_port_is_told_from_it() {
    let server = Server::start(&["--shards=1"]);
    let output = top(server.http(), &["--json"]);
    let (code, error) = failure(&output);
    assert_eq!(code, Some(1));
    assert!(error.contains("not as the admin port"), "{error}");
}

#[test]
fn a_terminal_without_a_cursor_gets_text() {
    let server = tapped_server();
    for term in ["TERM=dumb", "TERM="] {
        let Some(mut terminal) = Terminal::of(&server, &[term, "LC_ALL=C"]) else { return };
        while !terminal.text().contains(&format!("{}: uproar ", server.admin())) {
            assert!(terminal.draws(), "{term}: {}", terminal.text());
        }
        assert!(!terminal.text().contains('\u{1b}') && terminal.text().is_ascii(), "{term}: {}", terminal.text());
        terminal.press(b"\x03");
        while terminal.draws() {}
    }
}

#[test]
fn colours_and_characters_are_those_of_the_terminal() {
    let server = tapped_server();
    let drawn = |environment: &[&str]| {
        let mut terminal = Terminal::of(&server, &[environment, &["TERM=xterm"]].concat())?;
        while !terminal.text().contains("1,234") || !terminal.text().contains("q quit") {
            assert!(terminal.draws(), "{environment:?}: {}", terminal.text());
        }
        terminal.press(b"q");
        while terminal.draws() {}
        Some(terminal.text())
    };
    let Some(plain) = drawn(&["NO_COLOR=1", "LC_ALL=C"]) else { return };
    let coloured = drawn(&["LC_ALL=C.UTF-8"]).unwrap();
    // The foreground of the bars.
    let has_colour = |text: &str| text.contains("\u{1b}[36m") || text.contains("\u{1b}[38;5;6");
    assert!(has_colour(&coloured) && !coloured.is_ascii(), "{coloured:?}");
    assert!(!has_colour(&plain) && plain.is_ascii(), "{plain:?}");
}

#[test]
fn a_terminal_that_goes_away_ends_the_view() {
    let server = tapped_server();
    let directory = tempfile::tempdir().unwrap();
    let code = directory.path().join("code");
    // What runs the view is told that the terminal is gone too, and outlives it to say how the view ended.
    let then = format!("; echo $? > {0}.new; mv {0}.new {0}", code.display());
    let Some(mut terminal) = Terminal::running(&server, &["TERM=xterm"], "trap : HUP;", &then) else { return };
    while !terminal.text().contains("1,234") {
        assert!(terminal.draws(), "{}", terminal.text());
    }
    terminal.script.kill().unwrap();
    let ended = eventually(|| std::fs::read_to_string(&code).ok(), || "the view does not end".into());
    assert_eq!(ended.trim(), "1", "no abort, and no panic");
}

/// A terminal that script(1) makes, with the view on it; it ends with this.
struct Terminal {
    script: Child,
    chunks: mpsc::Receiver<Vec<u8>>,
    drawn: Vec<u8>,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The view is hung up on when its terminal goes.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

impl Terminal {
    /// Shows a server, and waits for its figures. None where there is no script(1).
    fn showing(server: &Server) -> Option<Self> {
        let mut terminal = Self::of(server, &["TERM=xterm"])?;
        while !terminal.text().contains("1,234") {
            assert!(terminal.draws(), "the view ended: {}", terminal.text());
        }
        Some(terminal)
    }

    /// Shows a server, in an environment of these variables.
    fn of(server: &Server, environment: &[&str]) -> Option<Self> {
        Self::running(server, environment, "exec", "")
    }

    /// The same, with something for the shell to do before and afterwards.
    fn running(server: &Server, environment: &[&str], before: &str, then: &str) -> Option<Self> {
        let program = format!("/usr/bin/env -i {} {}", environment.join(" "), env!("CARGO_BIN_EXE_uproar"));
        let view =
            format!("stty rows 24 cols 80; {before} {program} top --interval 300ms --admin {}{then}", server.admin());
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &view, "/dev/null"]).env("TERM", "xterm").env("SHELL", "/bin/sh");
        let mut script = match script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() {
            Ok(script) => script,
            Err(error) => {
                eprintln!("skipped: script(1) makes the terminal, and does not start: {error}");
                return None;
            }
        };
        let chunks = chunks_of(script.stdout.take().unwrap());
        Some(Self { script, chunks, drawn: Vec::new() })
    }

    /// Waits for what the view draws next; false once it has ended.
    fn draws(&mut self) -> bool {
        match self.chunks.recv_timeout(DEADLINE) {
            Ok(chunk) => self.drawn.extend(chunk),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => panic!("nothing is drawn, and it does not end: {}", self.text()),
        }
        true
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.drawn).into_owned()
    }

    fn press(&mut self, key: &[u8]) {
        self.script.stdin.as_mut().unwrap().write_all(key).unwrap();
    }

    /// The process of the view.
    fn view(&self) -> String {
        let script = self.script.id();
        let children = std::fs::read_to_string(format!("/proc/{script}/task/{script}/children")).unwrap();
        children.trim().to_owned()
    }

    /// Waits for the end of the view, and looks whether it has left the terminal as it found it.
    fn assert_given_back(mut self) {
        while self.draws() {}
        assert!(self.script.wait().unwrap().success(), "{}", self.text());
        let text = self.text();
        let (taken, given_back) = (text.find("\u{1b}[?1049h"), text.rfind("\u{1b}[?1049l"));
        assert!(taken.is_some() && taken < given_back, "{text:?}");
    }
}

/// Reads on a thread of its own, so that whoever waits for it can stop waiting.
fn chunks_of(mut stdout: ChildStdout) -> mpsc::Receiver<Vec<u8>> {
    let (sender, chunks) = mpsc::channel();
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(len @ 1..) = stdout.read(&mut chunk) {
            if sender.send(chunk[..len].to_vec()).is_err() {
                break;
            }
        }
    });
    chunks
}

#[test]
fn q_gives_the_terminal_back() {
    let server = tapped_server();
    let Some(mut terminal) = Terminal::showing(&server) else { return };
    terminal.press(b"q");
    terminal.assert_given_back();
}

#[test]
fn sigterm_gives_the_terminal_back() {
    let server = tapped_server();
    let Some(terminal) = Terminal::showing(&server) else { return };
    let kill = format!("kill -TERM {}", terminal.view());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    terminal.assert_given_back();
}
