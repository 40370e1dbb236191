import assert from "node:assert/strict";
import test from "node:test";

import { encodePly } from "../../edge/server/static/ply.js";
import { decode } from "../../edge/server/static/wire.js";
import { golden } from "./fixtures.mjs";

/** A small reader of its own: header words, then rows by the declared properties. */
function parse(bytes) {
  const text = new TextDecoder("latin1").decode(bytes);
  const end = text.indexOf("end_header\n") + "end_header\n".length;
  const header = text.slice(0, end).trim().split("\n");
  const fields = header.filter((line) => line.startsWith("property")).map((line) => line.split(" ").slice(1));
  const count = Number(header.find((line) => line.startsWith("element vertex")).split(" ")[2]);
  const view = new DataView(bytes.buffer, end);
  const rows = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    const row = {};
    for (const [type, name] of fields) {
      row[name] = type === "float" ? view.getFloat32(at, true) : view.getUint8(at);
      at += type === "float" ? 4 : 1;
    }
    rows.push(row);
  }
  assert.equal(end + at, bytes.length);
  return { header, rows };
}

for (const name of ["plain", "rgb", "confidence", "full", "marked", "empty", "one_point"]) {
  test(`${name} becomes a PLY with the same points`, () => {
    const { buffer, facts } = golden(name);
    const { header, rows } = parse(encodePly(decode(buffer)));
    assert.deepEqual(header.slice(0, 2), ["ply", "format binary_little_endian 1.0"]);
    assert.equal(rows.length, facts.count);
    rows.forEach((row, index) => {
      ["x", "y", "z"].forEach((axis, at) => assert.ok(Math.abs(row[axis] - facts.points[index][at]) < 1e-6));
      if (facts.rgb) assert.deepEqual([row.red, row.green, row.blue], facts.rgb[index]);
      if (facts.mark) assert.equal(row.mark, facts.mark[index]);
      if (facts.confidence) assert.ok(Math.abs(row.confidence - facts.confidence[index] / 255) < 1e-6);
    });
    assert.equal(rows.some((row) => "red" in row), Boolean(facts.rgb && facts.count));
  });
}
