// End to end: the SDK with Node's own fetch and timers, against a server of Node's that speaks HTTP/1.1 as a node does.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { Uproar } from "../../uproar.js";
import { PALETTE } from "./samples.js";
import { frameBody, tapsIn } from "./world.js";

test("frames come, a tap arrives, and a stream that ends is resumed", { timeout: 120_000 }, async () => {
  const streams = [], posts = [];
  let onPost = () => {};
  const server = createServer(async (request, response) => {
    if (request.method === "POST") {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      posts.push({ url: request.url, type: request.headers["content-type"], body: Buffer.concat(chunks) });
      response.writeHead(202).end();
      return onPost();
    }
    assert.equal(request.url, "/v1/rooms/7/stream");
    streams.push(request.url);
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store", connection: "close" });
    const room = { id: 7, name: PALETTE.name, palette: PALETTE.emoji };
    response.write(`event: palette\ndata: ${JSON.stringify(room)}\n\n`);
    const window = 100 + streams.length;
    response.write(`id: ${window}\nevent: frame\ndata: ${JSON.stringify(frameBody(window))}\n\n`);
    if (streams.length < 3) response.end();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const uproar = new Uproar({ url: `http://127.0.0.1:${server.address().port}/`, room: 7 });
  const windows = [];
  for await (const frame of uproar) {
    assert.equal(frame.top[0].glyph, "🔥");
    windows.push(frame.window);
    if (windows.length === 3) break;
  }
  assert.deepEqual(windows, [101, 102, 103]);
  assert.equal(streams.length, 3);
  const arrived = new Promise((resolve) => (onPost = resolve));
  uproar.react("🔥", 2);
  await arrived;
  assert.deepEqual(posts.map(({ url, type }) => [url, type]), [["/v1/rooms/7/reactions", "application/json"]]);
  assert.deepEqual(tapsIn(posts[0].body), [["🔥", 2]]);
  uproar.close();
  server.closeAllConnections();
  await once(server.close(), "close");
});
