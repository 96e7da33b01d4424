// Taps: gathered, sent at most once, refused by name, and not forgotten when the page goes away.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeControl } from "../../uproar.js";
import { PALETTE } from "./samples.js";
import { World, problem, recordsIn, tapsIn } from "./world.js";

async function opened(options = {}) {
  const world = new World();
  await world.join({ transport: "sse", ...options });
  if (world.streams.length > 0) world.streams[0].palette();
  for (const session of world.sessions) (session.open(), await world.settle(), session.send("palette"));
  await world.settle();
  return world;
}

const posted = (world) => world.posts.map(({ body }) => tapsIn(body));
const codes = (world) => world.refused.map(({ code, taps }) => [code, taps.map(({ emoji, count }) => ({ emoji, count }))]);

test("a tap is sent at once, and quick ones after it become one message", async () => {
  const world = await opened({ clientId: 42n });
  for (const emoji of ["🔥", "fire", 0, "goal"]) world.uproar.react(emoji);
  world.uproar.react("👏", 10);
  await world.settle();
  assert.deepEqual(posted(world), [[["🔥", 1]]]);
  await world.advance(249);
  assert.equal(world.posts.length, 1);
  await world.advance(1);
  assert.deepEqual(posted(world), [[["🔥", 1]], [["🔥", 1], ["🔥", 1], ["⚽", 1], ["👏", 10]]]);
  const [{ pathname, headers }] = world.posts;
  assert.equal(pathname, "/v1/rooms/7/reactions");
  assert.deepEqual(headers, { "content-type": "application/json", "x-client-id": "42" });
  await world.advance(60_000);
  assert.equal(world.posts.length, 2);
  assert.deepEqual(world.refused, []);
  world.uproar.close();
});

for (const transport of ["sse", "webtransport"]) {
  test(`messages by ${transport} are 250 ms apart, and after silence the next tap is sent at once`, async () => {
    const world = await opened({ transport });
    const sentAt = [];
    const taken = () => (transport === "sse" ? world.posts.length : world.sessions[0].sent.length);
    const begin = world.time;
    for (let ms = 0; ms < 1_020; ms += 10) {
      if (ms < 300 || ms >= 1_000) world.uproar.react("fire");
      await world.settle();
      while (sentAt.length < taken()) sentAt.push(world.time - begin);
      await world.advance(10);
    }
    await world.advance(1_000);
    assert.deepEqual(sentAt, [0, 250, 500, 1_000]);
    const all = transport === "sse" ? posted(world) : world.sessions[0].sent.map(recordsIn);
    assert.deepEqual(all, [1, 24, 5, 1, 1].map((taps) => Array(taps).fill([transport === "sse" ? "🔥" : 0, 1])));
    world.uproar.close();
  });
}

test("more records than a message takes go into the next ones", async () => {
  const world = new World();
  await world.join({ transport: "sse" });
  for (let tap = 0; tap < 300; tap++) world.uproar.react(["fire", "goal"][tap % 2]);
  world.streams[0].palette();
  await world.advance(250);
  assert.deepEqual(posted(world).map(({ length }) => length), [200, 100]);
  world.uproar.close();
});

for (const transport of ["sse", "webtransport"]) {
  test(`no record and no message by ${transport} has more taps than nodes take, and none is lost`, async () => {
    const world = await opened({ transport });
    for (const count of [1, 65_535, 599, 600, 601]) world.uproar.react("fire", count);
    world.uproar.react("goal", 3_000);
    await world.advance(20_000);
    const messages = transport === "sse" ? posted(world) : world.sessions[0].sent.map(recordsIn);
    const sumOf = (records) => records.reduce((sum, [, count]) => sum + count, 0);
    assert.ok(messages.flat().every(([, count]) => count <= 600));
    assert.ok(messages.every((records) => sumOf(records) <= 2_400));
    const [fire, goal] = transport === "sse" ? ["🔥", "⚽"] : [0, 1];
    assert.equal(sumOf(messages.flat().filter(([emoji]) => emoji === fire)), 67_336);
    assert.equal(sumOf(messages.flat().filter(([emoji]) => emoji === goal)), 3_000);
    assert.deepEqual(world.refused, []);
    world.uproar.close();
  });
}

