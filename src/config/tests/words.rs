//! What operators are told of what they wrote, and what they may write in more than one way.

use super::*;

#[test]
fn a_misspelt_key_or_word_is_told_what_it_was_meant_to_be() {
    for (toml, meant) in [
        ("windows = \"2s\"\n", "unknown key windows; did you mean window?"),
        ("[http]\nidle_timout = \"2s\"\n", "unknown key http.idle_timout; did you mean http.idle_timeout?"),
        ("idle_timeout = \"2s\"\n", "did you mean http.idle_timeout or quic.idle_timeout?"),
        ("[[room]]\nid = 1\n", "unknown key room; did you mean rooms?"),
        ("[[rooms]]\nid = 1\nname = \"a\"\npallete = []\n", "unknown key rooms[0].pallete; did you mean palette?"),
        ("log = \"wran\"\n", "debug or trace; did you mean warn?"),
        ("log_format = \"jsn\"\n", "text or json; did you mean json?"),
        ("strict = \"ture\"\n", "true or false; did you mean true?"),
    ] {
        assert_says(&Case::file(toml).refusal(), &[meant]);
    }
    assert!(!Case::file("[kafka]\nbrokers = []\n").refusal().contains("did you mean"));
}

#[test]
fn words_are_taken_in_any_case_and_sizes_with_units() {
    let toml = "log = \"WARN\"\nlog_format = \"JSON\"\nstrict = \"True\"\nshards = \"All\"\n";
    let config = Case::file(toml).load().unwrap();
    assert_eq!((config.log, config.log_format, config.strict), (LevelFilter::WARN, LogFormat::Json, true));
    for (text, bytes) in [
        ("8MiB", 8 << 20),
        ("8 mib", 8 << 20),
        ("8M", 8 << 20),
        ("1gib", 1 << 30),
        ("64KiB", 64 << 10),
        ("64k", 64 << 10),
        ("8MB", 8_000_000),
        ("100kB", 100_000),
        ("1GB", 1_000_000_000),
        ("65536 B", 65_536),
        ("65536", 65_536),
    ] {
        let config = Case::default().env("UPROAR_SOCKET_RECEIVE_BUFFER_BYTES", text).load().unwrap();
        assert_eq!(config.socket.receive_buffer_bytes, bytes, "{text}");
    }
    for text in ["MiB", "8XB", "8.5MiB", "-8MiB", "1KiB", "2GiB", "99999999999999999999", "9999999999GiB", "8 M iB"] {
        let refusal = Case::file(&format!("[socket]\nreceive_buffer_bytes = \"{text}\"\n")).refusal();
        assert_says(
            &refusal,
            &["receive_buffer_bytes", text, "65536 to 1073741824 bytes, also with a unit such as 64KiB"],
        );
    }
}

#[test]
fn paths_of_the_file_are_relative_to_its_directory_and_others_to_the_working_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("uproar.toml");
    let toml = "[quic]\ncertificate = \"tls/c.pem\"\nprivate_key = \"/elsewhere/k.pem\"\nkey_file = \"keys\"\n";
    std::fs::write(&path, toml).unwrap();
    let quic = Config::load(Some(&path), std::iter::empty(), Overrides::default()).unwrap().quic;
    assert_eq!(quic.certificate, Some(directory.path().join("tls/c.pem")));
    assert_eq!(quic.private_key, Some("/elsewhere/k.pem".into()));
    assert_eq!(quic.key_file, Some("keys".into()), "the server makes it");
    let env = [("UPROAR_QUIC_CERTIFICATE".into(), "c.pem".into())];
    let overrides = Overrides::default().with("--private-key", "quic.private_key", Some("k.pem".into()));
    let quic = Config::load(Some(&path), env.into_iter(), overrides).unwrap().quic;
    assert_eq!((quic.certificate, quic.private_key), (Some("c.pem".into()), Some("k.pem".into())));
}

#[test]
fn two_ports_of_one_protocol_are_two() {
    for (toml, said) in [
        (
            "reactions = \"127.0.0.1:7\"\nquic = \"127.0.0.1:7\"",
            [".toml:3: listen.quic is", "listen.reactions, which is 127.0.0.1:7 and UDP"],
        ),
        (
            "http = \"0.0.0.0:7\"\nadmin = \"127.0.0.1:7\"",
            [".toml:3: listen.admin is", "listen.http, which is 0.0.0.0:7 and TCP"],
        ),
        ("admin = \"[::]:8080\"", [".toml:2: listen.admin is", "listen.http, which is 0.0.0.0:8080"]),
        ("reactions = \"0.0.0.0:7443\"", [".toml:2: listen.reactions is", "listen.quic, which is 0.0.0.0:7443"]),
    ] {
        assert_says(&Case::file(&format!("[listen]\n{toml}\n")).refusal(), &said);
    }
    let both = "[listen]\nquic = \"127.0.0.1:7\"\nhttp = \"127.0.0.1:7\"\nadmin = \"127.0.0.2:7\"\n";
    assert!(Case::file(both).load().is_ok(), "UDP and TCP have ports of their own, and so have two addresses");
}

