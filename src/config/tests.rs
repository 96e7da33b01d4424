//! Configurations as operators write them, right and wrong.

use super::*;
use crate::limits::ROOMS_MAX;
use std::io::Write as _;
use uproar_wire::RoomId;

mod words;

/// What a file, an environment and flags lead to.
#[derive(Default)]
struct Case {
    file: Option<String>,
    env: Vec<(OsString, OsString)>,
    overrides: Overrides,
}

impl Case {
    fn file(text: &str) -> Self {
        Self { file: Some(text.into()), ..Self::default() }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, flag: &'static str, key: &'static str, value: &str) -> Self {
        self.overrides = self.overrides.with(flag, key, Some(value.into()));
        self
    }

    fn load(self) -> Result<Config, ConfigError> {
        let Some(text) = self.file else {
            return Config::load(None, self.env.into_iter(), self.overrides);
        };
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Config::load(Some(file.path()), self.env.into_iter(), self.overrides)
    }

    /// Loads what must be refused, and returns the sentence the operator reads.
    fn refusal(self) -> String {
        self.load().expect_err("this is not a configuration").to_string()
    }
}

#[track_caller]
fn assert_says(refusal: &str, parts: &[&str]) {
    for part in parts {
        assert!(refusal.contains(part), "{part:?} is not in: {refusal}");
    }
}

#[test]
fn nothing_set_is_the_default() {
    assert_eq!(Case::default().load().unwrap(), Config::default());
}

#[test]
fn the_default_file_says_the_defaults_and_names_every_knob() {
    let text = Config::default_toml();
    assert_eq!(Case::file(&text).load().unwrap(), Config::default());
    for knob in &KNOBS {
        assert_says(&text, &[&knob.variable(), &knob.allowed(), knob.about]);
    }
}

#[test]
fn the_examples_that_the_default_file_comments_out_are_valid() {
    let text = Config::default_toml();
    let (_, example) = text.split_once("#\n# [[rooms]]").unwrap();
    let example: String = example.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
    let tls = "[quic]\ncertificate = \"certificate.pem\"\nprivate_key = \"key.pem\"\n";
    assert_says(&text, &["# certificate = \"certificate.pem\"", "# private_key = \"key.pem\""]);
    let config = Case::file(&format!("{tls}[[rooms]]{example}")).load().unwrap();
    assert!(config.quic.private_key.as_ref().unwrap().ends_with("key.pem"));
    let rooms = config.rooms().unwrap();
    assert_eq!((rooms.len(), rooms[0].id(), rooms[0].palette_len()), (1, RoomId(1), 2));
}

#[test]
fn frames_are_spread_over_half_a_window_at_most() {
    let refusal = Case::file("window = \"1s\"\n[fanout]\nspread = \"501ms\"\n").refusal();
    assert_says(&refusal, &["fanout.spread", "501ms", "half of window (1s) at most", ".toml:3:"]);
    let config = Case::file("[fanout]\nspread = \"1s\"\n").load().unwrap();
    assert_eq!(config.fanout.spread, config.window / 2);
}

#[test]
fn flags_go_over_the_environment_which_goes_over_the_file() {
    let file = "top_k = 1\nshards = 1\nwindow = \"1s\"\n";
    let config = Case::file(file)
        .env("UPROAR_SHARDS", "2")
        .env("UPROAR_WINDOW", "2500ms")
        .flag("--window", "window", "3s")
        .load()
        .unwrap();
    assert_eq!((config.top_k, config.shards, config.window), (1, Some(2), Duration::from_secs(3)));
}

