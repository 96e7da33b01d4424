//! JSON of the documentation: it can be read, and has the shape of what the server says.

use crate::kind::{Kind, examples};
use crate::page::{files, root};
use crate::support::Http;
use crate::support::{Server, http};
use serde_json::{Map, Value};

/// What a page leaves out of an array.
const LEFT_OUT: &str = "[...]";

/// Reads an example; what it leaves out is null.
///
/// # Panics
/// When it is no JSON.
pub(crate) fn parse(text: &str) -> Value {
    let whole = text.replace(LEFT_OUT, "null");
    serde_json::from_str(&whole).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Where the shape of what was said is not the documented one: members, and types.
pub(crate) fn shape_differs(documented: &Value, said: &Value) -> Option<String> {
    match (documented, said) {
        (Value::Null, Value::Null | Value::Array(_)) => None,
        (Value::Object(documented), Value::Object(said)) => {
            let names = |object: &Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            if names(documented) != names(said) {
                return Some(format!("members {:?}, and the page shows {:?}", names(said), names(documented)));
            }
            let mut members = documented.iter().zip(said.values());
            members.find_map(|((name, documented), said)| Some(format!("{name}: {}", shape_differs(documented, said)?)))
        }
        (Value::Array(documented), Value::Array(said)) => match (documented.first(), said.first()) {
            (Some(_), None) => Some("empty".to_owned()),
            // Elements may differ from one another: each that is said is like one that is shown.
            (Some(first), Some(_)) => said.iter().find_map(|said| {
                let is_like = |documented| shape_differs(documented, said).is_none();
                if documented.iter().any(is_like) { None } else { shape_differs(first, said) }
            }),
            (None, _) => None,
        },
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_)) => None,
        _ => Some(format!("{said}, and the page shows {documented}")),
    }
}

#[test]
fn shapes_are_compared() {
    let documented = parse("{\"a\":1,\"b\":[{\"c\":\"x\"}],\"d\":[...]}");
    for (said, differs) in [
        ("{\"a\":2,\"b\":[{\"c\":\"y\"},{\"c\":\"z\"}],\"d\":[7]}", false),
        ("{\"a\":\"2\",\"b\":[{\"c\":\"y\"}],\"d\":[]}", true),
        ("{\"a\":2,\"b\":[{\"e\":\"y\"}],\"d\":[]}", true),
        ("{\"a\":2,\"b\":[{\"c\":\"y\"},{\"e\":\"z\"}],\"d\":[]}", true),
        ("{\"a\":2,\"b\":[],\"d\":[]}", true),
        ("{\"a\":2,\"b\":[{\"c\":\"y\"}]}", true),
    ] {
        assert_eq!(shape_differs(&documented, &parse(said)).is_some(), differs, "{said}");
    }
}

#[test]
fn every_object_is_one_that_the_server_says() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let sources: Vec<_> =
        files(&root().join("src")).iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    for block in examples(Kind::Json) {
        let object = parse(&block.text);
        if let Some(code) = object.get("code") {
            // A problem: word by word what is said of the only one that can be had for a wrong room.
            assert_eq!(code, "unknown_room", "{}: ask the server for it here", block.place);
            let reply = Http::to(server.http()).ask(&http::get("/v1/rooms/404/frame"));
            assert_eq!(reply.json(), object, "{}", block.place);
        } else if let Some(event) = object.get("event") {
            let [event, message] = [event, &object["message"]].map(|member| member.as_str().unwrap());
            let message = message.trim_start_matches(|c: char| c.is_ascii_digit()).trim_end_matches("...").trim();
            let is_said = |text: &String| text.contains(message);
            assert!(sources.iter().any(|text| text.contains(&format!("\"{event}\""))), "{}: {event}", block.place);
            assert!(sources.iter().any(is_said), "{}: {message}", block.place);
        } else {
            // What a request prints is compared where the request is made.
            assert!(object.get("window").is_some(), "{}: compare it with something", block.place);
        }
    }
}