test("taps that can be no reaction are refused at once", async () => {
  const world = await opened();
  const counts = [0, -1, 65_536, 1.5, NaN, "2"].map((count) => ["fire", count]);
  for (const [emoji, count] of [...counts, ["nothing", 1], [5, 1], [-1, 1], [0.5, 1]]) {
    assert.throws(() => world.uproar.react(emoji, count), RangeError, `${emoji} ${count}`);
  }
  await world.advance(1_000);
  assert.equal(world.posts.length, 0);
  world.uproar.close();
});

test("before the palette, taps wait for it, and what it does not have is refused", async () => {
  const world = new World();
  await world.join({ transport: "sse" });
  world.uproar.react("🔥");
  world.uproar.react("🔥");
  world.uproar.react(0);
  world.uproar.react("nothing", 2);
  assert.throws(() => world.uproar.react("x".repeat(257)), RangeError);
  await world.advance(1_000);
  world.streams[0].palette();
  await world.settle();
  assert.deepEqual(posted(world), [Array(3).fill(["🔥", 1])]);
  assert.deepEqual(codes(world), [["unknown_emoji", [{ emoji: "nothing", count: 2 }]]]);
  world.uproar.close();
});

for (const transport of ["sse", "webtransport"]) {
  test(`taps by ${transport} that wait keep their emoji, whatever becomes of names and ids`, async () => {
    const world = await opened({ transport });
    const [link] = transport === "sse" ? world.streams : world.sessions;
    for (const emoji of ["wave", 0, "goal", "👏"]) world.uproar.react(emoji);
    // After a restart, and with names that have moved to other emoji.
    link.palette([{ id: 0, name: "goal", glyph: "🌙" }, { id: 1, name: "standing ovation", glyph: "🔥" },
      { id: 2, name: "", glyph: "⚽", retired: true }, { id: 3, name: "fire", glyph: "👏\ufe0f" }]);
    await world.advance(250);
    const wave = PALETTE.emoji[4].glyph;
    const expected = { sse: [[[wave, 1]], [["🔥", 1], ["👏\ufe0f", 1]]], webtransport: [[[4, 1]], [[1, 1], [3, 1]]] };
    const sent = transport === "sse" ? posted(world) : link.sent.map(recordsIn);
    assert.deepEqual(sent, expected[transport]);
    assert.deepEqual(codes(world), [["unknown_emoji", [{ emoji: "goal", count: 1 }]]]);
    world.uproar.close();
  });
}

test("taps for a glyph that is retired do not go to an emoji that has it as its name", async () => {
  const world = await opened();
  world.streams[0].palette([PALETTE.emoji[0], { id: 1, name: "goal", glyph: "GOAL" }]);
  await world.settle();
  for (const emoji of [0, 1]) world.uproar.react(emoji);
  const retired = { id: 1, name: "", glyph: "GOAL", retired: true };
  world.streams[0].palette([PALETTE.emoji[0], retired, { id: 2, name: "GOAL", glyph: "⚽" }]);
  await world.advance(250);
  assert.deepEqual(posted(world), [[["🔥", 1]]]);
  assert.deepEqual(codes(world), [["unknown_emoji", [{ emoji: "goal", count: 1 }]]]);
  world.uproar.close();
});

test("taps from before the palette mean what they meant in the first one", async () => {
  const world = new World();
  await world.join({ transport: "sse" });
  world.onPost = () => problem(503, "draining");
  world.uproar.react("fire");
  world.uproar.react(1);
  world.streams[0].palette();
  await world.settle();
  world.onPost = () => new Response(null, { status: 202 });
  world.streams[0].palette([{ id: 0, name: "fire", glyph: "🌙" }, { id: 1, name: "goal", glyph: "🔥" }]);
  await world.advance(2_000);
  assert.deepEqual(posted(world).at(-1), [["🔥", 1]]);
  assert.deepEqual(codes(world), [["unknown_emoji", [{ emoji: 1, count: 1 }]]]);
  world.uproar.close();
});

test("an emoji is the same with and without variation selectors, and in any composition", async () => {
  const world = await opened();
  world.streams[0].palette([{ id: 0, name: "he\u0301ros", glyph: "❤\ufe0f" }, { id: 1, name: "six", glyph: "6\u20e3" }]);
  await world.settle();
  for (const emoji of ["❤", "❤\ufe0f", "❤\ufe0e", "h\u00e9ros", "6\ufe0f\u20e3"]) world.uproar.react(emoji);
  assert.throws(() => world.uproar.react("\ufe0f"), RangeError);
  await world.advance(250);
  const heart = ["❤\ufe0f", 1];
  assert.deepEqual(posted(world).flat(), [heart, heart, heart, heart, ["6\u20e3", 1]]);
  world.uproar.close();
});

