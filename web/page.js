/**
 * The screen of one room: joins the SDK's events, the document and the sky.
 *
 * Invariants: a frame's numbers are in the document before the task that brought it ends; the attributes of <body> and
 * every `data-emoji` with its `data-count` say the same as the pixels; names and glyphs of a room are only ever text.
 * Not here: the wire and reconnecting (uproar.js), particles (sky.js), colours and layout (page.css).
 */

import { Uproar } from "./uproar.js";
import { Sky, hueOf, isImage } from "./sky.js";

/** Windows of the sparkline: as many as were seen, between these. */
const HISTORY_WINDOWS_MIN = 12, HISTORY_WINDOWS_MAX = 60;
/** A screen reader is told about the stadium at most this often. */
const SUMMARY_EVERY_MS = 10_000;
const TOAST_MS = 4_000;
/** A delay beyond this is a clock that is wrong. */
const DELAY_MS_MAX = 60_000;
const KINDS = { webtransport: "WebTransport", sse: "SSE" };
const PHASES = { connecting: "Connecting", open: "Live", waiting: "Reconnecting", closed: "Closed" };
const NO_ROOM = ["unknown_room", "no_rooms", "room_deleted"];
const REASONS = {
  origin_not_allowed: "This address may not connect here.",
  draining: "This node is handing over its guests.",
  full: "The stadium is full.",
};

const body = document.body;
const at = (id) => document.getElementById(id);
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const query = new URLSearchParams(location.search);
const room = query.get("room") ?? "1";

const sky = new Sky(at("sky"));
const front = new Sky(at("front"));
let uproar;

// ---- The connection

function connect() {
  const wanted = query.get("transport"), transport = Object.hasOwn(KINDS, wanted) ? wanted : "auto";
  // A proxy may have the page below a path.
  uproar = new Uproar({ url: new URL(".", import.meta.url).href, room: Number(room), transport });
  const shows = { state: showState, palette: showPalette, frame: showFrame, refused: showRefused };
  for (const [type, show] of Object.entries(shows)) uproar.addEventListener(type, ({ detail }) => show(detail));
}

let countdown;

function showState({ phase, transport, reason, retryInMs }) {
  Object.assign(body.dataset, { phase, transport: transport ?? "" });
  at("phase").textContent = PHASES[phase];
  at("kind").textContent = KINDS[transport] ?? "";
  clearInterval(countdown);
  at("banner-when").textContent = phase === "connecting" ? "Trying again." : "";
  if (phase === "open") {
    if (!at("banner").hidden) say("Connected again.");
    at("banner").hidden = true;
  } else if (NO_ROOM.includes(reason)) {
    showLost(`This node has no room ${room}. It may be over, or not open yet.`);
  } else if (phase !== "connecting") {
    const unknown = body.dataset.window ? "Connection lost." : "The stadium does not answer.";
    showBroken(REASONS[reason] ?? unknown, retryInMs);
  }
}

function showBroken(what, retryInMs) {
  sky.show([], 0);
  if (at("banner").hidden) say(what);
  at("banner-what").textContent = what;
  at("banner").hidden = false;
  at("again").hidden = retryInMs === null;
  if (retryInMs !== null) countDown(performance.now() + retryInMs);
}

function countDown(endMs) {
  const show = () => {
    const seconds = Math.max(1, Math.ceil((endMs - performance.now()) / 1000));
    at("banner-when").textContent = `Trying again in ${seconds} s.`;
  };
  show();
  countdown = setInterval(show, 250);
}

function showLost(why) {
  sky.show([], 0);
  body.dataset.phase = "closed";
  at("banner").hidden = at("room").hidden = true;
  at("lost").hidden = false;
  at("lost-why").textContent = why;
  document.title = "No such room · Uproar";
  at("number").focus();
  say(`No such room. ${why}`);
}

// The SDK takes this as a reason not to wait any longer.
at("again").addEventListener("click", () => dispatchEvent(new Event("online")));

// ---- Palette and taps

const buttons = new Map();

