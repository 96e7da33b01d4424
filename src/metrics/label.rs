//! The values that metric labels can take. One enum per label; a variant's label is what Prometheus sees, and its
//! index is its place in the tables of [`super::ShardMetrics`].

use uproar_wire::reaction::DatagramError;

macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// Every variant, in the order of their indices.
            pub const ALL: [Self; [$($label),+].len()] = [$(Self::$variant),+];
            /// How many variants there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Its place in a table with one entry a variant.
            pub const fn index(self) -> usize {
                self as usize
            }

            /// Its text in metrics.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }
        }
    };
}

label! {
    /// How something came to the appliance, or leaves it.
    Proto {
        /// Reaction datagrams on their own port.
        Udp = "udp",
        /// The public HTTP port.
        Http = "http",
        /// QUIC, as the SDK speaks it.
        Quic = "quic",
        /// QUIC, as browsers speak it.
        WebTransport = "webtransport",
    }
}

label! {
    /// Why a datagram or a request was not counted.
    Reject {
        /// A datagram shorter than its header and records.
        TooShort = "too_short",
        /// A datagram longer than its header and records.
        TooLong = "too_long",
        /// A version that is not spoken here.
        BadVersion = "bad_version",
        /// A flag that is not known here.
        BadFlags = "bad_flags",
        /// A record count, or the count of a record, out of range.
        BadCount = "bad_count",
        /// A room that does not exist.
        UnknownRoom = "unknown_room",
        /// An emoji that its room's palette does not have.
        UnknownEmoji = "unknown_emoji",
        /// A body that is not the JSON it should be.
        BadJson = "bad_json",
        /// A content type or a method that the path does not take.
        Unsupported = "unsupported",
        /// Bytes that are not HTTP/1.1, or whose framing is ambiguous.
        HttpMalformed = "http_malformed",
        /// A request line, head or body over its limit.
        HttpTooLarge = "http_too_large",
        /// A request that did not come whole in time.
        HttpTimeout = "http_timeout",
        /// HTTP that is valid but not spoken here: a version, a transfer coding, an expectation.
        HttpUnsupported = "http_unsupported",
        /// TLS on a port that speaks plain HTTP.
        TlsHello = "tls_hello",
        /// A header of the PROXY protocol, which is not taken.
        ProxyProtocol = "proxy_protocol",
        /// A body with a content coding, such as gzip.
        ContentCoding = "content_coding",
        /// A path that does not exist.
        NotFound = "not_found",
        /// An `X-Client-Id` that is not a number.
        BadClientId = "bad_client_id",
        /// The appliance is draining.
        Draining = "draining",
        /// A datagram of no session of WebTransport.
        NoSession = "no_session",
        /// A datagram whose room is not the one of the path it was posted to.
        RoomMismatch = "room_mismatch",
        /// A page of a site that may not react here sent it.
        Origin = "origin",
        /// More taps in one record, or in one datagram or request, than are allowed.
        TooManyTaps = "too_many_taps",
    }
}

impl From<DatagramError> for Reject {
    fn from(error: DatagramError) -> Self {
        match error {
            DatagramError::TooShort => Self::TooShort,
            DatagramError::TooLong => Self::TooLong,
            DatagramError::BadVersion => Self::BadVersion,
            DatagramError::BadFlags => Self::BadFlags,
            DatagramError::BadCount => Self::BadCount,
        }
    }
}

