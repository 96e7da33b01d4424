//! The requests in the bytes of one connection.
//!
//! ```text
//! Head --head complete, body in the same buffer--> request, in place
//! Head --head complete, body to come--> Body --complete--> request
//! any  --refused, or the caller says so--> Closed
//! ```
//! Invariant: what comes out depends on the bytes alone, not on how they were cut; each byte is looked at once (of a head: twice), and
//! copied only when a buffer's edge cuts the request that it belongs to (or when the body is chunked). A head that repeats,
//! byte for byte, the one before it in the same buffer says the same, and is not read again: a client that pipelines sends
//! one head over and over. Between requests nothing is held on the heap. Not here: time-outs (the edge asks
//! [`RequestDecoder::is_mid_request`] and [`RequestDecoder::progress`]).

use super::body::ChunkedBody;
use super::head::{Facts, Framing, Head, Target};
use super::scan::{HeadScanner, Scan};
use crate::limits::{HTTP_HEAD_MAX, HTTP_PAUSE_BYTES_MAX};

pub use super::refusal::Refusal;
pub use super::request::{ContentKind, Method, Request};

/// Bounds that differ between ports; the others are in [`crate::limits`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecoderLimits {
    /// Bytes of a request body.
    pub body_bytes: usize,
}

/// What to do after a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Go on with the next request.
    Continue,
    /// Keep the rest of the bytes; the next [`RequestDecoder::feed`] goes on with them.
    Pause,
    /// Ignore the rest of the bytes, and all that may come.
    Close,
}

/// How far the request under way has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// No request has begun.
    Idle,
    /// Its head is not complete.
    Head,
    /// Its head is complete, and so many bytes of its body have come.
    Body {
        /// Without chunk sizes.
        bytes: usize,
    },
}

/// Cuts the bytes of one connection into requests.
///
/// It holds at most one request that is not complete (a head, or what is kept of it and a body, each within its limit), and after
/// [`Flow::Pause`] the bytes that were fed and not yet looked at; so a caller that pauses stops receiving.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: DecoderLimits,
    stage: Stage,
    /// Of the request that is not complete: its head as far as it has come, later its body.
    partial: Vec<u8>,
    /// Bytes from before a pause, from `unread_at` on.
    unread: Vec<u8>,
    unread_at: usize,
    owes_continue: bool,
    /// Bytes looked at or copied.
    #[cfg(test)]
    pub(super) work_bytes: usize,
}

#[derive(Debug)]
enum Stage {
    Head(HeadScanner),
    Body(PendingBody),
    Closed,
}

/// A request whose head is complete and whose body is not.
#[derive(Debug)]
struct PendingBody {
    facts: Facts,
    /// Path and query as they were sent, joined by `?`, then the host, the origin, the tags that the client has, and the fields
    /// that a page wants to send.
    texts: Box<str>,
    path_len: u32,
    target_len: u32,
    host_len: u32,
    origin_len: u32,
    tags_len: u32,
    framing: PendingFraming,
}

#[derive(Debug)]
enum PendingFraming {
    Length(usize),
    Chunked(ChunkedBody),
}

/// The last head that was read in place, and what it said.
type LastHead<'a> = Option<(&'a [u8], Head<'a>)>;

/// Bytes taken, and whether to go on.
type Step = Result<(usize, Flow), Refusal>;

impl RequestDecoder {
    /// Of a connection that has sent nothing. Allocates nothing.
    pub fn new(limits: DecoderLimits) -> Self {
        Self {
            limits,
            stage: Stage::Head(HeadScanner::default()),
            partial: Vec::new(),
            unread: Vec::new(),
            unread_at: 0,
            owes_continue: false,
            #[cfg(test)]
            work_bytes: 0,
        }
    }

