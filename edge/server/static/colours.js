// Colour modes and the ramps behind them.

/**
 * Order is the order on the page; `shader` is the number the vertex shader knows; `needs` is a plane of the packet;
 * `low` and `high`, `marks` or `words` are the legend.
 */
export const MODES = [
  { id: "camera", label: "Camera", shader: 5, needs: "r", words: "as the camera saw it" },
  { id: "seen", label: "Seen", shader: 6, needs: "mark", marks: ["seen", "mirrored", "filled"] },
  { id: "height", label: "Height", shader: 0, low: "low", high: "high" },
  { id: "distance", label: "Distance", shader: 1, low: "near", high: "far" },
  { id: "confidence", label: "Confidence", shader: 2, low: "doubtful", high: "sure", needs: "confidence" },
  { id: "direction", label: "Direction", shader: 3, words: "one colour for each way a side faces" },
  { id: "plain", label: "Plain", shader: 4, words: "one colour: the shape alone" },
];
/** The mode that every packet has. */
export const HEIGHT = MODES.find(({ id }) => id === "height");

// Stops evenly spaced, sRGB. Lightness rises throughout, so that the order survives a grey print.
const RAMPS = {
  dark: ["#3c4f9c", "#2f7fa8", "#35a596", "#8fc06c", "#f0cf65"],
  light: ["#27306b", "#225f8a", "#1f857d", "#5f9a4a", "#c98f2b"],
};
const PLAIN = { dark: "#c9d1da", light: "#5d6b7a" };

// What the camera saw, what it saw of the other side, what it saw of neither; told apart without red and green.
const MARKS = { dark: ["#57b4e8", "#eda63a", "#6d7681"], light: ["#1d6fa5", "#c07912", "#98a1ab"] };

/** The colours of marks 0, 1, 2 as CSS. */
export function markColours(theme) {
  return MARKS[theme];
}

/** The same as a flat array of floats 0..1, for a uniform. */
export function markFloats(theme) {
  return new Float32Array(MARKS[theme].flatMap(rgb));
}

export function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
}

/** The stops of a theme's ramp as a flat array of floats 0..1, for a uniform. */
export function rampFloats(theme) {
  return new Float32Array(RAMPS[theme].flatMap(rgb));
}

/** The same ramp as a CSS gradient, for the legend. */
export function rampGradient(theme) {
  return `linear-gradient(90deg, ${RAMPS[theme].join(", ")})`;
}

export function plainColour(theme) {
  return rgb(PLAIN[theme]);
}

/** The modes a packet can be shown in. */
export function availableModes(packet) {
  return MODES.filter((mode) => !mode.needs || packet?.[mode.needs]);
}
