// The point renderer: WebGL 2, no library. Packets go to the GPU as they came over the wire.

import { markFloats, plainColour, rampFloats } from "./colours.js";
import { FIELD_OF_VIEW } from "./orbit.js";
import * as shaders from "./shaders.js";
import { FROM_LEFT, FROM_RIGHT, eyeCamera, eyesOf } from "./stereo.js";
import { HEADER_BYTES } from "./wire.js";

const ATTRIBUTES = ["x", "y", "z", "r", "g", "b", "confidence", "mark"];
/** Pixels of the canvas per CSS pixel are bounded: beyond 2 nobody sees it and every pixel costs. */
const MAX_RATIO = 2;
const GROUNDS = {
  dark: { top: [0.078, 0.094, 0.118], bottom: [0.118, 0.137, 0.165], ink: [0.66, 0.74, 0.82], opacity: 0.22, shadow: 0.55 },
  light: { top: [0.965, 0.973, 0.98], bottom: [0.878, 0.898, 0.918], ink: [0.2, 0.27, 0.35], opacity: 0.24, shadow: 0.26 },
};

/** Of the line between the halves, which lies on black. */
const LINE = [0.35, 0.4, 0.46];

/** WebGL 2 is missing or refused; the page goes on without the picture. */
export class NoWebGL extends Error {}

