//! Taps: whether all that were sent are in the frames, nothing else is, and the server's counters agree.

use super::{Blame, Judge};
use crate::report::sums::ppm;
use crate::report::{Loss, Place, RoomRow, TransportRow};
use crate::table::grouped;

impl Judge<'_> {
    pub(super) fn judge_losses(&mut self) {
        let (lost, sent) = (self.report.taps_lost, self.report.taps_sent);
        let passed = self.at_most("lost_ppm_max", self.limits.lost_ppm_max.into(), Some(ppm(lost, sent) as f64), "ppm");
        if lost == 0 {
            return;
        }
        let text = format!("{} of {} taps are in no frame: {}", grouped(lost), grouped(sent), self.places());
        if passed { self.notes.push(text) } else { self.find(Blame::Server, text) }
    }

    /// Where lost taps were last seen, and what to do about it.
    fn places(&self) -> String {
        if self.report.server.is_none() {
            return format!("the server's metrics would say where, and were not read{}", self.report.unread_because());
        }
        let on_the_way = |loss: &&Loss| loss.place != Place::Generator && !(loss.unit == "taps" && loss.is_refusal());
        let places: Vec<String> = self.losses.iter().filter(on_the_way).map(Loss::to_text).collect();
        if places.is_empty() {
            return "the server's metrics say that it counted and framed them".into();
        }
        let kernel = self.losses.iter().any(|loss| loss.place == Place::Kernel);
        let remedy = if kernel { "; give the server larger socket buffers or more cores" } else { "" };
        places.join("; ") + remedy
    }

    pub(super) fn judge_surplus(&mut self) {
        if let Some(mixed) = self.report.mixed_with_visitors() {
            self.find(Blame::Generator, mixed);
        }
        let surplus: u64 = self.report.rooms.iter().map(RoomRow::surplus).sum();
        if surplus > self.report.visitors_counted() && self.is_whole {
            let text = format!(
                "{} taps more are in the frames than were sent; is anybody else reacting in these rooms?",
                grouped(surplus)
            );
            self.find(Blame::Server, text);
        }
    }

    pub(super) fn judge_emoji(&mut self) {
        let wrong = self.report.rooms.iter().filter(|room| room.mistaken() > 0);
        let texts: Vec<String> = wrong
            .map(|room| {
                format!("{} taps of room {} are in its frames as another emoji", grouped(room.mistaken()), room.room)
            })
            .collect();
        texts.into_iter().for_each(|text| self.find(Blame::Server, text));
    }

    pub(super) fn judge_windows(&mut self) {
        let (windows, most) = (&self.report.windows, self.limits.windows_off_max);
        let off = windows.iter().filter(|window| window.is_off()).count();
        let passed = self.at_most("windows_off_max", most.into(), Some(off as f64), "windows");
        let Some(first) = windows.iter().find(|window| window.is_off()) else { return };
        let disagreement = match first.disagreement.as_str() {
            "" => "machines received different frames",
            disagreement => disagreement,
        };
        let text = format!(
            "{off} of {} windows differ from what was sent, {most} may; the first: room {}, window {}: {disagreement}",
            windows.len(),
            first.room,
            first.window
        );
        if passed { self.notes.push(text) } else { self.find(Blame::Server, text) }
    }

    /// The server's metrics must say what the frames say.
    pub(super) fn judge_counters(&mut self) {
        if !self.is_whole {
            return;
        }
        let lost = self.report.taps_lost;
        let counted_otherwise = |row: &TransportRow| {
            let is_of_visitors = self.report.is_of_visitors(row.transport.label());
            (!is_of_visitors).then(|| row.counted_otherwise(lost > 0)).flatten()
        };
        let texts: Vec<String> = self.report.transports.iter().filter_map(counted_otherwise).collect();
        texts.into_iter().for_each(|text| self.find(Blame::Server, text));
    }

    /// Another machine may have seen it to the end.
    pub(super) fn judge_server_lost(&mut self) {
        if self.report.server_lost && self.report.server.is_none() {
            let text = "the server's metrics could be read before the match and not after it";
            self.find(Blame::Server, format!("{text}{}", self.report.unread_because()));
        }
    }

    pub(super) fn judge_refusals(&mut self) {
        let Some(server) = self.report.server.as_ref().filter(|_| self.report.knows_purpose()) else { return };
        for (way, reason, count) in self.report.refused_by_mistake(server) {
            let text = format!("the server refused {} inputs by {way} as {reason} that were in order", grouped(count));
            self.find(Blame::Server, text);
        }
        for (way, reason, count) in &server.rejected_on_purpose {
            let rejected = server.rejected.iter().find(|(of, why, _)| of == way && why == reason);
            let missing = count.saturating_sub(rejected.map_or(0, |(_, _, count)| *count));
            if missing > 0 {
                let (missing, count) = (grouped(missing), grouped(*count));
                let text = format!("{missing} of {count} inputs by {way} that are {reason} were not refused as such");
                if way == "udp" && !server.socket_drops.is_empty() {
                    self.notes.push(format!("{text}; the server's kernel dropped datagrams, which may be these"));
                } else {
                    self.find(Blame::Server, text);
                }
            }
        }
    }

    pub(super) fn judge_answers(&mut self) {
        let Some(hostile) = self.report.hostile.as_ref().filter(|hostile| hostile.unexpected > 0) else { return };
        let first = hostile.unexpected_first.join("; ");
        let text = format!("{} malformed requests were answered otherwise: {first}", grouped(hostile.unexpected));
        self.find(Blame::Server, text);
    }
}

impl Loss {
    fn is_refusal(&self) -> bool {
        self.place == Place::Server && self.by.is_some()
    }
}

impl TransportRow {
    /// What is wrong with the server's count of what came by it. Fewer are right where some were lost.
    fn counted_otherwise(&self, some_lost: bool) -> Option<String> {
        let (counted, way) = (self.taps_counted?, self.transport.label());
        let most = self.taps_sent + self.taps_unconfirmed;
        if counted > most {
            let more = grouped(counted - most);
            return Some(format!("the server counted {more} taps more by {way} than were sent"));
        }
        let fewer = self.taps_sent.saturating_sub(counted);
        let is_wrong = fewer > 0 && !some_lost;
        is_wrong.then(|| {
            format!(
                "the frames show all taps, and the server's metrics {} fewer by {way} than were sent",
                grouped(fewer)
            )
        })
    }
}
