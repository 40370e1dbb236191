"use strict";
// A WebGL view of one coloured mesh, or of its points: turned with the mouse, a finger or the keys; flat or for two eyes.

const VERTEX = `
attribute vec3 position; attribute vec3 normal; attribute vec3 colour;
uniform mat4 view; uniform mat4 lens; uniform float size;
varying vec3 shade;
void main() {
  vec4 eye = view * vec4(position, 1.0);
  vec3 n = normalize(mat3(view) * normal);
  float sun = max(dot(n, normalize(vec3(-0.35, 0.75, 0.6))), 0.0);
  float shine = pow(max(n.z, 0.0), 24.0) * 0.06;
  shade = pow(pow(colour, vec3(2.2)) * (0.5 + 0.62 * sun) + shine, vec3(1.0 / 2.2));
  gl_Position = lens * eye;
  gl_PointSize = size / gl_Position.w;
}`;
const FRAGMENT = `
precision mediump float; varying vec3 shade; uniform float round;
void main() {
  vec2 away = gl_PointCoord - 0.5;
  if (round > 0.5 && dot(away, away) > 0.25) discard;
  gl_FragColor = vec4(shade, 1.0);
}`;
const SCREEN = `
attribute vec2 corner; varying vec2 at;
void main() { at = corner * 0.5 + 0.5; gl_Position = vec4(corner, 0.0, 1.0); }`;
// Both eyes' pictures in one for red and cyan glasses, mixed as light by least squares (Dubois 2001), as the live page does
// (edge/server/static/stereo.js). With red of one picture and cyan of the other a red car would be seen by one eye alone.
const MIX = `
precision mediump float; varying vec2 at; uniform sampler2D left; uniform sampler2D right;
const mat3 fromLeft = mat3(0.437, -0.062, -0.048, 0.449, -0.062, -0.05, 0.164, -0.024, -0.017);
const mat3 fromRight = mat3(-0.011, 0.377, -0.026, -0.032, 0.761, -0.093, -0.007, 0.009, 1.234);
vec3 light(vec3 shown) { return mix(shown / 12.92, pow((shown + 0.055) / 1.055, vec3(2.4)), step(0.04045, shown)); }
void main() {
  vec3 mixed = clamp(fromLeft * light(texture2D(left, at).rgb) + fromRight * light(texture2D(right, at).rgb), 0.0, 1.0);
  gl_FragColor = vec4(mix(mixed * 12.92, 1.055 * pow(mixed, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, mixed)), 1.0);
}`;
const START = { azimuth: 35, elevation: 16, distance: 2.5 };
const FINE = 2.5e6; // pixels of a picture up to which each eye's is drawn twice as large
const EYES = 1 / 30; // distance between the eyes, in distances to the car

