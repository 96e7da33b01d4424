// Which transport is chosen, when it is left, how long is waited, and where it ends.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Uproar, encodeHello } from "../../uproar.js";
import { FRAME_TOP8, PALETTE } from "./samples.js";
import { World, problem } from "./world.js";

/** All connections fail until what this gives back is called. */
function breakDown(world) {
  const { onStream, onPost, onWebTransport } = world;
  world.onStream = world.onPost = world.onWebTransport = () => { throw new TypeError("fetch failed"); };
  return () => Object.assign(world, { onStream, onPost, onWebTransport });
}

/** A page that has been open for long enough. */
async function settled(options, settings = {}) {
  const world = Object.assign(new World(), settings);
  await world.join(options);
  for (const session of world.sessions) (session.open(), await world.settle(), session.send("palette"));
  for (const stream of world.streams) stream.palette();
  await world.advance(5_000);
  return world;
}

const waits = ({ states }) => states.filter(({ phase }) => phase === "waiting").map(({ retryInMs }) => retryInMs);

test("waits are random, up to a second and the time since the connection was lost", async () => {
  for (const chance of [0.001, 0.5, 1 - Number.EPSILON]) {
    const world = await settled({ transport: "sse" }, { chance });
    breakDown(world);
    world.streams[0].cut();
    const lostAt = world.time;
    for (let failures = 1; failures <= 100; failures++) {
      await world.settle();
      const bound = Math.min(15_000, 1_000 + world.time - lostAt);
      const { retryInMs } = world.uproar.state;
      assert.equal(retryInMs, Math.floor(chance * bound));
      await world.advance(retryInMs);
    }
    world.uproar.close();
  }
});

test("a page is away for at most as long again as its node was, and a second", async () => {
  for (const transport of ["auto", "webtransport", "sse"]) {
    for (const chance of [0.1, 0.5, 0.9, 1 - Number.EPSILON]) {
      for (const awayMs of [100, 2_500, 6_000, 20_000]) {
        const world = await settled({ transport }, { chance });
        const mend = breakDown(world);
        if (transport === "sse") world.streams[0].cut();
        else world.sessions[0].lose();
        await world.advance(awayMs);
        mend();
        const asked = world.asked.length;
        await world.advance(Math.min(15_000, awayMs + 1_000));
        assert.ok(world.asked.length > asked, `${transport} ${chance} ${awayMs}`);
        world.uproar.close();
      }
    }
  }
});

test("WebTransport and the SSE after it are one attempt", async () => {
  const world = await settled({});
  breakDown(world);
  world.sessions[0].lose();
  await world.advance(20_000);
  const tries = world.states.filter(({ phase }) => phase === "connecting").slice(1);
  assert.ok(tries.length >= 8, `${tries.length} tries`);
  const pairs = tries.map(({ transport, attempt }) => [transport, attempt]);
  const expected = pairs.map((_, at) => [at % 2 ? "sse" : "webtransport", 1 + Math.floor(at / 2)]);
  assert.deepEqual(pairs, expected);
  world.uproar.close();
});

test("a node that said it drains is asked again soon, for as long as it drains", async () => {
  const world = new World();
  world.chance = 1 - Number.EPSILON;
  await world.join();
  world.sessions[0].open();
  await world.settle();
  world.sessions[0].send("palette");
  await world.settle();
  world.onWebTransport = world.onStream = () => problem(503, "draining");
  await world.advance(1_000);
  // It has not been open for the time after which a connection counts as good.
  world.sessions[0].endWith(1);
  await world.advance(60_000);
  assert.deepEqual(world.states.filter(({ phase }) => phase === "connecting").map(({ attempt }) => attempt).slice(0, 4), [1, 1, 2, 3]);
  assert.deepEqual([waits(world)[0], Math.max(...waits(world))], [999, 4_999]);
  world.uproar.close();
});

test("a page that is back begins with short waits again", async () => {
  const world = await settled({ transport: "sse" });
  breakDown(world);
  world.streams[0].cut();
  await world.advance(60_000);
  assert.ok(waits(world).at(-1) > 5_000);
  world.events.dispatchEvent(new Event("online"));
  await world.settle();
  assert.equal(waits(world).at(-1), 500);
  world.uproar.close();
});

