// The admin page: asks the node for its metrics once a second, and shows an operator what they mean.
//
// Invariants: one poll at a time, and none while nobody looks; what is not known is a dash, never a 0; of a node that does
// not answer nothing looks current.
// Not here: how metrics are read (admin-metrics.js), and rooms (admin-rooms.js).

import { History, parse, quantileOf } from "./admin-metrics.js";
import { Rooms } from "./admin-rooms.js";

const POLL_MS = 1_000;
const ANSWER_MS = 5_000;
const RATE_MS = 10_500; // ten polls, and what a poll may be late
const LINE_MS = 120_000;
/** Younger lines are drawn as if they were this old, so that the first points are no wall. */
const LINE_MS_MIN = 12_000;
const LINE_RATE_MS = 2_500;
const LOSS_MS = 60_500;
/** Longer lists cost the node too much to be asked for every second: one poll in so many asks. */
const ROOMS_POLLED_MAX = 1_000;
const ROOMS_RARELY = 30;
const DAY_S = 86_400;
/** A development certificate is remade at each start for 13 days: that is not yet short. */
const CERTIFICATE_S = { warn: 3 * DAY_S, bad: DAY_S };

const PROTOS = { udp: "Datagrams", http: "HTTP", quic: "QUIC", webtransport: "WebTransport" };
const KINDS = { quic: "Native (QUIC)", webtransport: "WebTransport", http: "SSE (HTTP)" };
const OF_SHARDS = /^uproar_(reactions_total|subscribers|mesh_depth|loop_(busy|idle)_seconds_total|shard_cpu_seconds_total|loop_turn_seconds_bucket)$/;
/** What may be lost: metric, words, level once it grows, and which outcomes of it, if not all that ever occurred. */
const LOSSES = [
  ["uproar_socket_drops_total", "Kernel drops", "bad"],
  ["uproar_frames_skipped_total", "Frames skipped", "bad"],
  ["uproar_sends_failed_total", "Sends failed", "bad"],
  ["uproar_accepts_failed_total", "Accepts failed", "bad"],
  ["uproar_log_lines_lost_total", "Log lines lost", "bad"],
  ["uproar_sends_stalled_total", "Sends stalled", "warn"],
  ["uproar_window_late_deltas_total", "Deltas a window late", "warn"],
  ["uproar_buffer_exhaustion_total", "Out of buffers", "warn"],
  ["uproar_rejected_total", "Rejected", "warn", /./],
  ["uproar_webtransport_requests_total", "WebTransport refused", "warn", /^(403|429|503)$/],
  ["uproar_connections_total", "Connections", "warn", /^(full|address_full|no_files|refused|dropped|handshake_failed|http3_error|transport_error)$/],
];

const node = new History(LINE_MS);
const shards = new History(RATE_MS);
const rooms = new Rooms();
const lines = new Map();
let polls = 0;
let answeredAt;

const $ = (selector) => document.querySelector(selector);
const known = (format) => (value, ...more) => (Number.isFinite(value) ? format(value, ...more) : "–");
const exact = known((value) => value.toLocaleString("en"));
const percent = known((value) => `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`);
const count = known((value) => {
  if (value < 10) return String(Math.round(value * 10) / 10);
  if (value < 10_000) return Math.round(value).toLocaleString("en");
  const at = value < 1e6 ? 0 : value < 1e9 ? 1 : 2;
  return `${(value / 1000 ** (at + 1)).toPrecision(3).replace(/e\+3$/, "000")} ${"kMG"[at]}`;
});
const bytes = known((value) => (value < 2 ** 30 ? `${Math.round(value / 2 ** 20)} MiB` : `${(value / 2 ** 30).toFixed(2)} GiB`));
const latency = known((s) => (s < 1e-3 ? `${(s * 1e6).toFixed(0)} µs` : s < 1 ? `${+(s * 1e3).toPrecision(3)} ms` : `${+s.toPrecision(3)} s`));
const span = known((s) => {
  const units = [["d", DAY_S], ["h", 3600], ["min", 60], ["s", 1]];
  const at = Math.max(0, units.findIndex(([, size]) => s >= size));
  const [first, next] = s < 1 ? [units[3]] : units.slice(at);
  const rest = next && Math.floor((s % first[1]) / next[1]);
  return `${Math.floor(s / first[1])} ${first[0]}${next ? ` ${rest} ${next[0]}` : ""}`;
});

