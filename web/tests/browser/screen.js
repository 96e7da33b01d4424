// The page as a viewer has it: what it shows, and where one taps. All that tests know of its elements is here.
//
// Invariant: what is read is what is on the page, never what the SDK or the server say beside it.

import { openPage } from "./chromium.js";
import { ROOM } from "./server.js";

/** Runs in the page before anything of it: keeps every frame that it has shown, with the time when it did. */
function keepFramesShown() {
  globalThis.framesShown = [];
  const keep = () => {
    const [window, total] = [document.body.dataset.window, document.body.dataset.total].map(Number);
    const last = globalThis.framesShown.at(-1);
    // Who comes back is sent the newest frame again; a process that follows another has one of its own of that window.
    if (window && (window !== last?.window || total !== last.total)) {
      globalThis.framesShown.push({ window, total, atMs: Date.now() });
    }
  };
  addEventListener("DOMContentLoaded", () => {
    new MutationObserver(keep).observe(document.body, { attributeFilter: ["data-window", "data-total"] });
  });
}

/** The page of a room, open. */
export class Screen {
  /** Opens the page; what `prepare` does comes before it loads. */
  static async open(browser, server, { query = `room=${ROOM}`, prepare = async () => {}, ...options } = {}) {
    const screen = new Screen();
    Object.assign(screen, await openPage(browser, options));
    await screen.page.addInitScript(keepFramesShown);
    await prepare(screen.page);
    await screen.page.goto(`${server.url}/?${query}`);
    return screen;
  }

  /** Waits until frames come by a transport. */
  async connected(transport) {
    await this.page.waitForFunction(
      (transport) => {
        const shown = document.body.dataset;
        return shown.phase === "open" && shown.transport === transport && shown.window !== "";
      },
      transport,
    );
  }

  /** Waits for a phase. */
  async phase(phase) {
    await this.page.waitForFunction((phase) => document.body.dataset.phase === phase, phase);
  }

  /** The button of an emoji. */
  button(name) {
    return this.page.locator("#buttons").getByRole("button", { name });
  }

  /** Frames that were shown: window, total, time. */
  framesShown() {
    return this.page.evaluate(() => globalThis.framesShown);
  }

  /** Waits until the frames shown hold so many taps. */
  async hasShown(taps) {
    const shown = (taps) => globalThis.framesShown.reduce((sum, { total }) => sum + total, 0) >= taps;
    await this.page.waitForFunction(shown, taps);
  }

  /** Taps that the viewer is told to have made. */
  async ownTaps() {
    return Number(await this.page.locator("body").getAttribute("data-own-taps"));
  }

  /** Leaves the page. */
  close() {
    return this.context.close();
  }
}