test("options that are unknown are told, and all others are not", async () => {
  const world = new World();
  const uproar = await world.join({ transport: "sse", rooom: 8, clientID: 7n });
  assert.deepEqual(world.warnings, ["Uproar: unknown options: rooom, clientID"]);
  uproar.close();
  const known = new World();
  const options = { webTransportUrl: "https://a.example/", certificateHashes: [], clientId: 1n, transport: "auto" };
  (await known.join({ ...options, signal: new AbortController().signal })).close();
  assert.deepEqual(known.warnings, []);
});

test("a node below a path is asked there", async () => {
  for (const url of ["http://node.example/live", "http://node.example/live/", "http://node.example/live/?room=7#top"]) {
    const world = new World();
    const uproar = await world.join({ url });
    assert.equal(world.sessions[0].url, "https://node.example:7443/v1/webtransport");
    world.sessions[0].refuse(new Error("refused"));
    world.sessions[0].tellLost(new Error("refused"));
    await world.settle();
    const live = "http://node.example/live/v1";
    assert.deepEqual(world.asked, [`${live}/webtransport`, `${live}/rooms/7/stream`]);
    uproar.close();
  }
});

test("a page of another origin that may not is told so, and asks no more", async () => {
  for (const transport of ["auto", "webtransport", "sse"]) {
    const world = new World();
    world.onWebTransport = world.onStream = () => problem(403, "origin_not_allowed");
    const uproar = await world.join({ transport });
    await world.advance(600_000);
    assert.deepEqual([uproar.state.phase, uproar.state.reason, world.asked.length], ["closed", "origin_not_allowed", 1]);
    assert.equal(world.timers.size, 0);
  }
});

test("a page that goes away closes its session at once, and comes back when it does", async () => {
  const world = await settled({});
  world.sessions[0].takes = () => new Promise(() => {});
  world.uproar.react("fire");
  world.events.dispatchEvent(new Event("pagehide"));
  assert.ok(world.sessions[0].closedByClient);
  world.sessions[0].roomController.error(new Error("session closed"));
  await world.settle();
  world.events.dispatchEvent(new Event("pageshow"));
  await world.settle();
  assert.equal(world.sessions.length, 2);
  world.uproar.close();
});

test("options out of range are refused", () => {
  const url = "http://node.example";
  for (const options of [{ url, room: -1 }, { url, room: 2 ** 32 }, { url, room: 0.5 }, { url, room: "7" }, { url },
    { url, room: 7, clientId: -1n }, { url, room: 7, clientId: 2n ** 64n }, { url, room: 7, transport: "udp" },
    { url, room: 7, transport: "toString" }]) {
    assert.throws(() => new Uproar(options), RangeError);
  }
  assert.throws(() => new Uproar({ room: 7, url: "nowhere" }), TypeError);
});

test("WebTransport is taken where browser and node have it", async () => {
  const world = new World();
  const uproar = await world.join();
  const [session] = world.sessions;
  assert.equal(session.url, "https://node.example:7443/v1/webtransport");
  const hash = { algorithm: "sha-256", value: Uint8Array.of(0, 255, 16) };
  assert.deepEqual(session.options.serverCertificateHashes, [hash]);
  session.open();
  await world.settle();
  assert.deepEqual(session.control, [encodeHello(7)]);
  assert.equal(uproar.palette, null);
  session.send("palette");
  session.send("frame_top8");
  await world.settle();
  assert.deepEqual(world.phases, ["connecting webtransport", "open webtransport"]);
  assert.deepEqual(uproar.palette, PALETTE);
  const [frame] = world.frames;
  assert.equal(frame.total, FRAME_TOP8.total);
  assert.deepEqual(frame.top[0], { ...FRAME_TOP8.top[0], name: "laughing", glyph: "😂" });
  assert.deepEqual(frame.top[6], { ...FRAME_TOP8.top[6], name: "#1023", glyph: "" });
  assert.deepEqual([frame.transport, frame.receivedAt], ["webtransport", world.time]);
  uproar.close();
  await world.settle();
  assert.ok(session.closedByClient);
});

