// How the form of the admin page reads a palette, and how rooms are found. Which rooms may be is the server's to say.

import assert from "node:assert/strict";
import { test } from "node:test";
import { glyphsOf, linesOf, matches, paletteOf } from "../../admin-rooms.js";

test("a line is a name and a glyph, and empty lines are none", () => {
  assert.deepEqual(paletteOf("fire 🔥\n\n  red card   🟥 \r\nspace\ta b\n"), [
    { name: "fire", glyph: "🔥" },
    { name: "red card", glyph: "🟥" },
    { name: "space", glyph: "a b" },
  ]);
});

test("the lines of a palette mean that palette", () => {
  const palette = [{ name: "a b", glyph: "c d" }, { name: " x", glyph: "y" }, { name: "fire", glyph: "🔥" }, { name: "❤️", glyph: "❤️" }];
  assert.deepEqual(paletteOf(linesOf(palette)), palette);
});

const retired = (glyph) => ({ name: "", glyph, retired: true });

test("retired emoji are shown as such, and are not put again", () => {
  const palette = [{ name: "fire", glyph: "🔥" }, retired("⚽"), { name: "clap", glyph: "👏" }, retired("https://cdn.example/x.svg")];
  assert.equal(linesOf(palette), "fire 🔥\nclap 👏");
  assert.deepEqual(glyphsOf(palette), { active: "🔥 👏", retired: "⚽ image" });
  assert.deepEqual(glyphsOf(palette.slice(0, 1)), { active: "🔥", retired: "" });
});

test("only so many glyphs are shown, and how many more there are", () => {
  const emoji = Array.from({ length: 20 }, (_, at) => ({ name: `n${at}`, glyph: at < 1 ? "https://cdn.example/x.svg" : `${at}` }));
  const { active } = glyphsOf(emoji);
  assert.equal(active, "n0 1 2 3 4 5 6 7 8 9 10 11 +8");
  assert.equal(glyphsOf(emoji.slice(0, 12)).active, "n0 1 2 3 4 5 6 7 8 9 10 11");
});

test("a line without two parts is named", () => {
  assert.throws(() => paletteOf("fire 🔥\n\nclap"), { message: /^Line 3: a name, a space, and a glyph/ });
});

test("rooms are found by id and by name", () => {
  const room = { id: 71, name: "Cricket Final" };
  assert.ok(["7", "71", "final", " crick ", ""].every((text) => matches(room, text)));
  const hearts = { id: 2, name: "Caf\u00e9 \u2764\ufe0f" };
  assert.ok(["\u2764", "\u2764\ufe0e", "cafe\u0301"].every((text) => matches(hearts, text)));
  assert.ok(!["1", "semi"].some((text) => matches(room, text)));
});