#[test]
fn every_knob_can_be_set_by_file_environment_and_flag() {
    let samples = |key: &str| match key {
        "shards" => ("3", "4", "5"),
        "log" => ("\"error\"", "warn", "debug"),
        "listen.admin_names" => ("[\"a.example\", \".b.example\"]", "c.example", "d.example, e.example"),
        key if key.starts_with("listen.") => ("\"127.0.0.1:1\"", "127.0.0.1:2", "[::1]:3"),
        "top_k" => ("1", "2", "3"),
        "quic.handshakes_per_second" | "quic.retry_above" => ("17", "18", "19"),
        key if key.starts_with("limits.") => ("17", "18", "19"),
        key if key.ends_with("_bytes") => ("65_536", "65537", "65538"),
        key if key.ends_with("_max") => ("0x11", "18", "19"),
        "window" => ("\"1s\"", "1001ms", "1s 2ms"),
        "fanout.spread" | "drain.duration" => ("\"3ms\"", "4ms", "1s"),
        "http.stream_heartbeat" => ("\"3s\"", "4s", "2m"),
        "web.webtransport_url" => (
            "\"https://a.example:1/v1/webtransport\"",
            "https://a.example:2/v1/webtransport",
            "https://a.example/v1/webtransport",
        ),
        "web.origins" => (
            "[\"https://a.example\", \"http://b.example:3000\"]",
            "https://c.example",
            "https://d.example, https://e.example",
        ),
        key if key.ends_with("timeout") => ("\"3s\"", "4s", "2m"),
        "quic.server_names" => ("[\"a.example\", \"b.example\"]", "c.example", "d.example, e.example"),
        _ => ("\"a.pem\"", "b.pem", "c.pem"),
    };
    // What has two values cannot show four.
    let of_two = ["strict", "announce", "log_format", "web.page", "web.webtransport"];
    for knob in KNOBS.iter().filter(|knob| !of_two.contains(&knob.key)) {
        let (in_file, in_env, in_flag) = samples(knob.key);
        // The other half of the pair, so that the value under test is the only reason to refuse.
        let partner = match knob.key {
            "quic.certificate" => Some(("UPROAR_QUIC_PRIVATE_KEY", "k.pem")),
            "quic.private_key" => Some(("UPROAR_QUIC_CERTIFICATE", "c.pem")),
            _ => None,
        };
        let file = || {
            let case = Case::file(&format!("{} = {in_file}\n", knob.key));
            partner.iter().fold(case, |case, (name, value)| case.env(name, value))
        };
        let mut seen = vec![knob.toml(&mut Config::default())];
        for case in [
            file(),
            file().env(&knob.variable(), in_env),
            file().env(&knob.variable(), in_env).flag("--flag", knob.key, in_flag),
        ] {
            let value = knob.toml(&mut case.load().unwrap());
            assert!(!seen.contains(&value), "{}: {value:?} again, after {seen:?}", knob.key);
            seen.push(value);
        }
    }
}

#[test]
fn knobs_with_two_values_go_over_one_another_too() {
    let config = Case::file("strict = true\nlog_format = \"json\"\n").load().unwrap();
    assert_eq!((config.strict, config.log_format), (true, LogFormat::Json));
    let env = || Case::file("strict = true\n").env("UPROAR_STRICT", "false").env("UPROAR_LOG_FORMAT", "json");
    let config = env().load().unwrap();
    assert_eq!((config.strict, config.log_format), (false, LogFormat::Json));
    let config = env().flag("--strict", "strict", "true").flag("--log-format", "log_format", "text").load().unwrap();
    assert_eq!((config.strict, config.log_format), (true, LogFormat::Text));
}

#[test]
fn what_browsers_are_offered_can_be_switched_off_by_any_way() {
    let config = Case::file("[web]\npage = false\nwebtransport = false\n").load().unwrap();
    assert_eq!((config.web.page, config.web.webtransport), (false, false));
    let env =
        || Case::file("[web]\npage = false\n").env("UPROAR_WEB_PAGE", "true").env("UPROAR_WEB_WEBTRANSPORT", "false");
    let config = env().load().unwrap();
    assert_eq!((config.web.page, config.web.webtransport), (true, false));
    let config = env().flag("--web-page", "web.page", "false").load().unwrap();
    assert_eq!((config.web.page, config.web.webtransport), (false, false));
}

#[test]
fn origins_are_any_or_as_browsers_write_them() {
    assert_eq!(Config::default().web.allowed_origins(), origins::Origins::Any);
    let config = Case::file("[web]\norigins = [\"https://a.example\"]\n").load().unwrap();
    let allowed = config.web.allowed_origins();
    assert!(allowed.allows(b"https://a.example") && !allowed.allows(b"https://b.example"));
    for wrong in ["[]", "[\"a.example\"]", "[\"https://a.example/\"]", "[\"*\", \"https://a.example\"]"] {
        assert_says(
            &Case::file(&format!("[web]\norigins = {wrong}\n")).refusal(),
            &["web.origins", "https://www.example.com"],
        );
    }
}

#[test]
fn the_address_of_webtransport_is_whole() {
    for wrong in ["", "a.example", "http://a.example/v1/webtransport", "https://a.example", "https://a.example/"] {
        let case = Case::file(&format!("[web]\nwebtransport_url = \"{wrong}\"\n"));
        assert_says(&case.refusal(), &["web.webtransport_url", "https://taps.example.com"]);
    }
}

#[test]
fn there_may_be_no_names_for_the_admin_port_and_must_be_one_for_a_certificate() {
    let config = Case::file("[listen]\nadmin_names = []\n").env("UPROAR_LISTEN_ADMIN_NAMES", "").load().unwrap();
    assert!(config.listen.admin_names.is_empty());
    assert_says(&Case::file("[listen]\nadmin_names = [\"a\", \"\"]\n").refusal(), &["admin_names", "or none"]);
    assert_says(&Case::file("[quic]\nserver_names = []\n").refusal(), &["server_names", "one or more names"]);
}

