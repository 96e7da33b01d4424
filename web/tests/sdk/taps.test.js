// Taps: gathered, sent at most once, refused by name, and not forgotten when the page goes away.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeControl } from "../../uproar.js";
import { World, problem, recordsIn } from "./world.js";

async function opened(options = {}) {
  const world = new World();
  await world.join({ transport: "sse", ...options });
  if (world.streams.length > 0) world.streams[0].palette();
  for (const session of world.sessions) (session.open(), await world.settle(), session.send("palette"));
  await world.settle();
  return world;
}

const posted = (world) => world.posts.map(({ body }) => recordsIn(body));
const codes = (world) => world.refused.map(({ code, taps }) => [code, taps.map(({ emoji, count }) => ({ emoji, count }))]);

test("a tap is sent at once, and quick ones after it become one message", async () => {
  const world = await opened({ clientId: 42n });
  for (const emoji of ["🔥", "fire", 0, "goal"]) world.uproar.react(emoji);
  world.uproar.react("👏", 10);
  await world.settle();
  assert.deepEqual(posted(world), [[[0, 1]]]);
  await world.advance(249);
  assert.equal(world.posts.length, 1);
  await world.advance(1);
  assert.deepEqual(posted(world), [[[0, 1]], [[0, 1], [0, 1], [1, 1], [3, 10]]]);
  const [{ pathname, headers, body, keepalive }] = world.posts;
  assert.equal(pathname, "/v1/rooms/7/reactions");
  assert.equal(headers["content-type"], "application/octet-stream");
  assert.equal(new DataView(body.buffer).getBigUint64(8, true), 42n);
  assert.equal(keepalive, false);
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
    assert.deepEqual(all, [1, 24, 5, 1, 1].map((taps) => Array(taps).fill([0, 1])));
    world.uproar.close();
  });
}

test("more records than a datagram takes go into the next messages", async () => {
  const world = new World();
  await world.join({ transport: "sse" });
  for (let tap = 0; tap < 300; tap++) world.uproar.react(["fire", "goal"][tap % 2]);
  world.streams[0].palette();
  await world.advance(250);
  assert.deepEqual(posted(world).map(({ length }) => length), [296, 4]);
  world.uproar.close();
});

test("more taps than a node takes in one message go into the next ones", async () => {
  const world = new World();
  await world.join({ transport: "sse" });
  for (const count of [600, 600, 600, 600, 1, 3000, 2]) world.uproar.react("fire", count);
  world.streams[0].palette();
  await world.advance(1_000);
  const counts = posted(world).map((records) => records.map(([, count]) => count));
  assert.deepEqual(counts, [[600, 600, 600, 600], [1], [3000], [2]]);
  world.uproar.close();
});

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
  assert.deepEqual(posted(world), [Array(3).fill([0, 1])]);
  assert.deepEqual(codes(world), [["unknown_emoji", [{ emoji: "nothing", count: 2 }]]]);
  world.uproar.close();
});

test("taps follow their name into a new palette", async () => {
  const world = await opened();
  world.uproar.react("wave");
  world.uproar.react(0);
  world.uproar.react("goal");
  world.streams[0].palette([{ id: 0, name: "moon", glyph: "🌙" }, { id: 1, name: "fire", glyph: "🔥" }]);
  await world.advance(250);
  assert.deepEqual(posted(world), [[[4, 1]], [[1, 1]]]);
  assert.deepEqual(codes(world), [["unknown_emoji", [{ emoji: "goal", count: 1 }]]]);
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
  assert.deepEqual(posted(world), [[[1, 1]]]);
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
  for (const [status, code] of [[404, "unknown_room"], [422, "unknown_emoji"], [500, "http_500"]]) {
    const world = await opened();
    world.onPost = () => (status === 500 ? new Response("oh", { status }) : problem(status, code));
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
  assert.deepEqual(posted(world), [[[0, 1]], [[0, 1], [0, 1]]]);
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
  assert.deepEqual(posted(world), [[[0, 1]]]);
  answers[0]();
  await world.advance(250);
  assert.deepEqual(posted(world), [[[0, 1]], Array(7).fill([0, 1])]);
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

test("taps of a page that goes away are sent in a way that outlives it", async () => {
  for (const transport of ["sse", "webtransport"]) {
    for (const leave of ["pagehide", "close"]) {
      const world = await opened({ transport });
      world.uproar.react("goal");
      await world.settle();
      const { length } = world.posts;
      world.uproar.react("fire", 4);
      if (leave === "close") world.uproar.close();
      else world.events.dispatchEvent(new Event("pagehide"));
      assert.deepEqual(posted(world).slice(length), [[[0, 4]]]);
      assert.equal(world.posts[length].keepalive, true);
      await world.advance(1_000);
      assert.equal(world.posts.length, length + 1);
      world.uproar.close();
    }
  }
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
