//! The cases: what a peer does, and what the standards say comes of it.
//!
//! Codes are those of RFC 9114 (8.1), RFC 9204 (6), RFC 9297 (5.2) and draft-ietf-webtrans-http3-07 (8.5). Where several
//! answers are right, a case names them all.

use crate::support::http3::{self, *};
use Deed::{Bi, BiEnded, BiUnheard, Datagram, More, MoreEnded, Uni, UniEnded, UniReset};
use Outcome::{Answered, Closed, Refused};

pub(super) const H3_NO_ERROR: u64 = 0x100;
const STREAM_CREATION_ERROR: u64 = 0x103;
const CLOSED_CRITICAL_STREAM: u64 = 0x104;
const FRAME_UNEXPECTED: u64 = 0x105;
const FRAME_ERROR: u64 = 0x106;
pub(super) const EXCESSIVE_LOAD: u64 = 0x107;
const ID_ERROR: u64 = 0x108;
const SETTINGS_ERROR: u64 = 0x109;
const MISSING_SETTINGS: u64 = 0x10a;
const REQUEST_INCOMPLETE: u64 = 0x10d;
const MESSAGE_ERROR: u64 = 0x10e;
const QPACK_DECOMPRESSION_FAILED: u64 = 0x200;
const QPACK_ENCODER_STREAM_ERROR: u64 = 0x201;
const QPACK_DECODER_STREAM_ERROR: u64 = 0x202;
const DATAGRAM_ERROR: u64 = 0x33;
const BUFFERED_STREAM_REJECTED: u64 = 0x3994_bd84;
const SESSION_GONE: u64 = 0x170d_7b68;
/// The largest number that QUIC writes.
const HUGE: u64 = (1 << 62) - 1;
/// The capsule that closes a session.
const CLOSE_SESSION: u64 = 0x2843;
const DRAIN_SESSION: u64 = 0x78ae;

/// What a peer does, and what may come of it.
pub(super) type Case = (&'static str, Vec<Deed>, &'static [Outcome]);

/// A client that has said its settings, and then this on a stream of its own.
pub(super) fn after_settings(deed: Deed) -> Vec<Deed> {
    vec![Uni(control(&[])), deed]
}

pub(super) fn settings_cases() -> Vec<Case> {
    let first = |frame: Vec<u8>| vec![Uni(uni(CONTROL, &frame))];
    let with = |pairs: &[(u64, u64)]| first(http3::settings(&[&USUAL[..], pairs].concat()));
    let closes: &[Outcome] = &[Closed(SETTINGS_ERROR)];
    let mut cases: Vec<Case> = vec![
        ("no settings first", first(frame(GOAWAY, &[0])), &[Closed(MISSING_SETTINGS)]),
        ("an unknown frame before settings", first(frame(grease(3), b"x")), &[Closed(MISSING_SETTINGS)]),
        ("settings twice", vec![Uni(control(&http3::settings(&[])))], &[Closed(FRAME_UNEXPECTED)]),
        ("a setting twice", with(&[(0x6, 1), (0x6, 1)]), closes),
        ("a setting of the usual ones twice", with(&[(0x33, 1)]), closes),
        ("a setting cut off", first(frame(SETTINGS, &[0x6])), &[Closed(FRAME_ERROR)]),
        ("a setting's number cut off", first(frame(SETTINGS, &[0x6, 0x40])), &[Closed(FRAME_ERROR)]),
        ("settings without end", first(cut_frame(SETTINGS, HUGE, &[])), &[Closed(EXCESSIVE_LOAD), Closed(FRAME_ERROR)]),
        (
            "settings of a mebibyte",
            first(frame(SETTINGS, &vec![0; 1 << 20])),
            &[Closed(EXCESSIVE_LOAD), Closed(FRAME_ERROR)],
        ),
        ("datagrams neither on nor off", first(http3::settings(&[(0x33, 2)])), closes),
        ("extended CONNECT neither on nor off", first(http3::settings(&[(0x8, 2)])), closes),
    ];
    for (name, id) in
        [("HTTP/2's push", 2), ("HTTP/2's streams", 3), ("HTTP/2's window", 4), ("HTTP/2's frame size", 5)]
    {
        cases.push((name, with(&[(id, 1)]), closes));
    }
    cases
}

