// GLSL of the renderer. Three passes: points to colour and depth; both to the screen with eye-dome lighting; the ground.
// For red and cyan glasses these are done for each eye, and a fourth mixes both.

export const POINTS_VERTEX = `#version 300 es
precision highp float;
layout(location = 0) in float x;
layout(location = 1) in float y;
layout(location = 2) in float z;
layout(location = 3) in float red;
layout(location = 4) in float green;
layout(location = 5) in float blue;
layout(location = 6) in float confidence;
layout(location = 7) in float mark;
uniform vec3 centre, halfExtent;
uniform mat4 view, projection;
uniform float radius, pixels, largest;
uniform int mode;
uniform vec2 heights, distances;
uniform vec3 ramp[5];
uniform vec3 plain, marks[3];
out vec3 colour;
out float eyeDepth, worldRadius;

vec3 onRamp(float t) {
  t = clamp(t, 0.0, 1.0) * 4.0;
  int low = min(int(t), 3);
  return mix(ramp[low], ramp[low + 1], t - float(low));
}

vec3 paint(vec3 position, float depth) {
  if (mode == 0) return onRamp((position.z - heights.x) / max(1e-4, heights.y - heights.x));
  if (mode == 1) return onRamp((depth - distances.x) / max(1e-4, distances.y - distances.x));
  if (mode == 2) return onRamp((confidence - 0.5) * 2.0);
  // The direction an ellipsoid of the box's proportions would face there: a cheap stand-in for a normal.
  if (mode == 3) return 0.5 + 0.42 * normalize((position - centre) / max(halfExtent * halfExtent, vec3(1e-6)));
  if (mode == 5) return vec3(red, green, blue);
  if (mode == 6) return marks[min(int(mark * 255.0 + 0.5), 2)];
  return plain;
}

void main() {
  vec3 position = centre + halfExtent * vec3(x, y, z);
  vec4 eye = view * vec4(position, 1.0);
  gl_Position = projection * eye;
  eyeDepth = -eye.z;
  gl_PointSize = clamp(2.0 * radius * pixels / max(eyeDepth, 1e-3), 1.5, largest);
  worldRadius = gl_PointSize * eyeDepth / (2.0 * pixels);
  colour = paint(position, eyeDepth);
}`;

// Each point is the near side of a small ball: neighbours then meet in smooth seams instead of stacked discs.
export const POINTS_FRAGMENT = `#version 300 es
precision highp float;
in vec3 colour;
in float eyeDepth, worldRadius;
uniform mat4 projection;
out vec4 result;

void main() {
  vec2 at = gl_PointCoord * 2.0 - 1.0;
  float outside = dot(at, at);
  if (outside > 1.0) discard;
  float bulge = 1.0 - outside;
  float depth = eyeDepth - worldRadius * bulge;
  gl_FragDepth = 0.5 + 0.5 * (-projection[2][2] * depth + projection[3][2]) / depth;
  result = vec4(colour * (0.9 + 0.1 * bulge), 1.0);
}`;

export const SCREEN_VERTEX = `#version 300 es
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0;
  gl_Position = vec4(corner, 0.0, 1.0);
}`;

// Eye-dome lighting (Boucheny 2009): a pixel darkens by how far its neighbours come before it. Two rings: the fine one
// draws edges, the wide one rounds off bodies and sinks hollows.
export const SCREEN_FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D colours;
uniform highp sampler2D depths;
uniform mat4 projection;
uniform vec3 top, bottom;
uniform vec2 size, origin;
uniform float ring, strength;
out vec4 result;

float eyeDepth(vec2 at) {
  float depth = texture(depths, at).r;
  return depth >= 1.0 ? 1e6 : projection[3][2] / (depth * 2.0 - 1.0 + projection[2][2]);
}

float closer(vec2 at, float own, float radius) {
  float sum = 0.0;
  for (int index = 0; index < 8; index++) {
    float angle = float(index) * 0.7853981634 + radius;
    float other = eyeDepth(at + vec2(cos(angle), sin(angle)) * radius / size);
    sum += clamp(log2(own / other) , 0.0, 0.035);
  }
  return sum / 8.0;
}

void main() {
  vec2 at = (gl_FragCoord.xy - origin) / size;
  vec3 ground = mix(bottom, top, smoothstep(0.0, 1.0, at.y));
  float raw = texture(depths, at).r;
  gl_FragDepth = raw;
  if (raw >= 1.0) {
    result = vec4(ground, 1.0);
    return;
  }
  float own = eyeDepth(at);
  float shade = exp(-strength * (closer(at, own, ring) + 0.8 * closer(at, own, 4.0 * ring)));
  result = vec4(texture(colours, at).rgb * shade, 1.0);
}`;

export const GROUND_VERTEX = `#version 300 es
uniform mat4 view, projection;
uniform float height;
out vec2 place;
void main() {
  place = (vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0) * 2.4;
  gl_Position = projection * view * vec4(place, height, 1.0);
}`;

// Thin lines every tenth of a car length, stronger every half, fading outwards, and a soft shadow under the car.
export const GROUND_FRAGMENT = `#version 300 es
precision highp float;
in vec2 place;
uniform vec3 ink;
uniform vec2 centre, extent;
uniform float opacity, shadow;
out vec4 result;

float lines(float every) {
  vec2 cell = place / every;
  vec2 away = abs(fract(cell - 0.5) - 0.5) / fwidth(cell);
  // Where lines come closer than three pixels they would shimmer.
  float crowded = smoothstep(0.15, 0.45, max(fwidth(cell).x, fwidth(cell).y));
  return (1.0 - min(min(away.x, away.y), 1.0)) * (1.0 - crowded);
}

void main() {
  float fade = smoothstep(2.3, 0.3, length(place));
  float line = max(0.35 * lines(0.1), lines(0.5)) * fade * opacity;
  vec2 from = (place - centre) / max(extent, vec2(0.05));
  float dark = shadow * exp(-2.2 * pow(dot(from, from), 1.4));
  float alpha = line + dark * (1.0 - line);
  result = vec4(mix(vec3(0.0), ink, line / max(alpha, 1e-4)), alpha);
}`;

// Both eyes' pictures in one, mixed as light (edge/server/static/stereo.js).
export const MIX_FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D left, right;
uniform mat3 fromLeft, fromRight;
out vec4 result;

vec3 light(vec3 shown) {
  return mix(shown / 12.92, pow((shown + 0.055) / 1.055, vec3(2.4)), step(0.04045, shown));
}

vec3 shown(vec3 light) {
  light = clamp(light, 0.0, 1.0);
  return mix(light * 12.92, 1.055 * pow(light, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, light));
}

void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
  vec3 mixed = fromLeft * light(texelFetch(left, at, 0).rgb) + fromRight * light(texelFetch(right, at, 0).rgb);
  result = vec4(shown(mixed), 1.0);
}`;
