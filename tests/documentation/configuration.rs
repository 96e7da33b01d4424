//! Configuration in the documentation, judged by `uproar config check`, and scenarios, by the load generator's parser.

use crate::checker::{checker, objection as program_objects};
use crate::kind::{Kind, examples};
use crate::page::{Block, Page, files, pages_and_comments, read, root};
use crate::support::Server;
use std::path::Path;
use std::process::Command;
use uproar::config::Config;
use uproar_client::{Client, Trust};
use uproar_loadgen::scenario::Scenario;

/// Where the examples have their files, and the pairs of certificate and key that they name.
const DIRECTORIES: [&str; 2] = ["/etc/uproar/", "/var/lib/uproar/"];
const KEYS: [&str; 2] = ["key.pem", "private_key.pem"];

/// A directory with a certificate and its key, under each of the names that examples have for it.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(directory.path().join("certificate.pem"), made.cert.pem()).unwrap();
    for key in KEYS {
        std::fs::write(directory.path().join(key), made.signing_key.serialize_pem()).unwrap();
    }
    directory
}

/// What `uproar config check` says against a part of a configuration.
fn objection(directory: &Path, toml: &str) -> Option<String> {
    let here = format!("{}/", directory.display());
    let toml = DIRECTORIES.iter().fold(toml.to_owned(), |toml, there| toml.replace(there, &here));
    let file = directory.join("uproar.toml");
    std::fs::write(&file, &toml).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_uproar"));
    let output = command.env_clear().args(["config", "check"]).arg(&file).current_dir(directory).output().unwrap();
    (!output.status.success()).then(|| format!("{}\n{toml}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn every_part_of_a_configuration_is_valid() {
    let directory = directory();
    for block in examples(Kind::Configuration) {
        // The sentence before a block may name the section that its lines belong to.
        let is_section = |span: &&String| span.starts_with('[') && span.ends_with(']');
        let section = block.introduced_by.iter().find(is_section).filter(|_| !block.text.starts_with('['));
        let text = format!("{}\n{}", section.map_or("", String::as_str), block.text);
        assert_eq!(objection(directory.path(), &text), None, "{}", block.place);
    }
    for file in ["deploy/nodes/uproar.toml", "deploy/debian/uproar.toml"] {
        assert_eq!(objection(directory.path(), &read(file)), None, "{file}");
    }
    assert!(objection(directory.path(), "[web]\npages = false").is_some());
}

/// What the page says about an authority for a trial, typed; a client that trusts only that one connects.
#[test]
fn a_certificate_for_a_trial_is_made_as_the_page_says() {
    let Some(openssl) = checker("openssl") else { return };
    drop(openssl);
    let makes = |block: &Block| block.text.contains("openssl ") && block.text.contains("-out certificate.pem");
    let block = examples(Kind::Commands).into_iter().find(makes).expect("how a certificate is made");
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(program_objects(Command::new("sh").args(["-e", "-c", &block.text]).current_dir(&directory)), None);
    let [certificate, key, authority] =
        ["certificate.pem", "key.pem", "ca.pem"].map(|name| directory.path().join(name));
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().unwrap());
    let server = Server::start(&["--shards", "1", "--certificate", certificate, "--private-key", key]);
    let trust = Trust::roots_from_pem(&std::fs::read(authority).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (name, connects) in [("taps.example.com", true), ("localhost", false)] {
        let connected = runtime.block_on(Client::connect(server.quic(), name, trust.clone()));
        assert_eq!(connected.is_ok(), connects, "{}: {name}: {:?}", block.place, connected.err());
    }
}

/// The default file shows values for what has none, and rooms, as comments.
#[test]
fn what_the_default_file_shows_as_a_comment_is_valid() {
    let directory = directory();
    let default = Config::default_toml();
    let all: Vec<_> = default.lines().map(|line| shown(line).unwrap_or(line)).collect();
    assert_eq!(objection(directory.path(), &all.join("\n")), None);
    assert!(default.lines().filter_map(shown).count() > 8);
}

/// A line of TOML behind a comment's sign.
fn shown(line: &str) -> Option<&str> {
    let inner = line.strip_prefix("# ")?;
    let is_value =
        inner.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    (is_value || inner.starts_with(['[', ']']) || inner.starts_with("    {")).then_some(inner)
}

#[test]
fn every_value_in_a_sentence_is_valid() {
    let directory = directory();
    let defaults: toml::Table = uncommented().parse().unwrap();
    let mut judged = 0;
    for span in pages_and_comments().into_iter().flat_map(|page: Page| page.spans) {
        let Some((key, _)) = span.text.split_once(" = ") else { continue };
        let section = key.split('.').next().unwrap();
        if !defaults.contains_key(section) || !key.chars().all(|c| c.is_ascii_lowercase() || "._".contains(c)) {
            continue;
        }
        judged += 1;
        // On a node as it should be: `strict = true` refuses one without a certificate.
        let names_it = [("certificate", "certificate.pem"), ("private_key", "key.pem")];
        let names_it = names_it.map(|(key, file)| format!("quic.{key} = \"{file}\"\n"));
        let rest = names_it.iter().filter(|line| line.split(" = ").next() != Some(key)).map(String::as_str);
        assert_eq!(
            objection(directory.path(), &format!("{}\n{}", span.text, rest.collect::<String>())),
            None,
            "{}",
            span.place
        );
    }
    assert!(judged > 3, "{judged}");
}

/// The default file with every knob in it, also those without a default.
fn uncommented() -> String {
    let default = Config::default_toml();
    let lines = default.lines().map(|line| match line.strip_prefix("# ") {
        Some(inner) if inner.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) && !inner.contains('[') => {
            inner
        }
        _ => line,
    });
    let lines: Vec<_> = lines.take_while(|line| !line.starts_with("# [[")).collect();
    lines.join("\n")
}

/// Sections and knobs that a page means: of scenarios, on the pages of the load generator.
fn knobs_of(place: &str) -> toml::Table {
    let text = if place.starts_with("loadgen/") { read("loadgen/scenarios/reference.toml") } else { uncommented() };
    text.parse().unwrap()
}

#[test]
fn every_knob_that_is_named_is_one() {
    let mut named = 0;
    let mut unknown = Vec::new();
    for span in pages_and_comments().into_iter().flat_map(|page: Page| page.spans) {
        let knobs = knobs_of(&span.place);
        let key = span.text.split(" = ").next().unwrap();
        let mut parts = key.split('.');
        let (section, name, rest) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let (Some(toml::Value::Table(section)), Some(name), None) = (knobs.get(section), name, rest) else { continue };
        // `web.page` is a knob, `http.rs` a file.
        if name.chars().all(|c| c.is_ascii_lowercase() || c == '_') && name != "rs" {
            named += 1;
            unknown.extend((!section.contains_key(name)).then(|| format!("{}: {key}", span.place)));
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(named > 60, "{named}");
}

#[test]
fn every_scenario_is_one_that_the_load_generator_plays() {
    for block in examples(Kind::Scenario) {
        assert!(Scenario::parse(&block.text).is_ok(), "{}: {:?}", block.place, Scenario::parse(&block.text).err());
    }
    for file in files(&root().join("loadgen/scenarios")) {
        assert!(Scenario::load(&file).is_ok(), "{}", file.display());
    }
}
