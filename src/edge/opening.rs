//! The first lines of the log: what this process is, and what it allows. Who reads the log at night learns from them
//! how the node was started, without asking who started it.
//!
//! Not here: what is wrong with the machine ([`super::checks`]).

use super::sys::descriptor;
use crate::config::Config;
use std::net::SocketAddr;
use std::time::Duration;

/// Logs what the node is about to do, `cores` being the core of each shard.
pub fn log(config: &Config, cores: &[usize], rooms: usize) {
    tracing::info!(event = "start", "{}", start_text(config, cores, rooms));
    tracing::info!(event = "certificate", "{}", certificate_text(config));
    tracing::info!(event = "limits", "{}", limits_text(config, descriptor::open_files_max().ok()));
}

/// Logs that the node serves, and where.
pub fn log_ready(listening: &[(&'static str, SocketAddr)]) {
    let ports: Vec<_> = listening.iter().map(|(what, address)| format!("{what} {address}")).collect();
    tracing::info!(event = "ready", "serving {}", ports.join(", "));
}

fn start_text(config: &Config, cores: &[usize], rooms: usize) -> String {
    let cores: Vec<_> = cores.iter().map(ToString::to_string).collect();
    format!(
        "uproar {}, {} on {} {}, windows of {}, {}",
        env!("CARGO_PKG_VERSION"),
        counted(cores.len(), "shard"),
        if cores.len() == 1 { "core" } else { "cores" },
        cores.join(","),
        text(config.window),
        counted(rooms, "room"),
    )
}

fn certificate_text(config: &Config) -> String {
    match &config.quic.certificate {
        Some(path) => format!("read from {}", path.display()),
        None => format!(
            "made for development, for {}; a client must be told to trust it",
            config.quic.server_names.join(", ")
        ),
    }
}

fn limits_text(config: &Config, open_files_max: Option<u64>) -> String {
    let files = match open_files_max {
        Some(u64::MAX) => "any number of open files".into(),
        Some(files) => format!("{files} open files"),
        None => "an unknown number of open files".into(),
    };
    format!(
        "a shard takes {} HTTP connections and {} subscribers, who begin {} handshakes a second; a drain takes {} and up to \
         {} more; the process may have {files}",
        config.http.connections_max,
        config.quic.subscribers_max,
        config.quic.handshakes_per_second,
        text(config.drain.duration),
        text(config.drain.timeout),
    )
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_say_how_the_node_was_started() {
        let mut config = Config::default();
        let start = start_text(&config, &[2, 3], 1);
        assert!(start.ends_with(", 2 shards on cores 2,3, windows of 2s, 1 room"), "{start}");
        assert!(start_text(&config, &[5], 20).ends_with(", 1 shard on core 5, windows of 2s, 20 rooms"));
        assert_eq!(
            limits_text(&config, Some(20_000)),
            "a shard takes 10000 HTTP connections and 50000 subscribers, who begin 2500 handshakes a second; a drain takes \
             0s and up to 10s more; the process may have 20000 open files"
        );
        assert!(limits_text(&config, Some(u64::MAX)).ends_with("any number of open files"));
        assert!(certificate_text(&config).contains("made for development, for localhost, 127.0.0.1, ::1;"));
        config.quic.certificate = Some("/etc/uproar/c.pem".into());
        assert_eq!(certificate_text(&config), "read from /etc/uproar/c.pem");
    }
}
