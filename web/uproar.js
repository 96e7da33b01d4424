// One Uproar room in a browser: its frames as they come, and taps on their way. The contract is docs/WIRE.md.
//
//   const uproar = new Uproar({ url: "https://uproar.example", room: 7 });
//   for await (const frame of uproar) draw(frame);        // and somewhere else: uproar.react("🔥")
//
// By WebTransport where both sides have it, else by server-sent events and fetch.
//
// Invariants: frames are given in the order of their time, each once; taps count for the emoji that was meant; they are
// sent once, or again when they are known not to be counted; what waits is bounded by the limits below; nothing runs
// after close(). Not here: drawing, and several rooms over one connection.

/** A message of taps begins this long after the one before, at least. */
const GATHER_MS = 250;
/** Taps that waited for longer are "expired": their moment is over. More entries than this are "too_many". */
const TAPS_WAIT_MS = 30_000, TAPS_WAITING_MAX = 1000;
/** A post without an answer for this long is "unanswered"; before one is sent again comes a pause. A session is closed
 * this much later at most when the browser has not taken the last datagram yet. */
const ANSWER_MS = 10_000, AGAIN_MS = 2_000, CLOSE_MS = 1_000;
/** Waits between attempts are random, up to the first and the time since the connection was lost, but not beyond. */
const BACKOFF_MS = 1_000, BACKOFF_MS_MAX = 15_000, DRAINING_MS_MAX = 5_000;
/** The palette comes within this, or the attempt has failed: a firewall that drops UDP does not tell. */
const OPEN_MS = { webtransport: 3_000, sse: 10_000 };
/** A connection that was open for less has failed, and WebTransport that failed is tried again after the pause. */
const HELD_MS = 5_000, WEBTRANSPORT_PAUSE_MS = 300_000;
/** A connection is lost when nothing comes for so many windows, but not before the minimum. */
const SILENCE_WINDOWS = 5, SILENCE_MS_MIN = 10_000, WINDOW_MS_MAX = 60_000;
/** A frame older than the last by this much is no repetition: a clock was set back. */
const CLOCK_BACK_MS = 120_000;
/** The first frame of a connection is stale when its window ended more than this many windows ago. */
const STALE_WINDOWS = 3;
/** Of one message. So many records fit the 64 KiB that may outlive a page, and nodes take so many taps. */
const RECORDS_MAX = 200, RECORD_TAPS_MAX = 600, MESSAGE_TAPS_MAX = 2400;

const MESSAGE_MAX = 1 << 20, COUNT_MAX = 65_535, LABEL_MAX = 256;
const CLOSE_REASONS = ["done", "draining", "bad_hello", "hello_timeout", "no_rooms", "full", "room_deleted"];
/** After these, another attempt would end alike. */
const FATAL = ["bad_hello", "no_rooms", "room_deleted", "origin_not_allowed"];
const OPTIONS = ["room", "transport", "webTransportUrl", "certificateHashes", "clientId", "signal"];

/**
 * @typedef {"webtransport" | "sse"} Transport
 * @typedef {{ id: number, name: string, glyph: string, retired?: true }} Emoji  glyph: it, or the address of an image
 * @typedef {{ room: number, name: string, emoji: Emoji[] }} Palette
 * @typedef {ReturnType<typeof decodeFrame>} WireFrame
 * @typedef {Omit<WireFrame, "top"> & { top: (WireFrame["top"][0] & Emoji)[], receivedAt: number,
 *   transport: Transport, stale: boolean }} Frame
 * @typedef {{ phase: "connecting" | "open" | "waiting" | "closed", transport: Transport | null, attempt: number,
 *   reason: string | null, retryInMs: number | null }} State  reason: why the last connection ended
 * @typedef {{ emoji: string | number, count: number, sinceMs: number }} Taps
 * @typedef {{ code: string, taps: Taps[] }} Refused  code: the node's word, or one of README.md
 * @typedef {{ room: number, url?: string, transport?: "auto" | Transport, webTransportUrl?: string,
 *   certificateHashes?: string[], clientId?: bigint, signal?: AbortSignal }} Options
 * @typedef {Options & { url: string, transport: "auto" | Transport, clientId: bigint }} Place
 * @typedef {Taps & { glyph?: string, refusedBy?: Palette | null }} Waiting  glyph: once the palette is known
 * @typedef {(taps: (Emoji & { count: number })[]) => Promise<string | null>} Send  a code when they were refused
 * @typedef {{ session: WebTransport, over: boolean, writing: Promise<string | null> | null }} Link
 * @typedef {{ send?: Send, palette?: Palette, frame?: WireFrame }} News  of a connection; {} is a sign of life
 */

