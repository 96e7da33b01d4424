//! Every bound of the appliance that is not an operator's choice: its name, its reason, and its relation to its
//! neighbours, checked at compile time. What operators may choose stands in [`crate::config`] with the ranges below.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Shards of one process. Connection ids carry the shard in one byte, and room for growth of the modulo is kept.
pub const SHARDS_MAX: usize = 128;

/// Length of a counting window, in milliseconds. Below 100 ms frames cost more than they tell; above a minute an
/// audience has moved on.
pub const WINDOW_MS: RangeInclusive<u64> = 100..=60_000;

/// Rooms of one node.
pub const ROOMS_MAX: usize = 1_000_000;
/// Bytes of a room's specification, as JSON, on the admin port: a full palette with the longest labels, escaped.
pub const ROOM_SPEC_BYTES_MAX: usize = 4 << 20;

/// Deleted rooms whose emoji are remembered, so that a room that is put again goes on with its ids. Those deleted first are
/// forgotten first: longer after they are gone than any tap is on its way, and longer than most senders keep ids.
pub const DEPARTED_ROOMS_MAX: usize = 65_536;
/// Bytes that they may take, on the coordinating shard only: so many rooms of some dozen emoji each.
pub const DEPARTED_BYTES_MAX: usize = 32 << 20;
/// Windows for which a frame waits for the palette that names its emoji, before it goes out without: the palette was sent
/// before any of them could be tapped, so it comes within a turn or two, or never as the room was forgotten in between.
pub const EARLY_FRAME_WINDOWS: u64 = 8;

/// A late delta is waited for this part of a window before the frame goes out without it.
pub const GRACE_DIVISOR: u64 = 4;

/// Reaction datagrams taken in one system call. Beyond 64 the cost per datagram no longer falls.
pub const DATAGRAM_BATCH: usize = 64;
/// Batches of reactions taken in one turn of the loop, so that no socket starves the others: about 1 ms of work.
pub const BATCHES_PER_TURN: usize = 8;
/// Bytes of reactions taken in one turn: with trains, a batch may hold 4 MB, and each byte costs about as much as a
/// nanosecond.
pub const REACTION_BYTES_PER_TURN: usize = 1 << 20;
/// Datagrams taken from the QUIC socket in one turn: with trains, a batch may hold 8,192. The train that exceeds it is taken
/// whole.
pub const QUIC_DATAGRAMS_PER_TURN: usize = 256;
/// Batches taken from the QUIC socket in one turn: a datagram there costs five times one of reactions, and those who tap
/// wait for the turn to end.
pub const QUIC_BATCHES_PER_TURN: usize = 1;
/// Batches taken from one socket when a drain begins: more than its buffer can hold, so that a peer that goes on sending
/// does not keep the drain from beginning.
pub const BATCHES_AT_DRAIN: usize = 1024;
/// Bytes of one receive buffer: the largest train of coalesced datagrams (GRO) that the kernel hands over.
pub const DATAGRAM_BUFFER: usize = 65_536;

