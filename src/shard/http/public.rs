//! The public port: reactions in, rooms and frames out.

use super::super::Shard;
use super::answer::Answer;
use super::{Routed, room_id};
use crate::ingest::http::{ContentKind, Method, ReactionsError, parse_reactions};
use crate::metrics::{HttpProblem, Proto, Reject};
use crate::room::Room;
use crate::tally::{CountError, TapLimits};
use std::borrow::Cow;
use uproar_wire::RoomId;
use uproar_wire::http::{FrameBody, TopBody};
use uproar_wire::reaction::ReactionBatch;

/// Why a reaction was not counted: status of the reply, reason in the metrics, sentence for people.
type NotCounted = (u16, Reject, Cow<'static, str>);

impl Shard {
    pub(super) fn route_room(&mut self, room: &str, rest: Option<&str>, answer: &mut Answer<'_, '_>) {
        let room = room_id(room);
        match (rest, answer.request.method) {
            (None | Some("reactions" | "frame"), Method::Options) => answer.preflight(),
            (Some("reactions"), Method::Post) => match room {
                Some(room) => self.react(room, answer),
                None => answer.reject(404, Reject::UnknownRoom, "a room is named by its number"),
            },
            (Some("reactions"), _) => answer.method_not_allowed("POST, OPTIONS"),
            (None | Some("frame"), Method::Get | Method::Head) => {
                match (room.and_then(|room| self.rooms.find(room)), rest) {
                    (None, _) => drop(answer.problem(404, HttpProblem::UnknownRoom, "there is no such room")),
                    (Some(state), None) => answer.json_shared(200, state.room.json()),
                    (Some(state), Some(_)) => match &state.newest {
                        Some(newest) => answer.json(200, &frame_json(&state.room, &newest.message)),
                        None => drop(answer.problem(
                            404,
                            HttpProblem::NoFrame,
                            "no window of this room has closed with taps or subscribers",
                        )),
                    },
                }
            }
            (None | Some("frame"), _) => answer.method_not_allowed("GET, HEAD, OPTIONS"),
            _ => drop(answer.not_found("there is no such path on this port")),
        }
    }

    /// Where WebTransport is, for pages: they know only the address of HTTP.
    pub(super) fn tell_webtransport(&mut self, answer: &mut Answer<'_, '_>) -> Routed {
        match (&self.webtransport, answer.request.method) {
            (None, _) => return answer.not_found("WebTransport is switched off here"),
            (Some(_), Method::Options) => answer.preflight(),
            // A page that comes now would be refused there, and could not tell that from a network without UDP.
            (Some(_), Method::Get | Method::Head) if !self.is_ready() => {
                let retry_ms = self.event_streams.next_retry_ms();
                return answer.unavailable(HttpProblem::Draining, retry_ms, "the server is going away; ask elsewhere");
            }
            (Some(body), Method::Get | Method::Head) => answer.json(200, body),
            (Some(_), _) => answer.method_not_allowed("GET, HEAD, OPTIONS"),
        }
        Routed::Replied
    }

    fn react(&mut self, room: RoomId, answer: &mut Answer<'_, '_>) {
        let request = answer.request;
        let counted = match request.content {
            ContentKind::Json | ContentKind::None => self.react_json(room, request.body),
            // A page may send text to any site without its browser asking first. So where sites are named, it says whose it is.
            ContentKind::Text if self.web.origins.is_any() || !request.origin.is_empty() => {
                self.react_json(room, request.body)
            }
            ContentKind::OctetStream => self.react_datagram(room, request.body),
            ContentKind::Coded(coding) => return answer.reject_coding(coding.detail()),
            ContentKind::Text | ContentKind::Other => {
                Err((415, Reject::Unsupported, "use application/json or application/octet-stream".into()))
            }
        };
        match counted {
            Ok(()) => answer.accepted(),
            Err((503, reason, detail)) => {
                let retry_ms = self.event_streams.next_retry_ms();
                answer.unavailable(reason.into(), retry_ms, &detail);
                answer.rejected = Some(reason);
            }
            Err((status, reason, detail)) => answer.reject(status, reason, &detail),
        }
    }

    fn react_json(&mut self, room: RoomId, body: &[u8]) -> Result<(), NotCounted> {
        let Some(state) = self.rooms.find(room) else {
            return Err(refused(Reject::UnknownRoom));
        };
        if self.drain.is_closed_to_taps() {
            return Err(refused(Reject::Draining));
        }
        parse_reactions(without_mark(body), |label| state.room.emoji_id(label), &mut self.reactions)
            .map_err(|error| (error.status(), Reject::from(error), error.detail().into()))?;
        let (slot, reactions) = (state.slot, std::mem::take(&mut self.reactions));
        let counted = self.count_records(Proto::Http, slot, reactions.iter().copied());
        // Its memory serves the next request.
        self.reactions = reactions;
        counted.map_err(|error| self.not_counted(error))
    }

    fn react_datagram(&mut self, room: RoomId, body: &[u8]) -> Result<(), NotCounted> {
        let batch = ReactionBatch::parse(body).map_err(|error| refused(error.into()))?;
        if batch.room != room {
            return Err((400, Reject::RoomMismatch, "the datagram names another room than the path".into()));
        }
        if self.drain.is_closed_to_taps() {
            return Err(refused(Reject::Draining));
        }
        let records = batch.records().map(|record| (record.emoji, record.count));
        let counted = self.tally.find(room).and_then(|slot| self.count_records(Proto::Http, slot, records));
        counted.map_err(|error| self.not_counted(error))
    }

    /// Says which limit is passed, if it is one, and how to have another.
    fn not_counted(&self, error: CountError) -> NotCounted {
        let TapLimits { per_record, per_request } = self.tally.limits();
        let detail = match error {
            CountError::UnknownRoom | CountError::UnknownEmoji => return refused(error.into()),
            CountError::RecordTooLarge { .. } => {
                format!("{error}; allowed: {per_record}, as limits.taps_per_record of the server says")
            }
            CountError::RequestTooLarge { .. } => {
                format!("{error}; allowed: {per_request}, as limits.taps_per_request of the server says")
            }
        };
        (422, error.into(), detail.into())
    }
}

/// JSON without the byte order mark that some editors and tools put before it.
pub(super) fn without_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json)
}

