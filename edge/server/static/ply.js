// The cloud in hand as a PLY file, made in the browser: what is saved is exactly what is seen.

import { STEPS } from "./wire.js";

/** A packet to the bytes of a binary little-endian PLY: x y z float, colour, confidence and mark where known. */
export function encodePly(packet) {
  const header = ["ply", "format binary_little_endian 1.0", `comment carcloud frame ${packet.seq}`,
    "comment canonical frame: x forward, y left, z up, car length 1", `element vertex ${packet.count}`,
    "property float x", "property float y", "property float z"];
  if (packet.r) header.push("property uchar red", "property uchar green", "property uchar blue");
  if (packet.confidence) header.push("property float confidence");
  if (packet.mark) header.push("property uchar mark");
  const head = new TextEncoder().encode([...header, "end_header", ""].join("\n"));
  const stride = 12 + (packet.r ? 3 : 0) + (packet.confidence ? 4 : 0) + (packet.mark ? 1 : 0);
  const out = new Uint8Array(head.length + stride * packet.count);
  out.set(head);
  const view = new DataView(out.buffer);
  const planes = [packet.x, packet.y, packet.z];
  const scale = packet.half.map((half) => half / STEPS);
  for (let index = 0, at = head.length; index < packet.count; index++) {
    for (let axis = 0; axis < 3; axis++, at += 4) {
      view.setFloat32(at, packet.centre[axis] + planes[axis][index] * scale[axis], true);
    }
    if (packet.r) {
      out[at++] = packet.r[index];
      out[at++] = packet.g[index];
      out[at++] = packet.b[index];
    }
    if (packet.confidence) {
      view.setFloat32(at, packet.confidence[index] / 255, true);
      at += 4;
    }
    if (packet.mark) out[at++] = packet.mark[index];
  }
  return out;
}