label! {
    /// How a connection began, or why it ended.
    Outcome {
        /// It was taken in. Every other outcome but those of one that is turned away follows
        /// one of these.
        Accepted = "accepted",
        /// The peer closed it, or had all it asked for.
        Done = "done",
        /// The appliance drained.
        Draining = "draining",
        /// Its hello was malformed, or of another version.
        BadHello = "bad_hello",
        /// It said no hello in time.
        HelloTimeout = "hello_timeout",
        /// None of the rooms it asked for exist.
        NoRooms = "no_rooms",
        /// The shard has as many as it may have.
        Full = "full",
        /// The client's address has as many as it may have.
        AddressFull = "address_full",
        /// The peer went on sending where nothing was awaited from it any more.
        Overflow = "overflow",
        /// The process has as many open files as it may have for connections.
        NoFiles = "no_files",
        /// The room it watched was deleted.
        RoomDeleted = "room_deleted",
        /// The peer was silent for too long.
        TimedOut = "timed_out",
        /// The peer reset it.
        Reset = "reset",
        /// The peer broke the protocol, or the kernel reported an error.
        TransportError = "transport_error",
        /// The peer broke the rules of HTTP/3.
        Http3Error = "http3_error",
        /// TLS or ALPN did not come to an agreement.
        HandshakeFailed = "handshake_failed",
        /// It was turned away before it was taken in.
        Refused = "refused",
        /// It was asked to show that its address is its own, by coming again.
        Retried = "retried",
        /// Too many handshakes were under way; its sender was told nothing, and comes again by itself.
        Dropped = "dropped",
    }
}

label! {
    /// Why a datagram on the QUIC port reached no connection.
    QuicRefusal {
        /// It has no header of QUIC.
        Malformed = "malformed",
        /// A version that is not spoken, in a datagram too small to be answered.
        BadVersion = "bad_version",
        /// A version that is not spoken; the answer lists those that are.
        VersionNegotiated = "version_negotiated",
        /// A packet of a connection that is not known; the answer is a stateless reset.
        Reset = "reset",
        /// The same, of a kind that is not answered, or smaller than a reset.
        UnknownConnection = "unknown_connection",
        /// A packet of a connection that is over.
        ConnectionOver = "connection_over",
        /// A first packet in a datagram of less than 1,200 bytes.
        TooSmall = "too_small",
        /// A first packet whose connection id is too short; the answer is a close.
        BadConnectionId = "bad_connection_id",
        /// A first packet with a token that is expired, or not of this node; the answer is a close.
        BadToken = "bad_token",
        /// A first packet that cannot be decrypted.
        Undecryptable = "undecryptable",
        /// A first packet while there are as many connections as may be; the answer is a close.
        Full = "full",
        /// A first packet while the node is going away; the answer is a close.
        Draining = "draining",
        /// A first packet of an address that has as many connections as it may have; the answer is a close.
        AddressFull = "address_full",
        /// A first packet while too many handshakes are under way or waiting.
        HandshakesFull = "handshakes_full",
        /// A first packet whose sender has to show that its address is its own; the answer is a Retry.
        Retried = "retried",
        /// A further packet of a client whose handshake waits, beyond what is kept of those.
        WaitingFull = "waiting_full",
        /// One that is answered otherwise, but as many answers have been given in this turn as may be.
        Unanswered = "unanswered",
    }
}

label! {
    /// Why a room was not given to a subscriber that asked for it by QUIC, or not taken from it.
    RoomRefusal {
        /// There is no such room.
        UnknownRoom = "unknown_room",
        /// The client permits no stream for it, or has not confirmed the ends of those before.
        NoStream = "no_stream",
        /// It is subscribed to already.
        AlreadySubscribed = "already_subscribed",
        /// The client has as many rooms as it may have.
        TooManyRooms = "too_many_rooms",
        /// It is not subscribed to, so it cannot be left.
        NotSubscribed = "not_subscribed",
        /// There are as many subscribers as may be.
        Full = "full",
        /// The node is going away; the answer is the close.
        Draining = "draining",
    }
}

label! {
    /// A datagram socket whose losses the kernel reports.
    Socket {
        /// The reaction port.
        Reactions = "reactions",
        /// The QUIC port.
        Quic = "quic",
    }
}

label! {
    /// Why a frame was not sent to a subscriber.
    Skip {
        /// The subscriber had not drained the frame before; it gets the newest when it has.
        SlowSubscriber = "slow_subscriber",
        /// The next frame was made before the fan-out of this one came to the subscriber.
        Overrun = "overrun",
    }
}