/// Bytes of a request line.
pub const HTTP_REQUEST_LINE_MAX: usize = 4096;
/// Bytes of a request head, request line included.
pub const HTTP_HEAD_MAX: usize = 16_384;
/// Header fields of a request.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Bytes of a request body on the public port: sixteen full reaction datagrams, or about a thousand JSON reactions.
pub const HTTP_BODY_MAX: usize = 65_536;
/// Bytes of the trailers after a chunked body; they are checked and discarded.
pub const HTTP_TRAILERS_MAX: usize = 4096;
/// Bytes of the list of fields that a page may ask for before it sends them: agents that trace requests add some dozens of
/// names, and the list is repeated in the answer.
pub const HTTP_ASKED_FIELDS_MAX: usize = 1024;
/// Reactions of one JSON array.
pub const HTTP_REACTIONS_MAX: usize = 1024;
/// Taps that any datagram or request can say: as many records as the larger of both has, each at its most. What a node takes
/// of them is an operator's choice.
pub const REQUEST_TAPS_MAX: usize = HTTP_REACTIONS_MAX * u16::MAX as usize;
/// Bytes of replies that may wait for a connection; its next request is not looked at until the kernel has taken them.
/// A connection also gets no more than this from one step of a turn, so that a client that pipelines requests takes turns
/// with the others.
pub const HTTP_REPLIES_MAX: usize = 16_384;
/// Bodies of at least this many bytes are handed to the kernel from where they lie, shared by all connections that they go
/// to. Smaller ones are copied into the replies of their connection, as a send of its own costs more than the copy.
pub const HTTP_SHARED_BODY_MIN: usize = 8_192;
/// Work that one turn does for HTTP connections, in bytes received and replied, with [`HTTP_REQUEST_COST`] for each request.
/// One to two milliseconds; what is left over is done in the turns that follow, connection by connection.
pub const HTTP_TURN_WORK: usize = 1 << 20;
/// What a request costs beside its bytes, in bytes that cost as much to copy: about a microsecond.
pub const HTTP_REQUEST_COST: usize = 1024;
/// Work that one turn does to bring HTTP connections to the ring: bytes handed to the kernel, with [`HTTP_REQUEST_COST`] for
/// each send and [`HTTP_CLOSE_COST`] for each connection that is closed.
pub const HTTP_FLUSH_WORK: usize = 1 << 20;
/// What closing a connection costs, in bytes that cost as much to copy: the kernel takes its sockets and queues apart.
pub const HTTP_CLOSE_COST: usize = 8_192;
/// Bytes of the kernel's send buffer for one connection of the public port; the kernel doubles it for its bookkeeping. A
/// peer with room for more gets that much in a round trip.
pub const HTTP_SEND_BUFFER_BYTES: usize = 65_536;
/// Bytes that the kernel may keep of a connection of the public port and has not sent, as the peer has no room. What is
/// beyond that is kept here, where it is bounded and shared. For an event stream, what waits there is only getting older.
pub const HTTP_UNSENT_BYTES: usize = 16_384;
/// Bytes of the kernel's memory that one connection of the public port holds for sending at most: its doubled send buffer,
/// and the one segment with which it is overdrawn.
pub const HTTP_KERNEL_BYTES_MAX: usize = 2 * HTTP_SEND_BUFFER_BYTES + 65_536;
/// Connections that one turn accepts on one port. About a third of a millisecond.
pub const ACCEPTS_PER_TURN: usize = 64;
/// Bytes taken and discarded from a client that goes on sending after its last reply, so that it comes to read it: the
/// bodies that are refused for their size are seldom larger.
pub const HTTP_LINGER_BYTES_MAX: usize = 2 << 20;
/// A body may come at any pace until its request is this old: a few retransmissions of one packet.
pub const BODY_RATE_GRACE: Duration = Duration::from_secs(5);
/// How often HTTP connections are looked over, so by how much a time limit may pass.
pub const HTTP_SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How long a connection may be open before its first request: balancers and browsers open some ahead. Those that have asked
/// are kept for `http.idle_timeout`, which is long; so a flood of connections that ask nothing takes no place for as long.
pub const HTTP_UNUSED: Duration = Duration::from_secs(60);
/// HTTP connections looked over in one turn of a sweep, about a twentieth of a millisecond.
pub const HTTP_SWEEP_SLICE: usize = 1024;
/// HTTP connections of which the time is up that one turn ends.
pub const HTTP_SWEEP_ENDS: usize = 64;
/// How long a connection lingers after its last reply, so that a client that still sends comes to read it.
pub const HTTP_LINGER: Duration = Duration::from_secs(1);
/// Connections of the admin port: scrapers, probes and operators. Apart from the public ones, so that the node can be
/// looked at when those are as many as they may be.
pub const ADMIN_CONNECTIONS_MAX: usize = 256;
/// Bytes that come from a connection after it was paused and before its receives have stopped: what the kernel hands over
/// for one connection when the ring is entered, twice.
pub const HTTP_PAUSE_BYTES_MAX: usize = 2 * 32 * TCP_BUFFER;
/// Bytes of memory that one connection of the public port can come to hold: a request that has not come whole, one more
/// and what came before a pause took effect, replies under way and replies behind them; vectors grow to twice what
/// they hold. A reply larger than [`HTTP_REPLIES_MAX`] (a room with a huge palette) comes on top, in the same way.
pub const HTTP_CONNECTION_BYTES_MAX: usize = HTTP_REQUEST_LINE_MAX + HTTP_HEAD_MAX + HTTP_BODY_MAX // decoder: `partial`
    + 2 * (HTTP_HEAD_MAX + HTTP_BODY_MAX + HTTP_PAUSE_BYTES_MAX) // decoder: `unread`
    + 2 * 2 * HTTP_REPLIES_MAX;
