"""GLSL 3.30 that all shaders share: noise, the sun's shadow map, the depth-only pass, the sheet of the whole frame.

The world of all shaders is the canonical car frame (unit: car lengths, z up). Colours are linear radiance; the picture
gets its exposure and tone curve on the processor (:mod:`training.render.effects`).
"""

HEADER = "#version 330\n"

#: Hashes and value noise.
NOISE = """
float hash(vec2 p) { p = fract(p * vec2(123.34, 456.21)); p += dot(p, p + 45.32); return fract(p.x * p.y); }
float noise(vec2 p) {
    vec2 i = floor(p), f = fract(p); f = f * f * (3.0 - 2.0 * f);
    return mix(mix(hash(i), hash(i + vec2(1, 0)), f.x), mix(hash(i + vec2(0, 1)), hash(i + vec2(1, 1)), f.x), f.y);
}
float fbm(vec2 p) { return 0.55 * noise(p) + 0.3 * noise(p * 2.3 + 7.1) + 0.15 * noise(p * 5.1 + 3.7); }
"""

#: Soft lookup in the sun's shadow map: 1 lit, 0 in shadow.
SHADOW = """
uniform sampler2D shadowMap; uniform mat4 sunMatrix; uniform float shadowStrength; uniform float shadowSoftness;
float lit(vec3 p, float bias) {
    if (shadowStrength <= 0.0) return 1.0;
    vec3 q = (sunMatrix * vec4(p, 1.0)).xyz * 0.5 + 0.5;
    if (any(greaterThan(abs(q.xy - 0.5), vec2(0.5)))) return 1.0;
    float turn = 6.28 * hash(gl_FragCoord.xy * 0.37), sum = 0.0;
    for (int i = 0; i < 8; i++) {
        float r = shadowSoftness * sqrt((float(i) + 0.5) / 8.0), a = turn + 2.4 * float(i);
        sum += step(q.z - bias, texture(shadowMap, q.xy + r * vec2(cos(a), sin(a))).r);
    }
    return 1.0 - shadowStrength * (1.0 - sum / 8.0);
}
"""

DEPTH_VERTEX = HEADER + """
uniform mat4 matrix; in vec3 position;
void main() { gl_Position = matrix * vec4(position, 1.0); }
"""

DEPTH_FRAGMENT = HEADER + "void main() {}\n"

#: 1 wherever the car is: the silhouette alone.
FLAT_FRAGMENT = HEADER + "out vec4 pixel;\nvoid main() { pixel = vec4(1.0); }\n"

FRAME_VERTEX = HEADER + """
in vec2 corner; out vec2 screen;
void main() { screen = corner; gl_Position = vec4(corner, 1.0, 1.0); }
"""