export class Renderer {
  constructor(canvas) {
    this.canvas = canvas;
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: true, depth: true, powerPreference: "low-power" });
    if (!gl) throw new NoWebGL("this browser has no WebGL 2");
    this.gl = gl;
    this.packet = null;
    this.build();
  }

  /** Everything that lives on the GPU; again after a lost context. */
  build() {
    const gl = this.gl;
    this.points = program(gl, shaders.POINTS_VERTEX, shaders.POINTS_FRAGMENT);
    this.screen = program(gl, shaders.SCREEN_VERTEX, shaders.SCREEN_FRAGMENT);
    this.ground = program(gl, shaders.GROUND_VERTEX, shaders.GROUND_FRAGMENT);
    this.mixer = program(gl, shaders.SCREEN_VERTEX, shaders.MIX_FRAGMENT);
    this.buffer = gl.createBuffer();
    this.layout = gl.createVertexArray();
    this.nothing = gl.createVertexArray();
    this.colours = gl.createTexture();
    this.depths = gl.createTexture();
    this.target = gl.createFramebuffer();
    this.largest = gl.getParameter(gl.ALIASED_POINT_SIZE_RANGE)[1];
    this.seen = null; // what both eyes see, only for glasses
    this.size = [0, 0];
    this.inner = [0, 0];
    if (this.packet) this.setPacket(this.packet);
  }

  /** Show this packet from now on. */
  setPacket(packet) {
    const gl = this.gl;
    this.packet = packet;
    gl.bindVertexArray(this.layout);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, new Uint8Array(packet.buffer, HEADER_BYTES), gl.STREAM_DRAW);
    ATTRIBUTES.forEach((name, location) => {
      if (name in packet.offsets) {
        gl.enableVertexAttribArray(location);
        const type = location < 3 ? gl.SHORT : gl.UNSIGNED_BYTE;
        gl.vertexAttribPointer(location, 1, type, true, 0, packet.offsets[name] - HEADER_BYTES);
      } else {
        gl.disableVertexAttribArray(location);
        gl.vertexAttrib1f(location, 1);
      }
    });
    gl.bindVertexArray(null);
  }

  /** Match the canvas to its size on the page. */
  resize() {
    const ratio = Math.min(MAX_RATIO, globalThis.devicePixelRatio || 1);
    const width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    this.ratio = ratio;
    if (width === this.size[0] && height === this.size[1]) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.size = [width, height];
  }

  /** Match what is drawn into to what one eye sees, and to how many there are. */
  allocate(width, height, glasses) {
    const gl = this.gl;
    if (width !== this.inner[0] || height !== this.inner[1]) {
      this.inner = [width, height];
      this.forget();
      shape(gl, this.colours, gl.RGBA8, this.inner);
      shape(gl, this.depths, gl.DEPTH_COMPONENT24, this.inner);
      attach(gl, this.target, this.colours, this.depths);
    }
    if (!glasses) this.forget();
    else if (!this.seen) {
      const depth = gl.createTexture();
      shape(gl, depth, gl.DEPTH_COMPONENT24, this.inner);
      this.seen = [-1, 1].map(() => {
        const view = { colour: gl.createTexture(), depth, target: gl.createFramebuffer() };
        shape(gl, view.colour, gl.RGBA8, this.inner);
        attach(gl, view.target, view.colour, depth);
        return view;
      });
    }
  }

  /** Give back the memory that only glasses need. */
  forget() {
    for (const view of this.seen ?? []) {
      this.gl.deleteFramebuffer(view.target);
      this.gl.deleteTexture(view.colour);
      this.gl.deleteTexture(view.depth);
    }
    this.seen = null;
  }

  /**
   * Draw one picture. orbit: the camera. look: {theme, mode (shader number), size (times the natural point size),
   * ground: whether to draw it, bounds: from scene.js, stereo: an id from stereo.js}.
   */
  draw(orbit, look) {
    this.resize();
    const eyes = eyesOf(look.stereo, ...this.size, this.ratio);
    const glasses = look.stereo === "glasses";
    const [, , width, height] = eyes[0].box;
    this.allocate(width, height, glasses);
    if (look.stereo === "sides") this.drawGap();
    eyes.forEach(({ side, box }, index) => {
      const camera = { ...eyeCamera(orbit, side, width / height), box, target: glasses ? this.seen[index].target : null };
      this.drawPoints(camera, look);
      this.drawScreen(camera, look);
      if (look.ground) this.drawGround(camera, look);
    });
    if (glasses) this.mix();
  }

  /** What lies between the halves: dark, with a thin line. */
  drawGap() {
    const { gl } = this;
    const [width, height] = this.size;
    const line = Math.max(1, Math.round(this.ratio));
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.clearColor(0, 0, 0, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(Math.floor((width - line) / 2), 0, line, height);
    gl.clearColor(...LINE, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.disable(gl.SCISSOR_TEST);
  }

  drawPoints(camera, look) {
    const { gl, packet } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.viewport(0, 0, ...this.inner);
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LESS);
    gl.depthMask(true);
    gl.disable(gl.BLEND);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (!packet || packet.count === 0) return;
    const { handle, at } = this.points;
    gl.useProgram(handle);
    gl.uniform3fv(at("centre"), packet.centre);
    gl.uniform3fv(at("halfExtent"), packet.half);
    gl.uniformMatrix4fv(at("view"), false, camera.view);
    gl.uniformMatrix4fv(at("projection"), false, camera.projection);
    gl.uniform1f(at("radius"), look.size * look.bounds.radius);
    gl.uniform1f(at("pixels"), this.size[1] / (2 * Math.tan(FIELD_OF_VIEW / 2)));
    gl.uniform1f(at("largest"), Math.min(this.largest, 96 * this.ratio));
    gl.uniform1i(at("mode"), look.mode);
    gl.uniform2f(at("heights"), look.bounds.low, look.bounds.high);
    gl.uniform2f(at("distances"), camera.distance - 0.5, camera.distance + 0.5);
    gl.uniform3fv(at("ramp"), rampFloats(look.theme));
    gl.uniform3fv(at("marks"), markFloats(look.theme));
    gl.uniform3fv(at("plain"), plainColour(look.theme));
    gl.bindVertexArray(this.layout);
    gl.drawArrays(gl.POINTS, 0, packet.count);
    gl.bindVertexArray(null);
  }

  drawScreen(camera, look) {
    const { gl } = this;
    const { handle, at } = this.screen;
    const ground = GROUNDS[look.theme];
    gl.bindFramebuffer(gl.FRAMEBUFFER, camera.target);
    gl.viewport(...camera.box);
    gl.depthFunc(gl.ALWAYS);
    gl.useProgram(handle);
    this.read(this.colours, this.depths);
    gl.uniform1i(at("colours"), 0);
    gl.uniform1i(at("depths"), 1);
    gl.uniformMatrix4fv(at("projection"), false, camera.projection);
    gl.uniform3fv(at("top"), ground.top);
    gl.uniform3fv(at("bottom"), ground.bottom);
    gl.uniform2f(at("size"), ...this.inner);
    gl.uniform2f(at("origin"), camera.box[0], camera.box[1]);
    gl.uniform1f(at("ring"), 1.4 * this.ratio);
    gl.uniform1f(at("strength"), 34);
    gl.bindVertexArray(this.nothing);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  drawGround(camera, look) {
    const { gl } = this;
    const { handle, at } = this.ground;
    const { bounds } = look;
    const ground = GROUNDS[look.theme];
    gl.depthFunc(gl.LESS);
    gl.depthMask(false);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    gl.useProgram(handle);
    gl.uniformMatrix4fv(at("view"), false, camera.view);
    gl.uniformMatrix4fv(at("projection"), false, camera.projection);
    gl.uniform1f(at("height"), bounds.floor);
    gl.uniform3fv(at("ink"), ground.ink);
    gl.uniform1f(at("opacity"), ground.opacity);
    gl.uniform1f(at("shadow"), this.packet?.count ? ground.shadow : 0);
    gl.uniform2f(at("centre"), bounds.centre[0], bounds.centre[1]);
    gl.uniform2f(at("extent"), bounds.half[0] * 1.12, bounds.half[1] * 1.25);
    gl.bindVertexArray(this.nothing);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.bindVertexArray(null);
    gl.disable(gl.BLEND);
  }

  /** Both eyes' pictures to the screen, for red and cyan glasses. */
  mix() {
    const { gl } = this;
    const { handle, at } = this.mixer;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, ...this.size);
    gl.disable(gl.DEPTH_TEST);
    gl.useProgram(handle);
    this.read(...this.seen.map(({ colour }) => colour));
    gl.uniform1i(at("left"), 0);
    gl.uniform1i(at("right"), 1);
    gl.uniformMatrix3fv(at("fromLeft"), false, FROM_LEFT);
    gl.uniformMatrix3fv(at("fromRight"), false, FROM_RIGHT);
    gl.bindVertexArray(this.nothing);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindVertexArray(null);
  }

  /** Give textures to the samplers 0, 1, ... */
  read(...textures) {
    const { gl } = this;
    textures.forEach((texture, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
    });
  }
}