fn refused(reason: Reject) -> NotCounted {
    let (status, detail) = match reason {
        Reject::UnknownRoom => (404, "there is no such room"),
        Reject::UnknownEmoji => (422, "the room's palette has no such emoji, or it is retired"),
        Reject::Draining => (503, "the server is going away; send the reaction again, elsewhere"),
        _ => (400, "the body is not a reaction datagram"),
    };
    (status, reason, detail.into())
}

impl From<ReactionsError> for Reject {
    fn from(error: ReactionsError) -> Self {
        match error {
            ReactionsError::BadJson => Self::BadJson,
            ReactionsError::BadCount => Self::BadCount,
            ReactionsError::TooMany => Self::HttpTooLarge,
            ReactionsError::UnknownEmoji => Self::UnknownEmoji,
        }
    }
}

/// A frame as HTTP clients read it.
pub(in crate::shard) fn frame_json(room: &Room, message: &[u8]) -> Vec<u8> {
    let archive = uproar_wire::stream::frame_archive(message);
    let frame = uproar_wire::frame::access_frame(archive).unwrap_or_else(|_| unreachable!("encoded by this process"));
    let top = frame.top.iter().map(|entry| {
        let id = entry.emoji.to_native();
        TopBody {
            emoji: Cow::Borrowed(room.glyph(uproar_wire::EmojiId(id)).unwrap_or_default()),
            id,
            count: entry.count.to_native(),
            share: entry.share.to_native(),
            intensity: entry.intensity,
        }
    });
    let body = FrameBody {
        room: frame.room.to_native(),
        window: frame.window.to_native(),
        start_ms: frame.start_ms.to_native(),
        window_ms: frame.window_ms.to_native(),
        total: frame.total.to_native(),
        intensity: frame.intensity,
        top: top.collect(),
    };
    serde_json::to_vec(&body).unwrap_or_else(|_| unreachable!("a frame is always JSON"))
}
