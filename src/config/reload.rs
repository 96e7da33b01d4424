//! A configuration that was read again: what of it a running server takes in, and what waits for a restart.
//!
//! Invariant: what [`Config::reload`] returns is whole and in range, like what was loaded. What is not named here waits for a
//! restart, so that a new knob is never taken for one that is in force: what is taken in is named field by field, and the compiler asks
//! about one that is not named at all.

use super::knob::KNOBS;
use super::{Config, ConfigError, Drain, Fanout, Http, Limits, Origins, Quic};
use std::fmt;

/// What became of a configuration that was read again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reloaded {
    /// What is in force from here on.
    pub config: Config,
    /// Knobs that have changed.
    pub changes: Vec<Change>,
    /// Knobs that are set to something else, which waits for a restart.
    pub waiting: Vec<&'static str>,
}

/// One knob that has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Its key: `http.idle_timeout`.
    pub key: &'static str,
    /// Its value before, as TOML writes it; none where there was none.
    pub from: Option<String>,
    /// Its value now.
    pub to: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, to] = [&self.from, &self.to].map(|value| value.as_deref().unwrap_or("not set"));
        write!(f, "{} from {from} to {to}", self.key)
    }
}

impl Config {
    /// What a server that runs with this configuration makes of `read`.
    ///
    /// # Errors
    /// When what it can take in does not go together with what has to stay.
    pub fn reload(&self, read: &Self) -> Result<Reloaded, ConfigError> {
        let mut config = Self {
            log: read.log,
            http: http_after(&read.http),
            quic: self.quic_after(&read.quic),
            limits: limits_after(&read.limits),
            fanout: fanout_after(&read.fanout),
            drain: drain_after(&read.drain),
            rooms: read.rooms.clone(),
            ..self.clone()
        };
        config.check_together(&Origins::default())?;
        let changes = differences(&mut self.clone(), &mut config);
        let waiting = differences(&mut config, &mut read.clone());
        Ok(Reloaded { changes, waiting: waiting.into_iter().map(|change| change.key).collect(), config })
    }

    fn quic_after(&self, read: &Quic) -> Quic {
        // A certificate made for development is made at a start.
        let identity = if read.certificate.is_some() { read } else { &self.quic };
        Quic {
            subscribers_max: read.subscribers_max,
            connections_per_address_max: read.connections_per_address_max,
            rooms_per_subscriber_max: read.rooms_per_subscriber_max,
            idle_timeout: read.idle_timeout,
            handshakes_max: read.handshakes_max,
            handshakes_per_second: read.handshakes_per_second,
            retry_above: read.retry_above,
            key_file: self.quic.key_file.clone(),
            certificate: identity.certificate.clone(),
            private_key: identity.private_key.clone(),
            server_names: self.quic.server_names.clone(),
        }
    }
}

// Field by field, here and above: the compiler then asks of a new knob whether it is taken in.

fn http_after(read: &Http) -> Http {
    Http {
        connections_max: read.connections_max,
        connections_per_address_max: read.connections_per_address_max,
        idle_timeout: read.idle_timeout,
        send_timeout: read.send_timeout,
        head_timeout: read.head_timeout,
        request_timeout: read.request_timeout,
        body_rate_min_bytes: read.body_rate_min_bytes,
        streams_max: read.streams_max,
        stream_heartbeat: read.stream_heartbeat,
    }
}

fn limits_after(read: &Limits) -> Limits {
    Limits { taps_per_record: read.taps_per_record, taps_per_request: read.taps_per_request }
}

fn fanout_after(read: &Fanout) -> Fanout {
    Fanout { spread: read.spread }
}

fn drain_after(read: &Drain) -> Drain {
    Drain { duration: read.duration, timeout: read.timeout }
}

fn differences(before: &mut Config, after: &mut Config) -> Vec<Change> {
    let changes = KNOBS.iter().map(|knob| Change { key: knob.key, from: knob.toml(before), to: knob.toml(after) });
    changes.filter(|change| change.from != change.to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;
    use std::io::Write as _;
    use std::time::Duration;

    fn read(toml: &str) -> Config {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(toml.as_bytes()).unwrap();
        Config::load(Some(file.path()), std::iter::empty(), Overrides::default()).unwrap()
    }

    fn reload(before: &str, after: &str) -> Reloaded {
        read(before).reload(&read(after)).unwrap()
    }

    #[test]
    fn the_same_again_changes_nothing() {
        let toml = "window = \"1s\"\n[http]\nidle_timeout = \"7s\"\n";
        let reloaded = reload(toml, toml);
        assert_eq!((reloaded.config, reloaded.changes, reloaded.waiting), (read(toml), Vec::new(), Vec::new()));
    }

    #[test]
    fn limits_are_taken_in_and_named_with_their_values() {
        let reloaded = reload(
            "",
            "log = \"warn\"\n[http]\nidle_timeout = \"7s\"\n[quic]\nretry_above = 9\n[limits]\ntaps_per_record = 65535\ntaps_per_request = 100000\n",
        );
        let said: Vec<_> = reloaded.changes.iter().map(Change::to_string).collect();
        assert_eq!(
            said,
            [
                "log from \"info\" to \"warn\"",
                "http.idle_timeout from \"10m 20s\" to \"7s\"",
                "quic.retry_above from 256 to 9",
                "limits.taps_per_record from 600 to 65535",
                "limits.taps_per_request from 2400 to 100000"
            ]
        );
        assert_eq!((reloaded.config.http.idle_timeout.as_secs(), reloaded.config.quic.retry_above), (7, 9));
        assert_eq!(reloaded.waiting, Vec::<&str>::new());
    }

    #[test]
    fn what_takes_a_restart_stays_and_is_named_each_time() {
        let after = "shards = 3\nwindow = \"4s\"\ntop_k = 3\n[listen]\nhttp = \"127.0.0.1:1\"\n[quic]\nkey_file = \"k\"\nserver_names = [\"a\"]\n[web]\npage = false\norigins = [\"https://a.example\"]\n[drain]\ntimeout = \"3s\"\n";
        let first = reload("", after);
        let waiting = [
            "shards",
            "window",
            "top_k",
            "listen.http",
            "quic.key_file",
            "quic.server_names",
            "web.page",
            "web.origins",
        ];
        assert_eq!(first.waiting, waiting);
        assert_eq!((first.config.shards, first.config.top_k), (None, 8));
        assert_eq!(first.config.drain.timeout, Duration::from_secs(3), "the rest is taken in");
        let second = first.config.reload(&read(after)).unwrap();
        assert_eq!((second.waiting, second.changes), (waiting.to_vec(), Vec::new()));
    }

    #[test]
    fn what_goes_with_the_new_window_and_not_with_the_one_in_force_is_refused() {
        let after = read("window = \"20s\"\n[fanout]\nspread = \"5s\"\n");
        let error = read("").reload(&after).unwrap_err().to_string();
        assert!(error.contains("fanout.spread") && error.contains("half of window (2s)"), "{error}");
    }

    #[test]
    fn a_certificate_comes_and_changes_but_does_not_go() {
        let with = "[quic]\ncertificate = \"/c\"\nprivate_key = \"/k\"\n";
        let come = reload("", with);
        assert_eq!(come.changes.len(), 2);
        assert_eq!(come.config.quic.certificate, Some("/c".into()));
        let gone = reload(with, "");
        assert_eq!((gone.changes, gone.waiting), (Vec::new(), vec!["quic.certificate", "quic.private_key"]));
        assert_eq!(gone.config.quic.private_key, Some("/k".into()));
    }
}
