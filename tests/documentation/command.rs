//! Command lines: those of Uproar are read by its own parsers, those of cargo are held against its help and the targets of
//! the workspace, and of all others the files that they name exist.

use crate::kind::{Kind, examples};
use crate::page::{Page, files, pages_and_comments, read, root};
use crate::shell;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::LazyLock;

/// Programs of the system that examples use: what they are given is theirs to judge, but for files of this repository and
/// units of the package.
const SYSTEM: &[&str] = &[
    "apt",
    "cat",
    "cd",
    "cp",
    "curl",
    "debootstrap",
    "docker",
    "editor",
    "ethtool",
    "export",
    "git",
    "grep",
    "head",
    "hostname",
    "install",
    "journalctl",
    "kill",
    "less",
    "nft",
    "node",
    "npx",
    "openssl",
    "perf",
    "printf",
    "promtool",
    "rustup",
    "sed",
    "sleep",
    "ssh",
    "sysctl",
    "systemctl",
    "systemd-sysusers",
    "tee",
    "ulimit",
    "xxd",
];
/// Where files of the repository lie, as examples name them.
const DIRECTORIES: [&str; 12] =
    [".ci", "benches", "client", "deploy", "docs", "fuzz", "loadgen", "src", "tests", "tuning", "web", "wire"];
/// Words of `systemctl` before a unit.
const VERBS: [&str; 8] = ["disable", "edit", "enable", "reload", "restart", "start", "status", "stop"];
/// Subcommands of cargo that others install.
const PLUGINS: [&str; 3] = ["deb", "fuzz", "deny"];

/// Whether examples may use a program.
pub(crate) fn is_known(program: &str) -> bool {
    SYSTEM.contains(&program) || ["uproar", "uproar-loadgen", "cargo"].contains(&program) || is_of_repository(program)
}

/// A path whose first part is a directory of the repository.
fn is_of_repository(word: &str) -> bool {
    word.split_once('/').is_some_and(|(directory, _)| DIRECTORIES.contains(&directory))
}

/// What is wrong with a command line; `whole` when it is meant to be typed as it stands.
pub(crate) fn judge(words: &[String], whole: bool) -> Result<(), String> {
    for word in words.iter().filter(|word| is_of_repository(word)) {
        exists(word)?;
    }
    let args = &words[1..];
    match words[0].as_str() {
        "uproar" => judge_by(&uproar::cli::command(), args, whole),
        "uproar-loadgen" => judge_by(&uproar_loadgen::cli::command(), args, whole),
        "cargo" => judge_cargo(args, whole),
        "systemctl" => judge_systemctl(args),
        program if is_known(program) => Ok(()),
        program => {
            Err(format!("{program} is no program that examples use: see SYSTEM in tests/documentation/command.rs"))
        }
    }
}

/// Files of the repository; `*` stands for any end of a name.
fn exists(word: &str) -> Result<(), String> {
    let (path, rest) = word.split_once('*').unwrap_or((word, ""));
    let is_there = if word.contains('*') {
        let directory = root().join(path.rsplit_once('/').map_or(path, |(directory, _)| directory));
        directory.is_dir() && files(&directory).iter().any(|file| file.to_str().unwrap().ends_with(rest))
    } else {
        root().join(word).exists()
    };
    if is_there { Ok(()) } else { Err(format!("there is no {word}")) }
}

/// By the parser of the program itself.
fn judge_by(parser: &clap::Command, args: &[String], whole: bool) -> Result<(), String> {
    if whole {
        let args = args.iter().filter(|word| *word != "...").map(|word| word.replace("NODE:", "127.0.0.1:"));
        let line = std::iter::once(parser.get_name().to_owned()).chain(args);
        return match parser.clone().try_get_matches_from(line) {
            Err(error) if error.use_stderr() => Err(error.to_string()),
            _ => Ok(()),
        };
    }
    // Part of a line: the subcommands and flags that it names.
    let mut command = parser;
    let mut parent = parser;
    let mut inherited: Vec<&clap::Arg> = Vec::new();
    for word in args {
        // `default | check FILE`: each of them.
        if word == "|" {
            command = parent;
            continue;
        }
        let name = word.trim_start_matches('[').trim_end_matches(']').split('=').next().unwrap();
        if let Some(inner) = command.find_subcommand(name) {
            inherited.extend(command.get_arguments().filter(|arg| arg.is_global_set()));
            (parent, command) = (command, inner);
        } else if let Some(flag) = name.strip_prefix("--") {
            let mut flags = command.get_arguments().chain(inherited.iter().copied());
            let is_builtin = flag == "help" || flag == "version";
            if !is_builtin && !flags.any(|arg| arg.get_long() == Some(flag)) {
                return Err(format!("{} has no flag --{flag}", command.get_name()));
            }
        } else if command.has_subcommands()
            && name.chars().all(|c| c.is_ascii_lowercase())
            && command.is_subcommand_required_set()
        {
            return Err(format!("{} has no subcommand {name}", command.get_name()));
        }
    }
    Ok(())
}

