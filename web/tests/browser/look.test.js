// Whether everybody can use the pages: on a phone, without motion, with a screen reader, in both themes.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { launch, openPage } from "./chromium.js";
import { Screen } from "./screen.js";
import { Server } from "./server.js";

const PHONE = { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true };
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

describe("the page", () => {
  for (const colorScheme of ["light", "dark"]) {
    test(`has no serious obstacles in the ${colorScheme} theme`, async (t) => {
      // Windows so long that nothing changes while the page is looked at.
      const server = await Server.start(t, { windowMs: 3000 });
      const screen = await Screen.open(browser, server, { colorScheme });
      await screen.connected("webtransport");
      await server.tap([{ emoji: "fire", count: 300 }, { emoji: "heart", count: 80 }, { emoji: "clap" }]);
      await screen.hasShown(381);
      assert.deepEqual(await obstacles(screen.page), []);
      await screen.close();
    });
  }

  test("has no serious obstacles where it has lost its room", async (t) => {
    const screen = await Screen.open(browser, await Server.start(t), { query: "room=999" });
    await screen.page.locator("#lost").waitFor();
    assert.deepEqual(await obstacles(screen.page), []);
    await screen.close();
  });

  test("names every button", async (t) => {
    const screen = await Screen.open(browser, await Server.start(t));
    await screen.connected("webtransport");
    for (const button of await screen.page.getByRole("button").all()) {
      const snapshot = await button.ariaSnapshot();
      assert.match(snapshot, /button "[^"]*\p{Letter}[^"]*"/u, "a name that can be read out");
    }
    await screen.close();
  });

  test("fits a phone's width, and is tapped there by touch", async (t) => {
    const screen = await Screen.open(browser, await played(t), PHONE);
    await screen.connected("webtransport");
    await screen.hasShown(1);
    assert.equal(await overhang(screen.page), 0);
    for (const button of await screen.page.locator("#buttons button").all()) {
      const { width, height } = await button.boundingBox();
      assert(Math.min(width, height) >= 44, `a button of ${width} x ${height} is hard to hit`);
    }
    await screen.button(/fire/i).tap();
    await screen.page.waitForFunction(() => document.body.dataset.ownTaps === "1");
    assert.deepEqual(screen.complaints, []);
    await screen.close();
  });

  test("moves nothing for who asks for less motion", async (t) => {
    const server = await Server.start(t);
    const screen = await Screen.open(browser, server, { reducedMotion: "reduce" });
    await screen.connected("webtransport");
    await server.tap({ emoji: "fire", count: 50_000 });
    await screen.hasShown(50_000);
    await screen.button(/heart/i).click();
    await screen.hasShown(50_001);
    assert.deepEqual(await screen.page.evaluate(whatMoves), []);
    assert.equal(await screen.page.evaluate(isBlank, "#sky"), true);
    assert.equal(await screen.page.evaluate(isBlank, "#front"), true);
    assert.deepEqual(screen.complaints, []);
    await screen.close();
  });
});

describe("the admin page", () => {
  for (const colorScheme of ["light", "dark"]) {
    test(`has no serious obstacles in the ${colorScheme} theme`, async (t) => {
      const server = await Server.start(t);
      const { page, context } = await openPage(browser, { colorScheme });
      await page.goto(server.adminUrl);
      await page.locator("body[data-node=ready]").waitFor();
      assert.deepEqual(await obstacles(page), []);
      await context.close();
    });
  }

  test("fits a phone's width", async (t) => {
    const server = await Server.start(t);
    const { page, context } = await openPage(browser, PHONE);
    await page.goto(server.adminUrl);
    await page.locator("body[data-node=ready]").waitFor();
    assert.equal(await overhang(page), 0);
    await context.close();
  });
});

/** Runs in the page: properties that animations and transitions change, but for how opaque or coloured something is. */
function whatMoves() {
  const still = /^(offset|computedOffset|easing|composite|opacity|.*color|fill|stroke)$/i;
  const frames = document.getAnimations().flatMap(({ effect }) => effect.getKeyframes());
  return frames.flatMap(Object.keys).filter((property) => !still.test(property));
}

/** Runs in the page: what fades in has done so. */
function endMotion() {
  const finite = (animation) => animation.effect.getComputedTiming().endTime !== Infinity;
  for (const animation of document.getAnimations().filter(finite)) animation.finish();
}

/** Runs in the page: whether nothing is drawn on a canvas. */
function isBlank(selector) {
  const canvas = document.querySelector(selector);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.every((byte) => byte === 0);
}

/** A server in whose room somebody taps. */
async function played(test) {
  const server = await Server.start(test);
  const stop = new AbortController();
  const playing = play(server, stop.signal);
  test.after(() => (stop.abort(), playing));
  return server;
}

async function play(server, stop) {
  while (!stop.aborted) {
    await server.tap([{ emoji: "fire", count: 300 }, { emoji: "heart", count: 80 }, { emoji: "clap" }]).catch(() => {});
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** Pixels by which the page is wider than the screen. */
function overhang(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** What axe finds to be serious or worse. */
async function obstacles(page) {
  // By the debugger and not as an element, which the content security policy forbids.
  await page.evaluate(axe);
  await page.evaluate(endMotion);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`));
}
