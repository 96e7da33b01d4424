//! Where what is in no frame was last seen: at the generator, on the way in, in the kernel, in the server, on the way out.
//!
//! Invariant: taps are exact by way in. What kernel and server dropped is in their own units, as a dropped datagram no
//! longer says how many taps it had.

use super::{Loss, Place, Report, Server, TransportRow};
use crate::ledger::Transport;
use crate::table::grouped;

/// What this machine's own kernel says when it does not take something; all else was refused by the other side. Files,
/// addresses and buffers that have run out are among them; some of these have no name of their own as an
/// [`std::io::ErrorKind`].
const OWN_KERNEL: [&str; 9] = [
    "address in use",
    "address not available",
    "out of memory",
    "resource busy",
    "would block",
    "uncategorized error",
    "Too many open files",
    "No buffer space",
    "Cannot assign requested address",
];

impl Report {
    /// Where what is in no frame was last seen, in the order of the way.
    pub(super) fn locate(&self) -> Vec<Loss> {
        let mut losses: Vec<Loss> = self.transports.iter().flat_map(TransportRow::given_up).collect();
        if let Some(server) = &self.server {
            if self.is_whole() {
                losses.extend(self.transports.iter().filter_map(TransportRow::not_counted));
            }
            losses.extend(server.dropped_by_kernel());
            losses.extend(self.refused(server));
            losses.extend(self.not_shown(server));
        }
        losses.sort_by_key(|loss| loss.place);
        losses
    }

    /// Other machines' input that was sent to be refused is not known in a part.
    pub(super) fn knows_purpose(&self) -> bool {
        self.is_whole() || self.scenario.hostile.is_none()
    }

    fn refused(&self, server: &Server) -> Vec<Loss> {
        if !self.knows_purpose() {
            return Vec::new();
        }
        let mistakes = self.refused_by_mistake(server).into_iter();
        mistakes.map(|(way, reason, count)| loss(Place::Server, &way, &reason, count, "inputs")).collect()
    }

    fn not_shown(&self, server: &Server) -> Vec<Loss> {
        let held = server.taps_counted.saturating_sub(server.taps_framed);
        let unseen = server.taps_framed.saturating_sub(self.taps_framed);
        let of = |place, reason: &str, count| Loss { by: None, ..loss(place, "", reason, count, "taps") };
        let places = [
            of(Place::Server, "counted, and in no frame that was made", held),
            of(Place::WayOut, "in frames that nobody here received", unseen),
        ];
        // What the server counted before it was looked at first may be in a frame, too.
        places.into_iter().filter(|loss| loss.count > 0 && self.taps_lost > 0).collect()
    }
}

impl TransportRow {
    /// Taps that this machine did not send.
    pub(super) fn not_done_here(&self) -> u64 {
        let refused = self.taps_refused.iter().filter(|(reason, _)| is_own(self.transport, reason));
        self.taps_unsent + refused.map(|(_, taps)| taps).sum::<u64>()
    }

    fn given_up(&self) -> Vec<Loss> {
        let way = self.transport.label();
        let unsent = loss(Place::Generator, way, "not sent in time", self.taps_unsent, "taps");
        let refused = self.taps_refused.iter().map(|(reason, taps)| {
            let place = if is_own(self.transport, reason) { Place::Generator } else { Place::Server };
            loss(place, way, reason, *taps, "taps")
        });
        let reason = "taken by a connection that never sent them";
        let left_behind = loss(Place::Generator, way, reason, self.datagrams_left_behind, "datagrams");
        [unsent, left_behind].into_iter().chain(refused).filter(|loss| loss.count > 0).collect()
    }

    fn not_counted(&self) -> Option<Loss> {
        let missing = self.taps_sent.saturating_sub(self.taps_counted?);
        (missing > 0).then(|| loss(Place::WayIn, self.transport.label(), "sent, and not counted", missing, "taps"))
    }
}

impl Server {
    fn dropped_by_kernel(&self) -> impl Iterator<Item = Loss> {
        let drops = self.socket_drops.iter();
        drops.map(|(socket, count)| loss(Place::Kernel, socket, "no room in the socket's buffer", *count, "datagrams"))
    }
}