/// Bytes of memory that one connection without a request holds, in the edge and in the shard together.
pub const HTTP_IDLE_CONNECTION_BYTES_MAX: usize = 384;
/// Bytes of one provided receive buffer for TCP.
pub const TCP_BUFFER: usize = 4096;
/// Provided receive buffers of one shard.
pub const TCP_BUFFERS: u16 = 2048;

/// Subscribers served before the loop looks at arrivals again: with sealing and sending, about a quarter of a millisecond.
pub const FANOUT_SLICE: usize = 32;
/// Subscribers of replaced rooms that are offered the new palette before the loop looks at arrivals again: each is a few cache
/// misses, a hundredth of a write.
pub const PALETTE_SLICE: usize = 256;
/// Event streams served before the loop looks at arrivals again, and event streams that are ended: with sending, about a
/// quarter of a millisecond, and twice that when each of them watches another room, whose frame is made an event.
pub const STREAM_SLICE: usize = 32;
/// Bytes of a frame as an event: the largest frame, each glyph with an escape before every character.
pub const FRAME_EVENT_BYTES_MAX: usize = 256 + uproar_wire::frame::TOP_MAX * (2 * uproar_wire::frame::LABEL_MAX + 128);
/// Bytes of a palette as an event: every label at its longest, with an escape before every character.
pub const PALETTE_EVENT_BYTES_MAX: usize = 128
    + 2 * uproar_wire::frame::LABEL_MAX
    + uproar_wire::frame::PALETTE_MAX * (2 * 2 * uproar_wire::frame::LABEL_MAX + 64);
/// Events that a turn may write to a stream, when the kernel has taken those before: the palette and the newest frame of
/// when it began, and the next frame. So many may wait for it in the process, and no more are written until it has them.
pub const STREAM_EVENTS_MAX: usize = 3;
/// What was sent to an event stream may be unconfirmed for this long at least: some packets of a phone are lost in a row.
pub const STREAM_UNACKNOWLEDGED_MIN: Duration = Duration::from_secs(10);
/// Time after which the client of an event stream that has ended shall come again, in milliseconds: evenly spread over this,
/// so that those who were sent away together do not come together.
pub const STREAM_RETRY_MS: RangeInclusive<u64> = 1000..=5000;
/// Bytes of events that may wait in the process for an event stream that does not read: each has a copy, which goes when the
/// kernel has taken it, or with the connection after `http.send_timeout`.
pub const STREAM_BYTES_MAX: usize = PALETTE_EVENT_BYTES_MAX + (STREAM_EVENTS_MAX - 1) * FRAME_EVENT_BYTES_MAX;
/// Received QUIC datagrams that are routed before the first is handled: enough to fetch ahead, few enough that what was
/// routed is still in the cache.
pub const QUIC_ROUTED_MAX: usize = 64;
/// Connections whose memory is fetched ahead of the one that is served. A connection is more than a hundred cache lines,
/// and a core waits for some dozens at a time; with more, the first ones are pushed out before their turn.
pub const PREFETCH_AHEAD: usize = 3;
/// Deadlines of QUIC connections handled before the loop looks at arrivals again: about a millisecond.
pub const QUIC_TIMEOUTS_PER_CALL: usize = 256;
/// Deadlines of one second that are sorted into ticks before the loop looks at arrivals again: a tenth of a millisecond, or
/// some where their connections are not in the cache.
pub const QUIC_TIMERS_SLICE: usize = 4096;
/// QUIC connections polled for output before the loop looks at arrivals again.
pub const TRANSMIT_SLICE: usize = 64;
/// A subscriber that joins a room gets its newest frame only if that is of one of this many windows before the open one. The
/// last window's frame may not have been made yet; an older one shows what the room no longer does, and the next frame is at
/// most a window away.
pub const NEWEST_FRAME_WINDOWS: u64 = 2;
/// Rooms merged or framed before the loop looks at arrivals again.
pub const MERGE_SLICE: usize = 512;
/// Small deltas merged before the loop looks at arrivals again; a large one takes slices of its own.
pub const MERGE_DELTAS: usize = 8;
/// Frames that travel in one mesh message.
pub const FRAMES_PER_MESSAGE: usize = 64;
/// Messages of other shards handled before the loop looks at arrivals again, and as many of the shard to itself. The largest
/// carries [`FRAMES_PER_MESSAGE`] frames to offer: together about a millisecond.
pub const MESH_SLICE: usize = 64;
/// Changes of rooms of a reload that are handed to the coordinator before the loop looks at arrivals again.
pub const ROOM_CHANGES_SLICE: usize = 64;
/// Pages of `/metrics` written in one turn of a shard; each takes a tenth of a millisecond or two.
pub const SCRAPES_PER_TURN: usize = 4;
/// Messages a mesh channel holds; beyond that they wait at its ends.
pub const MESH_DEPTH: usize = 1024;

