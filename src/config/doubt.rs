//! Values that are valid but likely a mistake. Each is a warning at the start, at a reload and in a check, and an error on a
//! strict node.

use super::{Config, Origin, Origins};

/// A value that is valid but likely a mistake. The names of the checks are published in `docs/LOG.md`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doubt {
    /// The stable name of the check that found it.
    pub check: &'static str,
    /// What is there.
    pub found: String,
    /// What to change.
    pub remedy: String,
}

/// Doubts about values that do not go well together.
pub(super) fn of_values(config: &Config, origins: &Origins) -> Vec<Doubt> {
    let time = |time| humantime::format_duration(time).to_string();
    let mut doubts = Vec::new();
    let (streams, connections) = (config.http.streams_max, config.http.connections_max);
    // Whoever sets only the limit of connections means that of streams as well.
    if streams > connections && origins.of("http.streams_max") != Origin::Default {
        doubts.push(Doubt {
            check: "streams_max",
            found: format!(
                "http.streams_max is {streams}, but streams are among the {connections} of http.connections_max and can \
                 take all of them, so that taps find no connection"
            ),
            remedy: "set http.streams_max below http.connections_max".into(),
        });
    }
    let (window, idle) = (config.window, config.quic.idle_timeout);
    if window >= idle {
        doubts.push(Doubt {
            check: "idle_timeout",
            found: format!(
                "quic.idle_timeout is {}, and a window lasts {}: subscribers whose room is quiet are lost between two frames",
                time(idle),
                time(window)
            ),
            remedy: format!("set quic.idle_timeout above window, to {} for example", time(3 * window)),
        });
    }
    doubts
}