    /// Feeds received bytes, or none to go on after [`Flow::Pause`]. `handle` is called once for each complete request,
    /// in their order, or once with the refusal, after which the connection must close and nothing more comes out.
    pub fn feed(&mut self, input: &[u8], mut handle: impl FnMut(Result<Request<'_>, Refusal>) -> Flow) {
        if self.unread.is_empty() {
            let used = self.run(input, &mut handle);
            self.unread.extend_from_slice(&input[used..]);
            return;
        }
        let mut unread = std::mem::take(&mut self.unread);
        // Moving only what is shorter than what it frees keeps the cost of any number of pauses linear.
        if !input.is_empty() && self.unread_at >= unread.len() - self.unread_at {
            unread.drain(..std::mem::take(&mut self.unread_at));
        }
        unread.extend_from_slice(input);
        self.unread_at += self.run(&unread[self.unread_at..], &mut handle);
        if self.unread_at < unread.len() {
            self.unread = unread;
        } else {
            self.unread_at = 0;
        }
    }

    /// Keeps bytes without looking at them, until the next [`Self::feed`]: for a connection that is paused and whose
    /// receives are still being stopped. False when more wait than one request may have and a pause lets through.
    pub fn hold(&mut self, input: &[u8]) -> bool {
        self.unread.extend_from_slice(input);
        self.unread.len() - self.unread_at <= HTTP_HEAD_MAX + self.limits.body_bytes + HTTP_PAUSE_BYTES_MAX
    }

    /// True once when the client waits for `100 Continue` and its body has not begun to come: the caller sends it.
    pub fn wants_continue(&mut self) -> bool {
        std::mem::take(&mut self.owes_continue)
    }

    /// Whether a request has begun and is not complete, so that its time is running.
    pub fn is_mid_request(&self) -> bool {
        matches!(self.stage, Stage::Body(_)) || !self.partial.is_empty()
    }

    /// How far the request has come that has begun and is not complete.
    pub fn progress(&self) -> Progress {
        match &self.stage {
            Stage::Body(_) => Progress::Body { bytes: self.partial.len() },
            _ if self.partial.is_empty() => Progress::Idle,
            _ => Progress::Head,
        }
    }

    /// Bytes kept: of the request that is not complete, and of what a pause left.
    pub fn buffered_bytes(&self) -> usize {
        self.partial.len() + self.unread.len() - self.unread_at
    }

    /// Takes requests from `input` until it ends or the caller stops, and says how many bytes it took.
    fn run(&mut self, input: &[u8], handle: &mut impl FnMut(Result<Request<'_>, Refusal>) -> Flow) -> usize {
        let mut used = 0;
        let mut last_head = None;
        while used < input.len() {
            let rest = &input[used..];
            let step = match &self.stage {
                Stage::Head(scanner) => self.step_head(*scanner, rest, &mut last_head, handle),
                Stage::Body(_) => self.step_body(rest, handle),
                Stage::Closed => return input.len(),
            };
            let (step_used, flow) = step.unwrap_or_else(|refusal| {
                handle(Err(refusal));
                (0, Flow::Close)
            });
            used += step_used;
            match flow {
                Flow::Continue => {}
                Flow::Pause => return used,
                Flow::Close => {
                    self.close();
                    return input.len();
                }
            }
        }
        used
    }

    fn step_head<'a>(
        &mut self,
        mut scanner: HeadScanner,
        input: &'a [u8],
        last_head: &mut LastHead<'a>,
        handle: &mut impl FnMut(Result<Request<'_>, Refusal>) -> Flow,
    ) -> Step {
        if let Some((bytes, head)) = *last_head
            && scanner.is_at_start()
            && input.starts_with(bytes)
        {
            self.note_work(2 * bytes.len());
            let body_used = self.handle_head(head, &input[bytes.len()..], handle);
            return Ok((bytes.len() + body_used.0, body_used.1));
        }
        let scan = scanner.scan(input)?;
        self.stage = Stage::Head(scanner);
        match scan {
            Scan::Partial => {
                self.note_work(2 * input.len());
                append(&mut self.partial, input, HTTP_HEAD_MAX);
                Ok((input.len(), Flow::Continue))
            }
            Scan::BlankLine(len) => {
                self.note_work(len);
                self.partial = Vec::new();
                Ok((len, Flow::Continue))
            }
            Scan::End(len) => {
                let mut partial = std::mem::take(&mut self.partial);
                self.note_work(2 * len + partial.len());
                let (bytes, rest) = input.split_at(len);
                let body_used = if partial.is_empty() {
                    let head = Head::parse(bytes, self.limits.body_bytes)?;
                    *last_head = Some((bytes, head));
                    self.handle_head(head, rest, handle)
                } else {
                    append(&mut partial, bytes, HTTP_HEAD_MAX);
                    self.handle_head(Head::parse(&partial, self.limits.body_bytes)?, rest, handle)
                };
                Ok((len + body_used.0, body_used.1))
            }
        }
    }

    /// Hands the request over if its body lies in `after_head`, else waits for the body.
    fn handle_head(
        &mut self,
        head: Head<'_>,
        after_head: &[u8],
        handle: &mut impl FnMut(Result<Request<'_>, Refusal>) -> Flow,
    ) -> (usize, Flow) {
        let framing = match head.facts.framing {
            Framing::Length(len) if len <= after_head.len() => {
                self.stage = Stage::Head(HeadScanner::default());
                return (len, handle(Ok(request(head, &after_head[..len]))));
            }
            Framing::Length(len) => PendingFraming::Length(len),
            Framing::Chunked => PendingFraming::Chunked(ChunkedBody::new()),
        };
        self.owes_continue = head.facts.expects_continue && after_head.is_empty();
        self.stage = Stage::Body(PendingBody::new(&head, framing));
        (0, Flow::Continue)
    }

    fn step_body(&mut self, input: &[u8], handle: &mut impl FnMut(Result<Request<'_>, Refusal>) -> Flow) -> Step {
        self.owes_continue = false;
        let Stage::Body(pending) = &mut self.stage else { return Ok((0, Flow::Continue)) };
        let (used, flow) = if let Some(body) = pending.uncut_body(input, &self.partial) {
            (body.len(), handle(Ok(request(pending.head(), body))))
        } else {
            let used = pending.handle_bytes(input, &mut self.partial, self.limits.body_bytes)?;
            if !pending.framing.is_complete(self.partial.len()) {
                self.note_work(used);
                return Ok((used, Flow::Continue));
            }
            let body = std::mem::take(&mut self.partial);
            (used, handle(Ok(request(pending.head(), &body))))
        };
        self.stage = Stage::Head(HeadScanner::default());
        self.note_work(used);
        Ok((used, flow))
    }

    fn close(&mut self) {
        self.stage = Stage::Closed;
        self.partial = Vec::new();
        self.owes_continue = false;
    }

    #[cfg(test)]
    fn note_work(&mut self, bytes: usize) {
        self.work_bytes += bytes;
    }

    #[cfg(not(test))]
    fn note_work(&mut self, _bytes: usize) {}

    /// Bytes of heap held.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.partial.capacity() + self.unread.capacity()
    }
}

impl PendingBody {
    fn new(head: &Head<'_>, framing: PendingFraming) -> Self {
        let Target { path, query } = head.target;
        let target_len = path.len() + query.map_or(0, |query| 1 + query.len());
        let Head { host, origin, if_none_match, asked_fields, facts, .. } = *head;
        let fields = [host, origin, if_none_match, asked_fields];
        let fields_len: usize = fields.iter().map(|field| field.len()).sum();
        let mut texts = String::with_capacity(target_len + fields_len);
        texts.push_str(path);
        if let Some(query) = query {
            texts.push('?');
            texts.push_str(query);
        }
        texts.extend(fields.into_iter().flatten().copied().map(char::from));
        Self {
            facts,
            texts: texts.into_boxed_str(),
            path_len: path.len() as u32,
            target_len: target_len as u32,
            host_len: host.len() as u32,
            origin_len: origin.len() as u32,
            tags_len: if_none_match.len() as u32,
            framing,
        }
    }

    fn head(&self) -> Head<'_> {
        let (target, rest) = self.texts.split_at(self.target_len as usize);
        let (host, rest) = rest.as_bytes().split_at(self.host_len as usize);
        let (origin, rest) = rest.split_at(self.origin_len as usize);
        let (if_none_match, asked_fields) = rest.split_at(self.tags_len as usize);
        let path_len = self.path_len as usize;
        let target = Target { path: &target[..path_len], query: target.get(path_len + 1..) };
        Head { target, host, origin, if_none_match, asked_fields, facts: self.facts }
    }

    /// The body, when all of it lies in `input`.
    fn uncut_body<'a>(&self, input: &'a [u8], body_so_far: &[u8]) -> Option<&'a [u8]> {
        match self.framing {
            PendingFraming::Length(len) if body_so_far.is_empty() => input.get(..len),
            _ => None,
        }
    }