test("a place of WebTransport that is told is not asked for", async () => {
  const world = new World();
  const webTransportUrl = "https://other.example:1/v1/webtransport";
  const uproar = await world.join({ webTransportUrl, certificateHashes: [] });
  assert.deepEqual([world.asked, world.sessions[0].url], [[], webTransportUrl]);
  assert.deepEqual(world.sessions[0].options, {});
  uproar.close();
});

test("a node without WebTransport is read by SSE at once, and so it is by a browser without", async () => {
  for (const options of [{}, { noWebTransport: true }]) {
    const world = new World();
    world.onWebTransport = () => problem(404, "not_found");
    const uproar = await world.join(options);
    assert.equal(world.phases.at(-1), "connecting sse");
    uproar.close();
  }
});

test("WebTransport that does not open in time is left for SSE at once, and tried again after the pause", async () => {
  const world = new World();
  const uproar = await world.join();
  await world.advance(2_999);
  assert.deepEqual(world.phases, ["connecting webtransport"]);
  await world.advance(1);
  assert.deepEqual(world.phases, ["connecting webtransport", "connecting sse"]);
  assert.equal(uproar.state.reason, "timeout");
  assert.ok(world.sessions[0].closedByClient);
  const reconnect = async () => {
    world.streams.at(-1).palette();
    await world.settle();
    world.streams.at(-1).end();
    await world.advance(2_000);
  };
  await reconnect();
  assert.equal(uproar.state.transport, "sse");
  world.streams.at(-1).palette();
  await world.settle();
  for (let seconds = 0; seconds < 300; seconds += 10) {
    world.streams.at(-1).write(":\n\n");
    await world.advance(10_000);
  }
  world.streams.at(-1).end();
  await world.advance(500);
  assert.deepEqual([uproar.state.transport, world.sessions.length], ["webtransport", 2]);
  uproar.close();
});

test("WebTransport that breaks within its first 5 seconds is left for SSE, later it is tried again", async () => {
  for (const [ms, phases] of [[4_999, ["connecting sse"]], [5_000, ["waiting", "connecting webtransport"]]]) {
    const world = new World();
    const uproar = await world.join();
    world.sessions[0].open();
    world.sessions[0].send("palette");
    await world.advance(ms);
    world.sessions[0].lose();
    await world.advance(1_000);
    assert.deepEqual(world.phases, ["connecting webtransport", "open webtransport", ...phases]);
    uproar.close();
  }
});

test("WebTransport that is refused is left for SSE at once", async () => {
  const world = new World();
  const uproar = await world.join();
  world.sessions[0].refuse(new Error("refused"));
  world.sessions[0].tellLost(new Error("refused"));
  await world.settle();
  assert.deepEqual(world.phases, ["connecting webtransport", "connecting sse"]);
  uproar.close();
});

test("a node that drains is waited for, and WebTransport is tried again", async () => {
  const world = new World();
  const answer = world.onWebTransport;
  world.onWebTransport = () => problem(503, "draining");
  const uproar = await world.join();
  assert.deepEqual([uproar.state.phase, uproar.state.reason], ["waiting", "draining"]);
  world.onWebTransport = answer;
  await world.advance(500);
  assert.deepEqual(world.phases, ["connecting webtransport", "waiting", "connecting webtransport"]);
  uproar.close();
});

test("where SSE does not open either it was the node, and WebTransport is tried again", async () => {
  const world = new World();
  const [answer, where] = [world.onStream, world.onWebTransport];
  world.onWebTransport = world.onStream = () => { throw new TypeError("fetch failed"); };
  const uproar = await world.join();
  assert.deepEqual(world.phases, ["connecting webtransport", "connecting sse", "waiting"]);
  Object.assign(world, { onStream: answer, onWebTransport: where });
  await world.advance(1_000);
  assert.equal(uproar.state.transport, "webtransport");
  uproar.close();
});