#[test]
fn a_value_out_of_range_is_refused_with_key_value_range_and_place() {
    for (key, bad, allowed) in [
        ("shards", "0", "\"all\" or 1 to 128"),
        ("shards", "129", "\"all\" or 1 to 128"),
        ("window", "\"99ms\"", "100ms to 1m"),
        ("window", "\"61s\"", "100ms to 1m"),
        ("window", "\"1s 1us\"", "whole milliseconds"),
        ("window", "2", "such as 2s"),
        ("strict", "\"yes\"", "true or false"),
        ("strict", "1", "true or false"),
        ("log_format", "\"xml\"", "text or json"),
        ("top_k", "0", "1 to 64"),
        ("top_k", "65", "1 to 64"),
        ("top_k", "-1", "1 to 64"),
        ("top_k", "1.5", "1 to 64"),
        ("log", "\"loud\"", "off, error, warn"),
        ("log", "3", "off, error, warn"),
        ("listen.reactions", "\"localhost\"", "an address and a port"),
        ("listen.quic", "7443", "an address and a port"),
        ("listen.http", "\"0.0.0.0:65536\"", "an address and a port"),
        ("listen.admin", "true", "an address and a port"),
        ("socket.receive_buffer_bytes", "65535", "65536 to 1073741824"),
        ("socket.send_buffer_bytes", "1073741825", "65536 to 1073741824"),
        ("http.connections_max", "0", "1 to 1000000"),
        ("http.idle_timeout", "\"999ms\"", "1s to 2h"),
        ("http.send_timeout", "\"61m\"", "1s to 1h"),
        ("http.connections_per_address_max", "1000001", "0 to 1000000"),
        ("http.head_timeout", "\"99ms\"", "100ms to 5m"),
        ("http.request_timeout", "\"6m\"", "100ms to 5m"),
        ("http.body_rate_min_bytes", "1048577", "0 to 1048576"),
        ("quic.subscribers_max", "1000001", "1 to 1000000"),
        ("quic.connections_per_address_max", "1000001", "0 to 1000000"),
        ("quic.rooms_per_subscriber_max", "0", "1 to 64"),
        ("quic.rooms_per_subscriber_max", "65", "1 to 64"),
        ("quic.idle_timeout", "\"11m\"", "1s to 10m"),
        ("quic.handshakes_max", "0", "1 to 1000000"),
        ("quic.handshakes_per_second", "0", "1 to 1000000"),
        ("quic.retry_above", "1000001", "0 to 1000000"),
        ("quic.key_file", "\"\"", "the path of a file"),
        ("quic.certificate", "\"\"", "the path of a file"),
        ("quic.private_key", "\"\"", "the path of a file"),
        ("quic.server_names", "[]", "one or more names"),
        ("quic.server_names", "[\"a\", 1]", "one or more names"),
        ("limits.taps_per_record", "0", "1 to 65535"),
        ("limits.taps_per_record", "65536", "1 to 65535"),
        ("limits.taps_per_request", "67107841", "1 to 67107840"),
        ("drain.timeout", "\"11m\"", "0s to 10m"),
    ] {
        let refusal = Case::file(&format!("# a comment\n{key} = {bad}\n")).refusal();
        assert_says(&refusal, &[".toml:2: ", &format!("{key} is {bad}"), allowed]);
    }
}

#[test]
fn a_refusal_names_the_variable_or_the_flag() {
    let refusal = Case::default().env("UPROAR_TOP_K", "many").refusal();
    assert_says(&refusal, &["environment variable UPROAR_TOP_K", "top_k is \"many\"", "1 to 64"]);
    let refusal = Case::default().flag("--top-k", "top_k", "65").refusal();
    assert_says(&refusal, &["flag --top-k", "top_k is \"65\"", "1 to 64"]);
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    assert_says(&Case::file("\nwindows = \"2s\"\n").refusal(), &[".toml:2: ", "unknown key windows"]);
    assert_says(&Case::file("[http]\nidle = \"2s\"\n").refusal(), &[".toml:2: ", "unknown key http.idle"]);
    assert_says(&Case::file("[kafka]\nbrokers = []\n").refusal(), &["unknown key kafka"]);
    assert_says(&Case::file("[[rooms]]\nid = 1\ntitle = \"x\"\n").refusal(), &[".toml:3: ", "title"]);
}

