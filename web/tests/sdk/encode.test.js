// What is sent, against the golden samples.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeControl, encodeHello, encodeReactions } from "../../uproar.js";
import { sample } from "./samples.js";

const fullRecords = Array.from({ length: 296 }, (_, index) => [index, 65_535 - index]);

test("a hello is the golden sample, but for its second room and its token", () => {
  const [room, second, token] = [13, 17, 6];
  const expected = sample("hello").slice(0, room);
  expected.set([11, 0]);
  expected.set([1, 0, 0, 0], 5);
  assert.deepEqual(sample("hello").length, second + token);
  assert.deepEqual(encodeHello(7), expected);
});

test("a reaction of one record, and of 296", () => {
  assert.deepEqual(encodeReactions(7, 0x1122334455667788n, [[2, 3]]), sample("reaction_one"));
  assert.deepEqual(encodeReactions(2 ** 32 - 1, 0n, fullRecords), sample("reaction_full"));
});

test("a reaction as a control message", () => {
  const bytes = sample("reactions");
  assert.deepEqual(encodeControl(6, bytes.subarray(3)), bytes);
});
