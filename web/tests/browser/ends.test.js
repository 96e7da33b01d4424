// What ends under the page: the server, which comes back with another certificate, and the room, which does not.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch } from "./chromium.js";
import { Frames } from "./frames.js";
import { Screen } from "./screen.js";
import { PALETTE, ROOM, Server } from "./server.js";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const CHOICES = [
  ["by itself", "auto", "webtransport"],
  ["by WebTransport", "webtransport", "webtransport"],
  ["by SSE", "sse", "sse"],
];

describe("a page that comes", () => {
  for (const [name, choice, transport] of CHOICES) {
    const query = `room=1&transport=${choice}`;

    test(`${name} comes back after a restart, and taps count`, async (t) => {
      const server = await Server.start(t);
      const screen = await Screen.open(browser, server, { query });
      await screen.connected(transport);
      const before = await hashes(server);
      await server.drain();
      await screen.phase("waiting");
      const next = await server.restarted(t);
      assert.notDeepEqual(await hashes(next), before, "a new certificate for development");
      const frames = await Frames.of(t, next);
      await screen.connected(transport);
      await screen.button(/fire/i).click();
      const sum = await frames.sumUntil(PALETTE, ({ fire }) => fire >= 1);
      assert.deepEqual(sum, { fire: 1, heart: 0, goal: 0, clap: 0 });
      await screen.hasShown(1);
      await screen.close();
    });

    test(`${name} sends the taps made while the server was away`, async (t) => {
      const server = await Server.start(t);
      const screen = await Screen.open(browser, server, { query });
      await screen.connected(transport);
      await server.kill();
      await screen.phase("waiting");
      await screen.button(/fire/i).click();
      await server.restarted(t);
      await screen.hasShown(1);
      assert.equal(await screen.ownTaps(), 1);
      await screen.close();
    });

    test(`${name} comes back after a crash`, async (t) => {
      const server = await Server.start(t);
      const screen = await Screen.open(browser, server, { query });
      await screen.connected(transport);
      await server.kill();
      const next = await server.restarted(t);
      let isBack = false;
      // Taps go on until then: a frame from before it is back is old by the time it is.
      const tapping = (async () => {
        while (!isBack) await next.tap({ emoji: "goal" });
      })();
      await screen.hasShown(7).finally(() => (isBack = true));
      await tapping;
      await screen.connected(transport);
      await screen.close();
    });

    test(`${name} shows that its room was deleted`, async (t) => {
      const server = await Server.start(t);
      const screen = await Screen.open(browser, server, { query });
      await screen.connected(transport);
      await server.deleteRoom(ROOM);
      await screen.page.locator("#lost").waitFor();
      assert(await screen.page.locator("#room").isHidden());
      await screen.page.locator("#lost h2").click();
      await screen.page.keyboard.press("1");
      assert.equal(await screen.ownTaps(), 0, "keys of buttons that are not there");
      await screen.close();
    });

    test(`${name} shows the emoji of a room that was replaced`, async (t) => {
      const server = await Server.start(t);
      const screen = await Screen.open(browser, server, { query });
      await screen.connected(transport);
      await server.putRoom(ROOM, { name: "Second half", palette: [...PALETTE, { name: "party", glyph: "🎉" }] });
      await screen.button(/party/i).click();
      await screen.hasShown(1);
      assert.equal(await screen.page.locator("h1").textContent(), "Second half");
      await screen.close();
    });
  }
});

test("a page draws nothing outside when windows are longer after a restart", async (t) => {
  const server = await Server.start(t, { windowMs: 250 });
  const screen = await Screen.open(browser, server);
  await screen.connected("webtransport");
  await server.tap({ emoji: "goal" });
  await screen.hasShown(1);
  const last = (await screen.framesShown()).at(-1).window;
  await server.drain();
  await server.restarted(t, { windowMs: 1000 });
  await screen.page.waitForFunction((last) => Number(document.body.dataset.window) < last, last);
  const places = (await screen.page.locator("#line").getAttribute("d")).match(/[\d.-]+(?= )/g).map(Number);
  assert(places.every((place) => place >= 0 && place <= 100), `${places}`);
  await screen.close();
});

test("a page of no room leads to one", async (t) => {
  const server = await Server.start(t);
  const screen = await Screen.open(browser, server, { query: "room=999" });
  await screen.page.locator("#lost").waitFor();
  await screen.page.getByLabel("Room number").fill(String(ROOM));
  await screen.page.keyboard.press("Enter");
  await screen.connected("webtransport");
  assert.equal(new URL(screen.page.url()).searchParams.get("room"), "1");
});

async function hashes(server) {
  return (await (await fetch(`${server.url}/v1/webtransport`)).json()).certificate_hashes;
}