function set(element, text, level) {
  if (element.textContent !== text) element.textContent = text;
  if ((element.dataset.level ?? "") === (level ?? "")) return;
  if (level) element.dataset.level = level;
  else delete element.dataset.level;
}

const figure = (name, text, level) => document.querySelectorAll(`[data-figure="${name}"]`).forEach((element) => set(element, text, level));

/** A line of two minutes: remembers the value, draws all of them. */
function remember(name, atMs, value) {
  const points = lines.get(name) ?? [];
  points.push([atMs, value]);
  while (points[0][0] < atMs - LINE_MS) points.shift();
  lines.set(name, points);
  return Math.max(...points.map(([, value]) => value ?? 0));
}

/** Draws a line over the time that is known of it; where a value is missing, it has a gap. */
function drawLines(atMs) {
  for (const svg of document.querySelectorAll("[data-spark]")) {
    const points = lines.get(svg.dataset.spark) ?? [];
    const spanMs = Math.max(LINE_MS_MIN, atMs - (points[0]?.[0] ?? atMs));
    const most = Math.max(1e-9, ...points.map(([, value]) => value ?? 0));
    let [line, area, open] = ["", "", false];
    for (const [at, value] of [...points, [atMs]]) {
      const x = (1000 * (1 - (atMs - at) / spanMs)).toFixed(1);
      const y = (98 - (96 * (value ?? 0)) / most).toFixed(1);
      if (value !== undefined) {
        line += `${open ? "L" : "M"}${x} ${y}`;
        area += open ? `L${x} ${y}` : `M${x} 100L${x} ${y}`;
      } else if (open) area += `V100Z`;
      open = value !== undefined;
    }
    if (!svg.firstChild) {
      svg.setAttribute("viewBox", "0 0 1000 100");
      svg.setAttribute("preserveAspectRatio", "none");
      for (const _ of ["area", "line"]) svg.append(document.createElementNS(svg.namespaceURI, "path"));
    }
    svg.firstChild.setAttribute("d", area);
    svg.lastChild.setAttribute("d", line);
  }
}

function fillCell(cell, { figure, text, level, spark, bar }) {
  if (figure) cell.dataset.figure = figure;
  if (spark) {
    if (cell.firstChild) return;
    cell.innerHTML = '<svg class="spark" aria-hidden="true"></svg>';
    cell.firstChild.dataset.spark = spark;
  } else if (bar !== undefined) {
    if (!cell.firstChild) cell.innerHTML = '<span class="bar" aria-hidden="true"><i></i></span><span></span>';
    cell.querySelector("i").style.width = `${100 * Math.min(1, bar || 0)}%`;
    set(cell.lastChild, text);
  } else set(cell, text, level);
}

/** Makes the rows of a table these: `{ key, head, cells, level }`. */
function fill(table, rows) {
  const body = $(`[data-lines="${table}"] tbody`);
  const old = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  rows.forEach(({ key, head, cells, level, quiet }, at) => {
    let row = old.get(String(key));
    if (!row) {
      row = document.createElement("tr");
      row.dataset.key = key;
      row.append(Object.assign(document.createElement("th"), { scope: "row", textContent: head }));
      for (const _ of cells) row.insertCell();
    }
    old.delete(String(key));
    if (body.rows[at] !== row) body.insertBefore(row, body.rows[at] ?? null);
    cells.forEach((cell, column) => fillCell(row.cells[column + 1], cell));
    row.classList.toggle("zero", !!quiet);
    if (level) row.dataset.level = level;
    else delete row.dataset.level;
  });
  for (const row of old.values()) row.remove();
}