/** Make a texture of colours or depths as large as this, read pixel by pixel. */
function shape(gl, handle, internal, [width, height]) {
  const [format, type] = internal === gl.RGBA8 ? [gl.RGBA, gl.UNSIGNED_BYTE] : [gl.DEPTH_COMPONENT, gl.UNSIGNED_INT];
  gl.bindTexture(gl.TEXTURE_2D, handle);
  gl.texImage2D(gl.TEXTURE_2D, 0, internal, width, height, 0, format, type, null);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
  for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
}

function attach(gl, target, colours, depths) {
  gl.bindFramebuffer(gl.FRAMEBUFFER, target);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, colours, 0);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, depths, 0);
}

/** Compile and link; `at(name)` gives a uniform's location, looked up once. */
function program(gl, vertex, fragment) {
  const handle = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(handle, shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
      throw new NoWebGL(`the graphics driver refuses a shader: ${gl.getShaderInfoLog(shader)}`);
    }
  }
  gl.linkProgram(handle);
  if (!gl.getProgramParameter(handle, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new NoWebGL(`the graphics driver refuses a program: ${gl.getProgramInfoLog(handle)}`);
  }
  const locations = new Map();
  const at = (name) => {
    if (!locations.has(name)) locations.set(name, gl.getUniformLocation(handle, name));
    return locations.get(name);
  };
  return { handle, at };
}
