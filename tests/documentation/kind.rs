//! What each block of code is, told by its fence or by what stands in it.
//!
//! A block that is none of these fails [`every_example_is_of_a_kind_that_is_checked`]: give it a kind here, with a check, or
//! name it in [`UNCHECKED`] with the reason.

use crate::page::{Block, Page, pages_and_comments};
use crate::{command, shell};

/// Blocks that nothing checks: the page that each stands on, a part of it, and why.
const UNCHECKED: [(&str, &str, &str); 9] = [
    ("docs/OPERATIONS.md", "5 MiB + shards x 16 MiB", "a formula for people"),
    ("docs/ARCHITECTURE.md", "kernel: SO_REUSEPORT on every port", "a picture"),
    ("docs/ARCHITECTURE.md", "page   index.html, page.js", "a picture"),
    ("docs/WIRE.md", "phone                         node", "a picture of who sends what"),
    ("docs/WIRE.md", "client                                            node", "a picture of who sends what"),
    ("docs/WIRE.md", "subscriber                                             node", "a picture of who sends what"),
    ("docs/WIRE.md", "browser                                                node", "a picture of who sends what"),
    ("deploy/systemd/uproar.service", "/etc/uproar/uproar.toml, certificate.pem", "who owns which file, as a table"),
    ("deploy/systemd/uproar.service", "SupplementaryGroups=ssl-cert  ", "settings for a drop-in, each explained"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Commands, one a line.
    Commands,
    /// Commands behind `$`, and what they print.
    Session,
    /// Commands with what is optional in brackets.
    Synopsis,
    /// What the server prints on standard output.
    ServerOutput,
    /// What `cargo demo` prints.
    DemoOutput,
    /// Lines of the log, as text.
    LogLines,
    Json,
    /// A part of the server's configuration.
    Configuration,
    /// A part of a scenario of the load generator.
    Scenario,
    /// Settings of a systemd unit.
    Unit,
    Yaml,
    Nginx,
    Haproxy,
    Html,
    JavaScript,
    /// A golden sample, with the place and the meaning of its bytes.
    Bytes,
    /// Records of a DNS zone.
    Zone,
    /// One of [`UNCHECKED`].
    Unchecked,
}

/// Every block of a kind, with the page that it stands on.
pub(crate) fn examples(kind: Kind) -> Vec<Block> {
    let of_page = |page: Page| {
        let blocks = page.blocks.into_iter().filter(move |block| kind_of(&page.path, block) == Some(kind));
        blocks.collect::<Vec<_>>()
    };
    let found: Vec<_> = pages_and_comments().into_iter().flat_map(of_page).collect();
    assert!(!found.is_empty(), "no example is of the kind {kind:?}: its check checks nothing");
    found
}

/// What a block of a page is; None when it is of no known kind.
pub(crate) fn kind_of(page: &str, block: &Block) -> Option<Kind> {
    let text = block.text.as_str();
    if UNCHECKED.iter().any(|(path, part, _)| page == *path && text.contains(part)) {
        return Some(Kind::Unchecked);
    }
    match block.language.as_str() {
        "" => kind_of_text(page, text),
        "sh" | "console" if text.starts_with("$ ") => Some(Kind::Session),
        "sh" | "console" => Some(Kind::Commands),
        "json" => Some(Kind::Json),
        "toml" => Some(toml_of(page)),
        "yaml" => Some(Kind::Yaml),
        "nginx" => Some(Kind::Nginx),
        "haproxy" => Some(Kind::Haproxy),
        "html" => Some(Kind::Html),
        "js" => Some(Kind::JavaScript),
        _ => None,
    }
}

fn kind_of_text(page: &str, text: &str) -> Option<Kind> {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let first = *lines.first()?;
    let all = |is: &dyn Fn(&str) -> bool| lines.iter().all(|line| is(line));
    let kinds: [(Kind, &dyn Fn() -> bool); 12] = [
        (Kind::Session, &|| first.starts_with("$ ")),
        (Kind::Synopsis, &|| text.contains("[--")),
        (Kind::Commands, &|| shell::lines(text).iter().all(|line| is_command(line))),
        (Kind::ServerOutput, &|| first.starts_with("listening ") || first.starts_with("drained ")),
        (Kind::DemoOutput, &|| first.starts_with("watch and tap: ") || first.starts_with("in frames ")),
        (Kind::LogLines, &|| first.split_once('T').is_some_and(|(day, _)| is_day(day))),
        (Kind::Json, &|| first.starts_with('{')),
        (Kind::Bytes, &|| {
            first.split("  ").next().unwrap().split(' ').all(|byte| u8::from_str_radix(byte, 16).is_ok())
        }),
        (Kind::Zone, &|| all(&|line| line.contains(" A ") || line.contains(" CNAME "))),
        (Kind::Unit, &|| {
            all(&|line| line == "[Service]" || line.split_once('=').is_some_and(|(name, _)| is_setting(name)))
        }),
        (toml_of(page), &|| text.parse::<toml::Table>().is_ok()),
        (Kind::Yaml, &|| first.ends_with(':')),
    ];
    kinds.into_iter().find(|(_, is)| is()).map(|(kind, _)| kind)
}

fn toml_of(page: &str) -> Kind {
    if page.starts_with("loadgen/") { Kind::Scenario } else { Kind::Configuration }
}

fn is_command(line: &str) -> bool {
    let commands = shell::commands(line).unwrap_or_default();
    // A line of nothing but a comment belongs to the commands around it.
    line.trim_start().starts_with('#')
        || !commands.is_empty() && commands.iter().all(|words| command::is_known(&words[0]))
}

/// `2026-11-22`.
fn is_day(text: &str) -> bool {
    text.split('-').count() == 3 && text.chars().all(|c| c.is_ascii_digit() || c == '-')
}

/// `LimitNOFILE`, and not `window`.
fn is_setting(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

#[test]
fn every_example_is_of_a_kind_that_is_checked() {
    let mut unknown = Vec::new();
    let mut unchecked = Vec::new();
    for page in pages_and_comments() {
        for block in &page.blocks {
            match kind_of(&page.path, block) {
                Some(Kind::Unchecked) => unchecked.push(page.path.clone()),
                Some(_) => {}
                None => unknown.push(format!("{} ({:?}):\n{}", block.place, block.language, block.text)),
            }
        }
    }
    let remedy = "classify it in tests/documentation/kind.rs, with a check";
    assert!(unknown.is_empty(), "an example of a kind that nothing checks: {remedy}:\n\n{}", unknown.join("\n"));
    assert_eq!(unchecked.len(), UNCHECKED.len(), "{unchecked:?}: take what is gone out of UNCHECKED");
}

#[test]
fn kinds_are_told_apart() {
    for (text, kind) in [
        ("cargo test\n", Some(Kind::Commands)),
        ("sudo tee x <y | sh -c z\n", None),
        ("dance --wildly\n", None),
        ("$ curl http://localhost\n{}\n", Some(Kind::Session)),
        ("[web]\npage = false\n", Some(Kind::Configuration)),
        ("LimitNOFILE=1\n", Some(Kind::Unit)),
        ("two words\n", None),
        ("07 00 00 00   7  room 7\n", Some(Kind::Bytes)),
        ("{\"a\":1}\n", Some(Kind::Json)),
    ] {
        let block = Block { place: String::new(), language: String::new(), text: text.into(), introduced_by: vec![] };
        assert_eq!(kind_of("docs/WIRE.md", &block), kind, "{text}");
        let block = Block { language: "cobol".into(), ..block };
        assert_eq!(kind_of("docs/WIRE.md", &block), None);
    }
}