/** A rate in figures, and a point of its line; the line's rate is of less time, so that it moves. */
function rateOf(atMs, key, keys, lineMs = LINE_RATE_MS) {
  const rate = node.rateOf(keys, RATE_MS);
  return { rate, peak: remember(key, atMs, node.rateOf(keys, lineMs) ?? rate) };
}

function rateRow(atMs, key, head, keys, { lineMs, bad } = {}) {
  const { rate } = rateOf(atMs, key, keys, lineMs);
  return { key, head, quiet: !rate, level: bad && rate > 0 ? "bad" : undefined, cells: [{ spark: key }, { figure: key, text: count(rate) }] };
}

function rateCard(atMs, card, keys, lineMs) {
  const { rate, peak } = rateOf(atMs, card, keys, lineMs);
  figure(`${card}.total`, count(rate));
  figure(`${card}.peak`, count(peak));
}

function showTaps(atMs) {
  const name = "uproar_reactions_total";
  rateCard(atMs, "taps", node.keys(name));
  fill("taps", Object.entries(PROTOS).map(([proto, head]) => rateRow(atMs, `taps.${proto}`, head, node.keys(name, { proto }))));
  const [counted, framed] = [node.sum(name), node.sum("uproar_frame_taps_total")];
  figure("taps.framed", `${exact(counted)} counted since the start, ${exact(framed)} of them in frames.`);
}

/** Frames come by the window: shorter than a few of them, a rate is only their beat. */
function showFrames(atMs) {
  const beat = { lineMs: RATE_MS };
  rateCard(atMs, "frames", node.keys("uproar_frames_sent_total"), RATE_MS);
  fill("frames", [
    rateRow(atMs, "frames.made", "Frames made", node.keys("uproar_frames_made_total"), beat),
    rateRow(atMs, "windows", "Windows closed", node.keys("uproar_windows_total"), beat),
  ]);
}

function showRequests(atMs) {
  const [http, webTransport] = [node.keys("uproar_http_requests_total"), node.keys("uproar_webtransport_requests_total")];
  const coded = (digit) => http.filter((key) => node.newest.samples.get(key).labels.code.startsWith(digit));
  rateCard(atMs, "requests", [...http, ...webTransport]);
  fill("requests", [
    rateRow(atMs, "requests.2xx", "HTTP 2xx", coded("2")),
    rateRow(atMs, "requests.4xx", "HTTP 4xx", coded("4")),
    rateRow(atMs, "requests.5xx", "HTTP 5xx", coded("5"), { bad: true }),
    rateRow(atMs, "requests.webtransport", "WebTransport", webTransport),
  ]);
}

function showSubscribers(atMs) {
  const of = (proto) => node.sum("uproar_subscribers", { proto });
  const now = node.sum("uproar_subscribers");
  figure("subscribers.total", exact(now));
  figure("subscribers.peak", exact(remember("subscribers", atMs, now)));
  const row = (key, head, value, max) => ({
    key, head, quiet: !value,
    level: value > 0.9 * max ? "warn" : undefined,
    cells: [{ figure: key, text: `${exact(value)}${max === undefined ? "" : ` of ${exact(max)}`}` }],
  });
  fill("subscribers", [
    ...Object.entries(KINDS).map(([proto, head]) => row(`subscribers.${proto}`, head, of(proto))),
    row("connections.quic", "Over QUIC", of("quic") + (of("webtransport") ?? 0), node.sum("uproar_subscribers_max")),
    row("connections.http", "HTTP connections", node.sum("uproar_http_connections"), node.sum("uproar_http_connections_max")),
    row("handshakes.under_way", "Handshakes under way", node.sum("uproar_handshakes_under_way")),
    row("handshakes.waiting", "Handshakes waiting", node.sum("uproar_handshakes_waiting")),
  ]);
}

