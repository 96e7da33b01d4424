// The admin page on a real node: figures come, rooms are made and deleted, and it says when the node goes away.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, openPage } from "./chromium.js";
import { Screen } from "./screen.js";
import { ROOM, Server } from "./server.js";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

test("figures follow what happens on the node", async (t) => {
  const server = await Server.start(t);
  const { page, complaints, context } = await openAdmin(server);
  assert.equal(await figure(page, "subscribers.total"), "0");
  const screen = await Screen.open(browser, server);
  await screen.connected("webtransport");
  await hasFigure(page, "subscribers.total", "1");
  const taps = tapUntilStopped(t, server);
  await page.waitForFunction(() => {
    const shown = document.querySelector('[data-figure="taps.total"]').textContent;
    return Number.parseFloat(shown) > 0;
  });
  await taps.stop();
  await screen.close();
  await hasFigure(page, "subscribers.total", "0");
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a room is made, and deleted after a question", async (t) => {
  const server = await Server.start(t);
  const { page, complaints, context } = await openAdmin(server);
  await page.locator("#edit [name=id]").fill("77");
  await page.locator("#edit [name=name]").fill("Semi-final");
  await page.locator("#edit [name=palette]").fill("fire 🔥\nclap 👏");
  await page.getByRole("button", { name: "Create" }).click();
  const row = page.locator("#list tbody tr", { hasText: "Semi-final" });
  await row.waitFor();
  assert.deepEqual((await server.rooms()).map(({ id }) => id), [ROOM, 77]);

  await row.getByRole("button", { name: /delete/i }).click();
  await page.getByRole("button", { name: "Keep it" }).click();
  assert.equal((await server.rooms()).length, 2);
  await row.getByRole("button", { name: /delete/i }).click();
  await page.locator("#confirm").getByRole("button", { name: "Delete" }).click();
  await row.waitFor({ state: "detached" });
  assert.deepEqual((await server.rooms()).map(({ id }) => id), [ROOM]);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a room that is put again shows what it retires, and the form puts active emoji only", async (t) => {
  const server = await Server.start(t);
  const { page, complaints, context } = await openAdmin(server);
  const row = page.locator("#list tbody tr", { hasText: "Final" });
  const palette = page.locator("#edit [name=palette]");
  await row.getByRole("button", { name: /edit/i }).click();
  await palette.fill("fire 🔥\nbravo 👏");
  await page.getByRole("button", { name: "Replace" }).click();
  await row.getByText("retired: ❤️ ⚽").waitFor();
  await row.getByRole("button", { name: /edit/i }).click();
  assert.equal(await palette.inputValue(), "fire 🔥\nbravo 👏");
  await palette.fill("fire 🔥\nbravo 👏\nheart ❤");
  await page.getByRole("button", { name: "Replace" }).click();
  await row.getByText("🔥 ❤ 👏").waitFor();
  const [room] = await server.rooms();
  assert.deepEqual(room.palette.map(({ name }) => name), ["fire", "heart", "", "bravo"]);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a room that cannot be is refused with the reason", async (t) => {
  const server = await Server.start(t);
  const { page, context } = await openAdmin(server);
  await page.locator("#edit [name=id]").fill("77");
  await page.locator("#edit [name=name]").fill("Twice");
  await page.locator("#edit [name=palette]").fill("fire 🔥\nfire 👏");
  await page.getByRole("button", { name: "Create" }).click();
  await page.waitForFunction(() => document.querySelector("#problem").textContent !== "");
  assert.equal((await server.rooms()).length, 1);
  await context.close();
});

test("what others do to the rooms shows, and their names are text", async (t) => {
  const server = await Server.start(t);
  const { page, complaints, context } = await openAdmin(server);
  const name = "<img src=x onerror=alert(1)>";
  await server.putRoom(5, { name, palette: [{ name: "<b>", glyph: "👏" }] });
  await page.locator("#list tbody tr", { hasText: name }).waitFor();
  assert.equal(await page.locator("#list img, #list b").count(), 0);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("the page says that the node drains, and then that it is gone", async (t) => {
  const server = await Server.start(t, { drainMs: 60_000 });
  const { page, context } = await openAdmin(server);
  server.sendSigterm();
  await page.locator("body[data-node=draining]").waitFor();
  assert.match(await page.locator("#state").textContent(), /drain/i);
  await server.kill();
  await page.locator("body[data-node=unreachable]").waitFor();
  await context.close();
});

async function openAdmin(server) {
  const opened = await openPage(browser);
  await opened.page.goto(server.adminUrl);
  await opened.page.locator("body[data-node=ready]").waitFor();
  return opened;
}

function figure(page, name) {
  return page.locator(`[data-figure="${name}"]`).first().textContent();
}

function hasFigure(page, name, value) {
  const shown = ([name, value]) => document.querySelector(`[data-figure="${name}"]`).textContent === value;
  return page.waitForFunction(shown, [name, value]);
}

/** Taps on and on, as rates are of a time in which somebody taps. */
function tapUntilStopped(test, server) {
  let stopped = false;
  const tapping = (async () => {
    while (!stopped) await server.tap({ emoji: "fire" });
  })();
  const stop = () => ((stopped = true), tapping);
  test.after(stop);
  return { stop };
}
