// Behind a proxy that has the node below a path: the pages load, watch, tap and edit there, and ask for nothing outside.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request as send } from "node:http";
import { after, before, describe, test } from "node:test";
import { launch, openPage } from "./chromium.js";
import { Frames } from "./frames.js";
import { Screen } from "./screen.js";
import { PALETTE, ROOM, Server } from "./server.js";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

describe("below a path", () => {
  for (const transport of ["webtransport", "sse"]) {
    test(`the page watches and taps by ${transport}`, async (t) => {
      const server = await Server.start(t);
      const proxy = await Proxy.start(t, { "/live/": server.listen.http });
      const frames = await Frames.of(t, server);
      const screen = await Screen.open(browser, { url: `${proxy.origin}/live` }, { query: `room=1&transport=${transport}` });
      await screen.connected(transport);
      await screen.button(/fire/i).click();
      const sum = await frames.sumUntil(PALETTE, ({ fire }) => fire >= 1);
      assert.deepEqual(sum, { fire: 1, heart: 0, goal: 0, clap: 0 });
      await screen.hasShown(1);
      assert.deepEqual([screen.complaints, proxy.outside], [[], []]);
      await screen.close();
    });
  }

  test("the page of no room leads to one", async (t) => {
    const server = await Server.start(t);
    const proxy = await Proxy.start(t, { "/live/": server.listen.http });
    const screen = await Screen.open(browser, { url: `${proxy.origin}/live` }, { query: "room=999" });
    await screen.page.locator("#lost").waitFor();
    await screen.page.getByLabel("Room number").fill(String(ROOM));
    await screen.page.keyboard.press("Enter");
    await screen.connected("webtransport");
    assert.equal(new URL(screen.page.url()).pathname, "/live/");
    assert.deepEqual(proxy.outside, []);
    await screen.close();
  });

  test("a page elsewhere on the site uses the SDK and the node below its path", async (t) => {
    const server = await Server.start(t);
    const proxy = await Proxy.start(t, { "/deep/er/live/": server.listen.http });
    const { page, context } = await openPage(browser);
    const url = `${proxy.origin}/deep/er/live`;
    await page.goto(`${url}/page.css`);
    assert.equal(await page.evaluate(watchAndTap, [url, ROOM]), 3);
    assert.deepEqual(proxy.outside, []);
    await context.close();
  });

  test("the admin page shows figures, and makes a room", async (t) => {
    const server = await Server.start(t);
    const proxy = await Proxy.start(t, { "/ops/node1/": server.listen.admin });
    const { page, context, complaints } = await openPage(browser);
    await page.goto(`${proxy.origin}/ops/node1/`);
    await page.locator("body[data-node=ready]").waitFor();
    await page.locator("#edit [name=id]").fill("77");
    await page.locator("#edit [name=name]").fill("Semi-final");
    await page.locator("#edit [name=palette]").fill("fire 🔥");
    await page.getByRole("button", { name: "Create" }).click();
    await page.locator("#list tbody tr", { hasText: "Semi-final" }).waitFor();
    assert.deepEqual((await server.rooms()).map(({ id }) => id), [ROOM, 77]);
    assert.deepEqual([complaints, proxy.outside], [[], []]);
    await context.close();
  });
});

/** Runs in the page: the taps of the first frames that hold three. */
async function watchAndTap([url, room]) {
  const { Uproar } = await import(`${url}/uproar.js`);
  const uproar = new Uproar({ url, room });
  uproar.react("fire", 3);
  let taps = 0;
  for await (const { total } of uproar) if ((taps += Number(total)) >= 3) break;
  uproar.close();
  return taps;
}

/** A proxy that takes each prefix away and hands on the rest, as `proxy_pass http://node/` does; nothing else is there. */
class Proxy {
  /** Paths asked for outside of all prefixes, but for the icon that browsers ask for by themselves. */
  outside = [];

  static async start(test, prefixes) {
    const proxy = new Proxy();
    const server = createServer((request, response) => {
      const prefix = Object.keys(prefixes).find((prefix) => request.url.startsWith(prefix));
      if (!prefix) {
        if (request.url !== "/favicon.ico") proxy.outside.push(request.url);
        return response.writeHead(404).end();
      }
      const [host, port] = prefixes[prefix].split(":");
      const { method, headers } = request;
      const onward = send({ host, port, method, headers, path: request.url.slice(prefix.length - 1) });
      onward.on("response", (answer) => answer.pipe(response.writeHead(answer.statusCode, answer.headers)));
      onward.on("error", () => response.destroy());
      response.on("close", () => onward.destroy());
      request.pipe(onward);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    test.after(() => (server.close(), server.closeAllConnections()));
    proxy.origin = `http://127.0.0.1:${server.address().port}`;
    return proxy;
  }
}