function latencyOf(history, name, labels) {
  const buckets = history.buckets(name, labels, RATE_MS);
  const most = buckets.at(-2)?.[0];
  return (quantile) => {
    const value = quantileOf(quantile, buckets);
    return `${value === most ? "≥ " : ""}${latency(value)}`;
  };
}

function showLatency() {
  const row = (key, head, history, name) => {
    const at = latencyOf(history, name, {});
    const rate = history.rate(`${name}_bucket`, { le: "+Inf" }, RATE_MS);
    const cells = [["p50", at(0.5)], ["p99", at(0.99)], ["rate", count(rate)]];
    return { key, head, quiet: !rate, cells: cells.map(([name, text]) => ({ figure: `latency.${key}.${name}`, text })) };
  };
  fill("latency", [
    row("window_close", "Window close", node, "uproar_window_close_seconds"),
    row("fanout", "Fan-out", node, "uproar_fanout_seconds"),
    row("handshake", "QUIC handshake", node, "uproar_handshake_seconds"),
    row("turn", "Turn of a shard", shards, "uproar_loop_turn_seconds"),
  ]);
}

function showLoss() {
  const rows = [];
  for (const [name, words, level, only] of LOSSES) {
    for (const key of node.keys(name)) {
      const { labels, value } = node.newest.samples.get(key);
      const [kind, ...rest] = Object.values(labels).reverse();
      if (only && !(value > 0 && only.test(kind))) continue;
      const grown = node.grown([key], LOSS_MS);
      const figure = ["loss", name.slice(7, -6), ...rest, kind].filter(Boolean).join(".");
      rows.push({
        key: figure, quiet: !value, level: grown > 0 ? level : undefined,
        head: [words, [...rest.map((proto) => PROTOS[proto] ?? proto), kind].filter(Boolean).join(" ").replaceAll("_", " ")].filter(Boolean).join(": "),
        cells: [{ figure: `${figure}.grown`, text: grown > 0 ? `+${exact(grown)}` : exact(grown) }, { figure, text: exact(value) }],
      });
    }
  }
  const worst = ["bad", "warn"].find((level) => rows.some((row) => row.level === level));
  const grew = rows.filter((row) => row.level === worst).map((row) => row.head.toLowerCase());
  figure("loss.verdict", worst ? `in the last minute: ${grew.slice(0, 2).join(", ")}${grew.length > 2 ? ", …" : ""}` : "none in the last minute", worst ?? "good");
  fill("loss", rows);
}

function showShards() {
  const ids = shards.keys("uproar_mesh_depth").map((key) => shards.newest.samples.get(key).labels.shard);
  let [most, hottest] = [-1];
  fill("shards", ids.sort((a, b) => a - b).map((shard) => {
    const rate = (name) => shards.rate(name, { shard }, RATE_MS);
    const [busy, idle] = [rate("uproar_loop_busy_seconds_total"), rate("uproar_loop_idle_seconds_total")];
    const load = busy / (busy + idle);
    if (load > most) [most, hottest] = [load, shard];
    const cell = (name, text) => ({ figure: `shard.${shard}.${name}`, text });
    return {
      key: shard, head: shard,
      level: load >= 0.9 ? "bad" : load >= 0.75 ? "warn" : undefined,
      cells: [
        { ...cell("load", percent(load)), bar: load },
        cell("cpu", percent(rate("uproar_shard_cpu_seconds_total"))),
        cell("taps", count(rate("uproar_reactions_total"))),
        cell("subscribers", exact(shards.sum("uproar_subscribers", { shard }))),
        cell("mesh_depth", exact(shards.sum("uproar_mesh_depth", { shard }))),
        cell("turn.p99", latencyOf(shards, "uproar_loop_turn_seconds", { shard })(0.99)),
      ],
    };
  }));
  figure("shards.summary", ids.length ? `${ids.length}${hottest ? `, the busiest is ${hottest} at ${percent(most)}` : ""}` : "");
}

