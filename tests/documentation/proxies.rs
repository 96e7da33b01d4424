//! Configurations of proxies: the proxy reads them, and taps and frames pass through it to a server.
//!
//! What is changed of the text is what the machine decides: where the proxy listens, its certificate, the server's address.

use crate::checker::{checker, objection};
use crate::kind::{Kind, examples};
use crate::support::{Server, eventually};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The name that the examples are for.
const NAME: &str = "taps.example.com";
/// Taps that are sent through a proxy, and the connections to the server that this may take at most: with one for each tap
/// it would be all of them.
const TAPS: u64 = 40;
const CONNECTIONS_MAX: u64 = 20;

/// A directory with a certificate and its key: each alone, and both in one file, as HAProxy wants it.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let [certificate, key] = [made.cert.pem(), made.signing_key.serialize_pem()];
    std::fs::write(directory.path().join("both.pem"), format!("{certificate}{key}")).unwrap();
    std::fs::write(directory.path().join("certificate.pem"), certificate).unwrap();
    std::fs::write(directory.path().join("key.pem"), key).unwrap();
    directory
}

/// A proxy that runs until it is dropped.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let stop = format!("kill -TERM {}", self.0.id());
        let _ = Command::new("sh").args(["-c", &stop]).status();
        let _ = self.0.wait();
    }
}

