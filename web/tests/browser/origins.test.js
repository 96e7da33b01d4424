// Pages of another origin: served when `web.origins` names them, refused when not, on every way in.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { launch, openPage } from "./chromium.js";
import { Frames } from "./frames.js";
import { PALETTE, ROOM, Server } from "./server.js";

const TRANSPORTS = ["webtransport", "sse"];

let browser;
let site;

before(async () => {
  browser = await launch();
  site = await startSite();
});

after(async () => {
  await browser.close();
  await site.close();
});

describe("a page of another origin", () => {
  for (const transport of TRANSPORTS) {
    for (const [origins, name] of [[() => ["*"], "with any origin"], [() => [site.origin], "when it is listed"]]) {
      test(`watches and taps by ${transport} ${name}`, async (t) => {
        const server = await Server.start(t, { web: { origins: origins() } });
        const frames = await Frames.of(t, server);
        const page = await embed(server, transport);
        assert.equal(await page.evaluate(() => globalThis.firstFrame), ROOM);
        await page.evaluate(() => globalThis.uproar.react("fire", 3));
        const sum = await frames.sumUntil(PALETTE, ({ fire }) => fire >= 3);
        assert.deepEqual(sum, { fire: 3, heart: 0, goal: 0, clap: 0 });
        await page.context().close();
      });
    }

    test(`is refused by ${transport} when another is listed`, async (t) => {
      const server = await Server.start(t, { web: { origins: ["https://www.example.com"] } });
      const page = await embed(server, transport);
      await page.waitForFunction(() => globalThis.uproar.state.phase === "closed");
      assert.equal(await page.evaluate(() => globalThis.uproar.state.reason), "origin_not_allowed");
      assert.equal(await page.evaluate(() => globalThis.frames), 0);
      const tap = await page.evaluate(tapByFetch, `${server.url}/v1/rooms/${ROOM}/reactions`);
      assert.equal(tap, "TypeError", "the preflight is refused");
      const counted = ["http", "webtransport", "quic", "udp"].map((proto) =>
        server.metric(`uproar_reactions_total{proto="${proto}"}`),
      );
      assert.deepEqual(await Promise.all(counted), [0, 0, 0, 0]);
      await page.context().close();
    });
  }

  test("may not open a session by itself when another is listed, and may when it is", async (t) => {
    for (const [origins, outcome] of [[["https://www.example.com"], "refused"], [[site.origin], "ready"]]) {
      const server = await Server.start(t, { web: { origins } });
      const { certificate_hashes: hashes } = await (await fetch(`${server.url}/v1/webtransport`)).json();
      const { page, context } = await openPage(browser);
      await page.goto(site.origin);
      const url = `https://${server.listen.quic}/v1/webtransport`;
      assert.equal(await page.evaluate(openSession, [url, hashes]), outcome);
      await context.close();
    }
  });

  test("is told the reason by fetch, in a problem that tools can read", async (t) => {
    const server = await Server.start(t, { web: { origins: ["https://www.example.com"] } });
    for (const path of [`/v1/rooms/${ROOM}`, `/v1/rooms/${ROOM}/stream`, "/v1/webtransport"]) {
      const answer = await fetch(server.url + path, { headers: { origin: site.origin } });
      assert.equal(answer.status, 403, path);
      assert.equal((await answer.json()).code, "origin_not_allowed", path);
    }
  });
});

/** A site with the SDK and an empty page. */
async function startSite() {
  const sdk = await readFile(new URL("../../uproar.js", import.meta.url));
  const answers = { "/": ["text/html", "<!doctype html><title>Another site</title>"], "/uproar.js": ["text/javascript", sdk] };
  const server = createServer((request, response) => {
    const [type, body] = answers[request.url] ?? [];
    response.writeHead(body ? 200 : 404, { "content-type": type ?? "text/plain" }).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => new Promise((done) => (server.close(done), server.closeAllConnections()));
  return { origin: `http://127.0.0.1:${server.address().port}`, close };
}

/** The SDK on a page of the other site; `firstFrame` is a promise of the first frame's room. */
async function embed(server, transport) {
  const { page } = await openPage(browser);
  await page.goto(site.origin);
  await page.evaluate(watchByTheSdk, { url: server.url, room: ROOM, transport });
  return page;
}

async function watchByTheSdk(options) {
  const { Uproar } = await import("/uproar.js");
  globalThis.frames = 0;
  globalThis.uproar = new Uproar(options);
  globalThis.firstFrame = new Promise((resolve) => {
    globalThis.uproar.addEventListener("frame", ({ detail }) => {
      globalThis.frames += 1;
      resolve(detail.room);
    });
  });
}

function tapByFetch(url) {
  const body = JSON.stringify({ emoji: "fire" });
  const headers = { "content-type": "application/json" };
  return fetch(url, { method: "POST", headers, body }).then(
    (answer) => answer.status,
    (error) => error.name,
  );
}

async function openSession([url, hashes]) {
  const bytes = (hex) => Uint8Array.from(hex.match(/../g), (byte) => parseInt(byte, 16));
  const serverCertificateHashes = hashes.map((hash) => ({ algorithm: "sha-256", value: bytes(hash) }));
  const session = new WebTransport(url, { serverCertificateHashes });
  session.closed.catch(() => {});
  return session.ready.then(
    () => "ready",
    () => "refused",
  );
}
