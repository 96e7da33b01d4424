// Where WebTransport cannot be, the page comes by SSE and fetch instead, and nothing is lost of what it is for.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { launch } from "./chromium.js";
import { Frames } from "./frames.js";
import { Screen } from "./screen.js";
import { PALETTE, Server } from "./server.js";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

describe("the page comes by SSE", () => {
  test("when the server does not speak WebTransport", async (t) => {
    const server = await Server.start(t, { web: { webtransport: false } });
    const screen = await watchesAndTaps(t, server);
    // It asks where WebTransport is, and is told: nowhere.
    assert.deepEqual(beyondStatus404(screen.complaints), []);
    const answer = await fetch(`${server.url}/v1/webtransport`);
    assert.equal(answer.status, 404);
  });

  test("when the browser does not know WebTransport", async (t) => {
    const server = await Server.start(t);
    const prepare = (page) => page.addInitScript(() => delete globalThis.WebTransport);
    const screen = await watchesAndTaps(t, server, { prepare });
    assert.deepEqual(screen.complaints, []);
  });

  test("when nobody answers where WebTransport should be", async (t) => {
    const silent = createSocket("udp4").bind(0, "127.0.0.1");
    await once(silent, "listening");
    t.after(() => silent.close());
    const server = await Server.start(t, { web: { webtransport_url: webTransportAt(silent.address().port) } });
    await watchesAndTaps(t, server);
  });

  test("when the port of WebTransport is closed", async (t) => {
    const closed = createSocket("udp4").bind(0, "127.0.0.1");
    await once(closed, "listening");
    const { port } = closed.address();
    await new Promise((done) => closed.close(done));
    const server = await Server.start(t, { web: { webtransport_url: webTransportAt(port) } });
    await watchesAndTaps(t, server);
  });
});

test("a page that is asked for a transport that is none takes any", async (t) => {
  const screen = await Screen.open(browser, await Server.start(t), { query: "room=1&transport=toString" });
  await screen.connected("webtransport");
  assert.deepEqual(screen.complaints, []);
  await screen.close();
});

const webTransportAt = (port) => `https://127.0.0.1:${port}/v1/webtransport`;

async function watchesAndTaps(test, server, options) {
  const frames = await Frames.of(test, server);
  const screen = await Screen.open(browser, server, options);
  await screen.connected("sse");
  for (let tap = 0; tap < 3; tap += 1) await screen.button(/heart/i).click();
  const sum = await frames.sumUntil(PALETTE, ({ heart }) => heart >= 3);
  assert.deepEqual(sum, { fire: 0, heart: 3, goal: 0, clap: 0 });
  await screen.hasShown(3);
  assert.equal(await server.metric('uproar_reactions_total{proto="http"}'), 3);
  test.after(() => screen.close());
  return screen;
}

/** A browser's console names every request that is answered with 404, whoever expects that. */
function beyondStatus404(complaints) {
  return complaints.filter((complaint) => !/status 404|status of 404/.test(complaint));
}