test("what is retired takes no taps, and still names what was counted", async () => {
  const world = await opened();
  const retired = { id: 1, name: "", glyph: "⚽", retired: true };
  world.streams[0].palette([PALETTE.emoji[0], retired]);
  world.streams[0].frame(7, { id: 1 });
  await world.settle();
  for (const emoji of ["", "⚽", "goal", 1]) assert.throws(() => world.uproar.react(emoji), RangeError, `${emoji}`);
  assert.deepEqual(world.palettes.at(-1).emoji, [PALETTE.emoji[0], retired]);
  const [{ name, glyph, count }] = world.frames[0].top;
  assert.deepEqual([name, glyph, count], ["", "⚽", 5n]);
  world.streams[0].palette(PALETTE.emoji);
  await world.settle();
  world.uproar.react("⚽");
  await world.settle();
  assert.deepEqual(posted(world), [[["⚽", 1]]]);
  world.uproar.close();
});

test("a node with a newer palette counts nothing of a message, and what it still has is sent again", async () => {
  const world = await opened();
  world.onPost = () => problem(422, "unknown_emoji");
  world.uproar.react("fire");
  await world.settle();
  world.uproar.react("goal", 2);
  world.onPost = () => new Response(null, { status: 202 });
  world.streams[0].palette([PALETTE.emoji[0], { id: 1, name: "", glyph: "⚽", retired: true }]);
  await world.advance(2_000);
  assert.deepEqual(posted(world), [[["🔥", 1]], [["🔥", 1]]]);
  assert.deepEqual(codes(world), [["unknown_emoji", [{ emoji: "goal", count: 2 }]]]);
  world.uproar.close();
});

test("taps wait for a connection, but not for longer than their moment", async () => {
  const world = await opened();
  const answer = world.onStream;
  world.onStream = () => problem(503, "draining");
  world.streams[0].end();
  await world.settle();
  world.uproar.react("fire");
  await world.advance(20_000);
  world.uproar.react("goal");
  await world.advance(10_250);
  world.onStream = answer;
  await world.advance(7_500);
  world.streams.at(-1).palette();
  await world.settle();
  assert.deepEqual(codes(world), [["expired", [{ emoji: "fire", count: 1 }]]]);
  assert.deepEqual(posted(world), [[["⚽", 1]]]);
  world.uproar.close();
});

test("waiting taps are bounded", async () => {
  const world = new World();
  await world.join({ transport: "sse" });
  for (let index = 0; index <= 1000; index++) world.uproar.react(index);
  assert.deepEqual(codes(world), [["too_many", [{ emoji: 1000, count: 1 }]]]);
  world.uproar.close();
});

test("a refusal is told by the node's word, and not sent again", async () => {
  for (const [status, code] of [[404, "unknown_room"], [422, "unknown_emoji"], [422, "too_many_taps"],
    [403, "origin_not_allowed"], [500, "http_500"], [200, "http_200"]]) {
    const world = await opened();
    world.onPost = () => (code.startsWith("http_") ? new Response("oh", { status }) : problem(status, code));
    world.uproar.react("fire", 2);
    await world.advance(60_000);
    assert.deepEqual(codes(world), [[code, [{ emoji: "fire", count: 2 }]]]);
    assert.equal(world.posts.length, 1);
    world.uproar.close();
  }
});

test("an answer that is lost is told, and nothing is sent twice", async () => {
  const world = await opened();
  world.onPost = () => { throw new TypeError("connection reset"); };
  world.uproar.react("fire");
  await world.advance(60_000);
  assert.deepEqual(codes(world), [["unanswered", [{ emoji: "fire", count: 1 }]]]);
  assert.equal(world.posts.length, 1);
  world.uproar.close();
});