// Frames and palettes, byte by byte.

/** Reads a frame's archive. Windows beyond 2^53 are rounded. @param {DataView | Uint8Array} archive
 * @throws {RangeError} when it is not one */
export function decodeFrame(archive) {
  const view = viewOf(archive), root = view.byteLength - 41;
  const top = listAt(view, root, 33, 13).map((at) => ({
    id: view.getUint16(at + 8, true),
    count: view.getBigUint64(at, true),
    share: view.getUint16(at + 10, true), // basis points of the total
    intensity: view.getUint8(at + 12),
  }));
  return {
    room: view.getUint32(root, true),
    windowMs: view.getUint32(root + 4, true),
    window: Number(view.getBigUint64(root + 8, true)),
    startMs: Number(view.getBigUint64(root + 16, true)),
    total: view.getBigUint64(root + 24, true),
    intensity: view.getUint8(root + 32),
    top,
  };
}

/** Reads a palette's archive. @param {DataView | Uint8Array} archive @returns {Palette}
 * @throws {RangeError} when it is not one */
export function decodePalette(archive) {
  const view = viewOf(archive), root = view.byteLength - 20;
  const emoji = listAt(view, root, 12, 16).map((at, id) => entryOf(id, textAt(view, at), textAt(view, at + 8)));
  return { room: view.getUint32(root, true), name: textAt(view, root + 4), emoji };
}

/** Only what is retired has no name. @param {number} id @param {string} name @param {string} glyph @returns {Emoji} */
const entryOf = (id, name, glyph) => ({ id, name, glyph, ...(name ? {} : { retired: true }) });

/** Names and glyphs are the same when this is. @param {string | number} label */
const plain = (label) => (typeof label === "string" ? label.replace(/[\ufe0e\ufe0f]/g, "").normalize("NFC") : label);

/** @param {DataView | Uint8Array} bytes */
const viewOf = ({ buffer, byteOffset, byteLength }) => new DataView(buffer, byteOffset, byteLength);

/** Where the elements of a list stand. @param {DataView} view @param {number} root @param {number} field
 * @param {number} size */
function listAt(view, root, field, size) {
  const first = root + field + view.getInt32(root + field, true), count = view.getUint32(root + field + 4, true);
  // The pointer of an empty list leads nowhere.
  const inside = count === 0 || (first >= 0 && first + size * count <= view.byteLength);
  if (!inside) throw new RangeError("list outside the archive");
  return Array.from({ length: count }, (_, index) => first + size * index);
}

/** @param {DataView} view @param {number} at */
function textAt(view, at) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  let text = bytes.subarray(at, at + 8);
  if ((text[0] & 0xc0) === 0x80) {
    const tagged = view.getUint32(at, true), length = (tagged & 0x3f) | ((tagged >>> 8) << 6);
    const first = at + view.getInt32(at + 4, true);
    const inside = length <= LABEL_MAX && first >= 0 && first + length <= bytes.length;
    if (!inside) throw new RangeError("text outside the archive");
    text = bytes.subarray(first, first + length);
  } else if (text.includes(0xff)) {
    text = text.subarray(0, text.indexOf(0xff));
  }
  return new TextDecoder().decode(text);
}

// Messages.

/** Cuts a room's stream into messages, and holds one of them at most. */
export class RoomMessages {
  #rest = new Uint8Array();

