// What pages of another site send besides plain taps: fields of agents that trace requests, beacons, requests that are none.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { launch, openPage } from "./chromium.js";
import { ROOM, Server } from "./server.js";

const TAP = JSON.stringify({ emoji: "fire" });

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

test("fields of tracing agents are granted, and text goes without being asked about", async (t) => {
  for (const [origins, withCredentials] of [[["*"], "TypeError"], [[site.origin], 202]]) {
    const server = await Server.start(t, { web: { origins } });
    const page = await open();
    const traced = { "content-type": "application/json", traceparent: "00-1-1-01", baggage: "a=b", "sentry-trace": "c" };
    assert.equal(await tap(page, server, { headers: traced }), 202);
    assert.equal(await tap(page, server, { headers: { "content-type": "text/plain" } }), 202);
    // Credentials are only for a site that is named.
    const credentials = { headers: { "content-type": "application/json" }, credentials: "include" };
    assert.equal(await tap(page, server, credentials), withCredentials);
    await page.context().close();
  }
});

test("a beacon is counted: text from any page that may tap, JSON from a site that is named", async (t) => {
  for (const [origins, types, counted] of [
    [["*"], ["text/plain"], 1],
    [[site.origin], ["text/plain", "application/json"], 2],
    [["https://www.example.com"], ["text/plain", "application/json"], 0],
  ]) {
    const server = await Server.start(t, { web: { origins } });
    const page = await open();
    assert.equal(await page.evaluate(sendBeacons, [url(server), TAP, types]), true);
    const refused = () => server.metric('uproar_http_refused_total{code="origin_not_allowed"}');
    const taps = () => server.metric('uproar_reactions_total{proto="http"}');
    while ((await taps()) + (await refused()) < types.length) await new Promise((done) => setTimeout(done, 20));
    assert.deepEqual([await taps(), await refused()], [counted, types.length - counted]);
    await page.context().close();
  }
});

test("a page reads why it was refused, also where other sites are named", async (t) => {
  const server = await Server.start(t, { web: { origins: ["https://www.example.com"] } });
  const page = await open();
  for (const [path, expected] of [
    [`/v1/rooms/${ROOM}`, [403, "origin_not_allowed"]],
    [`/v1/rooms/${ROOM}/stream`, [403, "origin_not_allowed"]],
    ["/v1/webtransport", [403, "origin_not_allowed"]],
    [`/v1/rooms/${ROOM}%4`, [400, "bad_target"]],
    [`/v1/rooms/${ROOM}?${"x".repeat(5000)}`, [414, "request_line_too_long"]],
  ]) {
    assert.deepEqual(await page.evaluate(read, server.url + path), expected, path);
  }
  const large = { headers: { "content-type": "text/plain" }, body: "x".repeat(70_000) };
  assert.equal(await tap(page, server, large), 413);
  await page.context().close();
});

const url = (server) => `${server.url}/v1/rooms/${ROOM}/reactions`;

/** A site with an empty page. */
async function startSite() {
  const server = createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => new Promise((done) => (server.close(done), server.closeAllConnections()));
  return { origin: `http://127.0.0.1:${server.address().port}`, close };
}

/** A page of the other site. */
async function open() {
  const { page } = await openPage(browser);
  await page.goto(site.origin);
  return page;
}

/** The status of the answer to a tap, or the name of the error that the page sees instead. */
function tap(page, server, options) {
  return page.evaluate(
    ([url, options]) => fetch(url, options).then(({ status }) => status, ({ name }) => name),
    [url(server), { method: "POST", body: TAP, ...options }],
  );
}

function sendBeacons([url, tap, types]) {
  const body = (type) => (type === "text/plain" ? tap : new Blob([tap], { type }));
  return types.every((type) => navigator.sendBeacon(url, body(type)));
}

async function read(url) {
  const answer = await fetch(url);
  return [answer.status, (await answer.json()).code];
}