pub(super) fn control_cases() -> Vec<Case> {
    let then = |more: Vec<u8>| vec![Uni(control(&more))];
    let unexpected: &[Outcome] = &[Closed(FRAME_UNEXPECTED)];
    let created: &[Outcome] = &[Closed(STREAM_CREATION_ERROR)];
    let critical: &[Outcome] = &[Closed(CLOSED_CRITICAL_STREAM)];
    let either: &[Outcome] = &[Closed(CLOSED_CRITICAL_STREAM), Closed(FRAME_ERROR)];
    let twice = |kind: u64| vec![Uni(control(&[])), Uni(uni(kind, &[])), Uni(uni(kind, &[]))];
    let mut cases: Vec<Case> = vec![
        ("a body on the control stream", then(frame(DATA, b"x")), unexpected),
        ("a body without bytes on the control stream", then(frame(DATA, b"")), unexpected),
        ("a request on the control stream", then(headers(&CONNECT)), unexpected),
        ("a push promise on the control stream", then(frame(PUSH_PROMISE, &[0])), unexpected),
        ("a push cancelled that nobody promised", then(frame(CANCEL_PUSH, &[0])), &[Closed(ID_ERROR)]),
        ("a farewell of two numbers", then(frame(GOAWAY, &[0, 0])), &[Closed(FRAME_ERROR)]),
        ("a farewell without a number", then(frame(GOAWAY, &[])), &[Closed(FRAME_ERROR)]),
        (
            "a farewell that is taken back",
            then([frame(GOAWAY, &[4]), frame(GOAWAY, &[8])].concat()),
            &[Closed(ID_ERROR)],
        ),
        ("pushes taken back", then([frame(MAX_PUSH_ID, &[8]), frame(MAX_PUSH_ID, &[4])].concat()), &[Closed(ID_ERROR)]),
        ("a farewell of a gibibyte", then(cut_frame(GOAWAY, 1 << 30, &[])), &[Closed(FRAME_ERROR)]),
        ("a second control stream", vec![Uni(control(&[])), Uni(control(&[]))], created),
        ("a second encoder stream", twice(ENCODER), created),
        ("a second decoder stream", twice(DECODER), created),
        ("a push by a client", vec![Uni(control(&[])), Uni(uni(PUSH, &[0]))], created),
        ("the control stream ended", vec![UniEnded(control(&[]))], critical),
        ("the control stream ended within a frame", vec![UniEnded(control(&cut_frame(grease(0), 9, b"x")))], either),
        (
            "the control stream ended before settings",
            vec![UniEnded(uni(CONTROL, &[]))],
            &[Closed(CLOSED_CRITICAL_STREAM), Closed(MISSING_SETTINGS)],
        ),
        ("the control stream given up", vec![UniReset(control(&[]))], critical),
        ("the encoder stream ended", vec![UniEnded(uni(ENCODER, &[]))], critical),
        ("the decoder stream ended", vec![UniEnded(uni(DECODER, &[]))], critical),
        ("the decoder stream given up", vec![UniReset(uni(DECODER, &[]))], critical),
    ];
    for (name, kind) in [("PRIORITY", 2), ("PING", 6), ("WINDOW_UPDATE", 8), ("CONTINUATION", 9)] {
        cases.push((name, then(frame(kind, &[0; 4])), unexpected));
    }
    cases
}