test("without a choice there is no fallback", async () => {
  const world = new World();
  const uproar = await world.join({ transport: "webtransport" });
  await world.advance(3_000);
  assert.deepEqual([uproar.state.phase, uproar.state.reason], ["waiting", "timeout"]);
  uproar.close();
  const without = new World();
  await without.join({ transport: "webtransport", noWebTransport: true });
  assert.deepEqual([without.uproar.state.phase, without.uproar.state.reason], ["closed", "no_webtransport"]);
});

for (const [code, phase, reason] of [[0, "waiting", "done"], [1, "waiting", "draining"], [2, "closed", "bad_hello"],
  [3, "waiting", "hello_timeout"], [4, "closed", "no_rooms"], [6, "closed", "room_deleted"], [99, "waiting", "done"]]) {
  test(`close code ${code}: ${phase}, ${reason}`, async () => {
    const world = new World();
    const uproar = await world.join({ transport: "webtransport" });
    world.sessions[0].open();
    await world.settle();
    world.sessions[0].endWith(code);
    await world.settle();
    assert.deepEqual([uproar.state.phase, uproar.state.reason], [phase, reason]);
    uproar.close();
  });
}

test("a node whose WebTransport is full is read by SSE, and waited for when that is full too", async () => {
  const world = new World();
  world.onStream = () => problem(503, "full");
  const uproar = await world.join();
  world.sessions[0].open();
  await world.settle();
  world.sessions[0].endWith(5);
  await world.settle();
  assert.deepEqual([uproar.state.phase, uproar.state.reason], ["waiting", "full"]);
  assert.deepEqual(world.phases, ["connecting webtransport", "connecting sse", "waiting"]);
  uproar.close();
});

test("what is no stream of a room is not read on", async () => {
  const world = new World();
  const uproar = await world.join({ transport: "webtransport" });
  world.sessions[0].open();
  await world.settle();
  world.sessions[0].roomController.enqueue(Uint8Array.of(1, 0, 0, 0, 9));
  await world.settle();
  assert.deepEqual([uproar.state.phase, uproar.state.reason], ["waiting", "protocol"]);
  assert.ok(world.sessions[0].closedByClient);
  uproar.close();
});

for (const [status, code, phase] of [[404, "unknown_room", "closed"], [403, "origin_not_allowed", "closed"],
  [503, "draining", "waiting"], [429, "too_many_requests", "waiting"], [502, "http_502", "waiting"],
  [404, "http_404", "waiting"]]) {
  test(`SSE refused with ${status}: ${phase}`, async () => {
    const world = new World();
    world.onStream = () => (code.startsWith("http_") ? new Response("<html>", { status }) : problem(status, code));
    const uproar = await world.join({ transport: "sse" });
    assert.deepEqual([uproar.state.phase, uproar.state.reason], [phase, code]);
    uproar.close();
  });
}

test("waits grow with the time that is lost, and begin anew after a connection that held", async () => {
  for (const [heldMs, next] of [[4_999, [7_500, 2]], [5_000, [500, 0]]]) {
    const world = new World();
    const mend = breakDown(world);
    const uproar = await world.join({ transport: "sse" });
    await world.advance(120_000);
    assert.deepEqual(waits(world).slice(0, 9), [500, 750, 1_125, 1_687, 2_531, 3_796, 5_694, 7_500, 7_500]);
    mend();
    await world.advance(7_500);
    world.streams[0].palette();
    const { attempt } = uproar.state;
    await world.advance(heldMs);
    const { length } = waits(world);
    world.streams[0].cut();
    await world.settle();
    assert.deepEqual(waits(world).slice(length), [next[0]]);
    breakDown(world);
    await world.advance(next[0]);
    assert.equal(uproar.state.attempt, next[1] === 0 ? 1 : attempt + 1);
    assert.equal(uproar.state.reason, "network");
    uproar.close();
  }
});

