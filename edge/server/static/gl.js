// The point renderer: WebGL 2, no library. Packets go to the GPU as they came over the wire.

import { markFloats, plainColour, rampFloats } from "./colours.js";
import { FIELD_OF_VIEW } from "./orbit.js";
import * as shaders from "./shaders.js";
import { HEADER_BYTES } from "./wire.js";

const ATTRIBUTES = ["x", "y", "z", "r", "g", "b", "confidence", "mark"];
/** Pixels of the canvas per CSS pixel are bounded: beyond 2 nobody sees it and every pixel costs. */
const MAX_RATIO = 2;
const GROUNDS = {
  dark: { top: [0.078, 0.094, 0.118], bottom: [0.118, 0.137, 0.165], ink: [0.66, 0.74, 0.82], opacity: 0.22, shadow: 0.55 },
  light: { top: [0.965, 0.973, 0.98], bottom: [0.878, 0.898, 0.918], ink: [0.2, 0.27, 0.35], opacity: 0.24, shadow: 0.26 },
};

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
    this.buffer = gl.createBuffer();
    this.layout = gl.createVertexArray();
    this.nothing = gl.createVertexArray();
    this.colours = gl.createTexture();
    this.depths = gl.createTexture();
    this.target = gl.createFramebuffer();
    this.largest = gl.getParameter(gl.ALIASED_POINT_SIZE_RANGE)[1];
    this.size = [0, 0];
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

  /** Match the canvas to its size on the page; true if it changed. */
  resize() {
    const ratio = Math.min(MAX_RATIO, globalThis.devicePixelRatio || 1);
    const width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    this.ratio = ratio;
    if (width === this.size[0] && height === this.size[1]) return false;
    this.canvas.width = width;
    this.canvas.height = height;
    this.size = [width, height];
    this.allocate();
    return true;
  }

  allocate() {
    const gl = this.gl;
    const [width, height] = this.size;
    const texture = (handle, internal, format, type) => {
      gl.bindTexture(gl.TEXTURE_2D, handle);
      gl.texImage2D(gl.TEXTURE_2D, 0, internal, width, height, 0, format, type, null);
      for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
      for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    };
    texture(this.colours, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE);
    texture(this.depths, gl.DEPTH_COMPONENT24, gl.DEPTH_COMPONENT, gl.UNSIGNED_INT);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.colours, 0);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, this.depths, 0);
  }

  /**
   * Draw one picture. orbit: the camera. look: {theme, mode (shader number), size (times the natural point size),
   * ground: whether to draw it, bounds: from scene.js}.
   */
  draw(orbit, look) {
    this.resize();
    const aspect = this.size[0] / this.size[1];
    const camera = { view: orbit.viewMatrix(), projection: orbit.projection(aspect), distance: orbit.distance };
    this.drawPoints(camera, look);
    this.drawScreen(camera, look);
    if (look.ground) this.drawGround(camera, look);
  }

  drawPoints(camera, look) {
    const { gl, packet } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.viewport(0, 0, ...this.size);
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
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, ...this.size);
    gl.depthFunc(gl.ALWAYS);
    gl.useProgram(handle);
    [this.colours, this.depths].forEach((texture, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
    });
    gl.uniform1i(at("colours"), 0);
    gl.uniform1i(at("depths"), 1);
    gl.uniformMatrix4fv(at("projection"), false, camera.projection);
    gl.uniform3fv(at("top"), ground.top);
    gl.uniform3fv(at("bottom"), ground.bottom);
    gl.uniform2f(at("size"), ...this.size);
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
  }
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