pub(super) fn qpack_cases() -> Vec<Case> {
    let encoder = |bytes: &[u8]| after_settings(Uni(uni(ENCODER, bytes)));
    let decoder = |bytes: &[u8]| after_settings(Uni(uni(DECODER, bytes)));
    let lines = |bytes: &[u8]| after_settings(Bi(section(bytes)));
    let prefix = |bytes: &[u8]| after_settings(Bi(frame(HEADERS, bytes)));
    let entry: &[Outcome] = &[Closed(QPACK_ENCODER_STREAM_ERROR)];
    let acknowledged: &[Outcome] = &[Closed(QPACK_DECODER_STREAM_ERROR)];
    let failed: &[Outcome] = &[Closed(QPACK_DECOMPRESSION_FAILED)];
    // Its name is `:path` of the static table; a string of 30 ones is the code of the end, which no string has.
    let end_of_string = [&[0x51, 0x84][..], &[0xff; 4]].concat();
    vec![
        ("an insert with a name of the static table", encoder(&[0xc1, 0x01, b'/']), entry),
        ("an insert with a name written out", encoder(&[0x41, b'a', 0x01, b'b']), entry),
        ("a duplicate", encoder(&[0x00]), entry),
        ("a table with room", encoder(&[0x21]), entry),
        ("inserts without end", encoder(&[0x41, b'a', 0x01, b'b'].repeat(10_000)), entry),
        ("an insert acknowledged that never was", decoder(&[0x01]), acknowledged),
        ("no insert acknowledged", decoder(&[0x00]), acknowledged),
        ("a section acknowledged that needs none", decoder(&[0x80]), acknowledged),
        ("an entry of the dynamic table", lines(&[0x80]), failed),
        ("a name of the dynamic table", lines(&[0x40, 0x01, b'x']), failed),
        ("an entry after the base", lines(&[0x10]), failed),
        ("a name after the base", lines(&[0x00, 0x01, b'x']), failed),
        ("an insert that is needed", prefix(&[&[0x02, 0x00][..], &connect_lines()].concat()), failed),
        ("an entry beyond the static table", lines(&prefixed(0xc0, 6, 99)), failed),
        // Or read as a path that cannot be.
        ("a string's end in the middle", lines(&end_of_string), &[Closed(QPACK_DECOMPRESSION_FAILED), Answered(400)]),
        ("padding that is not ones", lines(&[0x51, 0x81, 0x00]), failed),
        ("a string longer than the section", lines(&[0x51, 0x7e, b'/']), failed),
        ("a number without end", lines(&[&[0xff][..], &[0xff; 20]].concat()), failed),
        ("no section", prefix(&[]), failed),
    ]
}

/// What is the matter, and a field that makes a message malformed (RFC 9114, 4.1.2 to 4.3; RFC 9297, 3.2).
fn malformed_fields() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let fields = [
        ("a pseudo-field of responses", ":status", "200"),
        ("an unknown pseudo-field", ":unknown", "x"),
        ("an upper-case name", "X-Upper", "x"),
        ("a name without characters", "", "x"),
        ("a name that is no token", "a b", "x"),
        ("a line break in a value", "x", "a\r\nb: c"),
        ("a zero in a value", "x", "a\0"),
        ("Connection", "connection", "close"),
        ("Proxy-Connection", "proxy-connection", "close"),
        ("Keep-Alive", "keep-alive", "timeout=5"),
        ("Transfer-Encoding", "transfer-encoding", "chunked"),
        ("Upgrade", "upgrade", "websocket"),
        ("TE", "te", "gzip"),
        ("another host", "host", "other.test"),
        ("a length of a message with capsules", "content-length", "0"),
        ("a type of a message with capsules", "content-type", "text/plain"),
    ];
    fields.into_iter()
}

fn connect_lines() -> Vec<u8> {
    CONNECT.iter().flat_map(|(name, value)| line(name, value)).collect()
}

