// Two eyes: where each draws, how each looks, and how two pictures become one for red and cyan glasses.

/** Distance between the eyes, in distances to the car: the photographers' rule of thumb. As in edge/models/stereo.py. */
export const EYES = 1 / 30;
/** Width of what lies between the halves, in CSS pixels. */
const GAP = 10;

/** Order is the order on the page; `words` say what it takes. */
export const STEREO = [
  { id: "flat", label: "Flat", words: "" },
  { id: "glasses", label: "Red-cyan glasses", words: "red before the left eye, cyan before the right" },
  { id: "sides", label: "Side by side", words: "for phone viewers: full screen, the phone on its side. A tap brings the buttons back" },
];

/** The one with this id; flat if there is none, such as null. */
export function stereoOf(id) {
  return STEREO.find((each) => each.id === id) ?? STEREO[0];
}

/**
 * Who looks, and where on a canvas of width x height pixels that is drawn: a list of {side, box}. side: -1 left eye, 1
 * right eye, 0 for the only one. box: left, bottom, width, height. ratio: pixels of the canvas per CSS pixel.
 */
export function eyesOf(id, width, height, ratio = 1) {
  if (id === "flat") return [{ side: 0, box: [0, 0, width, height] }];
  if (id === "glasses") return [-1, 1].map((side) => ({ side, box: [0, 0, width, height] }));
  const half = Math.max(1, Math.floor((width - GAP * ratio) / 2));
  return [{ side: -1, box: [0, 0, half, height] }, { side: 1, box: [width - half, 0, half, height] }];
}

/** Width by height of what one eye sees. */
export function aspectOf(id, width, height) {
  const [, , wide, high] = eyesOf(id, width, height)[0].box;
  return wide / Math.max(1, high);
}

/**
 * View and projection of one eye. The eyes look in parallel, each through a frustum that leans towards the other's, so
 * that what is as far away as the orbit's target falls onto the same place for both: the screen. A point at depth d is
 * seen by the left eye farther to the right, by EYES * (distance / d - 1) * projection[0] in halves of the width.
 */
export function eyeCamera(orbit, side, aspect) {
  const view = orbit.viewMatrix();
  const projection = orbit.projection(aspect);
  const shift = (side * EYES) / 2;
  view[12] -= shift * orbit.distance;
  projection[8] -= shift * projection[0];
  return { view, projection, distance: orbit.distance };
}

/**
 * Linear light of the left and of the right picture to that of the anaglyph; columns are what red, green, blue become.
 * Least squares through the glasses' and the screen's spectra (Dubois 2001), the same numbers as edge/models/stereo.py.
 * With red from one picture and green and blue from the other a red car would be seen by the left eye alone.
 */
export const FROM_LEFT = new Float32Array([0.437, -0.062, -0.048, 0.449, -0.062, -0.05, 0.164, -0.024, -0.017]);
export const FROM_RIGHT = new Float32Array([-0.011, 0.377, -0.026, -0.032, 0.761, -0.093, -0.007, 0.009, 1.234]);