fn judge_systemctl(args: &[String]) -> Result<(), String> {
    let mut words = args.iter().filter(|word| !word.starts_with("--"));
    let verb = words.next().ok_or("no verb")?;
    if verb == "daemon-reload" {
        return Ok(());
    }
    if !VERBS.contains(&verb.as_str()) {
        return Err(format!("systemctl {verb} is used nowhere else: see VERBS"));
    }
    let manifest = read("Cargo.toml");
    for unit in words {
        let is_ours = manifest.contains(&format!("unit-name = \"{unit}\""));
        if !is_ours && unit != "nginx" && unit != "prometheus" {
            return Err(format!("no unit {unit} is in the package"));
        }
    }
    Ok(())
}

/// What `cargo metadata` says: packages, and targets of each by kind.
static TARGETS: LazyLock<BTreeMap<String, Vec<(String, String)>>> = LazyLock::new(|| {
    let output = cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&output).expect("cargo metadata");
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let targets = package["targets"].as_array().unwrap().iter();
            let targets = targets.map(|target| {
                (target["kind"][0].as_str().unwrap().to_owned(), target["name"].as_str().unwrap().to_owned())
            });
            (package["name"].as_str().unwrap().to_owned(), targets.collect())
        })
        .collect()
});

fn cargo(args: &[&str]) -> String {
    // Whatever the caller wants of colours: the text is read here, not looked at.
    let mut command = Command::new(env!("CARGO"));
    let output = command.args(args).current_dir(root()).env("CARGO_TERM_COLOR", "never").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn judge_cargo(args: &[String], whole: bool) -> Result<(), String> {
    let (args, inner) = match args.iter().position(|word| word == "--") {
        Some(at) => (&args[..at], &args[at + 1..]),
        None => (args, &[][..]),
    };
    let args: Vec<_> = args.iter().filter(|word| !word.starts_with('+')).map(String::as_str).collect();
    let Some((subcommand, args)) = args.split_first() else { return Err("no subcommand".into()) };
    if *subcommand == "demo" {
        let line: Vec<_> = std::iter::once("demo").chain(args.iter().copied()).map(str::to_owned).collect();
        return judge_by(&uproar_loadgen::cli::command(), &line, whole);
    }
    if PLUGINS.contains(subcommand) {
        return judge_fuzz(args).filter(|_| *subcommand == "fuzz").map_or(Ok(()), Err);
    }
    let help = cargo(&[subcommand, "--help"]);
    let package = value(args, &["-p", "--package"]).unwrap_or("uproar");
    let targets = TARGETS.get(package).ok_or_else(|| format!("no package {package}"))?;
    for arg in args.iter().filter(|arg| arg.starts_with('-')) {
        let name = arg.split('=').next().unwrap();
        if !help.split_whitespace().any(|word| word.trim_end_matches([',', ']']).trim_start_matches('[') == name) {
            return Err(format!("cargo {subcommand} has no {name}"));
        }
        if let Some(kind) = name.strip_prefix("--").filter(|kind| ["test", "bench", "bin", "example"].contains(kind)) {
            let wanted = value(args, &[name]).ok_or_else(|| format!("--{kind} of nothing"))?;
            if !targets.iter().any(|target| target.0 == kind && target.1 == wanted) {
                return Err(format!("{package} has no {kind} {wanted}"));
            }
        }
    }
    match *subcommand {
        "run" => judge_run(package, args, inner, whole),
        "test" => judge_filter(args),
        "bench" => inner.iter().filter(|flag| flag.starts_with("--")).try_for_each(|flag| is_of_benches(flag)),
        _ => Ok(()),
    }
}

/// What is run by `cargo run`.
fn judge_run(package: &str, args: &[&str], inner: &[String], whole: bool) -> Result<(), String> {
    match package {
        _ if args.contains(&"--example") => Ok(()),
        "uproar" => judge_by(&uproar::cli::command(), inner, whole),
        "uproar-loadgen" => judge_by(&uproar_loadgen::cli::command(), inner, whole),
        package => Err(format!("{package} has no program")),
    }
}

/// The name of a test, or a part of one, behind the flags of `cargo test`.
fn judge_filter(args: &[&str]) -> Result<(), String> {
    let takes_value = ["--test", "--bench", "-p", "--package", "--manifest-path"];
    let is_value = |at: usize| at > 0 && takes_value.contains(&args[at - 1]);
    let filters = args.iter().enumerate().filter(|(at, word)| !word.starts_with('-') && !is_value(*at));
    for (_, filter) in filters {
        let filter = filter.rsplit("::").next().unwrap();
        let names = |text: &str| text.lines().any(|line| line.contains("fn ") && line.contains(filter));
        let sources = ["src", "tests", "wire/src", "loadgen/src"].map(|directory| files(&root().join(directory)));
        let mut sources = sources.into_iter().flatten().filter(|file| file.extension().is_some_and(|end| end == "rs"));
        if !sources.any(|file| file.file_stem().unwrap() == filter || names(&std::fs::read_to_string(&file).unwrap())) {
            return Err(format!("no test has {filter} in its name"));
        }
    }
    Ok(())
}

/// Benches read their own flags: one of them knows this one.
fn is_of_benches(flag: &str) -> Result<(), String> {
    let sources = ["benches", "loadgen/benches"].map(|directory| files(&root().join(directory)));
    let name = flag.trim_start_matches("--");
    let known = sources.into_iter().flatten().any(|file| {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.contains(&format!("\"{flag}\"")) || text.contains(&format!("\"{name}\""))
    });
    if known { Ok(()) } else { Err(format!("no bench reads {flag}")) }
}

/// `cargo fuzz run TARGET`: what is wrong with it.
fn judge_fuzz(args: &[&str]) -> Option<String> {
    let target = args.get(1).filter(|target| target.starts_with(|c: char| c.is_ascii_lowercase()))?;
    let is_there = read("fuzz/Cargo.toml").contains(&format!("name = \"{target}\""));
    (!is_there).then(|| format!("no fuzz target {target}"))
}

fn value<'a>(args: &[&'a str], names: &[&str]) -> Option<&'a str> {
    args.iter().enumerate().find_map(|(at, word)| match word.split_once('=') {
        Some((name, value)) if names.contains(&name) => Some(value),
        _ if names.contains(word) => args.get(at + 1).copied(),
        _ => None,
    })
}