test("taps that a draining node did not count are sent again, after a pause and until they expire", async () => {
  const world = await opened();
  const heartbeats = async (ms) => {
    for (let past = 0; past < ms; past += 500) (world.streams[0].write(":\n\n"), await world.advance(500));
  };
  world.onPost = () => problem(503, "draining");
  world.uproar.react("fire");
  await heartbeats(1_500);
  assert.equal(world.posts.length, 1);
  world.uproar.react("fire");
  world.onPost = () => new Response(null, { status: 202 });
  await heartbeats(1_000);
  assert.deepEqual(posted(world), [[["🔥", 1]], [["🔥", 1], ["🔥", 1]]]);
  world.onPost = () => problem(503, "draining");
  world.uproar.react("goal");
  await heartbeats(40_000);
  assert.deepEqual(codes(world), [["expired", [{ emoji: "goal", count: 1 }]]]);
  assert.ok(world.posts.length <= 2 + 30_000 / 2_000);
  world.uproar.close();
});

test("one message is under way at a time, and what comes meanwhile is one more", async () => {
  const world = await opened();
  const answers = [];
  world.onPost = () => new Promise((resolve) => answers.push(() => resolve(new Response(null, { status: 202 }))));
  for (let count = 0; count < 8; count++) {
    world.uproar.react("fire");
    await world.advance(250);
  }
  assert.deepEqual(posted(world), [[["🔥", 1]]]);
  answers[0]();
  await world.advance(250);
  assert.deepEqual(posted(world), [[["🔥", 1]], Array(7).fill(["🔥", 1])]);
  answers[1]();
  world.uproar.close();
});

test("WebTransport takes taps as datagrams, and on the control stream when they do not fit", async () => {
  const world = await opened({ transport: "webtransport" });
  const [session] = world.sessions;
  world.uproar.react("fire", 3);
  await world.advance(250);
  assert.deepEqual(session.sent.map(recordsIn), [[[0, 3]]]);
  session.maxDatagramSize = 19;
  world.uproar.react("goal");
  await world.advance(250);
  assert.equal(session.sent.length, 1);
  const [, message] = session.control;
  assert.deepEqual(message, encodeControl(6, message.subarray(3)));
  assert.deepEqual(recordsIn(message.subarray(3)), [[1, 1]]);
  assert.deepEqual([world.posts, world.refused], [[], []]);
  world.uproar.close();
});

test("a write that a browser forgets with its session is told, and holds up no other", async () => {
  const world = await opened({ transport: "webtransport" });
  world.sessions[0].takes = () => new Promise(() => {});
  world.uproar.react("fire");
  await world.advance(5_000);
  assert.deepEqual(codes(world), []);
  world.sessions[0].lose();
  await world.advance(1_000);
  assert.deepEqual(codes(world), [["unanswered", [{ emoji: "fire", count: 1 }]]]);
  const next = world.sessions[1];
  next.open();
  next.send("palette");
  await world.settle();
  world.uproar.react("goal");
  await world.advance(250);
  assert.deepEqual(next.sent.map(recordsIn), [[[1, 1]]]);
  world.uproar.close();
});

test("taps of a page that goes away are sent in a way that outlives it, those under way too", async (t) => {
  t.after(() => delete globalThis.document);
  for (const transport of ["sse", "webtransport"]) {
    for (const leave of ["pagehide", "visibilitychange", "close"]) {
      globalThis.document = { hidden: leave === "visibilitychange" };
      const world = await opened({ transport });
      world.uproar.react("goal");
      await world.settle();
      const { length } = world.posts;
      world.uproar.react("fire", 4);
      if (leave === "close") world.uproar.close();
      else world.events.dispatchEvent(new Event(leave));
      assert.deepEqual(posted(world).slice(length), [[["🔥", 4]]]);
      assert.ok(world.posts.every(({ keepalive }) => keepalive));
      await world.advance(1_000);
      assert.equal(world.posts.length, length + 1);
      assert.deepEqual(world.refused, []);
      world.uproar.close();
    }
  }
});

test("a hidden page that has lost its connection keeps its taps", async (t) => {
  t.after(() => delete globalThis.document);
  globalThis.document = { hidden: true };
  const world = await opened();
  world.streams[0].cut();
  await world.settle();
  world.uproar.react("fire");
  world.events.dispatchEvent(new Event("visibilitychange"));
  await world.settle();
  assert.deepEqual(posted(world), []);
  document.hidden = false;
  world.events.dispatchEvent(new Event("visibilitychange"));
  await world.settle();
  world.streams[1].palette();
  await world.settle();
  assert.deepEqual(posted(world), [[["🔥", 1]]]);
  world.uproar.close();
});