class Viewer {
  /** canvas: to draw into. Throws Error where WebGL is not to be had. */
  constructor(canvas) {
    const gl = canvas.getContext("webgl", { antialias: true, alpha: true, premultipliedAlpha: false });
    if (!gl) throw new Error("no WebGL");
    this.canvas = canvas; this.gl = gl;
    this.pose = { ...START }; this.start = START; this.mode = "off"; this.asPoints = false; this.turning = false; this.model = null;
    this.program = this.build(VERTEX, FRAGMENT);
    this.mixer = this.build(SCREEN, MIX);
    this.corners = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.corners);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
    this.eyes = [0, 1].map(() => ({ colour: gl.createTexture(), depth: gl.createRenderbuffer(), target: gl.createFramebuffer(), size: "" }));
    this.buffers = { position: gl.createBuffer(), normal: gl.createBuffer(), colour: gl.createBuffer(), faces: gl.createBuffer() };
    this.listen();
    new ResizeObserver(() => this.ask()).observe(canvas);
  }

  build(vertex, fragment) {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text); gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    return program;
  }

  /** position: Float32Array (3 V), canonical. colour: Uint8Array (3 V). faces: Uint16Array (3 T), empty for points.
   *  azimuth: where to look from, degrees. */
  show(position, colour, faces, azimuth) {
    this.start = { ...START, azimuth };
    this.pose.azimuth = azimuth;
    const gl = this.gl;
    const put = (name, target, data) => { gl.bindBuffer(target, this.buffers[name]); gl.bufferData(target, data, gl.STATIC_DRAW); };
    put("position", gl.ARRAY_BUFFER, position);
    put("normal", gl.ARRAY_BUFFER, normals(position, faces));
    put("colour", gl.ARRAY_BUFFER, colour);
    put("faces", gl.ELEMENT_ARRAY_BUFFER, faces);
    this.model = { count: position.length / 3, faces: faces.length };
    this.ask();
  }

  /** Draw before the screen's next refresh. */
  ask() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame((now) => { this.asked = false; this.draw(now); });
  }

  draw(now) {
    const gl = this.gl, ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(this.canvas.clientWidth * ratio), height = Math.round(this.canvas.clientHeight * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) { this.canvas.width = width; this.canvas.height = height; }
    if (this.turning) { this.pose.azimuth += Math.min(now - (this.last || now), 50) * 0.03; this.ask(); }
    this.last = now;
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (!this.model || !width || !height) return;
    gl.enable(gl.DEPTH_TEST);
    if (this.mode === "anaglyph") this.glasses(width, height, ratio < 2 && width * height < FINE ? 2 : 1);
    else if (this.mode === "sides") {
      const half = width >> 1;
      this.eye(-1, [0, 0, half, height]); this.eye(1, [half, 0, half, height]);
    } else this.eye(0, [0, 0, width, height]);
  }

  /** Both eyes in one picture. Each is drawn `finer` times as large: off the screen nothing else smooths the edges. */
  glasses(width, height, finer) {
    const gl = this.gl, size = [width * finer, height * finer];
    const back = getComputedStyle(this.canvas.parentElement).backgroundColor.match(/[\d.]+/g).slice(0, 3).map((part) => part / 255);
    this.eyes.forEach((eye, index) => {
      this.fit(eye, size);
      gl.bindFramebuffer(gl.FRAMEBUFFER, eye.target);
      gl.clearColor(...back, 1);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      this.eye(2 * index - 1, [0, 0, ...size]);
    });
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, width, height);
    gl.disable(gl.DEPTH_TEST);
    gl.useProgram(this.mixer);
    ["left", "right"].forEach((name, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, this.eyes[unit].colour);
      gl.uniform1i(gl.getUniformLocation(this.mixer, name), unit);
    });
    const at = gl.getAttribLocation(this.mixer, "corner");
    gl.bindBuffer(gl.ARRAY_BUFFER, this.corners);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, 2, gl.FLOAT, false, 0, 0);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /** Make room for what one eye sees. */
  fit(eye, [width, height]) {
    const gl = this.gl;
    if (eye.size === `${width} ${height}`) return;
    eye.size = `${width} ${height}`;
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, eye.colour);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.LINEAR);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    gl.bindRenderbuffer(gl.RENDERBUFFER, eye.depth);
    gl.renderbufferStorage(gl.RENDERBUFFER, gl.DEPTH_COMPONENT16, width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, eye.target);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, eye.colour, 0);
    gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.RENDERBUFFER, eye.depth);
  }

  eye(side, [x, y, width, height]) {
    const gl = this.gl, p = this.program, { distance } = this.pose;
    gl.viewport(x, y, width, height);
    gl.useProgram(p);
    const aspect = width / height, zoom = Math.min(3.9, 3.9 * aspect / 1.3);
    const near = 0.05, far = 20, base = side * distance * EYES / 2;
    // Off-axis: the eyes look in parallel, and what lies at the car's middle falls onto the same place for both.
    const lens = [zoom / aspect, 0, 0, 0, 0, zoom, 0, 0, -base / distance * zoom / aspect, 0, -(far + near) / (far - near), -1, 0, 0, -2 * far * near / (far - near), 0];
    gl.uniformMatrix4fv(gl.getUniformLocation(p, "lens"), false, lens);
    gl.uniformMatrix4fv(gl.getUniformLocation(p, "view"), false, look(this.pose, base));
    const solid = this.model.faces && !this.asPoints;
    gl.uniform1f(gl.getUniformLocation(p, "size"), height * zoom * (this.model.faces ? 0.0075 : 0.006));
    gl.uniform1f(gl.getUniformLocation(p, "round"), solid ? 0 : 1);
    for (const [name, type, normalised] of [["position", gl.FLOAT, false], ["normal", gl.FLOAT, false], ["colour", gl.UNSIGNED_BYTE, true]]) {
      const at = gl.getAttribLocation(p, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, 3, type, normalised, 0, 0);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers.faces);
    if (solid) gl.drawElements(gl.TRIANGLES, this.model.faces, gl.UNSIGNED_SHORT, 0);
    else gl.drawArrays(gl.POINTS, 0, this.model.count);
  }

  turn(right, up) {
    this.pose.azimuth += right;
    this.pose.elevation = Math.max(-30, Math.min(89, this.pose.elevation + up));
    this.ask();
  }

  nearer(factor) { this.pose.distance = Math.max(1.1, Math.min(6, this.pose.distance * factor)); this.ask(); }

  reset() { this.pose = { ...this.start }; this.ask(); }

  listen() {
    const held = new Map();
    let spread = 0;
    this.canvas.addEventListener("pointerdown", (e) => { held.set(e.pointerId, [e.clientX, e.clientY]); this.canvas.setPointerCapture(e.pointerId); spread = 0; });
    const release = (e) => { held.delete(e.pointerId); spread = 0; };
    this.canvas.addEventListener("pointerup", release);
    this.canvas.addEventListener("pointercancel", release);
    this.canvas.addEventListener("pointermove", (e) => {
      const before = held.get(e.pointerId);
      if (!before) return;
      held.set(e.pointerId, [e.clientX, e.clientY]);
      if (held.size === 1) this.turn((before[0] - e.clientX) * 0.4, (e.clientY - before[1]) * 0.3);
      else {
        const [a, b] = [...held.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
        if (spread) this.nearer(spread / now);
        spread = now;
      }
    });
    this.canvas.addEventListener("wheel", (e) => { e.preventDefault(); this.nearer(Math.exp(Math.sign(e.deltaY) * 0.08)); }, { passive: false });
    this.canvas.addEventListener("dblclick", () => this.reset());
    const keys = { ArrowLeft: () => this.turn(8, 0), ArrowRight: () => this.turn(-8, 0), ArrowUp: () => this.turn(0, 6), ArrowDown: () => this.turn(0, -6),
      "+": () => this.nearer(0.9), "=": () => this.nearer(0.9), "-": () => this.nearer(1.1), Home: () => this.reset() };
    this.canvas.addEventListener("keydown", (e) => { if (keys[e.key]) { keys[e.key](); e.preventDefault(); } });
  }
}

