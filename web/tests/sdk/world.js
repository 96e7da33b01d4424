// A browser and a node that tests hold in their hands: time that moves only by `advance`, and connections that do what
// they are told. Nothing here waits for the clock of the machine.

import { Uproar } from "../../uproar.js";
import { PALETTE, sample } from "./samples.js";

const settle = async () => {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
};

export const problem = (status, code) => Response.json({ status, code, detail: "" }, { status });

/** A frame as the node's JSON has it. Window n began at n * windowMs. */
export const frameBody = (window, { total = 5, windowMs = 2000, id = 0 } = {}) => ({
  room: 7, window, start_ms: window * windowMs, window_ms: windowMs, total, intensity: 200,
  top: [{ emoji: "🔥", id, count: total, share: 10000, intensity: 200 }],
});

/** A palette as a message of a room's stream. */
export function paletteMessage(emoji) {
  const texts = emoji.flatMap(({ name, glyph }) => [name, glyph]).map((text) => new TextEncoder().encode(text));
  const long = texts.filter(({ length }) => length > 8), list = long.reduce((sum, { length }) => sum + length, 0);
  const archive = new Uint8Array(list + 8 * texts.length + 20), view = new DataView(archive.buffer);
  let free = 0;
  texts.forEach((text, index) => {
    const at = list + 8 * index;
    if (text.length <= 8) return archive.fill(0xff, at, at + 8).set(text, at);
    view.setUint32(at, 0x80 | (text.length & 0x3f) | ((text.length >> 6) << 8), true);
    view.setInt32(at + 4, free - at, true);
    archive.set(text, free);
    free += text.length;
  });
  const root = archive.length - 20;
  view.setUint32(root, 7, true);
  archive.fill(0xff, root + 4, root + 12);
  view.setInt32(root + 12, list - (root + 12), true);
  view.setUint32(root + 16, emoji.length, true);
  const message = new Uint8Array(5 + archive.length);
  new DataView(message.buffer).setUint32(0, 1 + archive.length, true);
  message[4] = 1;
  message.set(archive, 5);
  return message;
}

/** One GET of the stream, as the node answers it. */
export class EventStream {
  constructor(headers) {
    this.headers = headers;
    this.ended = false;
    const stream = new ReadableStream({ start: (controller) => (this.controller = controller) });
    this.response = new Response(stream, { headers: { "content-type": "text/event-stream; charset=utf-8" } });
  }
  write(text) {
    this.controller.enqueue(new TextEncoder().encode(text));
  }
  palette(emoji = PALETTE.emoji) {
    this.write(`event: palette\ndata: ${JSON.stringify({ id: 7, name: "Cup final 2026", palette: emoji })}\n\n`);
  }
  frame(window, settings) {
    this.write(`id: ${window}\nevent: frame\ndata: ${JSON.stringify(frameBody(window, settings))}\n\n`);
  }
  end() {
    this.controller.close();
  }
  cut() {
    this.controller.error(new TypeError("network"));
  }
}

/** One WebTransport session, as the browser shows it. Ready, and with a room's stream, when told so. */
export class Session {
  constructor(world, url, options) {
    Object.assign(this, { url, options, sent: [], control: [], maxDatagramSize: 1200, closedByClient: false });
    this.ready = new Promise((resolve, reject) => Object.assign(this, { open: resolve, refuse: reject }));
    this.closed = new Promise((resolve, reject) => Object.assign(this, { tellClosed: resolve, tellLost: reject }));
    for (const promise of [this.ready, this.closed]) promise.catch(() => {});
    const session = this;
    this.datagrams = {
      get maxDatagramSize() { return session.maxDatagramSize; },
      writable: new WritableStream({ write: (bytes) => (session.sent.push(bytes), session.takes()) }),
    };
    this.room = new ReadableStream({ start: (controller) => (this.roomController = controller) });
    this.incomingUnidirectionalStreams = new ReadableStream({ start: (controller) => controller.enqueue(this.room) });
    world.sessions.push(this);
  }
  async createBidirectionalStream() {
    const writable = new WritableStream({ write: (bytes) => void this.control.push(bytes) });
    return { readable: new ReadableStream(), writable };
  }
  /** Whether and when a browser takes a datagram. */
  takes() {}
  send(name) {
    this.roomController.enqueue(sample(name));
  }
  palette(emoji) {
    this.roomController.enqueue(paletteMessage(emoji));
  }
  /** The node ends the session: streams first, then the reason. */
  endWith(closeCode) {
    this.roomController.error(new Error("session ended"));
    this.tellClosed({ closeCode, reason: "" });
  }
  lose() {
    this.roomController.error(new Error("session lost"));
    this.tellLost(new Error("session lost"));
  }
  close() {
    this.closedByClient = true;
    this.tellClosed({ closeCode: 0, reason: "" });
  }
}

