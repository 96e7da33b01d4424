//! `docs/FAILURES.md` names tests and metrics: they exist.

use crate::support::Server;
use std::collections::BTreeSet;
use std::path::Path;

/// What the document says in code spans.
fn spans() -> BTreeSet<&'static str> {
    let document = include_str!("../../docs/FAILURES.md");
    document.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_test_it_names_exists() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut named = 0;
    for span in spans() {
        let path: Vec<&str> = span.split("::").collect();
        let file = match path[..] {
            ["reaction_path", _] => tests.join("reaction_path.rs"),
            ["reaction_path", module, _] => tests.join(module).join("mod.rs"),
            [target @ ("failures" | "loopback"), file, _] => tests.join(target).join(file).with_extension("rs"),
            ["programs", file, _] => tests.join("../loadgen/tests/programs").join(file).with_extension("rs"),
            _ => continue,
        };
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{span}: {error}"));
        let name = path[path.len() - 1];
        assert!(text.contains(&format!("#[test]\nfn {name}()")), "no test {span}");
        named += 1;
    }
    assert!(named >= 20, "{named}");
}

#[test]
fn every_metric_it_names_is_on_the_page() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let pages = [server.metrics(), server.shard_metrics()];
    let names = spans().into_iter().filter(|span| span.starts_with("uproar_") || span.starts_with("process_"));
    let mut named = 0;
    for span in names {
        let (name, labels) = span.split_once('{').unwrap_or((span, "}"));
        let labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
        let is_such = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
        let is_there = pages.iter().any(|page| page.page().lines().any(|line| is_such(&line)));
        assert!(is_there, "no series {span}");
        named += 1;
    }
    assert!(named >= 8, "{named}");
}
