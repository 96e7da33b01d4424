// The rooms on the admin page: the list, the form that creates and replaces, the dialog before one is deleted.
//
// Invariants: a row stays the same element as long as its room does not change, so that focus survives the polls; which
// rooms may be is the node's to say, and its words are shown.
// Not here: when the list is asked for (admin.js).

const SHOWN_MAX = 200;
const GLYPHS_SHOWN = 12;
/** A glyph may be the address of an image; its name says more than the address. */
const GLYPH_SHOWN_LENGTH = 16;

/**
 * The palette that these lines mean: a name and a glyph each, between them the line's first tab or else its last space.
 * @throws {Error} the line that has no two parts
 */
export function paletteOf(text) {
  const palette = [];
  for (const [at, line] of text.split("\n").entries()) {
    if (!line.trim()) continue;
    const [, name, glyph] = /^([^\t]*)\t(.*)$/.exec(line) ?? /^\s*(.*\S)\s+(\S+)\s*$/.exec(line) ?? [];
    if (!glyph) throw new Error(`Line ${at + 1}: a name, a space, and a glyph`);
    palette.push({ name, glyph });
  }
  return palette;
}

/** Lines that {@link paletteOf} reads as the active emoji of this palette. */
export function linesOf(palette) {
  const line = ({ name, glyph }) => `${name}${/\s/.test(glyph) || name !== name.trim() ? "\t" : " "}${glyph}`;
  return palette.filter(({ retired }) => !retired).map(line).join("\n");
}

/** What of a name decides whether it is found: neither case nor the variation selectors and composition of its letters. */
const plain = (text) => text.trim().replace(/[\ufe0e\ufe0f]/g, "").normalize("NFC").toLowerCase();

/** Ways in which a room is found by what somebody typed. */
export const matches = (room, text) => String(room.id).startsWith(text.trim()) || plain(room.name).includes(plain(text));

/** The glyphs of a room's active and of its retired emoji, as far as there is room for them. */
export function glyphsOf(palette) {
  const shown = ({ name, glyph }) => (glyph.length > GLYPH_SHOWN_LENGTH ? name || "image" : glyph);
  const [active, retired] = [palette.filter(({ retired }) => !retired), palette.filter(({ retired }) => retired)].map((emoji) => {
    const rest = emoji.length - GLYPHS_SHOWN;
    return emoji.slice(0, GLYPHS_SHOWN).map(shown).join(" ") + (rest > 0 ? ` +${rest}` : "");
  });
  return { active, retired };
}

/** Asks the node for a change. @throws {Error} what the node said against it */
async function change(method, id, body) {
  const reply = await fetch(`v1/rooms/${encodeURIComponent(id)}`, { method, body: body && JSON.stringify(body) }).catch(() => {
    throw new Error("The node does not answer; whether this was done is not known.");
  });
  if (reply.ok) return reply;
  const problem = await reply.json().catch(() => ({}));
  throw new Error(problem.detail ?? `HTTP ${reply.status}`);
}

/** The part of the page that shows rooms. */
export class Rooms {
  #text;
  #rooms = new Map();
  #rows = new Map();
  #list = document.querySelector("#list tbody");
  #filter = document.querySelector("#filter");
  #form = document.querySelector("#edit");
  #submit = document.querySelector("#edit [type=submit]");
  #problem = document.querySelector("#problem");
  #dialog = document.querySelector("#confirm");
  /** The room that the dialog asks about. */
  #doomed;

