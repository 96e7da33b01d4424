// What a server sends about a room, watched beside the browser by a plain reader of the stream of frames, which shares
// nothing with the SDK.
//
// Invariant: every frame of the room from the first on is seen once, so that their sum is what the server has counted.

import assert from "node:assert/strict";
import { ROOM } from "./server.js";

/** Watches a room until the test ends. */
export class Frames {
  #text = "";
  #reader;
  #events;
  /** The newest name of each emoji, by its id: one that is retired has none any more. */
  #names = [];
  /** Total taps of each frame so far, by its window. */
  totals = new Map();

  /** Begins to watch, and waits for the palette. */
  static async of(test, server, room = ROOM) {
    const stop = new AbortController();
    test.after(() => stop.abort());
    const answer = await fetch(`${server.url}/v1/rooms/${room}/stream`, { signal: stop.signal });
    assert.equal(answer.status, 200);
    const frames = new Frames();
    frames.#reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    frames.#events = frames.#read();
    const { value: first } = await frames.#events.next();
    assert.equal(first.event, "palette");
    frames.#keepNames(first.data);
    return frames;
  }

  /** Taps by the name of their emoji, added up frame by frame until `isEnough` of them. */
  async sumUntil(palette, isEnough) {
    const sum = Object.fromEntries(palette.map(({ name }) => [name, 0]));
    while (!isEnough(sum)) {
      const { value: message, done } = await this.#events.next();
      assert(!done, "the stream has ended");
      if (message.event === "palette") this.#keepNames(message.data);
      if (message.event === "frame") {
        const { window, total, top } = JSON.parse(message.data);
        this.totals.set(window, total);
        for (const { id, count } of top) sum[this.#names[id]] += count;
      }
    }
    return sum;
  }

  #keepNames(data) {
    for (const { id, name } of JSON.parse(data).palette) if (name) this.#names[id] = name;
  }

  async *#read() {
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done) return;
      this.#text += value;
      const messages = this.#text.split("\n\n");
      this.#text = messages.pop();
      yield* messages.map(fields).filter(({ event }) => event);
    }
  }
}

function fields(message) {
  const lines = message.split("\n").filter((line) => !line.startsWith(":"));
  return Object.fromEntries(lines.map((line) => line.split(/: ?(.*)/s, 2)));
}
