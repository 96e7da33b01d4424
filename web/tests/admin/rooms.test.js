// How the form of the admin page reads a palette, and how rooms are found. Which rooms may be is the server's to say.

import assert from "node:assert/strict";
import { test } from "node:test";
import { linesOf, matches, paletteOf } from "../../admin-rooms.js";

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

test("a line without two parts is named", () => {
  assert.throws(() => paletteOf("fire 🔥\n\nclap"), { message: /^Line 3: a name, a space, and a glyph/ });
});

test("rooms are found by id and by name", () => {
  const room = { id: 71, name: "Cricket Final" };
  assert.ok(["7", "71", "final", " crick ", ""].every((text) => matches(room, text)));
  assert.ok(!["1", "semi"].some((text) => matches(room, text)));
});