impl Loss {
    /// As part of a sentence.
    pub fn to_text(&self) -> String {
        let (count, unit) = (grouped(self.count), &self.unit);
        let by = self.by.as_deref().unwrap_or("all ways in");
        match self.place {
            Place::Generator => format!("this machine: {count} {unit} by {by}: {}", self.reason),
            Place::WayIn => format!("{count} {unit} by {by} were sent and not counted"),
            Place::Kernel => format!("the kernel dropped {count} {unit} at the server's socket {by}"),
            Place::Server if self.by.is_none() => {
                format!("{count} {unit} were counted and are in no frame that was made")
            }
            Place::Server => format!("the server refused {count} {unit} by {by} as {}", self.reason),
            Place::WayOut => format!("{count} {unit} are in frames that nobody here received"),
        }
    }
}

fn is_own(way: Transport, reason: &str) -> bool {
    let answered = reason.contains("refused") || reason.contains("reset");
    // A datagram that could be sent is gone: only this kernel can refuse one, but for the news that nobody listens.
    (way == Transport::Udp && !answered) || OWN_KERNEL.iter().any(|own| reason.contains(own))
}

fn loss(place: Place, by: &str, reason: &str, count: u64, unit: &str) -> Loss {
    Loss { place, by: Some(by.to_owned()), reason: reason.to_owned(), count, unit: unit.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::Part;
    use crate::report::synthetic::Play;

    fn texts(report: &Report) -> Vec<String> {
        report.locate().iter().map(Loss::to_text).collect()
    }

    #[test]
    fn nothing_is_lost_where_everything_adds_up() {
        assert_eq!(texts(&Play::new(1).report(Part::WHOLE)), [""; 0]);
    }

    #[test]
    fn taps_are_located_by_way_in_and_place() {
        let mut play = Play::new(1);
        play.lose_before_server("udp", 5);
        play.lose_before_fan_out(7);
        let report = play.report(Part::WHOLE);
        assert_eq!(report.taps_lost, 12);
        assert_eq!(
            texts(&report),
            [
                "5 taps by udp were sent and not counted",
                "the kernel dropped 5 datagrams at the server's socket reactions",
                "7 taps are in frames that nobody here received",
            ]
        );
    }

    #[test]
    fn what_the_server_refuses_is_told_from_what_this_machine_cannot_send() {
        let mut report = Play::new(1).report(Part::WHOLE);
        let refused = [("http 503", 3), ("http: Cannot assign requested address (os error 99)", 2)];
        report.transports[1].taps_refused = refused.map(|(reason, taps)| (reason.to_owned(), taps)).into();
        report.transports[0].taps_refused = [("udp send: connection refused".to_owned(), 4)].into();
        report.transports[0].taps_unsent = 9;
        let places: Vec<_> = report.locate().into_iter().map(|loss| (loss.place, loss.count)).collect();
        let expected = [(Place::Generator, 9), (Place::Generator, 2), (Place::Server, 4), (Place::Server, 3)];
        assert_eq!(places, expected);
        assert_eq!((report.transports[0].not_done_here(), report.transports[1].not_done_here()), (9, 2));
    }

    #[test]
    fn kernels_are_known_by_what_they_say() {
        use std::io::{Error, ErrorKind};
        let (no_files, no_address) = (Error::from_raw_os_error(24).kind(), ErrorKind::AddrNotAvailable);
        for (way, reason, own) in [
            (Transport::Http, format!("http connect: {no_files}"), true),
            (Transport::Http, format!("http connect: {no_address}"), true),
            (Transport::Http, format!("http connect: {}", ErrorKind::ConnectionRefused), false),
            (Transport::Http, "http 429".into(), false),
            (Transport::Udp, format!("udp send: {}", Error::from_raw_os_error(105)), true),
            (Transport::Udp, format!("udp send: {}", Error::from_raw_os_error(111)), false),
            (Transport::Quic, "quic: connection lost".into(), false),
        ] {
            assert_eq!(is_own(way, &reason), own, "{reason}");
        }
    }

    #[test]
    fn a_part_does_not_know_what_others_sent() {
        let mut play = Play::new(1);
        play.lose_before_server("udp", 5);
        play.reject("udp", "malformed", 3);
        let part = play.report("1/2".parse().unwrap());
        let places: Vec<_> = part.locate().into_iter().map(|loss| loss.place).collect();
        assert_eq!(places, [Place::Kernel], "not what was counted, not what was refused");
    }
}