  /** The messages that `chunk` completes. @param {Uint8Array} chunk @throws {RangeError} when one is too long */
  push(chunk) {
    const bytes = new Uint8Array(this.#rest.length + chunk.length), view = viewOf(bytes), messages = [];
    bytes.set(this.#rest);
    bytes.set(chunk, this.#rest.length);
    let at = 0;
    while (at + 4 <= bytes.length) {
      const length = view.getUint32(at, true), end = at + 4 + length;
      if (length === 0 || length > MESSAGE_MAX) throw new RangeError(`message of ${length} bytes`);
      if (end > bytes.length) break;
      messages.push({ kind: bytes[at + 4], archive: bytes.subarray(at + 5, end) });
      at = end;
    }
    this.#rest = bytes.slice(at);
    return messages;
  }
}

/** A control message: kind 1 is a hello, 6 a reaction datagram in a stream. @param {number} kind
 * @param {Uint8Array} body */
export function encodeControl(kind, body) {
  const message = new Uint8Array(3 + body.length);
  viewOf(message).setUint16(0, 1 + body.length, true);
  message[2] = kind;
  message.set(body, 3);
  return message;
}

/** The hello that asks for one room. @param {number} room */
export function encodeHello(room) {
  const body = Uint8Array.of(1, 0, 1, 0, 0, 0, 0, 0, 0, 0);
  viewOf(body).setUint32(6, room, true);
  return encodeControl(1, body);
}

/** A reaction datagram. @param {number} room @param {bigint} clientId @param {number[][]} records */
export function encodeReactions(room, clientId, records) {
  const datagram = new Uint8Array(16 + 4 * records.length), view = viewOf(datagram);
  datagram[0] = 1;
  view.setUint16(2, records.length, true);
  view.setUint32(4, room, true);
  view.setBigUint64(8, clientId, true);
  records.flat().forEach((value, index) => view.setUint16(16 + 2 * index, value, true));
  return datagram;
}

/** @param {string} json @returns {WireFrame} */
function frameOfJson(json) {
  // JSON.parse would round counts. In a text, these quotes would be escaped.
  const { start_ms, window_ms, top, ...rest } = JSON.parse(json.replace(/"(total|count)":\s*(\d+)/g, '"$1":"$2"'));
  if (!(window_ms > 0) || !Array.isArray(top)) throw new RangeError("not a frame");
  const entries = top.map(({ id, count, share, intensity }) => ({ id, count: BigInt(count), share, intensity }));
  return { ...rest, startMs: start_ms, windowMs: window_ms, total: BigInt(rest.total), top: entries };
}

/** @param {string} json @returns {Palette} */
function paletteOfJson(json) {
  const { id, name, palette } = JSON.parse(json);
  if (!Array.isArray(palette)) throw new RangeError("not a palette");
  return { room: id, name, emoji: palette.map(({ name, glyph }, id) => entryOf(id, name, glyph)) };
}

// Transports: each gives the news of one connection to its end, and then throws why it ended.

class Ending extends Error {
  /** @param {string} reason @param {boolean} [fatal] */
  constructor(reason, fatal = FATAL.includes(reason)) {
    super(reason);
    this.fatal = fatal;
  }
}

/** @param {Place} place @param {AbortSignal} signal @returns {AsyncGenerator<News>} */
async function* bySse(place, signal) {
  // Without Last-Event-ID: it would need a preflight, whose refusal no page can read.
  const response = await fetch(`${place.url}/v1/rooms/${place.room}/stream`, { signal, cache: "no-store" });
  if (!response.ok || !response.body) throw await endingOf(response);
  yield { send: (taps) => post(place, taps) };
  let rest = "";
  for await (const text of chunksOf(response.body.pipeThrough(new TextDecoderStream()))) {
    yield {};
    const events = (rest + text).split(/\r?\n\r?\n/);
    rest = events.pop() ?? "";
    if (rest.length > MESSAGE_MAX) throw new RangeError("event too long");
    for (const event of events) {
      // Lines end here only: names may have what ends one for `^` and `$`.
      const { event: type, data } = Object.fromEntries(event.split(/\r?\n/).map((line) => line.split(/: ?(.*)/s)));
      if (type === "palette") yield { palette: paletteOfJson(data) };
      if (type === "frame") yield { frame: frameOfJson(data) };
    }
  }
  throw new Ending("ended");
}

/** @param {Place} place @param {AbortSignal} signal @returns {AsyncGenerator<News>} */
async function* byWebTransport(place, signal) {
  if (!("WebTransport" in globalThis)) throw new Ending("no_webtransport", true);
  const { url, hashes } = await whereIsWebTransport(place, signal);
  signal.throwIfAborted();
  const serverCertificateHashes = hashes.map((hash) => {
    return { algorithm: "sha-256", value: Uint8Array.from(hash.match(/../g) ?? [], (pair) => parseInt(pair, 16)) };
  });
  const session = new WebTransport(url, hashes.length > 0 ? { serverCertificateHashes } : {});
  /** @type {Link} */
  const link = { session, over: false, writing: null };
  const close = () => session.close();
  signal.addEventListener("abort", async () => {
    // What the browser has not taken yet would be lost.
    const timer = setTimeout(close, CLOSE_MS);
    await link.writing;
    clearTimeout(timer);
    close();
  });
  // A page that goes away cannot wait, and a session that nobody closes is a viewer until it is found silent.
  globalThis.addEventListener?.("pagehide", close);
  const closed = session.closed.then(({ closeCode = 0 }) => new Ending(CLOSE_REASONS[closeCode] ?? "done"));
  closed.catch(() => {}).then(() => globalThis.removeEventListener?.("pagehide", close));
  try {
    yield* converse(place, link);
  } catch (error) {
    if (error instanceof RangeError) throw error;
  }
  // A session's streams end a moment before it tells why.
  link.over = true;
  throw await closed;
}

/** @param {Place} place @param {Link} link @returns {AsyncGenerator<News>} */
async function* converse({ room, clientId }, link) {
  const { session } = link, { datagrams } = session;
  await session.ready;
  // The welcome is not read: that the one room is refused, the close code says.
  const requests = (await session.createBidirectionalStream()).writable.getWriter();
  await requests.write(encodeHello(room));
  // Newer drafts of the standard have createWritable() in its place.
  const unreliable = (datagrams.writable ?? /** @type {any} */ (datagrams).createWritable?.())?.getWriter();
  // Browsers may forget a write that is under way when the session ends.
  let lose = () => {};
  const end = () => ((link.over = true), lose());
  session.closed.then(end, end);
  /** Nothing answers a datagram: when the browser has taken it, it is on its way. @type {Send} */
  const send = async (taps) => {
    if (link.over) return "closed";
    const datagram = encodeReactions(room, clientId, taps.map(({ id, count }) => [id, count]));
    const fits = unreliable && datagram.length <= datagrams.maxDatagramSize;
    const taken = fits ? unreliable.write(datagram) : requests.write(encodeControl(6, datagram));
    link.writing = new Promise((resolve) => {
      lose = () => resolve("unanswered");
      taken.then(() => resolve(null), lose);
    });
    return link.writing;
  };
  yield { send };
  const { value: stream } = await session.incomingUnidirectionalStreams.getReader().read();
  const messages = new RoomMessages();
  for await (const chunk of chunksOf(stream)) {
    yield {};
    for (const { kind, archive } of messages.push(chunk)) {
      if (kind === 1) yield { palette: decodePalette(archive) };
      else if (kind === 2) yield { frame: decodeFrame(archive) };
      else throw new RangeError(`message of kind ${kind}`);
    }
  }
}

const TRANSPORTS = { webtransport: byWebTransport, sse: bySse };

/** @param {Place} place @param {AbortSignal} signal @returns {Promise<{ url: string, hashes: string[] }>} */
async function whereIsWebTransport({ url, webTransportUrl, certificateHashes: hashes }, signal) {
  if (webTransportUrl) return { url: webTransportUrl, hashes: hashes ?? [] };
  const response = await fetch(`${url}/v1/webtransport`, { signal, cache: "no-store" });
  if (!response.ok) throw await endingOf(response);
  const told = await response.json();
  const where = told.url ?? `https://${new URL(url).hostname}:${told.port}/v1/webtransport`;
  return { url: where, hashes: hashes ?? told.certificate_hashes };
}

/** Sends taps by HTTP, in a way that outlives the page, and by glyph: another node may answer, which has other ids.
 * @param {Place} place @param {Parameters<Send>[0]} taps @returns {ReturnType<Send>} */
async function post({ url, room, clientId }, taps) {
  const headers = { "content-type": "application/json", ...(clientId ? { "x-client-id": `${clientId}` } : {}) };
  const body = JSON.stringify(taps.map(({ glyph, count }) => ({ emoji: glyph, count })));
  try {
    const signal = AbortSignal.timeout(ANSWER_MS), address = `${url}/v1/rooms/${room}/reactions`;
    const response = await fetch(address, { method: "POST", headers, body, keepalive: true, signal });
    if (response.status !== 202) return (await endingOf(response)).message;
    // It is empty, but browsers take an answer that nobody reads for one that was given up.
    await response.text().catch(() => {});
    return null;
  } catch {
    // They may have been counted: they are not sent again.
    return "unanswered";
  }
}

/** The node's word for it. @param {Response} response */
async function endingOf(response) {
  const { status } = response, problem = await response.json().catch(() => null);
  // Without its word it was a proxy.
  const fatal = !!problem?.code && status >= 400 && status < 500 && ![408, 429].includes(status);
  return new Ending(problem?.code ?? `http_${status}`, fatal);
}

/** @template T @param {ReadableStream<T>} stream */
async function* chunksOf(stream) {
  const reader = stream.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
}

/** One room, connected until close(). Its events have as `detail`: "state" a State, "palette" a Palette when it is new,
 * "frame" a Frame, "refused" a Refused: taps that were not counted, or that nobody knows of. */
export class Uproar extends EventTarget {
  /** @type {Place} */
  #place;
  /** @type {State} */
  #state = { phase: "connecting", transport: null, attempt: 0, reason: null, retryInMs: null };
  /** @type {Palette | null} */
  #palette = null;
  /** The newest. @type {Frame | null} */
  #frame = null;
  /** Wake the loops that wait for a newer one. @type {((_?: unknown) => void)[]} */
  #loops = [];

  #end = new AbortController();
  #connection = new AbortController();
  /** Of the connection, or of the pause after it. */
  #timer = 0;
  /** Ends a pause. @type {(_?: unknown) => void} */
  #wake = () => {};
  /** When waits began to grow. */
  #lostAt = 0;

  /** Those that may be tapped, by id, name and glyph. @type {Map<string | number, Emoji>} */
  #active = new Map();
  /** @type {Waiting[]} */
  #taps = [];
  /** Only while open. @type {Send | null} */
  #send = null;
  #sending = false;
  #tapTimer = 0;

  /** @param {Options} options @throws {RangeError} when one is out of range, {TypeError} when url is none */
  constructor({ url = globalThis.location?.origin, ...options }) {
    super();
    const { room, clientId = 0n, transport = "auto", signal } = options;
    if (!(room >= 0 && room < 2 ** 32 && Number.isInteger(room))) throw new RangeError("room: 0 to 2^32 - 1");
    if (BigInt.asUintN(64, clientId) !== clientId) throw new RangeError("clientId: 0n to 2n ** 64n - 1n");
    if (!["auto", "webtransport", "sse"].includes(transport)) throw new RangeError(`no such transport: ${transport}`);
    const unknown = Object.keys(options).filter((name) => !OPTIONS.includes(name));
    if (unknown.length > 0) console.warn(`Uproar: unknown options: ${unknown.join(", ")}`);
    const { origin, pathname } = new URL(url);
    this.#place = { ...options, transport, clientId, url: origin + pathname.replace(/\/+$/, "") };
    const listen = { signal: this.#end.signal };
    const back = () => {
      // A page that is hidden may never be run again.
      if (globalThis.document?.hidden) return this.#send && this.#sendLast();
      this.#lostAt = Date.now();
      this.#wake();
    };
    for (const type of ["online", "visibilitychange", "pageshow"]) globalThis.addEventListener?.(type, back, listen);
    globalThis.addEventListener?.("pagehide", () => this.#sendLast(), listen);
    signal?.addEventListener("abort", () => this.close(), listen);
    if (signal?.aborted) this.close();
    // Whoever made it can listen before the first event.
    queueMicrotask(() => this.#run());
  }

  /** What it does now. */
  get state() {
    return this.#state;
  }

  /** The room's emoji; null before they are known. */
  get palette() {
    return this.#palette;
  }

  /** Taps. They are sent at once, or 250 ms after those before them, with all that came meanwhile.
   * @param {string | number} emoji  a name, a glyph or an id @param {number} [count]  1 to 65535
   * @throws {RangeError} when the count is out of range, or the palette is known and has no such emoji */
  react(emoji, count = 1) {
    if (!(count >= 1 && count <= COUNT_MAX && Number.isInteger(count))) throw new RangeError("count: 1 to 65535");
    const known = this.#find(emoji), sinceMs = Date.now();
    if ((this.#palette && !known) || String(emoji).length > LABEL_MAX) throw new RangeError(`no such emoji: ${emoji}`);
    const one = { emoji: known?.name ?? emoji, glyph: known?.glyph, sinceMs };
    const taps = Array.from({ length: Math.ceil(count / RECORD_TAPS_MAX) }, (_, part) => {
      return { ...one, count: Math.min(RECORD_TAPS_MAX, count - part * RECORD_TAPS_MAX) };
    });
    if (this.#end.signal.aborted) return this.#refuse("closed", taps);
    this.#taps.push(...taps.splice(0, Math.max(0, TAPS_WAITING_MAX - this.#taps.length)));
    this.#refuse("too_many", taps);
    void this.#sendTaps();
  }

  /** Ends it: connection, iterators, timers. Taps that wait are sent. */
  close() {
    this.#finish("closed");
  }

  /** Frames from now on; a loop slower than they come gets the newest. @returns {AsyncGenerator<Frame, void, void>} */
  async *[Symbol.asyncIterator]() {
    let seen = this.#frame;
    while (!this.#end.signal.aborted) {
      if (this.#frame && this.#frame !== seen) yield (seen = this.#frame);
      else await new Promise((resolve) => this.#loops.push(resolve));
    }
  }

  // Connecting, again and again.

  async #run() {
    const { transport: wanted } = this.#place;
    let attempt = 0, webTransportAgainAt = 0, goesOn = false;
    this.#lostAt = Date.now();
    while (!this.#end.signal.aborted) {
      const may = "WebTransport" in globalThis && Date.now() >= webTransportAgainAt;
      const transport = wanted !== "auto" ? wanted : may ? "webtransport" : "sse";
      // WebTransport and the SSE after it are one attempt.
      if (!goesOn) attempt += 1;
      const { ending, openMs } = await this.#connect(transport, attempt);
      if (this.#end.signal.aborted) return;
      const { message: reason, fatal } = ending, held = openMs >= HELD_MS;
      if (held || (openMs >= 0 && reason === "draining")) [attempt, this.#lostAt] = [0, Date.now()];
      // Where nothing opens it is the node, and not WebTransport.
      if (transport === "sse" && openMs < 0) webTransportAgainAt = 0;
      goesOn = !(wanted !== "auto" || transport === "sse" || held || reason === "draining" || FATAL.includes(reason));
      this.#state = { ...this.#state, reason };
      if (goesOn) webTransportAgainAt = Date.now() + WEBTRANSPORT_PAUSE_MS;
      else if (fatal) this.#finish(reason);
      else await this.#pause(reason);
    }
  }

  /** One connection, to its end; openMs is below 0 when it did not open. @param {Transport} transport
   * @param {number} attempt */
  async #connect(transport, attempt) {
    const connection = (this.#connection = new AbortController()), { signal } = connection;
    this.#setTimer(OPEN_MS[transport], () => connection.abort(new Ending("timeout")));
    this.#become({ phase: "connecting", transport, attempt, retryInMs: null });
    let openedAt = Infinity, isFirst = true;
    const carry = async () => {
      let send = null;
      for await (const news of TRANSPORTS[transport](this.#place, signal)) {
        if (signal.aborted) return;
        send = news.send ?? send;
        const opens = news.palette && openedAt === Infinity;
        if (opens) openedAt = Date.now();
        const windowMs = (news.frame ?? this.#frame)?.windowMs ?? WINDOW_MS_MAX;
        const silenceMs = Math.max(SILENCE_MS_MIN, SILENCE_WINDOWS * Math.min(windowMs, WINDOW_MS_MAX));
        if (openedAt < Infinity) this.#setTimer(silenceMs, () => connection.abort(new Ending("silent")));
        if (news.palette) this.#handlePalette(news.palette);
        if (news.frame) this.#handleFrame(news.frame, transport, isFirst);
        isFirst &&= !news.frame;
        // Whoever was told may have closed it.
        if (!opens || signal.aborted) continue;
        this.#send = send;
        this.#become({ phase: "open", reason: null });
        void this.#sendTaps();
      }
    };
    const aborted = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const error = await Promise.race([aborted, carry()]).catch((error) => error);
    const garbled = error instanceof RangeError || error instanceof SyntaxError;
    const ending = error instanceof Ending ? error : new Ending(garbled ? "protocol" : "network");
    this.#send = null;
    connection.abort(ending);
    return { ending, openMs: Date.now() - openedAt };
  }

  /** Until its time has come, or the page is back. Clients that were cut off together do not come back together, nor
   * stay away for much longer than the node did. @param {string} reason */
  #pause(reason) {
    this.#expire();
    const mostMs = reason === "draining" ? DRAINING_MS_MAX : BACKOFF_MS_MAX;
    const boundMs = Math.min(mostMs, BACKOFF_MS + Math.max(0, Date.now() - this.#lostAt));
    const retryInMs = Math.floor(Math.random() * boundMs);
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#setTimer(retryInMs, resolve);
      this.#become({ phase: "waiting", transport: null, retryInMs });
    });
  }

  /** @param {number} ms @param {(_?: unknown) => void} handle */
  #setTimer(ms, handle) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(handle, ms);
  }

  /** @param {Palette} palette */
  #handlePalette(palette) {
    if (JSON.stringify(palette) === JSON.stringify(this.#palette)) return;
    this.#palette = palette;
    const active = palette.emoji.filter(({ retired }) => !retired);
    this.#active.clear();
    // Glyphs last: an emoji is its glyph, and names may change.
    for (const label of /** @type {const} */ (["id", "name", "glyph"])) {
      for (const emoji of active) this.#active.set(plain(emoji[label]), emoji);
    }
    for (const taps of this.#taps) taps.glyph ??= this.#find(taps.emoji)?.glyph;
    this.#tell("palette", palette);
  }

  /** @param {WireFrame} wire @param {Transport} transport @param {boolean} isFirst */
  #handleFrame(wire, transport, isFirst) {
    // By time, as windows of another length have other numbers.
    const last = this.#frame, age = last ? last.startMs - wire.startMs : -1;
    // A process that follows another has a frame of its own of the window in which it came.
    if (age === 0 ? last?.total === wire.total : age > 0 && age < CLOCK_BACK_MS) return;
    const receivedAt = Date.now();
    const emojiOf = (/** @type {number} */ id) => this.#palette?.emoji[id] ?? { name: `#${id}`, glyph: "" };
    const top = wire.top.map((entry) => ({ ...emojiOf(entry.id), ...entry }));
    const stale = isFirst && receivedAt > wire.startMs + (1 + STALE_WINDOWS) * wire.windowMs;
    this.#frame = { ...wire, top, receivedAt, transport, stale };
    this.#tell("frame", this.#frame);
    for (const wake of this.#loops.splice(0)) wake();
  }

  // Taps.

  /** The emoji that this means, if it can be tapped. @param {string | number} emoji */
  #find(emoji) {
    return this.#active.get(plain(emoji));
  }

  /** What taps are for now. Their glyph may be the name of another emoji by now. @param {Waiting} taps */
  #meant({ emoji, glyph = "" }) {
    const known = this.#find(glyph || emoji);
    return known && glyph && plain(known.glyph) !== plain(glyph) ? undefined : known;
  }

  /** One message at a time: taps gather while its answer, or the time of the next, is awaited. */
  async #sendTaps() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#send && this.#taps.length > 0) {
      const nextAt = Date.now() + GATHER_MS;
      const counted = await this.#sendMessage(this.#send);
      if (this.#end.signal.aborted) return;
      const ms = counted ? Math.max(0, nextAt - Date.now()) : AGAIN_MS;
      await new Promise((resolve) => (this.#tapTimer = setTimeout(resolve, ms)));
    }
    this.#sending = false;
  }

  /** Sends all that waits at once. */
  #sendLast() {
    while (this.#palette && this.#taps.length > 0) void this.#sendMessage((taps) => post(this.#place, taps));
  }

  /** False when the node cannot count now, and the taps wait again. @param {Send} send */
  async #sendMessage(send) {
    this.#expire();
    const palette = this.#palette;
    let size = 0, sum = 0;
    for (const { count } of this.#taps.slice(0, RECORDS_MAX)) if ((sum += count) <= MESSAGE_TAPS_MAX) size += 1;
    const all = this.#taps.splice(0, size);
    const taps = all.filter((one) => one.refusedBy !== palette && this.#meant(one));
    const records = taps.map((one) => ({ .../** @type {Emoji} */ (this.#meant(one)), count: one.count }));
    this.#refuse("unknown_emoji", all.filter((one) => !taps.includes(one)));
    const code = taps.length > 0 ? await send(records) : null;
    // The connection had ended.
    if (code === "closed" && this.#send === send) this.#send = null;
    // The node may have a palette that has not come yet.
    if (code === "unknown_emoji") for (const one of taps) one.refusedBy = palette;
    const again = ["closed", "draining", "unknown_emoji"].includes(code ?? "") && !this.#end.signal.aborted;
    if (again) this.#taps.unshift(...taps);
    else if (code) this.#refuse(code, taps);
    return !again || code === "closed";
  }

  /** Gives up what has waited for too long. */
  #expire() {
    const due = Date.now() - TAPS_WAIT_MS, all = this.#taps;
    this.#taps = all.filter(({ sinceMs }) => sinceMs > due);
    this.#refuse("expired", all.filter(({ sinceMs }) => sinceMs <= due));
  }

  /** @param {string} code @param {Waiting[]} taps */
  #refuse(code, taps) {
    if (taps.length === 0) return;
    this.#tell("refused", { code, taps: taps.map(({ emoji, count, sinceMs }) => ({ emoji, count, sinceMs })) });
  }

  /** @param {Partial<State>} change */
  #become(change) {
    this.#state = { ...this.#state, ...change };
    this.#tell("state", this.#state);
  }

  /** @param {string} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** @param {string} reason */
  #finish(reason) {
    if (this.#end.signal.aborted) return;
    this.#end.abort();
    this.#sendLast();
    this.#refuse("closed", this.#taps.splice(0));
    clearTimeout(this.#timer);
    clearTimeout(this.#tapTimer);
    this.#connection.abort(new Ending(reason));
    this.#wake();
    this.#become({ phase: "closed", transport: null, reason, retryInMs: null });
    for (const wake of this.#loops.splice(0)) wake();
  }
}