/// Bytes a connection's stream data may occupy unacknowledged: a few of the largest frames and a palette. What does
/// not fit waits in the outbox, where the newest frame wins.
pub const QUIC_SEND_WINDOW: u64 = 64 * 1024;
/// Streams of one connection that the server sends on, those that are finished but not confirmed included: every room
/// unsubscribed and as many others subscribed in one round trip, the answers on streams of the peer, and the control stream
/// that HTTP/3 has of its own.
pub const QUIC_SEND_STREAMS_MAX: usize = 2 * uproar_wire::hello::ROOMS_MAX + WEBTRANSPORT_BIDI_STREAMS as usize + 1;
/// Bytes of QUIC DATAGRAM frames kept until the session takes them, which it does in the same turn.
pub const QUIC_DATAGRAM_BUFFER: usize = 16 * 1024;
/// Bytes of stream data that a subscriber may have under way: three of the largest control messages. Those behind one that
/// has not been answered wait there. A browser's are those of all its streams.
pub const QUIC_RECEIVE_WINDOW: u32 = 4096;
/// Unidirectional streams that a peer may have open: HTTP/3 asks every server for these three (RFC 9114, 6.2), and a server
/// permits streams before it knows what a client speaks.
pub const QUIC_UNI_STREAMS: u32 = 3;
/// Bidirectional streams of a client that speaks HTTP/3: the request of its session, the session's control stream, and one
/// more, so that what it asks besides gets an answer.
pub const WEBTRANSPORT_BIDI_STREAMS: u32 = 3;
/// Streams that are cut off and requests that are not granted, of one connection: a browser asks once, and each costs more
/// than other packets do.
pub const HTTP3_REFUSALS_MAX: usize = 16;
/// Bytes of a request's field section in HTTP/3, as it travels: browsers send some hundreds.
pub const HTTP3_FIELD_SECTION_BYTES_MAX: usize = 1536;
/// The same unpacked, with 32 bytes more a field (RFC 9114, 4.2.2), as clients are told: what `web-transport-proto` reads.
pub const HTTP3_FIELD_SECTION_UNPACKED_MAX: u64 = 16 * 1024;
/// Bytes of a client's settings in HTTP/3: browsers send under a hundred.
pub const HTTP3_SETTINGS_BYTES_MAX: usize = 1024;
/// Bytes with which a WebTransport session is closed: a code, and a reason of 1,024 bytes at most.
pub const WEBTRANSPORT_CLOSE_BYTES_MAX: usize = 4 + 1024;
/// How long the end of a WebTransport session is waited for before its connection is closed: a lost packet or two.
pub const WEBTRANSPORT_FAREWELL: Duration = Duration::from_secs(1);
/// How long the connection lasts beyond that: a browser acknowledges the end of its session before it acts on it, and takes
/// the end of the connection for a loss if that is first.
pub const WEBTRANSPORT_LINGER: Duration = Duration::from_millis(100);
/// How long a subscriber may leave everything unacknowledged before a node that is going away closes its connection: two
/// round trips of a distant phone, so that one lost packet does not end it. Taps are accepted meanwhile.
pub const DRAIN_SILENCE: Duration = Duration::from_millis(700);
/// How often a node that is going away looks whether subscribers have answered.
pub const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often such a node asks a subscriber that has not answered. QUIC itself sends again after three round trips where it
/// has measured few of them; an answer to a later packet tells it sooner that an earlier one is lost.
pub const DRAIN_ASK_EVERY: Duration = Duration::from_millis(150);
/// Subscribers looked at in one turn, or asked for an answer: about a tenth of a millisecond.
pub const DRAIN_SLICE: usize = 64;
/// How long the last frames, once sent, may stay unacknowledged: a round trip of a distant phone, and a lost packet that is
/// sent again. Taps are refused meanwhile, and a client that retries after a second finds the next process.
pub const DRAIN_DELIVERY: Duration = Duration::from_millis(600);
/// How long browsers have to read why their session ends once [`DRAIN_DELIVERY`] has passed.
pub const DRAIN_PARTING: Duration = Duration::from_millis(200);
/// Time between the last close and the copies of all closes: nobody acknowledges a close, so each leaves twice, far enough
/// apart that one burst of losses does not take both.
pub const DRAIN_REPEAT_AFTER: Duration = Duration::from_millis(30);
/// Bytes of closes kept to be sent twice: of more than ten thousand connections. The others are closed once.
pub const QUIC_CLOSES_BYTES: usize = 1 << 20;
/// Bytes of out-of-order handshake kept for a connection: a ClientHello of two packets with room to spare.
pub const QUIC_CRYPTO_BUFFER: usize = 4096;
/// Datagrams of one connection that leave as one train (GSO). A frame is one or two; a palette fills the train.
pub const QUIC_TRAIN_DATAGRAMS: usize = 10;
/// Bytes of answers that belong to no connection (refusals, version negotiation, stateless resets) kept for one turn.
/// A thousand refusals, or a hundred resets of long packets; those beyond are dropped, as anybody can ask for them under
/// any address.
pub const QUIC_RESPONSES_BYTES: usize = 128 * 1024;
/// Bytes of the memory that received QUIC datagrams share: what QUIC keeps of one of them, such as a part of a stream
/// that came before its turn, keeps all of it.
pub const QUIC_ARENA_BYTES: usize = 4096;
/// Handshakes that begin in one turn at most, also after a pause: 2 to 3 ms of work.
pub const QUIC_HANDSHAKES_PER_TURN: usize = 16;
/// Handshakes that begin in one turn while frames or acknowledgements wait to leave: 0.15 ms beside about
/// 1 ms for the others.
pub const QUIC_HANDSHAKES_PER_BUSY_TURN: usize = 1;
/// Bytes of further packets kept of one connection whose handshake waits: the second packet of a long ClientHello.
pub const QUIC_WAITING_BYTES: u64 = 1500;
/// The same of all that wait. Beyond that, who sent a long ClientHello sends its second packet again.
pub const QUIC_WAITING_BYTES_TOTAL: u64 = 1 << 20;
/// Time in which a client must come back with the token of a Retry: as long as it goes on trying, should its packets be
/// dropped meanwhile.
pub const RETRY_TOKEN_LIFETIME: Duration = Duration::from_secs(30);
/// Handshakes of one shard, under way and waiting.
pub const QUIC_HANDSHAKES: RangeInclusive<usize> = 1..=1_000_000;
/// Handshakes that one shard begins in a second.
pub const QUIC_HANDSHAKE_RATE: RangeInclusive<usize> = 1..=1_000_000;
/// Time a handshake has. Who has not measured the path yet sends again after 1, 3 and 7 s: three losses in a row, as in a
/// stadium, do not end it. Longer, and who only pretends to come would keep others out for longer.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time a connection has to say hello once its handshake has been completed.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a configuration file: 100,000 rooms with short palettes. Reading it takes up to fifty times as much memory for a
/// moment. More rooms come by the admin port.
pub const CONFIG_BYTES_MAX: u64 = 16 << 20;
/// Bytes of a file with a certificate chain or a private key: all authorities that a system trusts take a quarter of it, and a
/// chain that a handshake can carry far less.
pub const PEM_BYTES_MAX: u64 = 1 << 20;
/// How long a pipe in the place of a file may be silent: a program that fetches a key from elsewhere takes seconds, and
/// supervisors wait for a start for a minute or more.
pub const PIPE_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a misspelt word that is compared with those that exist, as the time grows with the product of both lengths.
pub const MISSPELT_BYTES_MAX: usize = 64;
/// Bytes of a file of the kernel below `/proc` and `/sys` that is read whole; `/proc/stat` of a large machine has some 100 KB.
pub const MACHINE_FILE_BYTES_MAX: u64 = 4 << 20;

