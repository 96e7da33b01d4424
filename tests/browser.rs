//! What is served to browsers, in a browser: runs the suites of `web/tests` on Node's own test runner, the last of them
//! in a real Chromium before real server processes.
//!
//! Where something for a suite is missing, it is skipped with a line that says so, or fails when
//! `UPROAR_REQUIRE_BROWSER=1`, which whoever has run `web/install.sh` sets. Not here: what is asserted, which is in
//! those suites.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How long one file of a suite may take, in milliseconds: most take seconds.
const FILE_MAX: &str = "--test-timeout=600000";
/// Oldest node that knows that: major and minor.
const NODE_MIN: (u32, u32) = (20, 11);
/// Names of Chromium, as `web/install.sh` looks for it.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

#[test]
fn the_sdk() {
    run("sdk", node());
}

#[test]
fn what_the_admin_page_computes() {
    run("admin", node());
}

#[test]
fn the_pages_in_a_browser() {
    run("browser", node().and(node_modules()).and(browser()));
}

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("web")
}

/// Node, if it is new enough.
fn node() -> Result<(), String> {
    let version = Command::new("node").args(["--print", "process.versions.node"]).stderr(Stdio::null()).output();
    let version = version.map_err(|error| format!("node: {error}"))?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let is_new = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= NODE_MIN;
    if is_new { Ok(()) } else { Err(format!("node is {version:?}, and 20.11 or newer is needed")) }
}

fn node_modules() -> Result<(), String> {
    let installed = web().join("node_modules/playwright-core/package.json").exists();
    if installed { Ok(()) } else { Err("web/node_modules is not there".into()) }
}

fn browser() -> Result<(), String> {
    if let Some(path) = std::env::var_os("UPROAR_CHROMIUM").filter(|path| !path.is_empty()) {
        return if Path::new(&path).exists() { Ok(()) } else { Err(format!("UPROAR_CHROMIUM: no {}", path.display())) };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| BROWSERS.iter().any(|name| directory.join(name).exists()));
    if found { Ok(()) } else { Err(format!("none of {} is there", BROWSERS.join(", "))) }
}

/// Runs the suite of a directory, unless something that it needs is missing.
fn run(suite: &str, needs: Result<(), String>) {
    if let Err(missing) = needs {
        let skipped = format!("web/tests/{suite} is skipped: {missing}; web/install.sh installs what it needs");
        assert!(std::env::var_os("UPROAR_REQUIRE_BROWSER").is_none_or(|value| value != "1"), "{skipped}");
        // Past the capture of the test harness, which shows nothing of tests that pass.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{skipped}\n").as_bytes());
        return;
    }
    let mut runner = node_that_ends_with_us()
        // Files one after the other: each has servers and a browser of its own, and few cores are enough for one.
        .args(["--test", "--test-reporter=spec", "--test-concurrency=1", FILE_MAX])
        .args(test_files(suite))
        .current_dir(web())
        .env("UPROAR_SERVER", env!("CARGO_BIN_EXE_uproar"))
        .env_remove("NODE_OPTIONS")
        .env_remove("FORCE_COLOR")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut passed = None;
    for line in BufReader::new(runner.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // As it comes with --nocapture, and otherwise where the test fails.
        println!("{line}");
        passed = line.strip_prefix("ℹ pass ").and_then(|count| count.parse::<u32>().ok()).or(passed);
    }
    let status = runner.wait().unwrap();
    assert!(status.success(), "web/tests/{suite}: {status}");
    // A runner that found no test in the files would be content, too.
    assert!(passed.is_some_and(|passed| passed > 0), "web/tests/{suite}: no test ran");
}

/// Node, which the kernel ends when this test's thread is ended, where the program that asks for that is there.
fn node_that_ends_with_us() -> Command {
    const WISH: [&str; 2] = ["--pdeathsig", "KILL"];
    let may_ask = Command::new("setpriv").args(WISH).arg("true").stderr(Stdio::null()).status();
    if !may_ask.is_ok_and(|status| status.success()) {
        return Command::new("node");
    }
    let mut node = Command::new("setpriv");
    node.args(WISH).arg("node");
    node
}

fn test_files(suite: &str) -> Vec<PathBuf> {
    let directory = web().join("tests").join(suite);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_str().is_some_and(|name| name.ends_with(".test.js")));
    files.sort();
    files
}