test("a page that is back or online does not wait", async () => {
  for (const type of ["online", "visibilitychange"]) {
    const world = new World();
    world.onStream = () => problem(503, "draining");
    const uproar = await world.join({ transport: "sse" });
    assert.equal(world.asked.length, 1);
    world.events.dispatchEvent(new Event(type));
    await world.settle();
    assert.equal(world.asked.length, 2, type);
    uproar.close();
  }
});

test("a page that is hidden waits", async (t) => {
  t.after(() => delete globalThis.document);
  globalThis.document = { hidden: true };
  const world = new World();
  world.onStream = () => problem(503, "draining");
  const uproar = await world.join({ transport: "sse" });
  world.events.dispatchEvent(new Event("visibilitychange"));
  await world.settle();
  assert.equal(world.asked.length, 1);
  document.hidden = false;
  world.events.dispatchEvent(new Event("visibilitychange"));
  await world.settle();
  assert.equal(world.asked.length, 2);
  uproar.close();
});

test("silence ends a connection, sooner or later by the length of its windows", async () => {
  for (const [windowMs, silenceMs] of [[100, 10_000], [2_000, 10_000], [60_000, 300_000], [2 ** 32 - 1, 300_000]]) {
    const world = new World();
    const uproar = await world.join({ transport: "sse" });
    world.streams[0].palette();
    world.streams[0].frame(30_000_000, { windowMs });
    await world.advance(silenceMs - 1);
    world.streams[0].write(": heartbeat\n\n");
    await world.advance(silenceMs - 1);
    assert.equal(uproar.state.phase, "open");
    await world.advance(1);
    assert.deepEqual([uproar.state.phase, uproar.state.reason], ["waiting", "silent"]);
    assert.ok(world.streams[0].ended);
    uproar.close();
  }
});

test("nothing is left after close, whatever it was doing", async () => {
  const moments = {
    connecting: async () => {},
    open: async (world) => (world.streams[0].palette(), world.settle()),
    tapping: async (world) => (world.streams[0].palette(), world.settle().then(() => world.uproar.react("fire"))),
    waiting: async (world) => (world.streams[0].end(), world.settle()),
  };
  for (const [name, moment] of Object.entries(moments)) {
    const world = new World();
    const uproar = await world.join({ transport: "sse" });
    await moment(world);
    uproar.close();
    uproar.close();
    await world.settle();
    assert.equal(world.timers.size, 0, name);
    assert.deepEqual([uproar.state.phase, uproar.state.reason], ["closed", "closed"]);
    assert.ok(world.streams[0].ended, name);
    const asked = world.asked.length;
    world.events.dispatchEvent(new Event("online"));
    world.events.dispatchEvent(new Event("pagehide"));
    await world.advance(60_000);
    assert.equal(world.asked.length, asked);
    assert.equal(world.states.filter(({ phase }) => phase === "closed").length, 1);
  }
});

test("it can be closed by whoever is told of anything", async () => {
  for (const [type, phase] of [["state", "connecting"], ["state", "open"], ["state", "waiting"], ["palette"], ["frame"]]) {
    const world = new World();
    const joined = world.join({ transport: "sse" });
    const { uproar } = world;
    uproar.addEventListener(type, ({ detail }) => (!phase || detail.phase === phase) && uproar.close());
    await joined;
    if (world.streams.length > 0) {
      world.streams[0].palette();
      world.streams[0].frame(7);
      await world.settle();
      if (phase === "waiting") world.streams[0].end();
      await world.settle();
    }
    assert.deepEqual([uproar.state.phase, uproar.state.reason], ["closed", "closed"], `${type} ${phase}`);
    assert.equal(world.phases.at(-1), "closed");
    assert.equal(world.timers.size, 0, `${type} ${phase}`);
  }
});

test("a signal closes, before the beginning and later", async () => {
  const world = new World();
  const controller = new AbortController();
  await world.join({ transport: "sse", signal: controller.signal });
  controller.abort();
  assert.equal(world.uproar.state.phase, "closed");
  const never = new World();
  await never.join({ transport: "sse", signal: controller.signal });
  assert.deepEqual([never.uproar.state.phase, never.asked], ["closed", []]);
});