/// Lines of the log that wait to be written: minutes of the worst, a few megabytes at most.
pub const LOG_LINES_WAITING_MAX: usize = 4096;
/// Bytes of the longest text in a line of the log.
pub const LOG_MESSAGE_BYTES_MAX: usize = 4096;
/// Kinds of events that the log limits one by one in one [`LOG_KIND_PERIOD`]; those beyond share one limit. There is room for
/// every event of every shard, and of each only its name and one text are kept.
pub const LOG_KINDS_MAX: usize = 32 * SHARDS_MAX;
/// Lines of one kind in one [`LOG_KIND_PERIOD`]: enough to see what goes on, few enough to see what else does.
pub const LOG_LINES_PER_KIND: u32 = 10;
/// See [`LOG_LINES_PER_KIND`].
pub const LOG_KIND_PERIOD: Duration = Duration::from_secs(10);
/// Time that the log has at the end of the process to be written: a disk may be slow, a dead pipe holds up nobody.
pub const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of `/metrics/shards` written in one turn of a shard, in one or two tenths of a millisecond; 128 shards fill nearly 3 MB.
pub const PAGE_SLICE_BYTES: usize = 32_768;

/// Rooms of `GET /v1/rooms` written in one turn of a shard at most, also when they are small.
pub const ROOM_LIST_SLICE: usize = 512;