/** Unit normals of vertices: of the triangles around each. Without triangles they point away from the middle. */
function normals(position, faces) {
  const sum = new Float32Array(position.length);
  if (!faces.length) sum.set(position);
  for (let f = 0; f < faces.length; f += 3) {
    const [a, b, c] = [faces[f] * 3, faces[f + 1] * 3, faces[f + 2] * 3];
    const u = [0, 1, 2].map((k) => position[b + k] - position[a + k]), v = [0, 1, 2].map((k) => position[c + k] - position[a + k]);
    const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    for (const at of [a, b, c]) for (let k = 0; k < 3; k++) sum[at + k] += n[k];
  }
  for (let i = 0; i < sum.length; i += 3) {
    const length = Math.hypot(sum[i], sum[i + 1], sum[i + 2]) || 1;
    for (let k = 0; k < 3; k++) sum[i + k] /= length;
  }
  return sum;
}

/** Column-major view matrix of a camera that looks at the middle, shifted to the right by `base`. */
function look({ azimuth, elevation, distance }, base) {
  const a = azimuth * Math.PI / 180, e = elevation * Math.PI / 180;
  const back = [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)];
  const right = [-Math.sin(a), Math.cos(a), 0];
  const up = [-Math.sin(e) * Math.cos(a), -Math.sin(e) * Math.sin(a), Math.cos(e)];
  return [right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0, -base, 0, -distance, 1];
}
