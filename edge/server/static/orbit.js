// A camera on a sphere around a target, z up, and the little matrix algebra it takes. Matrices are column-major.

// The target lies below the middle of the car, which lifts it clear of the buttons.
const HOME = { yaw: -0.72, pitch: 0.36, distance: 1.9, target: [0, 0, -0.06] };
const PITCH_LIMIT = 1.5;
const [NEAREST, FARTHEST] = [0.25, 12];
export const FIELD_OF_VIEW = 0.62;

export class Orbit {
  constructor() {
    this.fit = 1;
    this.reset();
  }

  /** Back to the three-quarter view from the front left. */
  reset() {
    Object.assign(this, { ...HOME, target: [...HOME.target], distance: HOME.distance * this.fit });
  }

  /** A narrow picture needs more distance to hold a whole car; keeps the user's zoom relative to that. */
  setAspect(aspect) {
    const fit = Math.min(2, Math.max(1, 1.08 / aspect));
    this.distance *= fit / this.fit;
    this.fit = fit;
  }

  rotate(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.min(PITCH_LIMIT, Math.max(-PITCH_LIMIT, this.pitch + pitch));
  }

  zoom(factor) {
    this.distance = Math.min(FARTHEST, Math.max(NEAREST, this.distance * factor));
  }

  /** Move the target across the picture; (1, 0) is one picture height to the right. */
  pan(right, up) {
    const { x, y } = this.axes();
    const scale = 2 * Math.tan(FIELD_OF_VIEW / 2) * this.distance;
    this.target = this.target.map((value, axis) => {
      const moved = value + scale * (right * x[axis] + up * y[axis]);
      return Math.min(1.5, Math.max(-1.5, moved));
    });
  }

  /** The camera's right (x), up (y) and backward (z) axes in the canonical frame. */
  axes() {
    const [sy, cy, sp, cp] = [Math.sin(this.yaw), Math.cos(this.yaw), Math.sin(this.pitch), Math.cos(this.pitch)];
    const z = [cp * cy, -cp * sy, sp];
    const x = [sy, cy, 0];
    return { x, y: [-sp * cy, sp * sy, cp], z };
  }

  eye() {
    const { z } = this.axes();
    return this.target.map((value, axis) => value + this.distance * z[axis]);
  }

  viewMatrix() {
    const { x, y, z } = this.axes();
    const eye = this.eye();
    const dot = (axis) => -(axis[0] * eye[0] + axis[1] * eye[1] + axis[2] * eye[2]);
    return [x[0], y[0], z[0], 0, x[1], y[1], z[1], 0, x[2], y[2], z[2], 0, dot(x), dot(y), dot(z), 1];
  }

  /** Depth range that holds the car and the grid from here. */
  range() {
    return [Math.max(0.02, this.distance - 2.2), this.distance + 4.5];
  }

  projection(aspect) {
    const [near, far] = this.range();
    const f = 1 / Math.tan(FIELD_OF_VIEW / 2);
    return [f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / (near - far), -1, 0, 0, (2 * far * near) / (near - far), 0];
  }
}
