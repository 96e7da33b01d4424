// Pictures of both pages in both themes, on a desk and on a phone, in the middle of a match; for people to look at.
//
//   UPROAR_SERVER=target/release/uproar node web/tests/browser/screenshots.mjs FOLDER

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { launch, openPage } from "./chromium.js";
import { Screen } from "./screen.js";
import { Server } from "./server.js";

const SIZES = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};
const NAMES = { fire: "🔥", goal: "⚽", clap: "👏", heart: "❤️", party: "🎉", cry: "😭", shock: "😱", whistle: "📣" };
const THEMES = ["light", "dark"];
const WINDOWS = 12;
const WINDOW_MS = 500;

const [folder] = process.argv.slice(2);
if (!folder) throw new Error("usage: node screenshots.mjs FOLDER");
await mkdir(folder, { recursive: true });

const ends = [];
const script = { after: (end) => ends.push(end) };
try {
  const browser = await launch();
  script.after(() => browser.close());
  const server = await Server.start(script, { windowMs: WINDOW_MS });
  const palette = Object.entries(NAMES).map(([name, glyph]) => ({ name, glyph }));
  await server.putRoom(1, { name: "Cup final, second half", palette });
  await server.putRoom(2, { name: "Cricket", palette: palette.slice(0, 5) });
  playMatch(server);
  for (const [size, options] of Object.entries(SIZES)) {
    for (const colorScheme of THEMES) {
      const to = (name) => join(folder, `${name}-${colorScheme}-${size}.png`);
      await pictureOfPage(browser, server, { ...options, colorScheme }, to);
      await pictureOfLostRoom(browser, server, { ...options, colorScheme }, to);
      await pictureOfAdmin(browser, server, { ...options, colorScheme }, to);
    }
  }
} finally {
  for (const end of ends.reverse()) await end();
}

/** Taps that swell and ebb, with one emoji after the other in front. */
function playMatch(server) {
  let tick = 0;
  const tap = () => {
    tick += 1;
    const wave = 1 + Math.sin(tick / 9);
    const [ebb, quick] = [2 - wave, 1 + Math.sin(tick / 4)];
    const counts = {
      ...{ fire: 900 * wave, goal: 300 * wave * wave, clap: 220, heart: 130 * ebb },
      ...{ party: 90 * quick, cry: 40 * ebb, shock: 60 * quick * wave, whistle: 12 },
    };
    const reactions = Object.entries(counts).map(([emoji, count]) => ({ emoji, count: 1 + Math.round(count) }));
    server.tap(reactions).catch(() => {});
  };
  const timer = setInterval(tap, WINDOW_MS / 5);
  script.after(() => clearInterval(timer));
}

async function pictureOfPage(browser, server, options, to) {
  const screen = await Screen.open(browser, server, options);
  await screen.connected("webtransport");
  await screen.page.waitForFunction((windows) => globalThis.framesShown.length >= windows, WINDOWS);
  for (let tap = 0; tap < 3; tap += 1) await screen.button(/heart/i).click();
  // Rows that change places are pictured where they arrive.
  await screen.page.screenshot({ path: to("page"), animations: "disabled" });
  await screen.close();
}

async function pictureOfLostRoom(browser, server, options, to) {
  const screen = await Screen.open(browser, server, { ...options, query: "room=999" });
  await screen.page.locator("#lost").waitFor();
  await screen.page.screenshot({ path: to("lost") });
  await screen.close();
}

async function pictureOfAdmin(browser, server, options, to) {
  const viewers = await Promise.all(["webtransport", "sse"].map((transport) => {
    return Screen.open(browser, server, { query: `room=1&transport=${transport}` });
  }));
  const { page, context } = await openPage(browser, options);
  await page.goto(server.adminUrl);
  await page.waitForFunction(() => Number.parseFloat(document.querySelector('[data-figure="taps.peak"]').textContent) > 0);
  // A few points of the sparklines.
  for (let poll = 0; poll < 6; poll += 1) await page.waitForResponse((answer) => answer.url().endsWith("/metrics"));
  await page.screenshot({ path: to("admin"), fullPage: true });
  await Promise.all([context.close(), ...viewers.map((viewer) => viewer.close())]);
}
