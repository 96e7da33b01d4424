// Decoding against the golden samples, and against bytes that somebody has cut or changed: a value, or a RangeError.

import assert from "node:assert/strict";
import { test } from "node:test";
import { RoomMessages, decodeFrame, decodePalette } from "../../uproar.js";
import { FRAME_EMPTY, FRAME_LARGE, FRAME_TOP8, PALETTE, sample } from "./samples.js";

const FRAMES = { frame_empty: FRAME_EMPTY, frame_top8: FRAME_TOP8, frame_large: FRAME_LARGE };
const ALL = ["palette", ...Object.keys(FRAMES)];
const archiveOf = (name) => sample(name).subarray(5);

/** Whether the archive is read as anything; fails when it is refused with anything but a RangeError. */
function isRead(archive) {
  return [decodeFrame, decodePalette].some((decode) => {
    try {
      const value = decode(archive);
      assert.ok((value.top ?? value.emoji).length <= archive.length);
      return true;
    } catch (error) {
      assert.ok(error instanceof RangeError, `${error}`);
      return false;
    }
  });
}

for (const [name, value] of Object.entries(FRAMES)) {
  test(`${name} is read, as bytes and as a DataView, wherever it lies`, () => {
    const archive = archiveOf(name);
    assert.deepEqual(decodeFrame(archive), value);
    for (let shift = 0; shift < 16; shift++) {
      const buffer = new Uint8Array(shift + archive.length + 3).fill(0xaa);
      buffer.set(archive, shift);
      assert.deepEqual(decodeFrame(new DataView(buffer.buffer, shift, archive.length)), value);
    }
  });
}

test("the palette is read, with texts in place and elsewhere", () => {
  assert.deepEqual(decodePalette(archiveOf("palette")), PALETTE);
});

test("an archive that is cut short is refused or read within its bounds", () => {
  for (const name of ALL) {
    const archive = archiveOf(name);
    for (let length = 0; length < archive.length; length++) {
      isRead(archive.subarray(0, length));
      isRead(archive.subarray(archive.length - length));
    }
    for (let length = 0; length < 20; length++) {
      assert.throws(() => decodeFrame(archive.subarray(0, length)), RangeError);
      assert.throws(() => decodePalette(archive.subarray(0, length)), RangeError);
    }
  }
});

test("a changed byte is refused or read within its bounds", () => {
  for (const name of ALL) {
    const outcomes = { true: 0, false: 0 };
    const archive = archiveOf(name);
    const decode = name === "palette" ? decodePalette : decodeFrame;
    for (let at = 0; at < archive.length; at++) {
      for (const flip of [1, 2, 4, 8, 16, 32, 64, 128, 255]) {
        const changed = Uint8Array.from(archive);
        changed[at] ^= flip;
        isRead(changed);
        let read = true;
        try { decode(changed); } catch { read = false; }
        outcomes[read] += 1;
      }
    }
    assert.ok(outcomes.true > 0, "most bytes are numbers, where every value is allowed");
    assert.ok(outcomes.false > 0, "pointers and lengths are not");
  }
});

test("a top that points outside is refused", () => {
  const pointer = archiveOf("frame_top8").length - 8;
  const tampered = (at, value) => {
    const archive = Uint8Array.from(archiveOf("frame_top8"));
    new DataView(archive.buffer).setInt32(at, value, true);
    return archive;
  };
  for (const offset of [-(2 ** 31), -1_000_000, -138, 5, 2 ** 31 - 1]) {
    assert.throws(() => decodeFrame(tampered(pointer, offset)), RangeError, `offset ${offset}`);
  }
  for (const count of [12, 1_000_000, -1]) {
    assert.throws(() => decodeFrame(tampered(pointer + 4, count)), RangeError, `${count} elements`);
  }
});

test("a text that is too long is refused, though it is all there", () => {
  const archive = new Uint8Array(400 + 20);
  const view = new DataView(archive.buffer);
  const name = (length) => {
    view.setUint32(404, 0x80 | (length & 0x3f) | ((length >>> 6) << 8), true);
    view.setInt32(408, -404, true);
  };
  name(256);
  assert.equal(decodePalette(archive).name.length, 256);
  name(257);
  assert.throws(() => decodePalette(archive), RangeError);
});

test("messages come whole at each split of a stream", () => {
  const bytes = Uint8Array.from(ALL.flatMap((name) => [...sample(name)]));
  const whole = ALL.map((name) => ({ kind: sample(name)[4], archive: archiveOf(name) }));
  for (let split = 0; split <= bytes.length; split++) {
    const stream = new RoomMessages();
    const messages = [...stream.push(bytes.subarray(0, split)), ...stream.push(bytes.subarray(split))];
    assert.deepEqual(messages, whole);
  }
  const stream = new RoomMessages();
  assert.deepEqual([...bytes].flatMap((byte) => stream.push(Uint8Array.of(byte))), whole);
});

test("a bad length is told by the first four bytes", () => {
  for (const length of [0, 2 ** 20 + 1, 2 ** 32 - 1]) {
    const bytes = new Uint8Array(new Uint32Array([length]).buffer);
    assert.throws(() => new RoomMessages().push(bytes), RangeError, `${length}`);
  }
  assert.deepEqual(new RoomMessages().push(new Uint8Array(new Uint32Array([2 ** 20]).buffer)), []);
});