function showPalette({ name, emoji }) {
  const offered = emoji.filter(({ retired }) => !retired), { length } = offered, { children, style } = at("buttons");
  body.dataset.palette = length;
  at("name").textContent = name;
  document.title = `${name} · Uproar`;
  style.setProperty("--narrow", [4, 3, 5].find((columns) => length % columns === 0) ?? 4);
  style.setProperty("--wide", Math.min(length, length % 10 ? 12 : 10));
  for (const [id, { button, glyph }] of buttons) {
    if (offered.some((emoji) => emoji.id === id && emoji.glyph === glyph)) continue;
    button.remove();
    buttons.delete(id);
  }
  // Buttons that stay are not moved: one may be pressed right now.
  offered.forEach(({ id, name, glyph }, place) => {
    if (!buttons.has(id)) at("buttons").insertBefore(makeButton(id, glyph), children[place]);
    const { button } = buttons.get(id);
    button.title = button.ariaLabel = name;
    if (place < 10) button.setAttribute("aria-keyshortcuts", (place + 1) % 10);
    else button.removeAttribute("aria-keyshortcuts");
  });
}

function makeButton(id, glyph) {
  const button = element("button", { type: "button" });
  Object.assign(button.dataset, { emoji: id, count: 0, own: 0 });
  button.append(picture(glyph));
  paint(button, glyph);
  buttons.set(id, { button, glyph });
  return button;
}

/** Hues are measured once a glyph: reading pixels back is slow. */
const hues = new Map();

function paint(target, glyph) {
  if (!hues.has(glyph)) hues.set(glyph, hueOf(glyph));
  target.style.setProperty("--hue", hues.get(glyph) ?? "");
}

function picture(glyph) {
  if (!isImage(glyph)) return element("span", { className: "glyph", textContent: glyph, ariaHidden: "true" });
  return element("img", { className: "glyph", referrerPolicy: "no-referrer", src: glyph, alt: "" });
}

function tap(button) {
  const id = Number(button.dataset.emoji);
  uproar.react(id);
  button.dataset.own++;
  body.dataset.ownTaps++;
  at("own").textContent = body.dataset.ownTaps;
  if (calm.matches) return button.animate({ opacity: [0.55, 1] }, 700);
  const { left, top, width, height } = button.getBoundingClientRect();
  front.burst(buttons.get(id).glyph, left + width / 2, top + height / 4);
}

// Fingers count when they come down, also a second thumb, for which there is no click; but where the buttons scroll, a
// finger that comes down may be a scroll. Keyboards and screen readers only click.
at("buttons").addEventListener("pointerdown", (event) => {
  const button = event.target.closest("button");
  if (button && event.button === 0 && !scrolls()) tap(button);
});
at("buttons").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button && (event.detail === 0 || scrolls())) tap(button);
});

function scrolls() {
  return at("buttons").scrollHeight > at("buttons").clientHeight + 1;
}

document.addEventListener("keydown", (event) => {
  const { key, repeat, target, ctrlKey, metaKey, altKey } = event;
  // A key held down is one tap.
  if (repeat && key === "Enter" && at("buttons").contains(target)) event.preventDefault();
  if (repeat || ctrlKey || metaKey || altKey || target === at("number") || !/^[0-9]$/.test(key)) return;
  const button = at("buttons").children[(Number(key) + 9) % 10];
  if (button && !at("room").hidden) tap(button);
});

// ---- A frame

let windowMs = 0;

function showFrame(newest) {
  // Nobody has tapped since a stale frame.
  const frame = newest.stale ? { ...newest, total: 0n, intensity: 0, top: [] } : newest;
  windowMs = frame.windowMs;
  const total = Number(frame.total);
  Object.assign(body.dataset, { window: frame.window, total: frame.total });
  at("total").textContent = total < 1e7 ? total.toLocaleString("en") : compact.format(total);
  at("span").textContent = `in ${windowMs / 1000} s`;
  showIntensity(frame);
  showRows(frame.top);
  showLevels(frame.top);
  if (!frame.stale) showHistory(frame.window, total);
  showDelay(frame.stale ? Infinity : frame.receivedAt - (frame.startMs + windowMs));
  sky.show(calm.matches ? [] : frame.top, frame.intensity);
  summarise(frame);
}

const glows = [...document.querySelectorAll(".glow")];
let leader = null;

function showIntensity({ intensity, top }) {
  body.style.setProperty("--heat", intensity / 255);
  at("meter").setAttribute("aria-valuenow", Math.round((intensity / 255) * 100));
  if (!top.length || top[0].glyph === leader) return;
  leader = top[0].glyph;
  // Two layers cross-fade: a gradient whose colour changes would be painted anew for every frame of the change.
  glows.reverse();
  paint(glows[0], leader);
  glows[0].classList.add("on");
  glows[1].classList.remove("on");
}

