// The phone as a handle: as it is turned, so one looks from another side, as if the car hung in the air before it.

const FULL = 2 * Math.PI;

/**
 * Where the back of a device looks. Takes the angles of a DeviceOrientationEvent, degrees; gives radians: heading grows
 * to the left, pitch upwards. By the rotation matrix, not by single angles: held upright, alpha and gamma are one.
 */
export function lookOf({ alpha, beta, gamma }) {
  const [a, b, g] = [alpha, beta, gamma].map((degrees) => (degrees * Math.PI) / 180);
  const east = -(Math.cos(a) * Math.sin(g) + Math.sin(a) * Math.sin(b) * Math.cos(g));
  const north = -(Math.sin(a) * Math.sin(g) - Math.cos(a) * Math.sin(b) * Math.cos(g));
  const up = -Math.cos(b) * Math.cos(g);
  return { heading: Math.atan2(-east, north), pitch: Math.asin(Math.min(1, Math.max(-1, up))) };
}

/** The same turn by less than half a circle. */
export function shortest(angle) {
  return angle - FULL * Math.round(angle / FULL);
}

export class Tilt {
  /** turn(yaw, pitch): what an orbit has to rotate by. ended(sentence): it cannot go on. */
  constructor(turn, ended) {
    Object.assign(this, { turn, ended, last: null });
    this.listener = (event) => this.take(event);
  }

  /** Begin; must be called by a click, since an iPhone then asks its user. */
  async start() {
    if (!window.isSecureContext) return this.end("The browser tells a page how the phone is held only over https (carcloud certificate).");
    const asks = typeof window.DeviceOrientationEvent?.requestPermission === "function";
    if (asks && (await DeviceOrientationEvent.requestPermission().catch(() => "denied")) !== "granted") {
      return this.end("The browser was not allowed to tell how the phone is held.");
    }
    window.addEventListener("deviceorientation", this.listener);
  }

  stop() {
    window.removeEventListener("deviceorientation", this.listener);
    this.last = null;
  }

  end(sentence) {
    this.stop();
    this.ended(sentence);
  }

  take(event) {
    if (event.alpha === null || event.beta === null || event.gamma === null) return this.end("This device does not tell how it is held.");
    const look = lookOf(event);
    if (this.last) this.turn(-shortest(look.heading - this.last.heading), this.last.pitch - look.pitch);
    this.last = look;
  }
}
