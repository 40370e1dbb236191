// Mouse, touch and keyboard to the camera. One finger or button turns, two fingers move and pinch, the wheel zooms.

const TURN = 0.0068;
const KEY_TURN = 0.09;
/** Pixels that a finger may slip while it taps. */
const TAP = 8;

/**
 * Wire a canvas to an orbit. `touched` is called on every movement by hand, so that the page stops turning by itself;
 * `tapped` on a click or the tap of a finger that moved nothing.
 */
export function attachPointer(canvas, orbit, touched, tapped) {
  const pointers = new Map();
  let down = null;
  const height = () => canvas.clientHeight || 1;

  const turnOrMove = (event, dx, dy) => {
    if (event.shiftKey || event.buttons & 6) orbit.pan(-dx / height(), dy / height());
    else orbit.rotate(dx * TURN, dy * TURN);
  };

  const pinch = (event, before) => {
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    const spread = (at) => Math.hypot(at.x - other.x, at.y - other.y) || 1;
    const after = { x: event.clientX, y: event.clientY };
    orbit.zoom(spread(before) / spread(after));
    // Each finger moves the middle by half of what it moves itself.
    orbit.pan(-(after.x - before.x) / 2 / height(), (after.y - before.y) / 2 / height());
  };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    down = pointers.size === 1 ? { x: event.clientX, y: event.clientY } : null;
    touched();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (down && Math.hypot(event.clientX - down.x, event.clientY - down.y) < TAP) tapped();
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    if (pointers.size === 1) turnOrMove(event, event.clientX - before.x, event.clientY - before.y);
    else if (pointers.size === 2) pinch(event, before);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    touched();
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
  }
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
    orbit.zoom(Math.exp(Math.max(-120, Math.min(120, pixels)) * 0.0016));
    touched();
  }, { passive: false });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", () => {
    orbit.reset();
    touched();
  });
}

/** What a key does to the camera; true if it did something. */
export function keyMoves(event, orbit) {
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.key in arrows) {
    const [x, y] = arrows[event.key];
    if (event.shiftKey) orbit.pan(-x * 0.05, y * 0.05);
    else orbit.rotate(x * KEY_TURN, y * KEY_TURN);
  } else if (event.key === "+" || event.key === "=") orbit.zoom(0.9);
  else if (event.key === "-" || event.key === "_") orbit.zoom(1 / 0.9);
  else return false;
  return true;
}

/** Keys with a button or field of their own, as in the "Keys" card. Keys typed into a field, or with Ctrl, are left alone. */
export function attachKeys(actions, orbit, touched) {
  window.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement && event.target.type !== "checkbox";
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const inWidget = event.target instanceof Element && event.target.closest("[role=radiogroup], summary");
    if (!(inWidget && event.key.startsWith("Arrow")) && keyMoves(event, orbit)) touched();
    else if (event.key.toLowerCase() in actions) actions[event.key.toLowerCase()]();
    else return;
    event.preventDefault();
  });
}