pub(super) fn request_cases() -> Vec<Case> {
    let request = |bytes: Vec<u8>| after_settings(Bi(bytes));
    let ended = |bytes: Vec<u8>| after_settings(BiEnded(bytes));
    let unexpected: &[Outcome] = &[Closed(FRAME_UNEXPECTED)];
    let malformed: &[Outcome] = &[Refused(MESSAGE_ERROR)];
    let with = |name: &str, value: &str| request(headers(&[&CONNECT[..], &[(name, value)]].concat()));
    let too_large: &[Outcome] = &[Answered(431), Refused(EXCESSIVE_LOAD), Closed(EXCESSIVE_LOAD)];
    let many: Vec<_> = (0..2000).map(|_| ("a", "b")).collect();
    let many = headers(&[&CONNECT[..], &many].concat());
    let long = |len: usize| headers(&[&CONNECT[..], &[("a", &*"b".repeat(len))]].concat());
    let named = |name: &'static str, value| request(connect_but(name, value));
    let mut cases: Vec<Case> = vec![
        ("another path", named(":path", Some("/")), &[Answered(404)]),
        ("a path below", named(":path", Some("/v1/webtransport/x")), &[Answered(404)]),
        ("another method", named(":method", Some("GET")), &[Answered(405)]),
        ("another protocol", named(":protocol", Some("websocket")), &[Answered(501), Answered(400)]),
        ("no protocol", named(":protocol", None), malformed),
        ("a tunnel", request(headers(&[CONNECT[0], CONNECT[2]])), &[Answered(501)]),
        ("no path", named(":path", None), malformed),
        ("no scheme", named(":scheme", None), malformed),
        ("another scheme", named(":scheme", Some("http")), &[Answered(400)]),
        ("a name of no host", named(":authority", Some("a:b:c")), &[Answered(400)]),
        ("no authority", named(":authority", None), malformed),
        ("no method", named(":method", None), malformed),
        ("no fields", request(section(&[])), malformed),
        ("a field of 20 KiB", request(long(20 << 10)), too_large),
        ("a field of 64 KiB", request(long(64 << 10)), too_large),
        ("a field of a mebibyte", request(long(1 << 20)), too_large),
        ("a section without end", request(cut_frame(HEADERS, HUGE, &[0, 0])), too_large),
        ("thousands of fields", request(many), too_large),
        ("a body before its request", request(frame(DATA, b"x")), unexpected),
        ("settings as a request", request(http3::settings(&USUAL)), unexpected),
        ("a farewell as a request", request(frame(GOAWAY, &[0])), unexpected),
        ("pushes as a request", request(frame(MAX_PUSH_ID, &[0])), unexpected),
        ("a push cancelled as a request", request(frame(CANCEL_PUSH, &[0])), unexpected),
        ("a push promised by a client", request(frame(PUSH_PROMISE, &[0, 0, 0])), unexpected),
        (
            "a session's stream that began as a request",
            request([frame(grease(1), b""), frame(OF_SESSION, b"")].concat()),
            &[Closed(FRAME_ERROR), Closed(FRAME_UNEXPECTED)],
        ),
        ("a stream that ends before its request", ended(vec![]), &[Refused(REQUEST_INCOMPLETE)]),
        ("a request that ends before its fields", ended(frame(grease(2), b"x")), &[Refused(REQUEST_INCOMPLETE)]),
        ("a request cut off", ended(cut_frame(HEADERS, 40, &[0, 0])), &[Closed(FRAME_ERROR)]),
        ("an unknown frame cut off", ended(cut_frame(grease(2), 40, &[0])), &[Closed(FRAME_ERROR)]),
        ("a frame's length cut off", ended(vec![0x01, 0x40]), &[Closed(FRAME_ERROR)]),
    ];
    cases.extend(malformed_fields().map(|(what, name, value)| (what, with(name, value), malformed)));
    for (name, usual) in CONNECT {
        cases.push(("a pseudo-field twice", with(name, usual), malformed));
        cases.push(("an empty pseudo-field", named(name, Some("")), &[Refused(MESSAGE_ERROR), Answered(501)]));
    }
    for target in ["x", "*", "@evil/v1/webtransport", "/v1/webtransport#", "\\v1\\webtransport"] {
        cases.push(("a path that is none", named(":path", Some(target)), malformed));
    }
    for authority in ["user@localhost", "localhost/v1/webtransport?", "a b"] {
        cases.push(("an authority that is none", named(":authority", Some(authority)), malformed));
    }
    let late = headers(&[&[("origin", "https://localhost")], &CONNECT[..]].concat());
    cases.push(("pseudo-fields behind a field", request(late), malformed));
    let origins = [("origin", "https://a"), ("origin", "https://b")];
    cases.push(("two origins", request(headers(&[&CONNECT[..], &origins].concat())), &[Answered(400)]));
    for (name, kind) in
        [("PRIORITY, asked", 2), ("PING, asked", 6), ("WINDOW_UPDATE, asked", 8), ("CONTINUATION, asked", 9)]
    {
        cases.push((name, request(frame(kind, &[0; 4])), unexpected));
    }
    cases
}