#[test]
fn every_command_line_is_one_that_its_program_takes() {
    let of_sessions = examples(Kind::Session).into_iter().flat_map(|block| {
        let commands = block.text.lines().filter_map(|line| line.strip_prefix("$ ").map(str::to_owned));
        commands.map(|line| (block.place.clone(), line)).collect::<Vec<_>>()
    });
    let of_blocks = examples(Kind::Commands).into_iter().flat_map(|block| {
        let lines = shell::lines(&block.text).into_iter();
        lines.map(|line| (block.place.clone(), line)).collect::<Vec<_>>()
    });
    let mut wrong = Vec::new();
    let mut judged = 0;
    for (place, line) in of_sessions.chain(of_blocks) {
        for words in shell::commands(&line).unwrap_or_else(|| panic!("{place}: a quote is open: {line}")) {
            judged += 1;
            wrong.extend(judge(&words, true).err().map(|error| format!("{place}: {line}\n    {error}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(judged > 60, "{judged}");
}

#[test]
fn every_synopsis_names_flags_that_there_are() {
    let mut wrong = Vec::new();
    for block in examples(Kind::Synopsis) {
        for line in synopses(&block.text) {
            let words = line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            wrong.extend(judge(&words, false).err().map(|error| format!("{}: {line}\n    {error}", block.place)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Lines that are indented go on with the one before; what stands far to the right explains.
fn synopses(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let usage = line.trim_start().split("    ").next().unwrap();
        match lines.last_mut().filter(|_| line.starts_with(' ')) {
            Some(last) => *last += &format!(" {usage}"),
            None => lines.push(usage.to_owned()),
        }
    }
    lines
}

#[test]
fn every_command_in_a_sentence_is_one_that_its_program_takes() {
    let mut wrong = Vec::new();
    let mut judged = 0;
    let spans = |page: Page| page.spans.into_iter();
    for span in pages_and_comments().into_iter().flat_map(spans) {
        let program = span.text.split_whitespace().next().unwrap_or_default();
        if !["uproar", "uproar-loadgen", "cargo", "systemctl"].contains(&program) || span.text == program {
            continue;
        }
        let commands = alternatives(&span.text).into_iter().filter_map(|text| shell::commands(&text)).flatten();
        for words in commands {
            judged += 1;
            wrong.extend(judge(&words, false).err().map(|error| format!("{}: {}\n    {error}", span.place, span.text)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(judged > 60, "{judged}");
}

/// `tune apply|revert` is two commands, and `<file>` stands for a word.
fn alternatives(text: &str) -> Vec<String> {
    let placeholders = text.replace('<', "$").replace('>', "");
    let is_choice = |word: &&str| word.contains('|') && word.len() > 2;
    match placeholders.split(' ').find(is_choice) {
        Some(choice) => choice.split('|').map(|one| placeholders.replacen(choice, one, 1)).collect(),
        None => vec![placeholders],
    }
}

#[test]
fn wrong_command_lines_are_found() {
    for (line, whole) in [
        ("uproar serve --loud", true),
        ("uproar serve --loud", false),
        ("uproar top --once --interval", true),
        ("uproar dance", false),
        ("uproar config check", true),
        ("uproar-loadgen run", true),
        ("uproar-loadgen watch --rooms 1", false),
        ("cargo bench --bench nothing", true),
        ("cargo test --test nothing", true),
        ("cargo test no_such_test_anywhere", true),
        ("cargo run --release -- serve --loud", true),
        ("cargo run -p nothing -- serve", true),
        ("cargo build --loud", true),
        ("cargo demo --minutes 1", true),
        ("cargo +nightly fuzz run nothing", true),
        ("install -m 644 deploy/nothing.service /etc", true),
        ("sh tuning/*.nothing", true),
        ("systemctl reload nothing", true),
        ("dance", true),
    ] {
        let words = line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(judge(&words, whole).is_err(), "{line}");
    }
}