/// Time after which memory that was freed goes back to the system, in two steps of as much: in the second, nothing that was
/// used since the first is given away. Far above a burst, far below the time in which somebody looks.
pub const MEMORY_STEP: Duration = Duration::from_millis(1500);

/// Time from a shard's panic to the end of the process at most: for writing down what happened and where; far below the time
/// after which a supervisor looks.
pub const LAST_WORDS: Duration = Duration::from_secs(2);
/// The same where RUST_BACKTRACE asks for a backtrace, which is written last: the names of its frames take a tenth of a second
/// in a release build, and seconds in a debug build on a busy machine. What is not written by then is cut off.
pub const BACKTRACE_MAX: Duration = Duration::from_secs(10);
/// What a drain may take beyond its configured times: the last window and the ends of the threads.
pub const STOP_MARGIN: Duration = Duration::from_secs(5);
/// Time that a supervisor has to take what it must not miss, such as that the server is ready: its queue is a few hundred
/// messages long, and one that does not read holds up only the main thread, less than the beats that it may miss.
pub const SUPERVISOR_SEND_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a busy shard runs before other tasks of its executor, such as the mesh, get their turn: far below a window,
/// and long beside a pause that the machine itself makes.
pub const PREEMPT_AFTER: Duration = Duration::from_millis(5);
/// Bytes of registered memory of glommio's own rings, which carry no data here.
pub const EXECUTOR_IO_MEMORY: usize = 64 * 1024;

/// Descriptors of one shard besides its connections: sockets, rings, doorbells, pipes of the executor, with room to spare.
pub const FILES_OF_A_SHARD: u64 = 32;
/// Descriptors of the process besides its shards': standard streams, locks, timers of the runtime, what is read of the
/// machine, what a scrape opens.
pub const FILES_OF_THE_PROCESS: u64 = 64;