pub(super) fn session_cases() -> Vec<Case> {
    let granted = || after_settings(Bi(headers(&CONNECT)));
    let says = |bytes: Vec<u8>| [granted(), vec![More(bytes)]].concat();
    let data = |capsule: Vec<u8>| says(frame(DATA, &capsule));
    let then = |deed: Deed| [granted(), vec![More(Vec::new()), deed]].concat();
    let of = |session: u64| [varint(OF_SESSION), varint(session)].concat();
    let unexpected: &[Outcome] = &[Closed(FRAME_UNEXPECTED)];
    let unknown: &[Outcome] = &[Refused(BUFFERED_STREAM_REJECTED), Refused(SESSION_GONE)];
    // The session is over: the connection that served it goes too.
    let over: &[Outcome] = &[Closed(H3_NO_ERROR)];
    let malformed: &[Outcome] = &[Closed(MESSAGE_ERROR)];
    vec![
        ("a second session", then(Bi(headers(&CONNECT))), &[Answered(429)]),
        ("a stream of an unknown session", then(Bi(of(400))), unknown),
        ("a stream of a session that cannot be", then(Bi(of(401))), &[Closed(ID_ERROR)]),
        ("a stream of a session of the server's", then(Bi(of(2))), &[Closed(ID_ERROR)]),
        ("fields after the session began", says(headers(&CONNECT)), unexpected),
        ("settings on the session's stream", says(http3::settings(&[])), unexpected),
        ("HTTP/2 on the session's stream", says(frame(6, &[0; 8])), unexpected),
        ("a closing capsule too short", data(frame(CLOSE_SESSION, &[0; 3])), malformed),
        ("a closing capsule too long", data(frame(CLOSE_SESSION, &[0; 2000])), malformed),
        ("a closing capsule without end", data(cut_frame(CLOSE_SESSION, HUGE, &[0; 4])), malformed),
        ("the session closed", data(frame(CLOSE_SESSION, &[0, 0, 0, 7, b'b', b'y', b'e'])), over),
        ("the session's stream ended", [granted(), vec![MoreEnded(Vec::new())]].concat(), over),
        (
            "a capsule cut off",
            [granted(), vec![MoreEnded(frame(DATA, &cut_frame(grease(0), 9, b"x")))]].concat(),
            malformed,
        ),
        (
            "a frame cut off on the session's stream",
            [granted(), vec![MoreEnded(cut_frame(DATA, 9, b""))]].concat(),
            &[Closed(FRAME_ERROR)],
        ),
        ("a datagram without a stream", then(Datagram(Vec::new())), &[Closed(DATAGRAM_ERROR)]),
        ("a datagram whose stream is cut off", then(Datagram(vec![0x40])), &[Closed(DATAGRAM_ERROR)]),
        ("a datagram of a stream that cannot be", then(Datagram(varint(1 << 60))), &[Closed(DATAGRAM_ERROR)]),
    ]
}

