// How the pages are served: small, from one origin, cached as little as they change, and not at all when switched off.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Server } from "./server.js";

const PAGE = ["/", "/page.css", "/page.js", "/sky.js", "/theme.css", "/uproar.js"];
const ADMIN = ["/", "/admin.css", "/admin-metrics.js", "/admin-rooms.js", "/admin.js", "/theme.css"];
const WHOLE_PAGE_BYTES_MAX = 65_536;

describe("the pages", () => {
  test("come with a policy that allows nothing from elsewhere and nothing inline", async (t) => {
    const server = await Server.start(t);
    for (const url of [server.url, server.adminUrl]) {
      const answer = await fetch(url);
      assert.equal(answer.status, 200);
      assert.match(answer.headers.get("content-type"), /^text\/html; *charset=utf-8$/i);
      const policy = answer.headers.get("content-security-policy");
      assert.match(policy, /default-src 'self'/);
      assert.doesNotMatch(policy, /unsafe/);
      assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    }
  });

  test("and all that the first of them needs are small", async (t) => {
    const server = await Server.start(t);
    const seen = new Set();
    let bytes = 0;
    const visit = async (path) => {
      if (seen.has(path)) return;
      seen.add(path);
      const answer = await fetch(server.url + path);
      assert.equal(answer.status, 200, path);
      const text = await answer.text();
      bytes += Buffer.byteLength(text);
      for (const [, next] of text.matchAll(/(?:href="|src="|from ")([\w./-]+\.(?:css|js))"/g)) {
        assert(!next.startsWith("/"), `${path} needs ${next}, which is elsewhere behind a proxy that has it below a path`);
        await visit(new URL(next, server.url + path).pathname);
      }
    };
    await visit("/");
    for (const path of PAGE) assert(seen.has(path), `${path} is not used`);
    assert(bytes < WHOLE_PAGE_BYTES_MAX, `${bytes} bytes: ${[...seen]}`);
  });

  test("are not there when they are switched off", async (t) => {
    const server = await Server.start(t, { web: { page: false } });
    for (const url of [...PAGE.map((path) => server.url + path), ...ADMIN.map((path) => server.adminUrl + path)]) {
      assert.equal((await fetch(url)).status, 404, url);
    }
    await server.tap({ emoji: "fire" });
  });
});