label! {
    /// Why an event stream did not begin.
    StreamRefusal {
        /// There are as many as there may be.
        Full = "full",
        /// The node is going away.
        Draining = "draining",
    }
}

label! {
    /// What came of reading the configuration again.
    Reload {
        /// It is in force.
        Done = "done",
        /// It cannot be used; the one before stays.
        Refused = "refused",
    }
}

/// Status codes that are counted one by one; all others count as `other`.
pub const HTTP_CODES: [u16; 19] =
    [200, 201, 202, 204, 304, 400, 403, 404, 405, 408, 409, 413, 414, 415, 417, 422, 431, 503, 505];

/// Places of the status code table: [`HTTP_CODES`] and one for all others.
pub const HTTP_CODE_COUNT: usize = HTTP_CODES.len() + 1;

/// The place of a status code in a table of [`HTTP_CODE_COUNT`].
pub fn http_code_index(code: u16) -> usize {
    HTTP_CODES.iter().position(|&known| known == code).unwrap_or(HTTP_CODES.len())
}

label! {
    /// Why a request, or a connection before its first, was refused by HTTP, on both ports: the `code` of the reply.
    HttpProblem {
        /// The request line is none.
        BadRequestLine = "bad_request_line",
        /// TLS on a port that speaks plain HTTP.
        TlsHello = "tls_hello",
        /// A header of the PROXY protocol.
        ProxyProtocol = "proxy_protocol",
        /// The target is neither a path nor an address.
        BadTarget = "bad_target",
        /// The version of HTTP, or of a datagram.
        BadVersion = "bad_version",
        /// The request line is too long.
        RequestLineTooLong = "request_line_too_long",
        /// The head is too long.
        HeadTooLarge = "head_too_large",
        /// The head has too many fields.
        TooManyHeaders = "too_many_headers",
        /// A line ends with LF alone.
        BareLf = "bare_lf",
        /// A field goes on in the next line.
        ObsFold = "obs_fold",
        /// The name of a field is none.
        BadHeaderName = "bad_header_name",
        /// The value of a field has a control character.
        BadHeaderValue = "bad_header_value",
        /// There is no `Host`.
        MissingHost = "missing_host",
        /// There are several `Host`.
        RepeatedHost = "repeated_host",
        /// `Host` is none.
        BadHost = "bad_host",
        /// There are several `Origin`.
        RepeatedOrigin = "repeated_origin",
        /// `Origin` is none.
        BadOrigin = "bad_origin",
        /// `Content-Length` is no number.
        BadContentLength = "bad_content_length",
        /// There are several `Content-Length`.
        RepeatedContentLength = "repeated_content_length",
        /// There are both ways to say where the body ends.
        BothLengths = "both_lengths",
        /// A transfer coding that is not taken.
        BadTransferEncoding = "bad_transfer_encoding",
        /// An expectation that is not met.
        UnknownExpectation = "unknown_expectation",
        /// `X-Client-Id` is no number.
        BadClientId = "bad_client_id",
        /// The body is too long.
        BodyTooLarge = "body_too_large",
        /// The size of a chunk is none.
        BadChunkSize = "bad_chunk_size",
        /// A chunk has an extension.
        ChunkExtension = "chunk_extension",
        /// A chunk does not end where it should.
        BadChunkEnd = "bad_chunk_end",
        /// A trailer is no field.
        BadTrailer = "bad_trailer",
        /// The trailers are too long.
        TrailersTooLarge = "trailers_too_large",
        /// The request did not come whole in time.
        HttpTimeout = "http_timeout",
        /// The admin port was asked under a name that is not its own.
        UnknownHost = "unknown_host",
        /// A page of another site asked.
        OriginNotAllowed = "origin_not_allowed",
        /// A page's browser asked for fields in a way that is none.
        BadPreflight = "bad_preflight",
        /// There is no such path.
        NotFound = "not_found",
        /// The path has no such method.
        MethodNotAllowed = "method_not_allowed",
        /// There is no such room.
        UnknownRoom = "unknown_room",
        /// The room has no frame yet.
        NoFrame = "no_frame",
        /// The type of the body.
        Unsupported = "unsupported",
        /// The body is coded.
        ContentCoding = "content_coding",
        /// The body is not the JSON it should be.
        BadJson = "bad_json",
        /// More reactions than one request may have.
        HttpTooLarge = "http_too_large",
        /// A count is out of range.
        BadCount = "bad_count",
        /// More taps than one record or one request may count.
        TooManyTaps = "too_many_taps",
        /// A reaction datagram that is too short.
        TooShort = "too_short",
        /// A reaction datagram that is too long.
        TooLong = "too_long",
        /// A reaction datagram with a flag that is not known here.
        BadFlags = "bad_flags",
        /// A reaction datagram of another room than its path.
        RoomMismatch = "room_mismatch",
        /// An emoji that the room's palette does not have.
        UnknownEmoji = "unknown_emoji",
        /// A room's specification is none.
        BadRoom = "bad_room",
        /// A room has no ids left for the emoji of a palette.
        PaletteFull = "palette_full",
        /// There are as many rooms as there may be.
        TooManyRooms = "too_many_rooms",
        /// There are as many streams, or connections, as there may be.
        Full = "full",
        /// The client's address has as many connections as it may have.
        AddressFull = "address_full",
        /// The node is going away.
        Draining = "draining",
    }
}