export class World {
  time = 1_800_000_000_000;
  chance = 0.5;
  timers = new Map();
  timerId = 0;
  streams = [];
  sessions = [];
  posts = [];
  asked = [];
  states = [];
  frames = [];
  palettes = [];
  refused = [];
  warnings = [];
  events = new EventTarget();
  /** What the node answers; a function may throw, as fetch does without a network. */
  onStream = (headers) => (this.streams.push(new EventStream(headers)), this.streams.at(-1).response);
  onPost = () => new Response(null, { status: 202 });
  onWebTransport = () => Response.json({ url: null, port: 7443, certificate_hashes: ["00ff10"] });

  /** Takes the place of what a browser has; the world before it is over. */
  begin(withWebTransport) {
    const world = this;
    const WebTransport = class extends Session {
      constructor(url, options) {
        super(world, url, options);
      }
    };
    delete globalThis.WebTransport;
    Object.assign(globalThis, withWebTransport ? { WebTransport } : {}, {
      fetch: (url, init = {}) => world.fetch(url, init),
      setTimeout: (run, ms) => (world.timers.set(++world.timerId, { at: world.time + ms, run }), world.timerId),
      clearTimeout: (id) => world.timers.delete(id),
      addEventListener: (...args) => world.events.addEventListener(...args),
    });
    Date.now = () => world.time;
    console.warn = (text) => world.warnings.push(text);
    Math.random = () => world.chance;
  }

  async fetch(url, { method = "GET", headers = {}, body, keepalive, signal }) {
    signal?.throwIfAborted();
    this.asked.push(url);
    const { pathname } = new URL(url);
    if (method === "POST") {
      this.posts.push({ pathname, headers, body, keepalive });
      return this.onPost();
    }
    if (pathname.endsWith("/v1/webtransport")) return this.onWebTransport();
    const answer = this.onStream(Object.fromEntries(new Headers(headers)));
    const stream = this.streams.at(-1);
    signal?.addEventListener("abort", () => stream && (stream.ended = true));
    return answer;
  }

  /** A page that has loaded: what it is told is kept. */
  async join(options = {}) {
    this.begin(options.transport !== "sse" && !options.noWebTransport);
    const uproar = new Uproar({ url: "http://node.example:8080", room: 7, ...options });
    const keep = (type, list) => uproar.addEventListener(type, ({ detail }) => list.push(detail));
    keep("state", this.states);
    keep("frame", this.frames);
    keep("palette", this.palettes);
    keep("refused", this.refused);
    this.uproar = uproar;
    await settle();
    return uproar;
  }

  /** What has been begun goes on as far as it can without time. */
  settle() {
    return settle();
  }

  /** Time passes; what it sets off happens at its own time. */
  async advance(ms) {
    const end = this.time + ms;
    for (;;) {
      await settle();
      const [id, next] = [...this.timers].sort((a, b) => a[1].at - b[1].at)[0] ?? [];
      if (!next || next.at > end) break;
      this.timers.delete(id);
      this.time = Math.max(this.time, next.at);
      next.run();
    }
    this.time = end;
    await settle();
  }

  get phases() {
    return this.states.map(({ phase, transport }) => (transport ? `${phase} ${transport}` : phase));
  }
}

/** What a post says was tapped, as [emoji, count]. */
export function tapsIn(body) {
  return JSON.parse(body).map(({ emoji, count }) => [emoji, count]);
}

/** The records of a datagram as [emoji, count]. */
export function recordsIn(datagram) {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  return Array.from({ length: view.getUint16(2, true) }, (_, index) =>
    [view.getUint16(16 + 4 * index, true), view.getUint16(18 + 4 * index, true)]);
}