/// What must be taken in and passed over: a session begins behind it.
pub(super) fn tolerated_cases() -> Vec<Case> {
    let granted: &[Outcome] = &[Answered(200)];
    let connect = || Bi(headers(&CONNECT));
    let greased: Vec<_> = (0..20).map(|n| (grease(n), HUGE - n)).collect();
    let frames: Vec<u8> = (0..50).flat_map(|n| frame(grease(n), &vec![7; n as usize * 3])).collect();
    let [tag, cancellation] = [vec![0x20; 3], vec![0x44, 0x7f, 0x12]];
    let seldom = [("te", "trailers"), ("host", "LOCALHOST"), ("x-empty", ""), ("cookie", "a=1"), ("cookie", "b")];
    let before_fields = [frames.clone(), frame(0x4000_0000, b"unknown"), headers(&CONNECT)].concat();
    vec![
        ("nothing else", vec![Uni(control(&[])), connect()], granted),
        ("what is seldom sent", vec![Uni(control(&[])), Bi(headers(&[&CONNECT[..], &seldom].concat()))], granted),
        ("settings that nobody knows", vec![Uni(uni(CONTROL, &http3::settings(&greased))), connect()], granted),
        ("no settings at all", vec![Uni(uni(CONTROL, &http3::settings(&[]))), connect()], granted),
        ("unknown frames on the control stream", vec![Uni(control(&frames)), connect()], granted),
        ("a long unknown frame", vec![Uni(control(&frame(grease(9), &vec![0; 100_000]))), connect()], granted),
        (
            "a farewell, and pushes permitted",
            vec![Uni(control(&[frame(MAX_PUSH_ID, &[9]), frame(GOAWAY, &[0])].concat())), connect()],
            granted,
        ),
        ("unknown frames before the request", vec![Uni(control(&[])), Bi(before_fields)], granted),
        (
            "streams of QPACK with nothing to say",
            vec![Uni(control(&[])), Uni(uni(ENCODER, &tag)), Uni(uni(DECODER, &cancellation)), connect()],
            granted,
        ),
        (
            "streams of unknown types",
            [
                vec![Uni(control(&[]))],
                (0..14)
                    .map(|n| if n % 2 == 0 { UniEnded(uni(grease(n), b"x")) } else { UniReset(uni(grease(n), b"y")) })
                    .collect(),
                vec![connect()],
            ]
            .concat(),
            granted,
        ),
        (
            "streams without a type",
            vec![Uni(control(&[])), UniEnded(Vec::new()), UniEnded(vec![0x40]), connect()],
            granted,
        ),
        (
            "a session's stream for one way",
            vec![
                Uni(control(&[])),
                connect(),
                More(Vec::new()),
                UniEnded(uni(OF_SESSION_UNI, &[0, 1, 2, 3])),
                Bi(connect_but(":path", Some("/"))),
            ],
            &[Answered(404)],
        ),
        (
            "datagrams of unknown streams",
            vec![
                Uni(control(&[])),
                Datagram(vec![0x01, 2, 3]),
                Datagram(vec![0x00]),
                Datagram([varint(1 << 20), vec![9; 900]].concat()),
                connect(),
            ],
            granted,
        ),
        (
            "capsules that nobody knows",
            vec![
                Uni(control(&[])),
                connect(),
                More(
                    [frame(DATA, &[frame(0x17, b"grease"), frame(DRAIN_SESSION, b"")].concat()), frames.clone()]
                        .concat(),
                ),
                Bi(connect_but(":path", Some("/"))),
            ],
            &[Answered(404)],
        ),
        (
            "a capsule without end",
            vec![
                Uni(control(&[])),
                connect(),
                More([frame(DATA, &cut_frame(0x17 + 0x29, HUGE, &[0; 5000])), frame(DATA, &[0; 5000])].concat()),
                Bi(connect_but(":path", Some("/"))),
            ],
            &[Answered(404)],
        ),
        (
            "other requests first",
            vec![
                Uni(control(&[])),
                BiEnded(connect_but(":path", Some("/"))),
                BiEnded(connect_but(":method", Some("POST"))),
                connect(),
            ],
            granted,
        ),
        (
            "requests whose answers nobody takes",
            vec![
                Uni(control(&[])),
                BiUnheard(connect_but(":path", Some("/"))),
                BiUnheard(connect_but(":method", Some("POST"))),
                BiUnheard(connect_but(":path", None)),
                connect(),
            ],
            granted,
        ),
        ("a request before the settings", vec![connect(), Uni(control(&[]))], granted),
        ("fields in other spellings", vec![Uni(control(&[])), Bi(section(&compact_connect()))], granted),
    ]
}

/// [`CONNECT`] as browsers write it: entries of the static table, and strings of Huffman's code.
fn compact_connect() -> Vec<u8> {
    // :method CONNECT and :scheme https are entries 15 and 23; names of :authority and :path are 0 and 1.
    let path = line(":path", "/v1/webtransport");
    let authority = [0x50, 0x86, 0xa0, 0xe4, 0x1d, 0x13, 0x9d, 0x09];
    [&[0xc0 | 15, 0xc0 | 23], &authority[..], &path, &line(":protocol", "webtransport")].concat()
}