function showHead() {
  const labels = node.newest.samples.get(node.keys("uproar_build_info")[0])?.labels;
  const start = node.sum("process_start_time_seconds");
  const now = Date.now() / 1000;
  figure("version", labels ? labels.version + (labels.profile === "release" ? "" : ` ${labels.profile}`) : "–");
  figure("uptime", span(now - start));
  figure("cpu", percent(node.rate("process_cpu_seconds_total", {}, RATE_MS)));
  figure("memory", bytes(node.sum("process_resident_memory_bytes")));
  const [files, most] = [node.sum("process_open_fds"), node.sum("process_max_fds")];
  figure("files", files === undefined ? "–" : `${exact(files)} of ${exact(most)}`, files > 0.9 * most ? "warn" : undefined);
  const left = node.sum("uproar_certificate_expiry_timestamp_seconds") - now;
  const level = ["bad", "warn"].find((level) => left < CERTIFICATE_S[level]);
  figure("certificate", left <= 0 ? "has expired" : `${span(left)}${Number.isFinite(left) ? " left" : ""}`, level);
}

function showState(state) {
  if (document.body.dataset.node === state) return;
  document.body.dataset.node = state;
  $("#state").textContent = state;
  document.title = `${state === "ready" ? "" : `${state.toUpperCase()} · `}Uproar ${location.host}`;
}

async function read(path) {
  const reply = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
  if (reply.ok) return reply.text();
  const problem = await reply.json().catch(() => ({}));
  throw new Error(problem.detail ?? `HTTP ${reply.status}`);
}

async function readRooms() {
  const held = node.sum("uproar_rooms");
  figure("rooms", exact(held));
  if (!(held > ROOMS_POLLED_MAX) || polls++ % ROOMS_RARELY === 0) rooms.handle_list(await read("v1/rooms"));
}

async function poll() {
  const [page, ofShards] = await Promise.allSettled([read("metrics"), read("metrics/shards")]);
  if (page.status === "rejected") throw page.reason;
  const atMs = performance.now();
  const startBefore = node.sum("process_start_time_seconds");
  const samples = parse(page.value);
  const restarted = startBefore !== undefined && samples.get("process_start_time_seconds")?.value !== startBefore;
  node.handle_page(atMs, samples, restarted);
  if (ofShards.value) shards.handle_page(atMs, parse(ofShards.value, (name) => OF_SHARDS.test(name)), restarted);
  answeredAt = new Date();
  $("#stale").hidden = true;
  showState(node.sum("uproar_ready") === 1 ? "ready" : "draining");
  showHead();
  showTaps(atMs);
  showFrames(atMs);
  showRequests(atMs);
  showSubscribers(atMs);
  showLatency();
  showLoss();
  showShards();
  if (ofShards.reason) figure("shards.summary", "not answered, these figures are old", "bad");
  drawLines(atMs);
  await readRooms().catch(() => figure("rooms", "not answered, this list is old", "bad"));
}

function showUnreachable(error) {
  showState("unreachable");
  const atMs = performance.now();
  for (const name of lines.keys()) remember(name, atMs, undefined);
  drawLines(atMs);
  const why = error instanceof TypeError ? "nothing listens there, or the network is down" : error.name === "TimeoutError" ? `not within ${ANSWER_MS / 1000} s` : error.message;
  const since = answeredAt && span((Date.now() - answeredAt) / 1000);
  $("#stale").hidden = false;
  set($("#stale"), `The node does not answer: ${why}. ${since ? `The figures are ${since} old, of ${answeredAt.toLocaleTimeString()}.` : "It has not since this page was opened."} Asking on.`);
}

const shown = () => new Promise((done) => (document.hidden ? document.addEventListener("visibilitychange", done, { once: true }) : done()));

$("#host").textContent = location.host;

for (;;) {
  await shown();
  const begun = performance.now();
  await poll().catch(showUnreachable);
  await new Promise((done) => setTimeout(done, Math.max(0, POLL_MS - (performance.now() - begun))));
}
