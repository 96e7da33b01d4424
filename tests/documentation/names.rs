//! Names that pages use: links and their anchors, files, environment variables, metrics.

use crate::page::{Page, Span, files, pages, pages_and_comments, root};
use crate::support::{DEADLINE, Server};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;

/// Directories of the repository that sentences name files of.
const DIRECTORIES: [&str; 13] = [
    ".ci",
    "benches",
    "client",
    "deploy",
    "docs",
    "fuzz",
    "fuzz_targets",
    "loadgen",
    "src",
    "tests",
    "tuning",
    "web",
    "wire",
];

/// Pages that tell history: names in them were right when they were written.
const HISTORY: [&str; 2] = ["CHANGELOG.md", "docs/decisions/"];

fn of_today() -> impl Iterator<Item = Span> {
    let pages = pages_and_comments().into_iter().filter(|page| !HISTORY.iter().any(|past| page.path.starts_with(past)));
    pages.flat_map(|page| page.spans)
}

#[test]
fn every_link_leads_somewhere() {
    let pages: BTreeMap<_, _> = pages().into_iter().map(|page| (page.path.clone(), page)).collect();
    let mut broken = Vec::new();
    for page in pages.values() {
        for (line, link) in page.links.iter().filter(|(_, link)| !link.contains("://")) {
            broken.extend(wrong_link(&pages, page, link).map(|wrong| format!("{}:{line}: {link}: {wrong}", page.path)));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn wrong_link(pages: &BTreeMap<String, Page>, page: &Page, link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target =
        if path.is_empty() { root().join(&page.path) } else { root().join(&page.path).parent().unwrap().join(path) };
    let Ok(target) = target.canonicalize() else { return Some("there is no such file".into()) };
    let anchor = anchor?;
    let target = target.strip_prefix(root().canonicalize().unwrap()).unwrap().to_str().unwrap().to_owned();
    let target = pages.get(&target);
    let is_there = target.is_some_and(|target| target.anchors.iter().any(|name| name == anchor));
    (!is_there).then(|| "there is no such heading".into())
}

#[test]
fn broken_links_are_found() {
    let pages: BTreeMap<_, _> = pages().into_iter().map(|page| (page.path.clone(), page)).collect();
    let page = &pages["docs/WIRE.md"];
    for link in ["missing.md", "#nothing", "../README.md#nothing"] {
        assert!(wrong_link(&pages, page, link).is_some(), "{link}");
    }
    for link in ["#ports", "LOG.md", "../README.md#try-it", "../deploy/oci"] {
        assert_eq!(wrong_link(&pages, page, link), None);
    }
}

#[test]
fn every_file_that_is_named_exists() {
    let mut missing = Vec::new();
    let mut named = 0;
    for span in of_today() {
        let word = span.text.split([' ', ';']).next().unwrap_or_default();
        let Some((directory, _)) = word.split_once('/') else { continue };
        if !DIRECTORIES.contains(&directory) || word.contains(['<', '*', '{']) {
            continue;
        }
        named += 1;
        // From the root, or from where the page is: `fuzz_targets/` of fuzz/README.md.
        let beside = Path::new(&span.place).parent().unwrap();
        if !root().join(word).exists() && !root().join(beside).join(word).exists() {
            missing.push(format!("{}: {word}", span.place));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(named > 20, "{named}");
}

#[test]
fn every_environment_variable_is_read_by_something() {
    let sources: String = ["src", "tests", "web", "loadgen/src", ".ci"]
        .iter()
        .flat_map(|directory| files(&root().join(directory)))
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .collect();
    let knobs = uproar::config::Config::default_toml();
    let mut named = 0;
    for span in of_today() {
        let names =
            span.text.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter(|word| word.starts_with("UPROAR_"));
        for name in names.filter(|name| !name.ends_with('_')) {
            named += 1;
            assert!(sources.contains(name) || knobs.contains(name), "{}: nothing reads {name}", span.place);
        }
    }
    assert!(named > 1, "{named}");
}

#[test]
fn every_metric_that_is_named_is_on_the_page() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let pages = [server.metrics(), server.shard_metrics()];
    let lines: Vec<_> = pages.iter().flat_map(|page| page.page().lines()).collect();
    let mut unknown = Vec::new();
    let mut named = 0;
    for span in of_today() {
        let words = span.text.split(|c: char| !c.is_ascii_lowercase() && !"_{}=\",".contains(c));
        for word in words.filter(|word| word.starts_with("uproar_") || word.starts_with("process_")) {
            let (name, labels) = word.split_once('{').unwrap_or((word, ""));
            named += 1;
            let labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
            let is_such = |line: &&&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
            if !lines.iter().any(|line| is_such(&line)) {
                unknown.push(format!("{}: {word}", span.place));
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    assert!(named > 80, "{named}");
}

/// Methods that requests in sentences begin with.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];

/// What is said of a path that a port does not have.
const NO_PATH: &str = "\"code\":\"not_found\"";

/// What one of the ports answers first: the status, and as much as came with it.
fn answer(port: std::net::SocketAddr, method: &str, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(port).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut start = vec![0; 4096];
    let read = stream.read(&mut start).unwrap();
    String::from_utf8_lossy(&start[..read]).into_owned()
}

#[test]
fn every_request_that_is_named_is_one_that_a_port_takes() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let mut wrong = Vec::new();
    let mut named = 0;
    for span in of_today() {
        let Some((method, path)) = span.text.split_once(' ') else { continue };
        let path = path.replace("{room}", "1").replace("{id}", "1");
        if !METHODS.contains(&method) || !path.starts_with('/') || path.contains(['{', '*', ' ']) {
            continue;
        }
        named += 1;
        let is_taken = |answer: String| !answer.contains(NO_PATH) && !answer.starts_with("HTTP/1.1 405 ");
        if ![server.http(), server.admin()].into_iter().any(|port| is_taken(answer(port, method, &path))) {
            wrong.push(format!("{}: {}", span.place, span.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(named > 25, "{named}");
    assert!(answer(server.http(), "GET", "/v1/nothing").contains(NO_PATH), "it would be found");
}
