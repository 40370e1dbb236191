// Where the car is, robustly: ground height, extents and the natural size of a point, smoothed over frames.

import { STEPS } from "./wire.js";

const SAMPLES = 1500;
/** Share of the newest frame in the running bounds. */
const SHARE = 0.15;
/** Area of a car of length 1, for the spacing of its points. */
const CAR_AREA = 1.5;

/** Values of a plane at an even stride, sorted, in canonical units. */
function sample(packet, plane, axis) {
  const stride = Math.max(1, Math.floor(packet.count / SAMPLES));
  const values = [];
  for (let index = 0; index < packet.count; index += stride) values.push(plane[index]);
  values.sort((a, b) => a - b);
  return values.map((step) => packet.centre[axis] + (step * packet.half[axis]) / STEPS);
}

/** Bounds of one packet that a few stray points do not move: the 1st to 99th percentile of each axis. */
export function measure(packet) {
  const spans = [packet.x, packet.y, packet.z].map((plane, axis) => {
    const values = sample(packet, plane, axis);
    const pick = (part) => values[Math.min(values.length - 1, Math.floor(part * values.length))];
    return [pick(0.01), pick(0.99)];
  });
  return {
    floor: spans[2][0] - 0.006,
    low: spans[2][0],
    high: spans[2][1],
    centre: spans.map(([low, high]) => (low + high) / 2),
    half: spans.map(([low, high]) => (high - low) / 2),
    radius: Math.min(0.03, Math.max(0.004, 0.85 * Math.sqrt(CAR_AREA / packet.count))),
  };
}

/** Bounds that follow the packets without trembling. */
export class Bounds {
  constructor() {
    this.now = { floor: -0.16, low: -0.16, high: 0.16, centre: [0, 0, 0], half: [0.5, 0.2, 0.16], radius: 0.01 };
    this.fresh = true;
  }

  /** Take a packet in; an empty one changes nothing. */
  add(packet) {
    if (packet.count === 0) return;
    const next = measure(packet);
    const share = this.fresh ? 1 : SHARE;
    this.fresh = false;
    const blend = (old, young) => (Array.isArray(old) ? old.map((value, index) => blend(value, young[index]))
      : old + share * (young - old));
    for (const name of Object.keys(next)) this.now[name] = blend(this.now[name], next[name]);
  }
}
