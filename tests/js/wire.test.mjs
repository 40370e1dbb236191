import assert from "node:assert/strict";
import test from "node:test";

import { HEADER_BYTES, VERSION, decode, planeLayout, point } from "../../edge/server/static/wire.js";
import { golden, names } from "./fixtures.mjs";

const good = names.filter((name) => !name.startsWith("bad_"));
const bad = names.filter((name) => name.startsWith("bad_"));

test("the fixtures are there", () => assert.ok(good.length >= 8 && bad.length >= 11));

for (const name of good) {
  test(`${name} decodes`, () => {
    const { buffer, facts } = golden(name);
    const packet = decode(buffer);
    assert.deepEqual(
      [packet.seq, packet.count, packet.flags, packet.capturedUs, packet.publishedUs, packet.epochOffsetUs],
      [facts.seq, facts.count, facts.flags, facts.captured_us, facts.published_us, facts.epoch_offset_us],
    );
    assert.deepEqual([packet.centre, packet.half], [facts.centre, facts.half]);
    facts.steps.forEach((steps, index) => {
      assert.deepEqual([packet.x[index], packet.y[index], packet.z[index]], steps);
      point(packet, index).forEach((value, axis) => assert.ok(Math.abs(value - facts.points[index][axis]) < 1e-9));
    });
    const colours = packet.r && [...packet.r].map((_, index) => [packet.r[index], packet.g[index], packet.b[index]]);
    assert.deepEqual(colours, facts.rgb);
    assert.deepEqual(packet.confidence && [...packet.confidence], facts.confidence);
    assert.deepEqual(packet.mark && [...packet.mark], facts.mark);
  });

  test(`${name}: planes look into the frame, aligned, without copies`, () => {
    const { buffer } = golden(name);
    const packet = decode(buffer);
    for (const plane of [packet.x, packet.y, packet.z, packet.r, packet.confidence, packet.mark]) {
      if (!plane) continue;
      assert.equal(plane.buffer, buffer);
      assert.equal(plane.byteOffset % 4, 0);
    }
  });
}

for (const name of bad) {
  test(`${name} is refused with a sentence`, () => {
    const { buffer, facts } = golden(name);
    assert.throws(() => decode(buffer), (error) => error.message.includes(facts.error));
  });
}

test("every truncation is refused", () => {
  const { buffer } = golden("full");
  for (let length = 0; length < buffer.byteLength; length++) assert.throws(() => decode(buffer.slice(0, length)));
});

test("layout and constants are the documented ones", () => {
  assert.equal(HEADER_BYTES, 72);
  assert.equal(VERSION, 1);
  assert.deepEqual(planeLayout(5, 3), {
    offsets: { x: 72, y: 84, z: 96, r: 108, g: 116, b: 124, confidence: 132 }, total: 140,
  });
  assert.deepEqual(planeLayout(5, 4), { offsets: { x: 72, y: 84, z: 96, mark: 108 }, total: 116 });
});
