//! The reply to one request, while it is being written.

use super::Routed;
use crate::ingest::http::{Method, Request, reply};
use crate::metrics::Reject;

/// The reply under way to one request; remembers for the metrics what it said.
pub(super) struct Answer<'a, 'r> {
    pub(super) replies: &'a mut Vec<u8>,
    pub(super) request: &'a Request<'r>,
    /// 0 while the answer is to come later.
    pub(super) status: u16,
    pub(super) rejected: Option<Reject>,
}

impl Answer<'_, '_> {
    pub(super) fn is_get(&self) -> bool {
        matches!(self.request.method, Method::Get | Method::Head)
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
        reply::accepted(self.replies, self.request.keep_alive);
    }

    pub(super) fn preflight(&mut self) {
        self.status = 204;
        reply::preflight(self.replies, self.request.keep_alive);
    }

    pub(super) fn json(&mut self, status: u16, body: &[u8]) {
        self.status = status;
        reply::json(self.replies, status, body, self.request.keep_alive, self.request.head_only);
    }

    pub(super) fn text(&mut self, status: u16, body: &str) {
        self.status = status;
        let Request { keep_alive, head_only, .. } = *self.request;
        reply::text(self.replies, status, "text/plain; charset=utf-8", body.as_bytes(), keep_alive, head_only);
    }

    pub(super) fn problem(&mut self, status: u16, code: &str, detail: &str) -> Routed {
        self.status = status;
        reply::problem(self.replies, status, code, detail, self.request.keep_alive, self.request.head_only);
        Routed::Replied
    }

    /// A problem whose code is the reason that is counted.
    pub(super) fn reject(&mut self, status: u16, reason: Reject, detail: &str) {
        self.problem(status, reason.label(), detail);
        self.rejected = Some(reason);
    }

    pub(super) fn not_found(&mut self, detail: &str) -> Routed {
        self.reject(404, Reject::NotFound, detail);
        Routed::Replied
    }

    pub(super) fn method_not_allowed(&mut self, allow: &'static str) {
        self.status = 405;
        self.rejected = Some(Reject::Unsupported);
        reply::method_not_allowed(self.replies, allow, self.request.keep_alive, self.request.head_only);
    }
}
