// The event stream, wherever the network cuts it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { World, frameBody } from "./world.js";

const STREAM = new TextEncoder().encode(
  'event: palette\ndata: {"id":7,"name":"Añejo","palette":[{"id":0,"name":"fire","glyph":"🔥"}]}\n\n' +
    ": heartbeat\n\n" +
    "event: another\ndata: {\n\n" +
    `id: 9\nevent: frame\ndata: ${JSON.stringify(frameBody(9))}\n\n` +
    `id: 10\nevent: frame\ndata: ${JSON.stringify(frameBody(10))}\n`,
);

async function read(...chunks) {
  const world = new World();
  await world.join({ transport: "sse" });
  for (const chunk of chunks) world.streams[0].controller.enqueue(chunk);
  await world.settle();
  world.uproar.close();
  return world;
}

function isWhole({ palettes, frames, phases }, what) {
  assert.deepEqual(palettes, [{ room: 7, name: "Añejo", emoji: [{ id: 0, name: "fire", glyph: "🔥" }] }], what);
  assert.deepEqual(frames.map(({ window, top }) => [window, top[0].glyph]), [[9, "🔥"]], what);
  assert.deepEqual(phases, ["connecting sse", "open sse", "closed"], what);
}

test("events are the same at each split, without heartbeats, others, and one that the end cuts off", async () => {
  for (let split = 0; split <= STREAM.length; split++) {
    isWhole(await read(STREAM.subarray(0, split), STREAM.subarray(split)), `split at ${split}`);
  }
});

test("events are the same byte by byte", async () => {
  const world = new World();
  await world.join({ transport: "sse" });
  for (const byte of STREAM) {
    world.streams[0].controller.enqueue(Uint8Array.of(byte));
    await world.settle();
  }
  world.uproar.close();
  isWhole(world);
});

test("names may have any line separator, as none but that of the stream ends a line", async () => {
  const name = "a\u2028event: frame\u2029b\ufeff: c";
  const data = JSON.stringify({ id: 7, name, palette: [] });
  const world = await read(new TextEncoder().encode(`event: palette\ndata: ${data}\n\n`));
  assert.deepEqual(world.palettes, [{ room: 7, name, emoji: [] }]);
});

test("what the standard allows besides is read past: other line ends, no blanks, fields, comments", async () => {
  const text = new TextDecoder().decode(STREAM);
  const variants = [
    text.replaceAll("\n", "\r\n"),
    text.replaceAll(": ", ":"),
    `retry: 1000\n\n${text}`,
    text.replaceAll("event: ", "retry: 1000\nretry\n: comment\n:\nevent: "),
  ];
  for (const variant of variants) {
    const stream = new TextEncoder().encode(variant);
    for (let split = 0; split <= stream.length; split += 7) {
      isWhole(await read(stream.subarray(0, split), stream.subarray(split)), `${variant} split at ${split}`);
    }
  }
});

test("an event without end is refused", async () => {
  const world = await read(...Array.from({ length: 17 }, () => new Uint8Array(1 << 16).fill(0x78)));
  assert.equal(world.states.at(-2).reason, "protocol");
});
