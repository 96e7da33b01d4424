// Frames: in order, each at most once, over reconnects; and loops that are fast, slow and several.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PALETTE } from "./samples.js";
import { World } from "./world.js";

const windows = (world) => world.frames.map(({ window }) => window);

async function opened() {
  const world = new World();
  await world.join({ transport: "sse" });
  world.streams[0].palette();
  await world.settle();
  return world;
}

/** The next stream, after the one before was cut. */
async function reconnected(world) {
  await world.settle();
  world.streams.at(-1).cut();
  for (const { length } = world.streams; world.streams.length === length; ) await world.advance(100);
  world.streams.at(-1).palette();
  await world.settle();
  return world.streams.at(-1);
}

test("counts of a frame have all their digits", async () => {
  const world = await opened();
  world.streams[0].write('event: frame\ndata: {"room":7,"window":1,"start_ms":2000,"window_ms":2000,');
  world.streams[0].write('"total":18446744073709551615,"intensity":9,"top":[{"emoji":"\\"count\\":1","id":1,');
  world.streams[0].write('"count":9007199254740993,"share":4,"intensity":3}]}\n\n');
  await world.settle();
  const [frame] = world.frames;
  assert.deepEqual(frame, {
    room: 7, window: 1, startMs: 2000, windowMs: 2000, total: 2n ** 64n - 1n, intensity: 9,
    receivedAt: world.time, transport: "sse", stale: true,
    top: [{ id: 1, name: "goal", glyph: "⚽", count: 2n ** 53n + 1n, share: 4, intensity: 3 }],
  });
  world.uproar.close();
});

test("what is no frame ends the connection", async () => {
  for (const data of ["{", "{}", '{"window_ms":1,"top":{},"total":1}', '{"window_ms":2000,"top":[],"total":"x"}']) {
    const world = await opened();
    world.streams[0].write(`event: frame\ndata: ${data}\n\n`);
    await world.settle();
    assert.deepEqual([world.uproar.state.phase, world.uproar.state.reason], ["waiting", "protocol"], data);
    world.uproar.close();
  }
});

test("a reconnect asks for nothing that needs a preflight, and gives no frame twice", async () => {
  const world = await opened();
  world.streams[0].frame(100);
  world.streams[0].frame(101);
  const second = await reconnected(world);
  assert.deepEqual(second.headers, {});
  for (const window of [100, 101, 102]) second.frame(window);
  await world.settle();
  assert.deepEqual(windows(world), [100, 101, 102]);
  world.uproar.close();
});

test("a process that follows another within a window has a frame of its own of it", async () => {
  const world = await opened();
  world.streams[0].frame(101, { total: 5 });
  const second = await reconnected(world);
  second.frame(101, { total: 5 });
  second.frame(101, { total: 7 });
  await world.settle();
  assert.deepEqual(windows(world), [101, 101]);
  world.uproar.close();
});

test("windows of another length, and a clock that was set back, do not silence a room", async () => {
  const world = await opened();
  world.streams[0].frame(1000);
  const longer = await reconnected(world);
  longer.frame(501, { windowMs: 4000 });
  const earlier = await reconnected(world);
  earlier.frame(100, { windowMs: 4000 });
  await world.settle();
  assert.deepEqual(windows(world), [1000, 501, 100]);
  world.uproar.close();
});

test("a palette is told when it is new", async () => {
  const world = await opened();
  const second = await reconnected(world);
  assert.deepEqual(world.palettes, [PALETTE]);
  second.palette([{ id: 0, name: "moon", glyph: "🌙" }]);
  second.frame(7);
  await world.settle();
  assert.equal(world.palettes.length, 2);
  assert.equal(world.frames[0].top[0].name, "moon");
  world.uproar.close();
});

test("an old frame with which a connection begins is stale, and those after it are not", async () => {
  for (const [ageMs, stale] of [[0, false], [2_000 + 3 * 2_000, false], [2_001 + 3 * 2_000, true], [-600_000, false]]) {
    const world = await opened();
    const window = (world.time - ageMs) / 2_000;
    world.streams[0].frame(window);
    // By a clock that is wrong, those that come as they are made seem old too.
    world.streams[0].frame(window + 1);
    await world.settle();
    assert.deepEqual(world.frames.map((frame) => frame.stale), [stale, false], `${ageMs}`);
    (await reconnected(world)).frame(window + 2);
    await world.settle();
    assert.equal(world.frames[2].stale, world.time - world.frames[2].startMs > 8_000);
    world.uproar.close();
  }
});

test("each loop gets the frames, a slow one the newest, and all end at close", async () => {
  const world = await opened();
  const [fast, slow] = [[], []];
  let goOn;
  const loops = [
    (async () => { for await (const { window } of world.uproar) fast.push(window); })(),
    (async () => {
      for await (const { window } of world.uproar) {
        slow.push(window);
        if (slow.length === 1) await new Promise((resolve) => (goOn = resolve));
      }
    })(),
  ];
  for (const window of [1, 2, 3, 4]) {
    await world.settle();
    world.streams[0].frame(window);
  }
  await world.settle();
  assert.deepEqual([fast, slow], [[1, 2, 3, 4], [1]]);
  goOn();
  await world.settle();
  assert.deepEqual(slow, [1, 4]);
  world.uproar.close();
  await Promise.all(loops);
});

test("a loop that is left costs nothing, and one after close ends at once", async () => {
  const world = await opened();
  const loop = (async () => { for await (const { window } of world.uproar) if (window === 2) break; })();
  await world.settle();
  world.streams[0].frame(1);
  await world.settle();
  world.streams[0].frame(2);
  await loop;
  world.uproar.close();
  for await (const frame of world.uproar) assert.fail(`a frame after close: ${frame.window}`);
});
