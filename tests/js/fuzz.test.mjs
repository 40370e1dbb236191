// Damaged frames by the thousand: each is decoded, or refused with a sentence. FUZZ_COUNT=100000 for the full size.

import assert from "node:assert/strict";
import test from "node:test";

import { HEADER_BYTES, decode, point } from "../../edge/server/static/wire.js";
import { golden, names } from "./fixtures.mjs";

const COUNT = Number(process.env.FUZZ_COUNT || 4000);
const SEED = Number(process.env.FUZZ_SEED || 1);

/** Random numbers that a seed repeats (mulberry32): a whole number below `limit`. */
function diceOf(seed) {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * limit);
  };
}

const pick = (dice, list) => list[dice(list.length)];
const joined = (...parts) => new Uint8Array(Buffer.concat(parts.map((part) => Buffer.from(part))));

/** A frame (Uint8Array) with one thing about it changed. */
function damaged(dice, frame, frames) {
  const at = dice(frame.length + 1);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const whole = frame.length >= HEADER_BYTES;
  switch (dice(7)) {
    case 0:
      if (at < frame.length) frame[at] = dice(256);
      return frame;
    case 1:
      return frame.slice(0, at);
    case 2:
      return joined(frame.slice(0, at), Uint8Array.from({ length: dice(9) }, () => dice(256)), frame.slice(at));
    case 3: { // a field of the header, as a whole
      const value = pick(dice, [0, 1, 3, 7, 0xffffffff, dice(2 ** 32)]);
      if (whole) view.setUint32(pick(dice, [4, 6, 8, 12, 16, 20, 24, 28, 40, 44]), value, true);
      return frame;
    }
    case 4: // the box
      if (whole) view.setFloat32(48 + 4 * dice(6), pick(dice, [NaN, Infinity, -1, -0, 3.4e38, 1e-45, 0]), true);
      return frame;
    case 5:
      for (let index = HEADER_BYTES; index < frame.length; index++) frame[index] = dice(256);
      return frame;
    default:
      return joined(frame, pick(dice, frames).slice(0, dice(80)));
  }
}

function check(frame) {
  let packet;
  try {
    packet = decode(frame.buffer);
  } catch (error) {
    // A RangeError or TypeError would be the machine's, not ours.
    assert.equal(error.constructor, Error, String(error));
    assert.ok(error.message.length > 20 && error.message.length < 400, error.message);
    return false;
  }
  for (const plane of [packet.x, packet.y, packet.z]) assert.equal(plane.length, packet.count);
  for (const plane of [packet.r, packet.g, packet.b, packet.confidence, packet.mark]) {
    assert.ok(plane === null || plane.length === packet.count);
  }
  assert.ok(Number.isSafeInteger(packet.seq) && [...packet.centre, ...packet.half].every(Number.isFinite));
  if (packet.count > 0) assert.ok(point(packet, packet.count - 1).every(Number.isFinite));
  return true;
}

test(`${COUNT} damaged frames of seed ${SEED} are decoded or refused with a sentence`, () => {
  const dice = diceOf(SEED);
  const frames = names.map((name) => new Uint8Array(golden(name).buffer));
  const verdicts = { taken: 0, refused: 0 };
  for (let number = 0; number < COUNT; number++) {
    let frame = pick(dice, frames).slice();
    for (let times = pick(dice, [1, 1, 2, 8]); times > 0; times--) frame = damaged(dice, frame, frames);
    // A buffer of its own, as the page gets it.
    frame = new Uint8Array(frame);
    try {
      verdicts[check(frame) ? "taken" : "refused"]++;
    } catch (error) {
      const start = Buffer.from(frame.slice(0, 100)).toString("hex");
      throw new Error(`frame ${number} of seed ${SEED}: ${error.message}; it starts ${start}`);
    }
  }
  console.log(`fuzz_js ${COUNT} inputs: ${JSON.stringify(verdicts)}`);
  assert.ok(verdicts.taken > COUNT / 50 && verdicts.refused > COUNT / 5, "both must happen, or little is tried");
});