    /// Appends what belongs to the body and says how many bytes of `input` that took.
    fn handle_bytes(&mut self, input: &[u8], body: &mut Vec<u8>, body_bytes_max: usize) -> Result<usize, Refusal> {
        match &mut self.framing {
            PendingFraming::Length(len) => {
                let used = input.len().min(*len - body.len());
                append(body, &input[..used], *len);
                Ok(used)
            }
            PendingFraming::Chunked(chunked) => chunked.decode(input, body, body_bytes_max),
        }
    }
}

impl PendingFraming {
    fn is_complete(&self, body_len: usize) -> bool {
        match self {
            Self::Length(len) => body_len == *len,
            Self::Chunked(chunked) => chunked.is_complete(),
        }
    }
}

fn request<'a>(head: Head<'a>, body: &'a [u8]) -> Request<'a> {
    let Head { target, host, origin, if_none_match, asked_fields, facts } = head;
    Request {
        method: facts.method,
        path: target.path,
        query: target.query,
        host,
        origin,
        is_cross_site: facts.is_cross_site,
        is_navigation: facts.is_navigation,
        if_none_match,
        asked_fields,
        client: facts.client,
        last_event: facts.last_event,
        content: facts.content,
        body,
        keep_alive: facts.keep_alive,
        head_only: facts.method == Method::Head,
    }
}

/// Appends to a buffer that never needs more than `max` bytes: it doubles, but not past that.
pub(super) fn append(buffer: &mut Vec<u8>, bytes: &[u8], max: usize) {
    let needed = buffer.len() + bytes.len();
    if needed > buffer.capacity() {
        let capacity = (2 * buffer.capacity()).min(max).max(needed);
        buffer.reserve_exact(capacity - buffer.len());
    }
    buffer.extend_from_slice(bytes);
}