/// Descriptors without which a shard cannot be started: a sixteenth of them is spare.
pub const FILES_TO_START_A_SHARD: u64 = 16;
/// The same of the process.
pub const FILES_TO_START: u64 = 32;

/// How old what the kernel counts, its drops above all, may be when somebody asks: each socket is a system call.
pub const FIGURES_AGE: Duration = Duration::from_millis(100);
/// How often a shard looks whether it has something to tell the operator.
pub const INCIDENT_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time between two lines of one shard about one kind of incident; the second one says what has come together meanwhile.
pub const INCIDENT_SAID_EVERY: Duration = Duration::from_secs(10);

/// Descriptors that connections leave in any case: for a log, a configuration, a certificate or `/proc` that is read while
/// the node serves, and for connections that are accepted only to be refused.
pub const FILES_AT_HAND: u64 = 8;

const _: () = assert!(LAST_WORDS.as_millis() > LOG_FLUSH_TIMEOUT.as_millis(), "a panic is written before the end");
const _: () = assert!(
    DRAIN_DELIVERY.as_millis() + DRAIN_PARTING.as_millis() + DRAIN_REPEAT_AFTER.as_millis() < 1000,
    "a tap that is refused during a drain can be accepted a second later"
);
const _: () = assert!(DRAIN_PARTING.as_millis() > WEBTRANSPORT_LINGER.as_millis(), "a browser reads why it is closed");
const _: () = assert!(FILES_TO_START_A_SHARD < FILES_OF_A_SHARD && FILES_TO_START < FILES_OF_THE_PROCESS);
const _: () = assert!(SHARDS_MAX <= 256, "a connection id carries its shard in one byte");
const _: () = assert!(uproar_wire::reaction::DATAGRAM_MAX <= HTTP_BODY_MAX, "a datagram fits an HTTP body");
const _: () = assert!(uproar_wire::hello::MESSAGE_MAX <= QUIC_RECEIVE_WINDOW as usize, "a hello fits the window");
const _: () = assert!(
    // With the heads of frames and streams.
    HTTP3_FIELD_SECTION_BYTES_MAX + uproar_wire::hello::MESSAGE_MAX + HTTP3_SETTINGS_BYTES_MAX + 64
        <= QUIC_RECEIVE_WINDOW as usize,
    "a request and a hello that wait for the settings do not keep them away"
);
const _: () = assert!(uproar_wire::reaction::DATAGRAM_MAX < QUIC_DATAGRAM_BUFFER, "the largest reactions are accepted");
const _: () = assert!(HTTP_REQUEST_LINE_MAX < HTTP_HEAD_MAX);
const _: () = assert!(STREAM_BYTES_MAX <= 5 << 18, "a thousand deaf readers of the largest room fit 1.25 GiB");
const _: () =
    assert!(STREAM_EVENTS_MAX * HTTP_SHARED_BODY_MIN < 2 * HTTP_REPLIES_MAX, "copies of a stream's events fit");
const _: () = assert!(HTTP_SHARED_BODY_MIN < HTTP_REPLIES_MAX && HTTP_UNSENT_BYTES < HTTP_SEND_BUFFER_BYTES);
const _: () = assert!(HTTP_SEND_BUFFER_BYTES < HTTP_TURN_WORK / 2, "a step leaves work for others");
const _: () = assert!(HTTP_CONNECTION_BYTES_MAX <= 1024 * 1024, "ten thousand at their worst fit 10 GiB");
const _: () = assert!(HTTP_LINGER_BYTES_MAX > HTTP_HEAD_MAX + HTTP_BODY_MAX, "a refused request may come to its end");
const _: () = assert!(uproar_wire::reaction::DATAGRAM_MAX < DATAGRAM_BUFFER);
// The fullest window still counts in u64: every core of SHARDS_MAX taking 100M records of 65,535 taps a second.
const _: () = assert!((*WINDOW_MS.end() / 1000).checked_mul(SHARDS_MAX as u64 * 100_000_000 * 65_535).is_some());