#[test]
fn what_is_likely_a_mistake_is_doubted() {
    let doubts = |case: Case| {
        let file = case.file.map(|text| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        });
        let path = file.as_ref().map(|file| file.path().to_owned());
        let loaded = ConfigSource::new(path, case.env.into_iter(), case.overrides).load().unwrap();
        loaded.doubts.into_iter().map(|doubt| (doubt.check, doubt.found)).collect::<Vec<_>>()
    };
    assert_eq!(doubts(Case::default()), []);
    assert_eq!(doubts(Case::file("[http]\nconnections_max = 10\n")), [], "streams are bounded with it");
    let streams = doubts(Case::file("[http]\nconnections_max = 10\nstreams_max = 11\n"));
    assert!(streams.len() == 1 && streams[0].0 == "streams_max" && streams[0].1.contains("is 11"), "{streams:?}");
    let window = doubts(Case::default().env("UPROAR_WINDOW", "30s"));
    assert!(window.len() == 1 && window[0].0 == "idle_timeout", "{window:?}");
    let name = doubts(Case::default().env("UPROAR_WINDOWS", "30s").env("UPROAR_SERVICE_HOST", "10.0.0.1"));
    assert!(name.len() == 1 && name[0].0 == "environment" && name[0].1.contains("UPROAR_WINDOW?"), "{name:?}");
}

#[test]
fn a_room_of_another_shape_is_refused_in_words_where_it_stands() {
    let room = "[[rooms]]\nid = 1\nname = \"a\"\npalette = [{ name = \"x\", glyph = \"x\" }]\n";
    for (toml, said) in [
        ("rooms = 3", [".toml:1: rooms is 3", "tables [[rooms]] with id, name and palette"]),
        ("[rooms]\nid = 1", [".toml:1: rooms is", "tables [[rooms]]"]),
        ("rooms = [7]", [".toml:1: rooms[0] is 7", "tables [[rooms]]"]),
        ("[[rooms]]\nname = \"a\"\npalette = []", [".toml:1: rooms[0].id is not set", "0 to 4294967295"]),
        ("[[rooms]]\nid = 1\npalette = []", ["rooms[0].name is not set", "a text in quotes"]),
        ("[[rooms]]\nid = 1\nname = \"a\"", ["rooms[0].palette is not set", "a list of emoji such as [{ name"]),
        ("[[rooms]]\nid = \"x\"\nname = \"a\"\npalette = []", [".toml:2: rooms[0].id is \"x\"", "0 to 4294967295"]),
        ("[[rooms]]\nid = -1\nname = \"a\"\npalette = []", [".toml:2: rooms[0].id is -1", "0 to 4294967295"]),
        ("[[rooms]]\nid = 4294967296\nname = \"a\"\npalette = []", [".toml:2: rooms[0].id is 4294967296", "0 to"]),
        ("[[rooms]]\nid = 1\nname = 7\npalette = []", [".toml:3: rooms[0].name is 7", "a text in quotes"]),
        (
            "[[rooms]]\nid = 1\nname = \"a\"\npalette = \"🔥\"",
            [".toml:4: rooms[0].palette is \"🔥\"", "a list of emoji"],
        ),
        (
            "[[rooms]]\nid = 1\nname = \"a\"\npalette = [\"🔥\"]",
            [".toml:4: rooms[0].palette[0] is \"🔥\"", "an emoji such as"],
        ),
        (
            "[[rooms]]\nid = 1\nname = \"a\"\npalette = [\n{ name = \"x\", glyph = \"x\" },\n{ name = \"y\" }]",
            [".toml:6: rooms[0].palette[1].glyph is not set", "a text in quotes"],
        ),
        (
            "[[rooms]]\nid = 1\nname = \"a\"\npalette = [{ name = \"x\", glyph = \"x\", url = \"x\" }]",
            [".toml:4: unknown key rooms[0].palette[0].url", "uproar config default"],
        ),
    ] {
        assert_says(&Case::file(toml).refusal(), &said);
        assert!(!Case::file(toml).refusal().contains("struct"), "no words of Rust");
    }
    let second = format!("{room}\n[[rooms]]\nid = true\nname = \"b\"\npalette = []\n");
    assert_says(&Case::file(&second).refusal(), &[".toml:7: rooms[1].id is true"]);
}