/// nginx with the example in a directory, and the server's port in place of 8080.
fn nginx(directory: &Path, example: &str, port: u16) -> Option<Command> {
    let here = |name: &str| directory.join(name).display().to_string();
    let of_nginx = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    // Files that a packaged nginx has somewhere else.
    let files = of_nginx.map(|kind| format!("{kind}_temp_path {};", here(kind))).join(" ");
    let text = example
        .replace("http {", &format!("http {{ access_log off; {files}"))
        .replace("/etc/nginx/taps.example.com.pem", &here("certificate.pem"))
        .replace("/etc/nginx/taps.example.com.key", &here("key.pem"))
        .replace("listen 443", &format!("listen unix:{}", here("socket")))
        .replace(":8080", &format!(":{port}"));
    std::fs::write(directory.join("nginx.conf"), text).unwrap();
    let mut nginx = checker("nginx")?;
    // As root the workers would be another account, which does not reach the directory.
    let globals = format!("daemon off; pid {};{}", here("pid"), if is_root() { " user root;" } else { "" });
    nginx.args(["-e", "stderr", "-g", &globals, "-p"]).arg(directory).arg("-c").arg(directory.join("nginx.conf"));
    Some(nginx)
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

/// HAProxy, likewise.
fn haproxy(directory: &Path, example: &str, port: u16) -> Option<Command> {
    let here = |name: &str| directory.join(name).display().to_string();
    let text = example
        .replace("/etc/haproxy/taps.example.com.pem", &here("both.pem"))
        .replace("bind :443", &format!("bind unix@{}", here("socket")))
        .replace("maxconn 60000", "maxconn 200")
        .replace(":8080", &format!(":{port}"));
    std::fs::write(directory.join("haproxy.cfg"), text).unwrap();
    let mut haproxy = checker("haproxy")?;
    haproxy.arg("-f").arg(directory.join("haproxy.cfg"));
    Some(haproxy)
}

/// `curl` by HTTPS through the socket of a proxy.
fn curl(directory: &Path, path: &str) -> Command {
    let mut curl = checker("curl").expect("curl");
    curl.args(["--silent", "--show-error", "--fail", "--no-buffer", "--insecure", "--unix-socket"]);
    curl.arg(directory.join("socket")).arg(format!("https://{NAME}{path}"));
    curl
}

/// Taps are counted through the proxy, over few connections, and frames come as they are made.
fn serves(server: &Server, directory: &Path, proxy: &mut Command) {
    let mut proxy = Proxy(proxy.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    let is_ready = || {
        assert!(proxy.0.try_wait().unwrap().is_none(), "the proxy has ended");
        curl(directory, "/readyz").output().unwrap().status.success().then_some(())
    };
    eventually(is_ready, || "the proxy does not answer".into());

    let mut stream = curl(directory, "/v1/rooms/1/stream").stdout(Stdio::piped()).spawn().unwrap();
    let mut events = BufReader::new(stream.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(events.any(|line| line == "event: palette"), "the stream ended");

    // Without those of health checks, which come by the clock: each has a connection, and is answered 200.
    let connections = || {
        let metrics = server.metrics();
        let accepted = metrics.sum("uproar_connections_total{proto=\"http\",outcome=\"accepted\"}");
        accepted.saturating_sub(metrics.sum("uproar_http_requests_total{code=\"200\"}"))
    };
    let before = connections();
    for _ in 0..TAPS {
        let mut tap = curl(directory, "/v1/rooms/1/reactions");
        tap.args(["--header", "Content-Type: application/json", "--data", "{\"emoji\":\"fire\"}"]);
        assert_eq!(objection(&mut tap), None);
    }
    server.await_metric("uproar_reactions_total{proto=\"http\"}", TAPS);
    let connections = connections().saturating_sub(before);
    assert!(connections <= CONNECTIONS_MAX, "{connections} connections for {TAPS} taps");

    // A proxy that buffers would hold these back until the stream ends.
    let mut seen = 0;
    while seen < TAPS {
        let line = events.next().expect("the stream ended");
        let Some(frame) = line.strip_prefix("data: {\"room\":1,\"window\"") else { continue };
        let total = frame.split("\"total\":").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
        seen += total.parse::<u64>().unwrap();
    }
    assert_eq!(seen, TAPS);
    stream.kill().unwrap();
    stream.wait().unwrap();
}

#[test]
fn nginx_takes_its_configuration_and_serves_taps_and_frames() {
    for block in examples(Kind::Nginx) {
        let directory = directory();
        let server = Server::start(&["--shards", "1", "--window", "100ms", "--http", "0.0.0.0:0"]);
        let command = || nginx(directory.path(), &block.text, server.http().port());
        let Some(mut check) = command() else { return };
        assert_eq!(objection(check.arg("-t")), None, "{}", block.place);
        if checker("curl").is_some() {
            serves(&server, directory.path(), &mut command().unwrap());
        }
    }
}

#[test]
fn haproxy_takes_its_configuration_and_serves_taps_and_frames() {
    for block in examples(Kind::Haproxy) {
        let directory = directory();
        let server = Server::start(&["--shards", "1", "--window", "100ms", "--http", "0.0.0.0:0"]);
        let command = || haproxy(directory.path(), &block.text, server.http().port());
        let Some(mut check) = command() else { return };
        assert_eq!(objection(check.arg("-c")), None, "{}", block.place);
        if checker("curl").is_some() {
            serves(&server, directory.path(), command().unwrap().arg("-db"));
        }
    }
}

/// Chapters of proxies that cannot be tried here say the same as those that are tried.
#[test]
fn every_proxy_asks_readiness_and_none_sends_proxy_headers() {
    let guide = examples(Kind::Nginx).into_iter().chain(examples(Kind::Haproxy)).chain(examples(Kind::Yaml));
    let mut checks = 0;
    for block in guide.filter(|block| block.place.starts_with("docs/BALANCERS.md")) {
        checks += usize::from(block.text.contains("/readyz"));
        assert!(!block.text.contains("send-proxy") && !block.text.contains("proxyHeader: PROXY"), "{}", block.place);
    }
    assert!(checks >= 4, "HAProxy, Envoy, AWS and Google: {checks}");
}

/// The guide says that the defaults fit: no proxy keeps an idle connection for longer than a node, or gives up a silent stream
/// before the node's heartbeat.
#[test]
fn the_defaults_suit_the_time_outs_of_the_guide() {
    let http = uproar::config::Config::default().http;
    let guide = crate::page::read("docs/BALANCERS.md");
    let seconds = |text: &str| text.trim_end_matches(['s', ';']).parse::<u64>().ok();
    let settings = ["keepalive_timeout", "proxy_read_timeout", "timeout client", "timeout server", "pool-purge-delay"];
    let mut compared = 0;
    for setting in settings {
        let (_, value) = guide.split_once(&format!(" {setting} ")).unwrap_or_else(|| panic!("no {setting}"));
        let value = value.split_whitespace().find_map(seconds).unwrap_or_else(|| panic!("{setting}"));
        let is_of_streams = setting.contains("read") || setting.starts_with("timeout");
        let limit =
            if is_of_streams { http.stream_heartbeat.as_secs()..u64::MAX } else { 0..http.idle_timeout.as_secs() };
        assert!(limit.contains(&value), "{setting} is {value} s");
        compared += 1;
    }
    assert_eq!(compared, settings.len());
    assert_eq!(http.idle_timeout.as_secs(), 10 * 60 + 20, "and that of Google's balancers, 600 s");
}
