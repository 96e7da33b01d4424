// The page on a server that is well: it loads without complaint, and taps made on it are counted and shown, each once.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch } from "./chromium.js";
import { Frames } from "./frames.js";
import { Screen } from "./screen.js";
import { PALETTE, Server } from "./server.js";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

test("the page connects by WebTransport, with the hash of the development certificate", async (t) => {
  const server = await Server.start(t);
  const screen = await Screen.open(browser, server);
  await screen.connected("webtransport");
  assert.equal(await server.metric('uproar_subscribers{proto="webtransport"}'), 1);
  assert.deepEqual(await screen.page.locator("#buttons button").count(), PALETTE.length);
  assert.deepEqual(screen.complaints, []);
});

for (const transport of ["webtransport", "sse"]) {
  describe(`by ${transport}`, () => {
    const query = `room=1&transport=${transport}`;

    test("clicks are counted, and shown in the frames that hold them", async (t) => {
      const server = await Server.start(t);
      const frames = await Frames.of(t, server);
      const screen = await Screen.open(browser, server, { query });
      await screen.connected(transport);
      await screen.button(/goal/i).click();
      for (let tap = 0; tap < 5; tap += 1) await screen.button(/fire/i).click();
      const sum = await frames.sumUntil(PALETTE, ({ fire, goal }) => fire + goal >= 6);
      assert.deepEqual(sum, { fire: 5, heart: 0, goal: 1, clap: 0 });
      await screen.hasShown(6);
      const taps = (await screen.framesShown()).filter(({ total }) => total > 0);
      assert.deepEqual(
        taps.map(({ window, total }) => [window, total]),
        [...frames.totals].filter(([, total]) => total > 0),
        "what is on screen is what the server has sent, window by window",
      );
      assert.equal(await screen.ownTaps(), 6);
      assert.deepEqual(screen.complaints, []);
      const proto = transport === "sse" ? "http" : "webtransport";
      assert.equal(await server.metric(`uproar_reactions_total{proto="${proto}"}`), 6);
      await screen.close();
    });

    test("taps of others are shown", async (t) => {
      const server = await Server.start(t);
      const screen = await Screen.open(browser, server, { query });
      await screen.connected(transport);
      await server.tap([{ emoji: "heart", count: 40_000 }, { emoji: "clap", count: 2_000 }]);
      await screen.hasShown(42_000);
      const taps = (await screen.framesShown()).reduce((sum, { total }) => sum + total, 0);
      assert.equal(taps, 42_000);
      assert.equal(await screen.ownTaps(), 0);
      assert.deepEqual(screen.complaints, []);
      await screen.close();
    });
  });
}

test("a keyboard is enough to tap", async (t) => {
  const server = await Server.start(t);
  const frames = await Frames.of(t, server);
  const screen = await Screen.open(browser, server);
  await screen.connected("webtransport");
  await tabTo(screen.page, screen.button(/fire/i));
  await screen.page.keyboard.press("Enter");
  await screen.page.keyboard.press("Space");
  await tabTo(screen.page, screen.button(/heart/i));
  await screen.page.keyboard.press("Enter");
  const sum = await frames.sumUntil(PALETTE, ({ fire, heart }) => fire + heart >= 3);
  assert.deepEqual(sum, { fire: 2, heart: 1, goal: 0, clap: 0 });
  await screen.hasShown(3);
  assert.deepEqual(screen.complaints, []);
});

test("two pages see each other's taps, each by its own way", async (t) => {
  const server = await Server.start(t);
  const screens = [];
  for (const transport of ["webtransport", "sse"]) {
    const screen = await Screen.open(browser, server, { query: `room=1&transport=${transport}` });
    await screen.connected(transport);
    screens.push(screen);
  }
  for (const screen of screens) await screen.button(/clap/i).click();
  for (const screen of screens) {
    await screen.hasShown(2);
    assert.equal(await screen.ownTaps(), 1);
    await screen.close();
  }
});

/** Presses Tab until an element has the focus. */
async function tabTo(page, element) {
  for (let stop = 0; stop < 30; stop += 1) {
    await page.keyboard.press("Tab");
    if (await element.evaluate((element) => element === document.activeElement)) return;
  }
  assert.fail("Tab does not lead there");
}
