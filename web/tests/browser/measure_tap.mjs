// How long from a tap in the browser to its effect on screen, by each way in? Hoped for: at most a window and 300 ms.
//
//   UPROAR_SERVER=target/release/uproar node web/tests/browser/measure_tap.mjs [taps [window in ms]]
//
// From the pointer's event to the first frame of animation after the page shows the window that holds the tap. Taps are
// spread evenly over the window, as viewers' are. Exits with 1 when the slowest takes longer than that.

import { launch } from "./chromium.js";
import { Screen } from "./screen.js";
import { Server } from "./server.js";

const SLACK_MS = 300;
const [taps = 20, windowMs = 1000] = process.argv.slice(2).map(Number);

const ends = [];
const script = { after: (end) => ends.push(end) };
try {
  const browser = await launch();
  script.after(() => browser.close());
  const server = await Server.start(script, { windowMs });
  const slowest = [];
  for (const transport of ["webtransport", "sse"]) slowest.push(await measure(browser, server, transport));
  process.exitCode = Math.max(...slowest) > windowMs + SLACK_MS ? 1 : 0;
} finally {
  for (const end of ends.reverse()) await end();
}

async function measure(browser, server, transport) {
  const screen = await Screen.open(browser, server, { query: `room=1&transport=${transport}` });
  await screen.connected(transport);
  await screen.page.evaluate(keepTimes);
  for (let tap = 0; tap < taps; tap += 1) {
    // From the effect of the last tap on, which is the beginning of a window.
    await new Promise((done) => setTimeout(done, (windowMs * tap) / taps));
    await screen.button(/fire/i).click();
    await screen.page.waitForFunction((tap) => globalThis.tookMs.length > tap, tap);
  }
  const sorted = (await screen.page.evaluate(() => globalThis.tookMs)).sort((a, b) => a - b);
  await screen.close();
  const [p50, max] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted.at(-1)];
  const verdict = max <= windowMs + SLACK_MS ? "holds" : "DOES NOT HOLD";
  console.log(
    `${transport.padEnd(12)} ${taps} taps, window ${windowMs} ms: p50 ${p50.toFixed(0)} ms, max ${max.toFixed(0)} ms ` +
      `(at most ${windowMs + SLACK_MS} ms: ${verdict})`,
  );
  return max;
}

/** Runs in the page: for each tap, when it came and when a frame with taps was on screen. */
function keepTimes() {
  globalThis.tookMs = [];
  let tappedAtMs;
  addEventListener("pointerdown", ({ timeStamp }) => (tappedAtMs = timeStamp), { capture: true });
  new MutationObserver(() => {
    if (document.body.dataset.total === "0") return;
    requestAnimationFrame(() => globalThis.tookMs.push(performance.now() - tappedAtMs));
  }).observe(document.body, { attributeFilter: ["data-window"] });
}
