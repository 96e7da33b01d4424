// The golden samples of the contract, read from the files that the Rust tests read, and what they stand for.
//
// Not here: assertions.

import { readFileSync } from "node:fs";

/** The bytes of a sample: hexadecimal pairs, `#` begins a comment. */
export function sample(name) {
  const text = readFileSync(new URL(`../../../wire/tests/golden/${name}.hex`, import.meta.url), "utf8");
  const pairs = text.split("\n").flatMap((line) => line.split("#")[0].split(/\s+/).filter(Boolean));
  return Uint8Array.from(pairs, (pair) => parseInt(pair, 16));
}

export const PALETTE = {
  room: 7,
  name: "Cup final 2026",
  emoji: [
    { id: 0, name: "fire", glyph: "🔥" },
    { id: 1, name: "goal", glyph: "⚽" },
    { id: 2, name: "laughing", glyph: "😂" },
    { id: 3, name: "standing ovation", glyph: "👏" },
    { id: 4, name: "wave", glyph: "https://cdn.example/emoji/animated/mexican-wave/v2/large.webp?theme=dark" },
  ],
};

export const FRAME_EMPTY = {
  room: 7, windowMs: 2000, window: 901_234_567, startMs: 1_802_469_134_000, total: 0n, intensity: 0, top: [],
};

const top = (entries) => entries.map(([count, id, share, intensity]) => ({ count, id, share, intensity }));

export const FRAME_TOP8 = {
  ...FRAME_EMPTY,
  total: 1_000_001n,
  intensity: 200,
  top: top([
    [420_000n, 2, 4199, 83],
    [250_000n, 0, 2499, 49],
    [125_001n, 5, 1250, 25],
    [100_000n, 1, 999, 19],
    [50_000n, 3, 499, 9],
    [50_000n, 9, 499, 9],
    [4_999n, 1023, 49, 0],
    [1n, 300, 0, 0],
  ]),
};

const LARGE = 2n ** 53n + 1n;

/** Counts that a double cannot hold; its window is one too, and rounded. */
export const FRAME_LARGE = {
  room: 2 ** 32 - 1,
  windowMs: 100,
  window: Number(LARGE),
  startMs: Number(LARGE * 100n),
  total: 2n ** 64n - 1n,
  intensity: 255,
  top: top([[2n ** 64n - 1n - LARGE, 1023, 9995, 254], [LARGE, 0, 4, 0]]),
};