const rows = new Map();

function showRows(top) {
  for (const [id, { row, glyph }] of rows) {
    if (top.some((emoji) => emoji.id === id && emoji.glyph === glyph)) continue;
    row.remove();
    rows.delete(id);
  }
  top.forEach((emoji, rank) => {
    if (!rows.has(emoji.id)) rows.set(emoji.id, makeRow(emoji));
    const { row, label, share, count } = rows.get(emoji.id);
    label.textContent = emoji.name || "retired";
    // The place is a transform and the order of elements stays: changes of rank glide and never lay out.
    row.style.setProperty("--rank", rank);
    row.style.setProperty("--part", emoji.share / top[0].share);
    row.setAttribute("aria-posinset", rank + 1);
    row.dataset.count = emoji.count;
    share.textContent = percentOf(emoji.share);
    count.textContent = compact.format(emoji.count);
  });
}

function makeRow({ id, glyph }) {
  const row = element("li");
  const label = element("span", { className: "label" });
  const share = element("b");
  const count = element("span", { className: "count" });
  row.dataset.emoji = id;
  row.append(picture(glyph), label, share, count, element("i"));
  paint(row, glyph);
  at("bars").append(row);
  return { row, glyph, label, share, count };
}

function percentOf(share) {
  return share >= 1000 ? `${Math.round(share / 100)}%` : `${(share / 100).toFixed(1)}%`;
}

function showLevels(top) {
  for (const [id, { button }] of buttons) {
    const emoji = top.find((emoji) => emoji.id === id);
    button.dataset.count = emoji?.count ?? 0;
    button.style.setProperty("--level", (emoji?.intensity ?? 0) / 255);
  }
}

const totals = new Map();

function showHistory(newest, total) {
  totals.set(newest, total);
  for (const old of totals.keys()) if (old <= newest - HISTORY_WINDOWS_MAX || old > newest) totals.delete(old);
  const seen = [...totals].sort(([a], [b]) => a - b);
  const windows = Math.max(HISTORY_WINDOWS_MIN, newest - seen[0][0] + 1);
  const peak = Math.max(...totals.values());
  // Places follow window numbers, so that a window nobody saw is a straight line and not a shift.
  const placeOf = (window) => (100 - ((newest - window) / (windows - 1)) * 100).toFixed(2);
  const points = seen.map(([window, value]) => `${placeOf(window)} ${(28.5 - (value / (peak || 1)) * 27).toFixed(2)}`);
  at("line").setAttribute("d", `M${points.join("L")}`);
  at("area").setAttribute("d", `M${placeOf(seen[0][0])} 30L${points.join("L")}V30Z`);
  at("peak").textContent = `Peak ${compact.format(peak)}`;
  at("history").textContent = `last ${Math.round((windows * windowMs) / 1000)} s`;
}

function showDelay(delayMs) {
  at("delay").textContent = Math.abs(delayMs) < DELAY_MS_MAX ? `${Math.max(0, Math.round(delayMs))} ms` : "";
}

// ---- Words

let saidAtMs = -Infinity;

function say(words) {
  saidAtMs = performance.now();
  at("said").textContent = words;
}

function summarise({ top, total }) {
  if (performance.now() - saidAtMs < SUMMARY_EVERY_MS) return;
  const lead = top.length ? `${top[0].name || top[0].glyph} leads with ${percentOf(top[0].share)}. ` : "";
  say(`${lead}${compact.format(total)} taps in ${windowMs / 1000} seconds.`);
}

let toasting;

/** For a moment, what is said is also seen. */
function showRefused({ code }) {
  const were = /^unanswered$|^http_/.test(code) ? "may not have been" : "were not";
  say(`${/limit|many/.test(code) ? "That was fast: some" : "Some"} taps ${were} counted (${code}).`);
  at("said").className = "toast";
  clearTimeout(toasting);
  toasting = setTimeout(() => (at("said").className = "unseen"), TOAST_MS);
}

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

if (/^\d{1,10}$/.test(room) && Number(room) < 2 ** 32) connect();
else showLost(`“${room.slice(0, 40)}” is not the number of a room.`);
