//! The reply to one request, while it is being written.

use super::{HttpPort, Routed};
use crate::ingest::http::{EntityTag, Manner, Method, Readers, Request, reply};
use crate::metrics::Reject;

/// The reply under way to one request; remembers for the metrics what it said.
pub(super) struct Answer<'a, 'r> {
    pub(super) replies: &'a mut Vec<u8>,
    pub(super) request: &'a Request<'r>,
    /// Whose pages may read it.
    pub(super) readers: Readers<'a>,
    /// 0 while the answer is to come later.
    pub(super) status: u16,
    pub(super) rejected: Option<Reject>,
    /// Whether the connection ends with it, although the client would keep it.
    pub(super) is_last: bool,
}

impl<'a> Answer<'a, '_> {
    pub(super) fn is_get(&self) -> bool {
        matches!(self.request.method, Method::Get | Method::Head)
    }

    fn manner(&self) -> Manner<'a> {
        let Request { keep_alive, head_only, .. } = *self.request;
        Manner { keep_alive: keep_alive && !self.is_last, head_only, readers: self.readers }
    }

    pub(super) fn only_get(&mut self, reply: impl FnOnce(&mut Self)) -> Routed {
        if self.is_get() {
            reply(self);
        } else {
            self.method_not_allowed("GET, HEAD");
        }
        Routed::Replied
    }

    pub(super) fn accepted(&mut self) {
        self.status = 202;
        reply::accepted(self.replies, self.manner());
    }

    pub(super) fn preflight(&mut self) {
        self.status = 204;
        reply::preflight(self.replies, self.manner());
    }

    /// The beginning of an event stream, whose client shall come again after so many milliseconds once it has ended.
    pub(super) fn events(&mut self, retry_ms: u64) {
        self.status = 200;
        reply::events(self.replies, retry_ms, self.manner());
    }

    pub(super) fn json(&mut self, status: u16, body: &[u8]) {
        self.status = status;
        reply::json(self.replies, status, body, self.manner());
    }

    /// Of probes, which are not for pages.
    pub(super) fn text(&mut self, status: u16, body: &str) {
        self.status = status;
        let manner = Manner { readers: Readers::SameOrigin, ..self.manner() };
        reply::text(self.replies, status, "text/plain; charset=utf-8", body.as_bytes(), manner);
    }

    /// Content that clients keep; who has it is told so.
    pub(super) fn content(
        &mut self,
        content_type: &str,
        body: &[u8],
        tag: EntityTag,
        fields: &str,
        readers: Readers<'_>,
    ) {
        let manner = Manner { readers, ..self.manner() };
        if self.request.if_none_match == Some(tag) {
            self.status = 304;
            reply::not_modified(self.replies, tag, fields, manner);
        } else {
            self.status = 200;
            reply::content(self.replies, content_type, body, tag, fields, manner);
        }
    }

    pub(super) fn problem(&mut self, status: u16, code: &str, detail: &str) -> Routed {
        self.status = status;
        // Who is to ask elsewhere comes to another shard, or by way of a proxy to another node, only by a new connection.
        self.is_last |= status == 503;
        reply::problem(self.replies, status, code, detail, self.manner());
        Routed::Replied
    }

    /// A problem whose code is the reason that is counted.
    pub(super) fn reject(&mut self, status: u16, reason: Reject, detail: &str) {
        self.problem(status, reason.label(), detail);
        self.rejected = Some(reason);
    }

    /// A page of a site that may not; what it asked for has not been done.
    pub(super) fn foreign(&mut self, port: HttpPort) -> Routed {
        let detail = match port {
            HttpPort::Public => "pages of this origin may not; web.origins of the server names those that may",
            HttpPort::Admin => "pages of other sites may not ask this port",
        };
        self.problem(403, "origin_not_allowed", detail);
        self.rejected = Some(Reject::Origin);
        Routed::Replied
    }

    pub(super) fn not_found(&mut self, detail: &str) -> Routed {
        self.reject(404, Reject::NotFound, detail);
        Routed::Replied
    }

    pub(super) fn method_not_allowed(&mut self, allow: &'static str) {
        self.status = 405;
        self.rejected = Some(Reject::Unsupported);
        reply::method_not_allowed(self.replies, allow, self.manner());
    }
}
