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
