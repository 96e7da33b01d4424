//! Why a connection's bytes are not requests.
//!
//! Invariant: after a refusal nobody knows where the next request would begin, so the connection closes. Not here:
//! what a well-formed request may still get wrong (route, JSON, room).

use crate::ingest::reason::answered_reasons;
use crate::metrics::HttpProblem;

answered_reasons! {
    /// Why a request could not be framed. It is answered once, then the connection closes.
    pub enum Refusal {
        BadRequestLine => "bad_request_line", 400, "The request line is not `METHOD target HTTP/1.1`.";
        TlsHello => "tls_hello", 400, "This port speaks plain HTTP, and TLS was spoken to it: use http://, or a proxy that ends TLS.";
        ProxyProtocol => "proxy_protocol", 400, "A PROXY protocol header was sent, which is not taken: switch it off in the proxy or balancer (HAProxy: send-proxy; AWS: proxy protocol v2).";
        BadTarget => "bad_target", 400, "The request target is neither a path nor an http address.";
        BadVersion => "bad_version", 505, "The version is neither HTTP/1.1 nor HTTP/1.0, which are all that this port speaks.";
        RequestLineTooLong => "request_line_too_long", 414, "The request line is longer than 4,096 bytes.";
        HeadTooLarge => "head_too_large", 431, "The request head is larger than 16,384 bytes.";
        TooManyHeaders => "too_many_headers", 431, "The request has more than 64 header fields.";
        BareLf => "bare_lf", 400, "A line ends with LF alone instead of CR LF.";
        ObsFold => "obs_fold", 400, "A header or trailer field is folded over lines.";
        BadHeaderName => "bad_header_name", 400, "A header name is not a token followed at once by a colon.";
        BadHeaderValue => "bad_header_value", 400, "A header value holds a control character.";
        MissingHost => "missing_host", 400, "HTTP/1.1 needs a Host header.";
        RepeatedHost => "repeated_host", 400, "There is more than one Host header.";
        BadHost => "bad_host", 400, "The Host header is not a host and port.";
        RepeatedOrigin => "repeated_origin", 400, "There is more than one Origin header.";
        BadOrigin => "bad_origin", 400, "The Origin header is not one origin.";
        BadContentLength => "bad_content_length", 400, "Content-Length is not a plain decimal number.";
        RepeatedContentLength => "repeated_content_length", 400, "There is more than one Content-Length header.";
        BothLengths => "both_lengths", 400, "Content-Length and Transfer-Encoding exclude each other.";
        BadTransferEncoding => "bad_transfer_encoding", 400, "Transfer-Encoding is not exactly `chunked`, once, in HTTP/1.1.";
        UnknownExpectation => "unknown_expectation", 417, "Expect is not `100-continue`.";
        BadClientId => "bad_client_id", 400, "X-Client-Id is not one decimal number below 2^64.";
        BodyTooLarge => "body_too_large", 413, "The request body is larger than this port takes.";
        BadChunkSize => "bad_chunk_size", 400, "A chunk size is not 1 to 8 hexadecimal digits and CR LF.";
        ChunkExtension => "chunk_extension", 400, "Chunk extensions are not taken: send chunks without them.";
        BadChunkEnd => "bad_chunk_end", 400, "A chunk is not followed by CR LF.";
        BadTrailer => "bad_trailer", 400, "A trailer is not a header field.";
        TrailersTooLarge => "trailers_too_large", 431, "The trailers are larger than 4,096 bytes.";
    }
}

/// The problem of the same name.
macro_rules! problem_of {
    ($refusal:ident: $($variant:ident),+) => {
        match $refusal { $(Refusal::$variant => HttpProblem::$variant,)+ }
    };
}

impl From<Refusal> for HttpProblem {
    #[rustfmt::skip]
    fn from(refusal: Refusal) -> Self {
        problem_of!(refusal:
            BadRequestLine, TlsHello, ProxyProtocol, BadTarget, BadVersion, RequestLineTooLong, HeadTooLarge,
            TooManyHeaders, BareLf, ObsFold, BadHeaderName, BadHeaderValue, MissingHost, RepeatedHost,
            BadHost, RepeatedOrigin, BadOrigin, BadContentLength, RepeatedContentLength, BothLengths,
            BadTransferEncoding, UnknownExpectation, BadClientId, BodyTooLarge, BadChunkSize, ChunkExtension,
            BadChunkEnd, BadTrailer, TrailersTooLarge
        )
    }
}
