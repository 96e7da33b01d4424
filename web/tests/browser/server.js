// One server process on free ports of the loopback interface.
//
// Invariant: the process does not outlive the test that started it, nor, where setpriv is, a runner that was killed. Not here: what is asked of the server by a browser.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** The room that most tests play in. */
export const ROOM = 1;

/** What that room's palette has, in the order of ids. */
export const PALETTE = [
  { name: "fire", glyph: "🔥" },
  { name: "heart", glyph: "❤️" },
  { name: "goal", glyph: "⚽" },
  { name: "clap", glyph: "👏" },
];

// What has the kernel end a program with the process that started it: [] where that cannot be asked for.
const SETPRIV = ["/usr/bin/setpriv", "--pdeathsig", "KILL"];
const WITH_US = spawnSync(SETPRIV[0], [...SETPRIV.slice(1), "true"]).status === 0 ? SETPRIV : [];

// Tests tap for crowds; limits that a test does not leave to the server are none.
const NO_LIMITS = { taps_per_record: 65_535, taps_per_request: 65_535 * 1_024 };

const PORTS = ["reactions", "quic", "http", "admin"];
const ANYWHERE = Object.fromEntries(PORTS.map((port) => [port, "127.0.0.1:0"]));

/** A running server. */
export class Server {
  #child;
  #ended;
  #directory;
  /** What it has said on standard error. */
  log = "";

  /**
   * Starts a server that ends with the test at the latest, and waits until it is ready.
   * @param {{ after(end: () => Promise<void>): void }} test
   * @param {{ web?: Record<string, unknown>, windowMs?: number, drainMs?: number, listen?: Record<string, string>,
   *   limits?: Record<string, number> }} [settings]
   */
  static async start(test, { web = {}, windowMs = 1000, drainMs = 0, listen = ANYWHERE, limits = NO_LIMITS } = {}) {
    const program = process.env.UPROAR_SERVER;
    assert(program, "UPROAR_SERVER names the program: run these tests with cargo test --test browser");
    const directory = await mkdtemp(join(tmpdir(), "uproar-"));
    const config = join(directory, "uproar.toml");
    await writeFile(config, toml({ web, windowMs, drainMs, listen, limits }));
    const server = new Server();
    server.#directory = directory;
    // The environment is configuration too.
    const [first, ...rest] = [...WITH_US, program, "serve", "--config", config];
    server.#child = spawn(first, rest, { env: {}, stdio: ["ignore", "pipe", "pipe"] });
    server.#ended = once(server.#child, "exit").then(([code]) => code);
    server.#child.stderr.setEncoding("utf8").on("data", (text) => (server.log += text));
    test.after(() => server.kill());
    server.listen = await server.#readPorts();
    return server;
  }

  /** Starts a server with other settings on the ports of one that has ended. */
  restarted(test, settings = {}) {
    return Server.start(test, { ...settings, listen: this.listen });
  }

  /** Where the page is. */
  get url() {
    return `http://${this.listen.http}`;
  }

  /** Where the admin page is. */
  get adminUrl() {
    return `http://${this.listen.admin}`;
  }

  /** Sends the first SIGTERM. */
  sendSigterm() {
    this.#child.kill("SIGTERM");
  }

  /** Has it drain, and waits for its end. */
  async drain() {
    this.sendSigterm();
    assert.equal(await this.#ended, 0, this.log);
  }

  /** Ends it, if it still runs. */
  async kill() {
    this.#child.kill("SIGKILL");
    await this.#ended;
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Taps as another client does. */
  async tap(reactions, room = ROOM) {
    const answer = await fetch(`${this.url}/v1/rooms/${room}/reactions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(reactions),
    });
    assert.equal(answer.status, 202, await answer.text());
  }

  /** Makes or replaces a room. */
  async putRoom(room, specification) {
    const answer = await fetch(`${this.adminUrl}/v1/rooms/${room}`, { method: "PUT", body: JSON.stringify(specification) });
    assert(answer.ok, await answer.text());
  }

  /** Deletes a room. */
  async deleteRoom(room) {
    const answer = await fetch(`${this.adminUrl}/v1/rooms/${room}`, { method: "DELETE" });
    assert.equal(answer.status, 204, await answer.text());
  }

  /** The rooms, as the admin port lists them. */
  async rooms() {
    return (await fetch(`${this.adminUrl}/v1/rooms`)).json();
  }

  /** The value of a series, such as `uproar_subscribers{proto="http"}`. */
  async metric(series) {
    const text = await (await fetch(`${this.adminUrl}/metrics`)).text();
    const line = text.split("\n").find((line) => line.startsWith(`${series} `));
    assert(line, `${series} is not among the metrics`);
    return Number(line.slice(series.length));
  }

  async #readPorts() {
    const lines = createInterface({ input: this.#child.stdout });
    const listen = {};
    for await (const line of lines) {
      if (line === "ready") {
        // What it says later is not asked for, and must not stop it.
        this.#child.stdout.resume();
        return listen;
      }
      const [word, port, address] = line.split(" ");
      assert(word === "listening" && PORTS.includes(port), `unexpected line: ${line}`);
      listen[port] = address;
    }
    throw new Error(`the server did not come up:\n${this.log}`);
  }
}

function toml({ web, windowMs, drainMs, listen, limits }) {
  const pairs = (table) => Object.entries(table).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join("");
  const palette = PALETTE.map(({ name, glyph }) => `{ name = "${name}", glyph = "${glyph}" }`).join(", ");
  return `shards = 2
window = "${windowMs}ms"
${"" /* Quiet but for what may explain a failure. */}log = "warn"
[listen]
${pairs(listen)}[web]
${pairs(web)}[limits]
${pairs(limits)}[drain]
duration = "${drainMs}ms"
timeout = "2s"
[[rooms]]
id = ${ROOM}
name = "Final"
palette = [${palette}]
`;
}