  constructor() {
    this.#filter.addEventListener("input", () => this.#draw());
    this.#dialog.addEventListener("close", () => this.#handle_answer());
    this.#form.addEventListener("input", () => this.#title());
    this.#form.addEventListener("reset", () => setTimeout(() => (this.#say(""), this.#title())));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#put();
    });
  }

  /** Takes in the body of `GET /v1/rooms`. */
  handle_list(text) {
    if (text === this.#text) return;
    this.#text = text;
    this.#rooms = new Map(JSON.parse(text).map((room) => [room.id, room]));
    this.#draw();
  }

  #draw() {
    const found = [...this.#rooms.values()].filter((room) => matches(room, this.#filter.value)).sort((a, b) => a.id - b.id);
    const shown = found.slice(0, SHOWN_MAX);
    this.#rows = new Map(shown.map((room) => [room.id, this.#row(room)]));
    const rows = [...this.#rows.values()];
    if (rows.length !== this.#list.rows.length || rows.some((row, at) => row !== this.#list.rows[at])) {
      const focused = document.activeElement;
      this.#list.replaceChildren(...rows);
      if (this.#list.contains(focused)) focused.focus();
    }
    const more = found.length - rows.length;
    document.querySelector("#more").textContent = more
      ? `${more.toLocaleString("en")} more; the filter finds them`
      : found.length || !this.#rooms.size ? "" : "No room is called that.";
    this.#title();
  }

  #row(room) {
    const text = JSON.stringify(room);
    const known = this.#rows.get(room.id);
    if (known?.room === text) return known;
    const { active, retired } = glyphsOf(room.palette);
    const row = Object.assign(document.createElement("tr"), { room: text });
    row.append(Object.assign(document.createElement("th"), { scope: "row", textContent: room.id }));
    row.insertCell().textContent = room.name;
    const palette = row.insertCell();
    palette.append(active);
    if (retired) palette.append(" ", Object.assign(document.createElement("small"), { textContent: `retired: ${retired}` }));
    row.insertCell().append(
      this.#button("Edit", room, () => this.#edit(room)), " ",
      this.#button("Delete", room, () => this.#delete(room)),
    );
    return row;
  }

  #button(text, room, handle) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text, onclick: handle });
    button.setAttribute("aria-label", `${text} room ${room.id}, ${room.name}`);
    return button;
  }

  #edit(room) {
    const { id, name, palette } = this.#form.elements;
    [id.value, name.value, palette.value] = [room.id, room.name, linesOf(room.palette)];
    this.#say("");
    this.#title();
    name.focus();
  }

  /** Says whether the id in the form is taken. */
  #title() {
    const taken = this.#rooms.get(Number(this.#form.elements.id.value || NaN));
    document.querySelector("#edit-title").textContent = taken ? `Replace room ${taken.id}, ${taken.name}` : "A new room";
    this.#submit.textContent = taken ? "Replace" : "Create";
  }

  #say(text, done = false) {
    this.#problem.textContent = text;
    this.#problem.classList.toggle("done", done);
  }

  async #put() {
    this.#submit.disabled = true;
    try {
      const { id, name, palette: lines } = Object.fromEntries(new FormData(this.#form));
      const reply = await change("PUT", id.trim(), { name, palette: paletteOf(lines) });
      this.#say(`Room ${id} is ${reply.status === 201 ? "created" : "replaced"}.`, true);
      // With the ids that its emoji have, and those that are retired.
      this.#take(Number(id), await reply.json());
    } catch (error) {
      this.#say(error.message);
    } finally {
      this.#submit.disabled = false;
    }
  }

  #delete(room) {
    this.#doomed = room;
    document.querySelector("#confirm-title").textContent = `Delete room ${room.id}, ${room.name}?`;
    this.#dialog.returnValue = "cancel";
    this.#dialog.showModal();
  }

  /** A `close` may come when the dialog is open again, for another room: that one is not answered yet. */
  async #handle_answer() {
    const room = this.#doomed;
    if (this.#dialog.open || this.#dialog.returnValue !== "delete" || !room) return;
    this.#doomed = undefined;
    try {
      await change("DELETE", room.id);
      this.#say(`Room ${room.id} is deleted.`, true);
      this.#take(room.id);
      this.#filter.focus();
    } catch (error) {
      this.#say(error.message);
    }
  }

  /** Shows a change at once, also where the list is too long to be asked for every second. */
  #take(id, room) {
    this.#text = undefined;
    if (room) this.#rooms.set(id, room);
    else this.#rooms.delete(id);
    this.#draw();
  }
}
