//! Requests of the documentation, made by `curl` as they are printed, to a server that this test starts: they succeed, and
//! what they print has the shape that the page shows.
//!
//! Before the others of a page, its `PUT`s are made: pages show how a room is made where they come to the admin port.

use crate::checker::checker;
use crate::json::{parse, shape_differs};
use crate::kind::{Kind, kind_of};
use crate::page::{Block, pages};
use crate::shell;
use crate::support::{Server, eventually};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// How the examples name the two HTTP ports.
const PUBLIC: [&str; 2] = ["127.0.0.1:8080", "localhost:8080"];
const ADMIN: [&str; 2] = ["127.0.0.1:9100", "localhost:9100"];
/// A refusal is a failure, and nothing takes for ever.
const STRICT: &str = "curl() { command curl --silent --show-error --fail --max-time 60 \"$@\"; }\n";

/// A command, and what the page says that it prints.
struct Request {
    place: String,
    line: String,
    printed: String,
}

/// The requests of a page, in their order.
fn requests(page: &str, blocks: &[Block]) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    let mut is_answered_next = false;
    for block in blocks {
        let kind = kind_of(page, block);
        let lines = match kind {
            Some(Kind::Commands) => shell::lines(&block.text),
            Some(Kind::Session) => block.text.lines().map(str::to_owned).collect(),
            // What stands behind requests is what the last of them prints.
            Some(Kind::Json) if is_answered_next => {
                requests.last_mut().unwrap().printed.clone_from(&block.text);
                continue;
            }
            _ => continue,
        };
        for line in lines {
            let command = if kind == Some(Kind::Session) { line.strip_prefix("$ ") } else { Some(line.as_str()) };
            match (command, requests.last_mut()) {
                (Some(command), _) if command.contains("curl ") => {
                    let (place, line) = (block.place.clone(), command.to_owned());
                    requests.push(Request { place, line, printed: String::new() });
                }
                (None, Some(request)) => request.printed += &format!("{line}\n"),
                _ => {}
            }
        }
        is_answered_next = kind == Some(Kind::Commands) && block.text.contains("curl ");
    }
    requests
}

/// The command with the ports of a server.
fn to(server: &Server, line: &str) -> Command {
    let ports = [(PUBLIC, server.http()), (ADMIN, server.admin())];
    let line = ports
        .into_iter()
        .flat_map(|(names, port)| names.map(|name| (name, port)))
        .fold(line.to_owned(), |line, (name, port)| line.replace(name, &port.to_string()));
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{STRICT}{line}")]).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Makes a request until it succeeds, as the newest frame is there only once a window has closed; what it prints.
fn succeeds(server: &Server, request: &Request) -> String {
    let mut last = None;
    let make = || {
        let output = to(server, &request.line).stderr(Stdio::piped()).output().unwrap();
        let is_done = output.status.success();
        last = Some(output.clone());
        is_done.then_some(output)
    };
    let output = eventually(make, || format!("{}: {}", request.place, request.line));
    String::from_utf8(output.stdout).unwrap()
}

/// Compares a stream of events with the page, line by line, as far as the page goes.
fn streams(server: &Server, request: &Request) {
    let mut child = to(server, &request.line).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    // A comment comes only where nothing else does.
    for documented in request.printed.lines().take_while(|line| *line != ":") {
        let line = said.next().unwrap_or_else(|| panic!("{}: it ends before {documented}", request.place)).unwrap();
        let (field, value) = documented.split_once(": ").unwrap_or((documented, ""));
        let (said_field, said_value) = line.split_once(": ").unwrap_or((&line, ""));
        assert_eq!(said_field, field, "{}: {line}", request.place);
        match field {
            "data" => assert_eq!(shape_differs(&parse(value), &parse(said_value)), None, "{}: {line}", request.place),
            "event" => assert_eq!(said_value, value, "{}", request.place),
            _ => assert!(value.is_empty() || said_value.parse::<u64>().is_ok(), "{}: {line}", request.place),
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn requests_are_granted_and_print_what_the_page_shows() {
    if checker("curl").is_none() {
        return;
    }
    let mut made = 0;
    for page in pages() {
        let mut requests = requests(&page.path, &page.blocks);
        if requests.is_empty() {
            continue;
        }
        requests.sort_by_key(|request| !request.line.contains("-X PUT"));
        let server = Server::start(&["--shards", "2", "--window", "100ms"]);
        for request in &requests {
            made += 1;
            if request.line.contains("xxd ") && checker("xxd").is_none() {
                continue;
            }
            if request.line.contains("curl -N ") {
                streams(&server, request);
                continue;
            }
            let printed = succeeds(&server, request);
            if !request.printed.is_empty() {
                let differs = shape_differs(&parse(&request.printed), &parse(&printed));
                assert_eq!(differs, None, "{}: {}\nprints {printed}", request.place, request.line);
            }
        }
    }
    assert!(made >= 14, "{made}");
}

#[test]
fn outputs_belong_to_the_requests_before_them() {
    let text = "    curl a\n    sleep 1; curl b\n\nand\n\n    {\"a\":1}\n\nand\n\n    $ curl c\n    {}\n    $ curl d\n\nand\n\n    {\"b\":2}\n";
    let page = crate::page::Page::parse("p.md".into(), text);
    let requests = requests("p.md", &page.blocks);
    let printed: Vec<_> = requests.iter().map(|request| (request.line.as_str(), request.printed.as_str())).collect();
    assert_eq!(printed, [("curl a", ""), ("sleep 1; curl b", "{\"a\":1}\n"), ("curl c", "{}\n"), ("curl d", "")]);
}