impl From<Reject> for HttpProblem {
    fn from(reason: Reject) -> Self {
        match reason {
            Reject::TooShort => Self::TooShort,
            Reject::TooLong => Self::TooLong,
            Reject::BadVersion | Reject::HttpUnsupported => Self::BadVersion,
            Reject::BadFlags => Self::BadFlags,
            Reject::BadCount => Self::BadCount,
            Reject::UnknownRoom => Self::UnknownRoom,
            Reject::UnknownEmoji => Self::UnknownEmoji,
            Reject::TooManyTaps => Self::TooManyTaps,
            Reject::BadJson => Self::BadJson,
            Reject::Unsupported => Self::Unsupported,
            Reject::HttpMalformed => Self::BadRequestLine,
            Reject::HttpTooLarge => Self::HttpTooLarge,
            Reject::HttpTimeout => Self::HttpTimeout,
            Reject::TlsHello => Self::TlsHello,
            Reject::ProxyProtocol => Self::ProxyProtocol,
            Reject::ContentCoding => Self::ContentCoding,
            // A datagram without its session is like a path that leads nowhere.
            Reject::NotFound | Reject::NoSession => Self::NotFound,
            Reject::BadClientId => Self::BadClientId,
            Reject::Draining => Self::Draining,
            Reject::RoomMismatch => Self::RoomMismatch,
            Reject::Origin => Self::OriginNotAllowed,
        }
    }
}

label! {
    /// The status with which a request over HTTP/3 is answered.
    Http3Status {
        /// The session begins.
        Granted = "200",
        /// The scheme is another, or the address is none.
        BadRequest = "400",
        /// A page of a site that may not come.
        Forbidden = "403",
        /// Another path.
        NotFound = "404",
        /// Another method than CONNECT.
        BadMethod = "405",
        /// The connection has its session.
        SecondSession = "429",
        /// More fields than are read.
        TooLarge = "431",
        /// Another protocol than WebTransport.
        Unsupported = "501",
        /// The appliance is draining.
        Draining = "503",
    }
}

label! {
    /// The code with which a stream over HTTP/3 is cut off, while its connection lives.
    Http3Refusal {
        /// A request that its client gave up.
        RequestCancelled = "request_cancelled",
        /// A request that ended before it was whole.
        RequestIncomplete = "request_incomplete",
        /// A request that lacks what a request has.
        MessageError = "message_error",
        /// A unidirectional stream of a type that is not taken in.
        StreamCreationError = "stream_creation_error",
        /// A stream of a session that does not exist, or has all its streams.
        BufferedStreamRejected = "buffered_stream_rejected",
    }
}
