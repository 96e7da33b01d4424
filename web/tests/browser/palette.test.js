// Rooms whose emoji are no emoji: images of another site, words, and names that would be elements if they were not text.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { launch } from "./chromium.js";
import { Frames } from "./frames.js";
import { Screen } from "./screen.js";
import { PALETTE, ROOM, Server } from "./server.js";

const BADGE = `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><circle cx="20" cy="20" r="20" fill="green"/></svg>`;

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

test("images of another site are shown and tapped", async (t) => {
  const site = createServer((_, response) => response.writeHead(200, { "content-type": "image/svg+xml" }).end(BADGE));
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  t.after(() => (site.close(), site.closeAllConnections()));
  const palette = [{ name: "badge", glyph: `http://127.0.0.1:${site.address().port}/badge.svg` }];
  const server = await Server.start(t);
  await server.putRoom(ROOM, { name: "Badges", palette });
  const frames = await Frames.of(t, server);
  const screen = await Screen.open(browser, server);
  await screen.connected("webtransport");
  await screen.page.waitForFunction(() => document.querySelector("#buttons img")?.naturalWidth > 0);
  await screen.button(/badge/).click();
  assert.deepEqual(await frames.sumUntil(palette, ({ badge }) => badge >= 1), { badge: 1 });
  await screen.page.waitForFunction(() => document.querySelector("#bars img")?.naturalWidth > 0);
  assert.deepEqual(screen.complaints, []);
});

test("an image that is not there costs nothing but itself", async (t) => {
  const server = await Server.start(t);
  const palette = [{ name: "gone", glyph: `${server.url}/gone.png` }, { name: "fire", glyph: "🔥" }];
  await server.putRoom(ROOM, { name: "Half", palette });
  const screen = await Screen.open(browser, server);
  await screen.connected("webtransport");
  await screen.button(/gone/).click();
  await screen.button(/fire/).click();
  await screen.hasShown(2);
  assert.deepEqual(screen.complaints.filter((complaint) => !/gone\.png/.test(complaint)), []);
});

test("names and glyphs are text, whatever they say", async (t) => {
  const element = "<img src=x onerror=\"document.title='taken'\">";
  const palette = [{ name: element, glyph: "<b>GOAL</b>" }, { name: "javascript:alert(1)", glyph: "javascript:alert(2)" }];
  const server = await Server.start(t);
  await server.putRoom(ROOM, { name: element, palette });
  const screen = await Screen.open(browser, server);
  await screen.connected("webtransport");
  for (const button of await screen.page.locator("#buttons button").all()) await button.click();
  await screen.hasShown(2);
  assert.equal(await screen.page.locator("h1").textContent(), element);
  assert.equal(await screen.page.locator("main img, main b b, header img").count(), 0);
  assert.notEqual(await screen.page.title(), "taken");
  assert.deepEqual(screen.complaints, []);
});

for (const transport of ["webtransport", "sse"]) {
  test(`a palette that changes under a page that comes by ${transport} changes its buttons, and no tap's emoji`, async (t) => {
    const server = await Server.start(t, { windowMs: 1000 });
    const frames = await Frames.of(t, server);
    const screen = await Screen.open(browser, server, { query: `room=1&transport=${transport}` });
    await screen.connected(transport);
    await screen.button(/heart/).click();
    // The element itself is to stay, with the taps that it shows and whatever finger is on it.
    await screen.page.evaluate(() => (document.querySelector("#buttons [title=heart]").marked = true));
    await screen.page.evaluate(keepRowsShown);
    await server.tap({ emoji: "goal", count: 5 });
    const [fire, heart, goal, clap] = PALETTE;
    await server.putRoom(ROOM, { name: "Second half", palette: [{ name: "party", glyph: "🎉" }, heart, { ...clap, name: "bravo" }, fire] });
    await screen.button(/party/).click();
    const names = await screen.page.locator("#buttons button").evaluateAll((all) => all.map(({ title }) => title));
    assert.deepEqual(names, ["fire", "heart", "bravo", "party"], "in the order of ids, which do not change");
    const kept = await screen.page.evaluate(() => {
      const { marked, dataset } = document.querySelector("#buttons [title=heart]");
      return [marked, dataset.own];
    });
    assert.deepEqual(kept, [true, "1"]);
    // Counts of what is retired are shown, under its glyph.
    await screen.page.waitForFunction((row) => globalThis.rowsShown.has(row), `${goal.glyph} 5`);
    const all = [...PALETTE, { name: "party", glyph: "🎉" }];
    const sum = await frames.sumUntil(all, (sum) => sum.heart + sum.goal + sum.party >= 7);
    assert.deepEqual(sum, { fire: 0, heart: 1, goal: 5, clap: 0, party: 1 });
    assert.deepEqual(screen.complaints, []);
    await screen.close();
  });
}

/** Runs in the page: keeps what its rows have shown, as a row may be gone with the next window. */
function keepRowsShown() {
  globalThis.rowsShown = new Set();
  new MutationObserver(() => {
    for (const row of document.querySelectorAll("#bars li")) {
      globalThis.rowsShown.add(`${row.querySelector(".glyph").textContent} ${row.dataset.count}`);
    }
  }).observe(document.querySelector("#bars"), { subtree: true, childList: true, attributes: true });
}

test("an emoji is tapped with and without its variation selector, as the page's SDK sends it", async (t) => {
  const server = await Server.start(t);
  const frames = await Frames.of(t, server);
  const screen = await Screen.open(browser, server);
  await screen.connected("webtransport");
  await screen.page.evaluate(async () => {
    const { Uproar } = await import("./uproar.js");
    for (const transport of ["webtransport", "sse"]) {
      const uproar = new Uproar({ url: location.origin, room: 1, transport });
      for (const heart of ["❤", "❤\ufe0f", "❤\ufe0e"]) uproar.react(heart);
    }
  });
  const sum = await frames.sumUntil(PALETTE, ({ heart }) => heart >= 6);
  assert.deepEqual(sum, { fire: 0, heart: 6, goal: 0, clap: 0 });
  assert.deepEqual(screen.complaints, []);
});

test("a room of many emoji has a button for each, and all can be reached", async (t) => {
  const palette = Array.from({ length: 120 }, (_, at) => ({ name: `emoji ${at}`, glyph: String.fromCodePoint(0x1f400 + at) }));
  const server = await Server.start(t);
  await server.putRoom(ROOM, { name: "Zoo", palette });
  const frames = await Frames.of(t, server);
  const screen = await Screen.open(browser, server, { viewport: { width: 390, height: 700 }, isMobile: true, hasTouch: true });
  await screen.connected("webtransport");
  assert.equal(await screen.page.locator("#buttons button").count(), palette.length);
  await screen.button("emoji 119").tap();
  const sum = await frames.sumUntil(palette, (sum) => sum["emoji 119"] >= 1);
  assert.equal(Object.values(sum).reduce((sum, count) => sum + count), 1);
  assert.deepEqual(screen.complaints, []);
});
