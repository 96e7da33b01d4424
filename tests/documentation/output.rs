//! What pages show of the programs' own output, records of DNS, and settings of units.

use crate::command;
use crate::kind::{Kind, examples};
use crate::page::{files, pages, read, root};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// A line without what differs from run to run.
fn normal(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let is_address = word.parse::<SocketAddr>().is_ok();
        if is_address {
            "ADDRESS"
        } else if word.parse::<u64>().is_ok() {
            "NUMBER"
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Everything that a server says on standard output, from start to end.
fn said() -> Vec<String> {
    let ports = ["--reactions", "--quic", "--http", "--admin"].into_iter().flat_map(|port| [port, "127.0.0.1:0"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_uproar"));
    command.env_clear().args(["serve", "--shards", "1"]).args(ports).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = command.spawn().unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap) {
        if line == "ready" {
            let kill = format!("kill -TERM {}", server.id());
            assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        }
        said.push(normal(&line));
    }
    assert!(server.wait().unwrap().success());
    said
}

#[test]
fn the_server_says_what_the_pages_show() {
    let said = said();
    for block in examples(Kind::ServerOutput) {
        let mut rest = said.iter();
        for line in block.text.lines() {
            assert!(rest.any(|said| *said == normal(line)), "{}: {line}, and not {said:?}", block.place);
        }
    }
}

/// Playing the demo takes a minute; that its words are the program's own is told by the sources.
#[test]
fn the_words_of_the_demo_are_in_its_sources() {
    let sources = files(&root().join("loadgen/src"));
    let source = sources.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect::<String>();
    let source = source.split_whitespace().collect::<Vec<_>>().join(" ");
    for block in examples(Kind::DemoOutput) {
        let text = block.text.replace("  ", "\n");
        let phrases = text.split(|c: char| !c.is_alphabetic() && c != ' ').map(str::trim);
        for phrase in phrases.filter(|phrase| phrase.contains(' ')) {
            assert!(source.contains(phrase), "{}: {phrase}", block.place);
        }
    }
}

#[test]
fn lines_of_the_log_name_events_that_there_are() {
    let log = pages().into_iter().find(|page| page.path == "docs/LOG.md").expect("docs/LOG.md");
    for block in examples(Kind::LogLines) {
        let mut words = block.text.split_whitespace().skip(2).filter(|word| word.ends_with(':'));
        let event = words.find(|word| word.contains('_')).expect("an event").trim_end_matches(':');
        assert!(log.spans.iter().any(|span| span.text == event), "{}: {event}", block.place);
    }
}

#[test]
fn records_of_dns_lead_somewhere() {
    for block in examples(Kind::Zone) {
        let records: Vec<Vec<_>> = block.text.lines().map(|line| line.split_whitespace().collect()).collect();
        for record in &records {
            let [name, ttl, kind, value] = record[..] else { panic!("{}: {record:?}", block.place) };
            assert!(name.ends_with('.') && ttl.parse::<u32>().is_ok(), "{}: {record:?}", block.place);
            match kind {
                "A" => assert!(value.parse::<std::net::Ipv4Addr>().is_ok(), "{}: {value}", block.place),
                _ => assert!(records.iter().any(|record| record[0] == value), "{}: {value}", block.place),
            }
        }
    }
}

/// Settings of drop-ins are those of the shipped units, or run a command that there is.
#[test]
fn settings_of_units_are_those_of_the_shipped_ones() {
    let units = ["deploy/systemd/uproar.service", "tuning/uproar-tune.service"].map(read);
    let is_shipped = |line: &str| units.iter().flat_map(|unit| unit.lines()).any(|shipped| shipped == line);
    for block in examples(Kind::Unit) {
        for line in block.text.lines() {
            if let Some(command) = line.strip_prefix("ExecStart=").filter(|command| !command.is_empty()) {
                let command = command.trim_start_matches('-').replace("/usr/bin/", "");
                let words: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
                assert_eq!(command::judge(&words, true), Ok(()), "{}", block.place);
            } else {
                assert!(line.ends_with('=') || is_shipped(line), "{}: {line}", block.place);
            }
        }
    }
}

/// Of Kubernetes and of proxies; what they mean is for those to judge.
#[test]
fn yaml_can_be_read() {
    for block in examples(Kind::Yaml) {
        let read = serde_yaml_ng::from_str::<serde_json::Value>(&block.text);
        assert!(read.as_ref().is_ok_and(serde_json::Value::is_object), "{}: {read:?}", block.place);
    }
}