#[test]
fn a_file_that_is_not_there_or_not_toml_is_refused() {
    let missing = Path::new("/nonexistent/uproar.toml");
    let refusal = Config::load(Some(missing), std::iter::empty(), Overrides::default()).unwrap_err();
    assert_says(&refusal.to_string(), &["/nonexistent/uproar.toml: there is no such file", "name a TOML file"]);
    assert_says(&Case::file("top_k = 1\ntop_k = 2\n").refusal(), &[".toml:2: ", "duplicate"]);
    assert_says(&Case::file("top_k =\n").refusal(), &[".toml:1: "]);
    assert_says(&Case::file("rooms = 3\n").refusal(), &[".toml:1: "]);
}

#[test]
fn a_certificate_goes_with_its_key() {
    let refusal = Case::file("\n[quic]\ncertificate = \"c.pem\"\n").refusal();
    assert_says(&refusal, &[".toml:3: ", "quic.private_key is not set", "quic.certificate is set"]);
    let refusal = Case::default().env("UPROAR_QUIC_PRIVATE_KEY", "k.pem").refusal();
    assert_says(&refusal, &["UPROAR_QUIC_PRIVATE_KEY", "quic.certificate is not set"]);
}

#[test]
fn rooms_are_checked_where_they_stand() {
    let room = |id: u32, glyph: &str| {
        format!("[[rooms]]\nid = {id}\nname = \"r\"\npalette = [{{ name = \"fire\", glyph = \"{glyph}\" }}]\n")
    };
    let twice = Case::file(&(room(7, "🔥") + &room(7, "🔥"))).refusal();
    assert_says(&twice, &["rooms[1].id is 7", "no room before it"]);
    let empty = Case::file(&(room(7, "🔥") + &room(8, ""))).refusal();
    assert_says(&empty, &[".toml:5: ", "rooms[1].palette[0].glyph is \"\"", "1 to 256 bytes"]);
    let rooms = Case::file(&(room(7, "🔥") + &room(8, "🎉"))).load().unwrap().rooms().unwrap();
    assert_eq!(rooms.iter().map(Room::id).collect::<Vec<_>>(), [RoomId(7), RoomId(8)]);
}

#[test]
fn without_rooms_there_is_the_demo_room() {
    let rooms = Config::default().rooms().unwrap();
    assert_eq!((rooms.len(), rooms[0].id()), (1, RoomId(1)));
}

#[test]
fn more_rooms_than_the_node_takes_are_refused() {
    let room = |id| RoomConfig { id, name: "r".into(), palette: Vec::new() };
    let rooms = (0..=ROOMS_MAX as u32).map(room).collect();
    let error = Config { rooms, ..Config::default() }.rooms().unwrap_err();
    assert_says(&error.to_string(), &["rooms is 1000001 rooms", "up to 1000000"]);
}

#[test]
fn every_toml_string_reads_back() {
    for text in ["plain", "a \"quote\"", "back\\slash", "tab\tbell\u{7}", "🔥"] {
        let parsed: toml::Table = toml::from_str(&format!("text = {}", quoted(text))).unwrap();
        assert_eq!(parsed["text"].as_str(), Some(text));
    }
}

#[test]
fn a_name_of_the_admin_port_is_one_that_a_request_can_come_with() {
    let of = |name: &str| Case::file(&format!("[listen]\nadmin_names = [{name:?}]\n"));
    let taken = [
        ("node1.example.", "node1.example"),
        (".pods.example.", ".pods.example"),
        ("a_b-1", "a_b-1"),
        ("10.1.2.3", "10.1.2.3"),
    ];
    for (written, name) in taken {
        assert_eq!(of(written).load().unwrap().listen.admin_names, [name], "{written}");
    }
    let never = [
        "node1:9100",
        "[::1]",
        "http://node1",
        "node1/",
        "*",
        "*.example",
        ".",
        "..",
        "a..b",
        "..a",
        "a..",
        "a b",
        "é",
    ];
    for name in never {
        assert_says(&of(name).refusal(), &[":2:", "listen.admin_names", "node1.example or .pods.example"]);
    }
}

#[test]
fn a_switch_a_number_and_a_list_are_for_knobs_of_their_kind() {
    for (key, value) in [
        ("key_file", "true"),
        ("key_file", "7"),
        ("key_file", "[\"a\"]"),
        ("server_names", "true"),
        ("server_names", "7"),
    ] {
        assert_says(&Case::file(&format!("[quic]\n{key} = {value}\n")).refusal(), &[":2:", key, value]);
    }
    assert_says(&Case::file("log = true\n").refusal(), &["log is true", "off, error"]);
    assert_says(&Case::file("log = false\n").refusal(), &["log is false"]);
    assert_says(&Case::file("strict = [\"true\"]\n").refusal(), &["strict", "true or false"]);
    assert!(Case::file("strict = \"true\"\n").load().unwrap().strict, "as in the environment");
}