test("the longest glyphs, as many as one message takes, fit what may outlive a page", async () => {
  const world = await opened();
  const emoji = Array.from({ length: 300 }, (_, id) => ({ id, name: `n${id}`, glyph: `https://${id}/`.padEnd(256, "x") }));
  world.streams[0].palette(emoji);
  await world.settle();
  for (const { name } of emoji) world.uproar.react(name);
  await world.advance(500);
  assert.equal(posted(world).flat().length, 300);
  for (const { body } of world.posts) assert.ok(body.length < 65_536, `${body.length} bytes`);
  world.uproar.close();
});

test("a datagram that the browser has not taken holds up the end of its session, and is not told as lost", async () => {
  const world = await opened({ transport: "webtransport" });
  const [session] = world.sessions;
  let take;
  session.takes = () => new Promise((resolve) => (take = resolve));
  world.uproar.react("fire");
  world.uproar.close();
  await world.advance(999);
  assert.deepEqual([world.uproar.state.phase, session.closedByClient], ["closed", false]);
  take();
  await world.settle();
  assert.ok(session.closedByClient);
  assert.deepEqual([session.sent.map(recordsIn), world.posts, world.refused], [[[[0, 1]]], [], []]);
  assert.equal(world.timers.size, 0);
});

test("a browser that takes no datagram does not hold up the end for ever", async () => {
  const world = await opened({ transport: "webtransport" });
  world.sessions[0].takes = () => new Promise(() => {});
  world.uproar.react("fire");
  world.uproar.close();
  await world.advance(1_000);
  assert.ok(world.sessions[0].closedByClient);
  assert.deepEqual(codes(world), [["unanswered", [{ emoji: "fire", count: 1 }]]]);
  assert.equal(world.timers.size, 0);
});

test("taps that come while a session ends wait for the next one", async () => {
  const world = await opened({ transport: "webtransport" });
  const [session] = world.sessions;
  // Streams end before the session tells why.
  session.roomController.error(new Error("session ended"));
  await world.settle();
  world.uproar.react("fire");
  await world.settle();
  assert.deepEqual([world.uproar.state.phase, session.sent], ["open", []]);
  session.tellClosed({ closeCode: 1, reason: "" });
  await world.advance(1_000);
  const next = world.sessions[1];
  next.open();
  next.send("palette");
  await world.settle();
  assert.deepEqual([next.sent.map(recordsIn), world.refused], [[[[0, 1]]], []]);
  world.uproar.close();
});

test("taps that come while a session ends for good were not counted", async () => {
  const world = await opened({ transport: "webtransport" });
  world.onPost = () => problem(404, "unknown_room");
  world.sessions[0].roomController.error(new Error("session ended"));
  await world.settle();
  world.uproar.react("fire");
  await world.settle();
  world.sessions[0].tellClosed({ closeCode: 6, reason: "" });
  await world.settle();
  assert.deepEqual(codes(world), [["unknown_room", [{ emoji: "fire", count: 1 }]]]);
  assert.deepEqual([world.uproar.state.phase, world.uproar.state.reason], ["closed", "room_deleted"]);
});

test("taps that wait too long are told while nothing can be sent", async () => {
  const world = await opened();
  world.onStream = () => { throw new TypeError("fetch failed"); };
  world.streams[0].cut();
  await world.settle();
  world.uproar.react("fire");
  await world.advance(45_000);
  assert.deepEqual(codes(world), [["expired", [{ emoji: "fire", count: 1 }]]]);
  world.uproar.close();
});

test("whoever is told of refused taps may close it and tap again", async () => {
  const world = new World();
  await world.join({ transport: "sse" });
  world.uproar.react("fire");
  const again = ({ detail }) => (world.uproar.close(), detail.taps[0].emoji === "fire" && world.uproar.react("goal"));
  world.uproar.addEventListener("refused", again);
  world.uproar.close();
  assert.deepEqual(codes(world).map(([code]) => code), ["closed", "closed"]);
  assert.deepEqual(world.phases, ["connecting sse", "closed"]);
});

test("taps after close, or that nobody could send, are refused", async () => {
  const world = new World();
  await world.join({ transport: "sse" });
  world.uproar.react("fire");
  world.uproar.close();
  world.uproar.react("goal");
  const taps = (emoji) => ["closed", [{ emoji, count: 1 }]];
  assert.deepEqual(codes(world), [taps("fire"), taps("goal")]);
  await world.settle();
  assert.equal(world.timers.size, 0);
});
