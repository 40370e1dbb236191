// Wire format v1: one point cloud as bytes. The mirror of edge/wire.py; docs/wire.md describes it byte by byte.

export const MAGIC = "CCPW";
export const VERSION = 1;
export const FLAG_RGB = 1;
export const FLAG_CONFIDENCE = 2;
export const FLAG_MARK = 4;
export const HEADER_BYTES = 72;
const KNOWN_FLAGS = FLAG_RGB | FLAG_CONFIDENCE | FLAG_MARK;
const MAX_POINTS = 1 << 20;
/** Largest coordinate of a box that is believed: the largest float32, less what rounding adds. */
const FARTHEST = 3.4e38;
/** int16 steps from the centre of the box to its face. */
export const STEPS = 32767;

const aligned = (size) => (size + 3) & ~3;

/** Planes in the order they follow the header: name -> byte offset in the frame; `total` is the frame's length. */
export function planeLayout(count, flags) {
  const planes = [["x", 2], ["y", 2], ["z", 2]];
  if (flags & FLAG_RGB) planes.push(["r", 1], ["g", 1], ["b", 1]);
  if (flags & FLAG_CONFIDENCE) planes.push(["confidence", 1]);
  if (flags & FLAG_MARK) planes.push(["mark", 1]);
  const offsets = {};
  let total = HEADER_BYTES;
  for (const [name, width] of planes) {
    offsets[name] = total;
    total += aligned(count * width);
  }
  return { offsets, total };
}

/**
 * An ArrayBuffer to a packet: numbers, the box (`centre`, `half`: three floats each) and the planes as typed arrays
 * that look into the buffer without copying (x, y, z Int16Array; r, g, b, confidence, mark Uint8Array or null).
 * Times are microseconds; add `epochOffsetUs` to get the server's wall clock. Throws an Error with a sentence.
 */
export function decode(buffer) {
  const view = new DataView(buffer);
  const length = buffer.byteLength;
  if (length < 4 || String.fromCharCode(...new Uint8Array(buffer, 0, 4)) !== MAGIC) {
    throw new Error("these bytes do not start with 'CCPW': no carcloud frame");
  }
  if (length < HEADER_BYTES) {
    throw new Error(`frame is cut short: ${length} bytes, the header alone has ${HEADER_BYTES}`);
  }
  const flags = view.getUint16(6, true);
  const count = view.getUint32(12, true);
  const seq = view.getBigUint64(16, true);
  checkHeader(view, flags, count, seq);
  const { offsets, total } = planeLayout(count, flags);
  if (length !== total) {
    const how = length < total ? "cut short" : "bytes trail behind it";
    throw new Error(`frame of ${count} points must have ${total} bytes and has ${length}: ${how}`);
  }
  const triple = (offset) => [0, 4, 8].map((step) => view.getFloat32(offset + step, true));
  const [centre, half] = [triple(48), triple(60)];
  // A box that reaches beyond float32 would give points that are not finite. (NaN is not below anything.)
  if (!centre.every((value, axis) => Math.abs(value) + half[axis] <= FARTHEST && half[axis] >= 0)) {
    throw new Error("frame has a box that is not finite or is inside out; the frame is damaged");
  }
  const bytes = (name) => (name in offsets ? new Uint8Array(buffer, offsets[name], count) : null);
  return {
    buffer, flags, count, offsets, centre, half, seq: Number(seq),
    capturedUs: Number(view.getBigUint64(24, true)),
    publishedUs: Number(view.getBigUint64(32, true)),
    epochOffsetUs: Number(view.getBigInt64(40, true)),
    x: new Int16Array(buffer, offsets.x, count),
    y: new Int16Array(buffer, offsets.y, count),
    z: new Int16Array(buffer, offsets.z, count),
    r: bytes("r"), g: bytes("g"), b: bytes("b"), confidence: bytes("confidence"), mark: bytes("mark"),
  };
}

function checkHeader(view, flags, count, seq) {
  const version = view.getUint16(4, true);
  if (version !== VERSION) {
    throw new Error(`frame has wire version ${version} and this page reads ${VERSION}; reload the page`);
  }
  if (flags & ~KNOWN_FLAGS) {
    const unknown = (flags & ~KNOWN_FLAGS).toString(16).padStart(4, "0");
    throw new Error(`frame has unknown flag bits 0x${unknown}; reload the page`);
  }
  const headerLength = view.getUint32(8, true);
  if (headerLength !== HEADER_BYTES) {
    throw new Error(`frame says its header has ${headerLength} bytes, version 1 has ${HEADER_BYTES}`);
  }
  if (count > MAX_POINTS || seq > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new Error(`frame claims ${count} points and number ${seq}, beyond the format's limits; it is damaged`);
  }
}

/** Point `index` of a packet in the canonical frame: [x, y, z]. */
export function point(packet, index) {
  return [packet.x, packet.y, packet.z].map(
    (plane, axis) => packet.centre[axis] + (plane[index] * packet.half[axis]) / STEPS,
  );
}
