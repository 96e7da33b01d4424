//! The reply to one request, while it is being written.

use super::{HttpPort, Routed};
use crate::ingest::http::{Date, EntityTag, Manner, Method, Readers, Request, is_field_list, reply};
use crate::limits::{HTTP_ASKED_FIELDS_MAX, HTTP_SHARED_BODY_MIN};
use crate::metrics::{HttpProblem, Reject};
use bytes::Bytes;

/// Methods of what is only read, and of what balancers probe with any of the three.
pub(super) const READ: &str = "GET, HEAD";
pub(super) const PROBED: &str = "GET, HEAD, OPTIONS";

/// The reply under way to one request; remembers for the metrics what it said.
pub(super) struct Answer<'a, 'r> {
    pub(super) replies: &'a mut Vec<u8>,
    pub(super) request: &'a Request<'r>,
    /// Whose pages may read it.
    pub(super) readers: Readers<'a>,
    pub(super) date: &'a Date,
    /// A large body, which is not copied behind its head.
    pub(super) body: Option<Bytes>,
    /// 0 while the answer is to come later.
    pub(super) status: u16,
    pub(super) problem: Option<HttpProblem>,
    /// Why a tap was not counted, if it was one.
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
        Manner { keep_alive: keep_alive && !self.is_last, head_only, readers: self.readers, date: self.date }
    }

    /// Answers what is only read, and has the methods of `allow`.
    pub(super) fn only_get(&mut self, allow: &'static str, reply: impl FnOnce(&mut Self)) -> Routed {
        if self.is_get() {
            reply(self);
        } else {
            self.method_not_allowed(allow);
        }
        Routed::Replied
    }

    /// What a path takes that balancers and monitors probe, also with `OPTIONS`. It is not for pages.
    pub(super) fn options(&mut self) -> Routed {
        self.status = 204;
        reply::options(self.replies, PROBED, Manner { readers: Readers::SameOrigin, ..self.manner() });
        Routed::Replied
    }

    pub(super) fn accepted(&mut self) {
        self.status = 202;
        reply::accepted(self.replies, self.manner());
    }

    /// What a browser asks before a page's own request. Whose page it may be has been decided.
    pub(super) fn preflight(&mut self) {
        let asked = self.request.asked_fields;
        if asked.is_empty() || is_field_list(asked) {
            self.status = 204;
            reply::preflight(self.replies, asked, self.manner());
            return;
        }
        const {
            assert!(HTTP_ASKED_FIELDS_MAX == 1024, "as the reply says");
        }
        let detail = "Access-Control-Request-Headers is not a list of field names of 1,024 bytes at most";
        self.problem(400, HttpProblem::BadPreflight, detail);
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

    /// The same of JSON that others are sent, too.
    pub(super) fn json_shared(&mut self, status: u16, body: &Bytes) {
        self.status = status;
        let manner = self.body_apart(body);
        reply::json(self.replies, status, body, manner);
    }

    /// Takes a large body out of the reply to be written. A reply that is the last is written whole.
    fn body_apart(&mut self, body: &Bytes) -> Manner<'a> {
        let manner = self.manner();
        if body.len() < HTTP_SHARED_BODY_MIN || manner.head_only || self.is_last {
            return manner;
        }
        self.body = Some(body.clone());
        Manner { head_only: true, ..manner }
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
        body: &'static [u8],
        tag: EntityTag,
        fields: &str,
        readers: Readers<'_>,
    ) {
        let manner = Manner { readers, ..self.manner() };
        if tag.is_among(self.request.if_none_match) {
            self.status = 304;
            reply::not_modified(self.replies, tag, fields, manner);
        } else {
            self.status = 200;
            let head_only = self.body_apart(&Bytes::from_static(body)).head_only;
            reply::content(self.replies, content_type, body, tag, fields, Manner { head_only, ..manner });
        }
    }

    pub(super) fn problem(&mut self, status: u16, problem: HttpProblem, detail: &str) -> Routed {
        self.status = status;
        self.problem = Some(problem);
        reply::problem(self.replies, status, problem, detail, self.manner());
        Routed::Replied
    }

    /// 503: not here, or not now; after `retry_ms` another attempt may succeed.
    pub(super) fn unavailable(&mut self, problem: HttpProblem, retry_ms: u64, detail: &str) -> Routed {
        self.status = 503;
        self.problem = Some(problem);
        // Who is to ask elsewhere comes to another shard, or by way of a proxy to another node, only by a new connection.
        self.is_last = true;
        reply::unavailable(self.replies, problem, retry_ms.div_ceil(1000), detail, self.manner());
        Routed::Replied
    }

    /// A problem whose code is the reason that is counted.
    pub(super) fn reject(&mut self, status: u16, reason: Reject, detail: &str) {
        self.problem(status, reason.into(), detail);
        self.rejected = Some(reason);
    }

    /// 415 for a body with a content coding; the reply says which ones are taken (RFC 9110, 15.5.16).
    pub(super) fn reject_coding(&mut self, detail: &str) {
        (self.status, self.problem) = (415, Some(HttpProblem::ContentCoding));
        self.rejected = Some(Reject::ContentCoding);
        let fields = format_args!("Accept-Encoding: identity\r\n");
        reply::problem_with(self.replies, 415, HttpProblem::ContentCoding, detail, fields, self.manner());
    }

    /// A page of a site that may not; what it asked for has not been done.
    pub(super) fn foreign(&mut self, port: HttpPort) -> Routed {
        let detail = match port {
            HttpPort::Public => "pages of this origin may not; web.origins of the server names those that may",
            HttpPort::Admin => {
                "pages of other sites may not ask this port; behind a proxy that changes Host, listen.admin_names names its own"
            }
        };
        self.problem(403, HttpProblem::OriginNotAllowed, detail);
        self.rejected = Some(Reject::Origin);
        Routed::Replied
    }

    pub(super) fn not_found(&mut self, detail: &str) -> Routed {
        self.reject(404, Reject::NotFound, detail);
        Routed::Replied
    }

    pub(super) fn method_not_allowed(&mut self, allow: &'static str) {
        self.status = 405;
        self.problem = Some(HttpProblem::MethodNotAllowed);
        self.rejected = Some(Reject::Unsupported);
        reply::method_not_allowed(self.replies, allow, self.manner());
    }
}
