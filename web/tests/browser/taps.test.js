// The page on a server that is well: it loads without complaint, and taps made on it are counted and shown, each once.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, openPage } from "./chromium.js";
import { Frames } from "./frames.js";
import { Screen } from "./screen.js";
import { PALETTE, ROOM, Server } from "./server.js";

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

    test("taps at the very end of a page's connection are counted, and none of them is told as lost", async (t) => {
      const server = await Server.start(t);
      const frames = await Frames.of(t, server);
      const { page, context } = await openPage(browser);
      await page.goto(`${server.url}/page.css`);
      await page.evaluate(tapAndClose, { url: server.url, room: ROOM, transport });
      const sum = await frames.sumUntil(PALETTE, ({ fire, goal, clap }) => fire + goal + clap >= 30);
      assert.deepEqual(sum, { fire: 10, heart: 0, goal: 10, clap: 10 });
      // The one that is left is the stream of `frames`.
      while ((await subscribers(server)) > 1);
      assert.deepEqual(await page.evaluate(() => globalThis.refused), []);
      await context.close();
    });

    test("more taps at once than the server takes by default are counted, all of them", async (t) => {
      const server = await Server.start(t, { limits: {} });
      const frames = await Frames.of(t, server);
      const screen = await Screen.open(browser, server, { query });
      await screen.connected(transport);
      await screen.page.evaluate(async (transport) => {
        const { Uproar } = await import("./uproar.js");
        new Uproar({ url: location.origin, room: 1, transport }).react("fire", 7_001);
      }, transport);
      const sum = await frames.sumUntil(PALETTE, ({ fire }) => fire >= 7_001);
      assert.deepEqual(sum, { fire: 7_001, heart: 0, goal: 0, clap: 0 });
      const proto = transport === "sse" ? "http" : "webtransport";
      assert.equal(await server.metric(`uproar_rejected_total{proto="${proto}",reason="too_many_taps"}`), 0);
      assert.deepEqual(screen.complaints, []);
      await screen.close();
    });

    test("taps of a page that is left at once are counted", async (t) => {
      const server = await Server.start(t);
      const frames = await Frames.of(t, server);
      const screen = await Screen.open(browser, server, { query });
      await screen.connected(transport);
      await screen.page.evaluate(() => {
        for (const name of ["fire", "goal", "fire"]) document.querySelector(`#buttons [title=${name}]`).click();
        location.href = "about:blank";
      });
      const sum = await frames.sumUntil(PALETTE, ({ fire, goal }) => fire + goal >= 3);
      assert.deepEqual(sum, { fire: 2, heart: 0, goal: 1, clap: 0 });
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

test("a page that comes to a quiet room does not show its last noise as what is felt now", async (t) => {
  const windowMs = 250;
  const server = await Server.start(t, { windowMs });
  await server.tap({ emoji: "goal", count: 41 });
  const newest = async () => (await fetch(`${server.url}/v1/rooms/${ROOM}/frame`)).json();
  let frame = await newest();
  while (frame.total !== 41) frame = await newest();
  // Nobody watches, so that no frame follows it.
  while (Date.now() < frame.start_ms + 6 * windowMs) await newest();
  assert.equal((await newest()).window, frame.window);
  const screen = await Screen.open(browser, server);
  await screen.connected("webtransport");
  await server.tap({ emoji: "goal", count: 7 });
  await screen.hasShown(7);
  const shown = await screen.framesShown();
  assert.deepEqual(shown.filter(({ total }) => total > 0).map(({ total }) => total), [7]);
  assert.deepEqual(screen.complaints, []);
  await screen.close();
});

async function subscribers(server) {
  const of = (proto) => server.metric(`uproar_subscribers{proto="${proto}"}`);
  return (await of("webtransport")) + (await of("http"));
}

/** Runs in the page: 10 times three taps, after which it closes at once; `refused` is what it was told of. */
async function tapAndClose(options) {
  const { Uproar } = await import("./uproar.js");
  globalThis.refused = [];
  const turns = Array.from({ length: 10 }, async () => {
    const uproar = new Uproar(options);
    uproar.addEventListener("refused", ({ detail }) => globalThis.refused.push(detail.code));
    while (uproar.state.phase !== "open") await new Promise((done) => uproar.addEventListener("state", done, { once: true }));
    for (const name of ["fire", "goal", "clap"]) uproar.react(name);
    uproar.close();
  });
  await Promise.all(turns);
}

/** Presses Tab until an element has the focus. */
async function tabTo(page, element) {
  for (let stop = 0; stop < 30; stop += 1) {
    await page.keyboard.press("Tab");
    if (await element.evaluate((element) => element === document.activeElement)) return;
  }
  assert.fail("Tab does not lead there");
}
