"""GLSL of the car: coats of paint, glass, lamps, wheels, plates and seams, with reflections from the panorama.

Details that the meshes lack are drawn here from a handful of measures of the car (:mod:`training.render.details`), so
that they cost no triangles and follow every change of shape.
"""

from __future__ import annotations

from training.render.shaders import HEADER, NOISE, SHADOW

CAR_VERTEX = HEADER + """
uniform mat4 matrix;
in vec3 position; in vec3 normal; in float category; in float occlusion;
invariant gl_Position;
out vec3 world; out vec3 smoothNormal; flat out int kind; out float open;
void main() {
    world = position; smoothNormal = normal; kind = int(category + 0.5); open = occlusion;
    gl_Position = matrix * vec4(position, 1.0);
}
"""

_INPUT = """
uniform vec3 eye; uniform float ground; uniform vec3 sunDirection; uniform vec3 sunColour;
uniform sampler2D panorama; uniform float turned;      // of the car against the panorama
uniform float reach;           // 0, or the scale of the distance that goes into alpha
uniform vec4 albedo[11];       // rgb, roughness
uniform vec4 finish[11];       // metallic flake, clear coat, glow, noise
uniform vec4 wheels[4];        // x, z, radius (0: none), 1 where the rim is a bare disc
uniform vec4 seams;            // three x of door seams, strength
uniform vec4 levels;           // sill, belt line, roof line, half width
uniform vec4 plates[2];        // front and rear: x from where on, height, half width (0: none), half height
uniform vec4 plateLook;        // tint, seed, dark letters or light ones, unused
uniform vec4 livery;           // 0 none 1 lower body 2 roof 3 bumpers, height or x, seams on (1), dirt
uniform vec3 liveryColour;
uniform vec4 wheelLook;        // spokes, twist, width of a spoke, darkness between
in vec3 world; in vec3 smoothNormal; flat in int kind; in float open;
layout(location = 0) out vec4 pixel;
layout(location = 1) out float label;

vec3 around(vec3 d, float level) {
    float a = atan(d.y, d.x) + turned;
    return textureLod(panorama, vec2(a / 6.2831853 + 0.5, asin(clamp(d.z, -1.0, 1.0)) / 3.14159265 + 0.5), level).rgb;
}
// A ray towards the ground meets it near by: look at that place from the panorama's middle.
vec3 mirrored(vec3 p, vec3 r, float level) {
    if (r.z < -0.03) r = normalize(p + r * (ground - p.z) / r.z - vec3(0.0, 0.0, ground + 0.15));
    return around(r, level);
}
"""

_DETAILS = """
float thin(float x, float width) {            // a line narrower than a pixel fades instead of flickering
    float w = max(fwidth(x), 1e-6);
    return min(width / w, 1.0) * smoothstep(w + width, width * 0.5, abs(x));
}
void dress(vec3 n, inout vec3 base, inout vec4 f) {
    float side = smoothstep(0.55, 0.75, abs(n.y));
    if (livery.x > 0.5) {
        bool other = livery.x < 1.5 ? world.z < livery.y : livery.x < 2.5 ? world.z > livery.y && n.z > 0.2
                   : abs(world.x) > livery.y && world.z < mix(levels.x, levels.y, 0.45);
        if (other) { base = liveryColour; if (livery.x != 2.0) f.xy = vec2(0.0, 0.25); }
    }
    if (livery.z > 0.5) {
        float door = step(levels.x, world.z) * side, line = 0.0;
        float lean = world.z > levels.y ? 0.5 * (world.z - levels.y) : 0.0;
        line = max(thin(world.x - seams.x + lean, 0.0012), thin(world.x - seams.y, 0.0012));
        line = max(line, thin(world.x - seams.z - 0.12 * (world.z - levels.x) - lean, 0.0012));
        float between = step(seams.z, world.x) * step(world.x, seams.x);
        line = max(line * door, thin(world.z - levels.x, 0.001) * side * between);
        base *= 1.0 - 0.8 * seams.w * line;
        float rows = abs(world.z - levels.y + 0.028);
        float h = min(abs(world.x - seams.y - 0.026), abs(world.x - mix(seams.z, seams.y, 0.14)));
        if (h < 0.02 && rows < 0.0045) base *= mix(1.0, rows < 0.0 ? 1.3 : 0.45, side);
        float top = step(levels.y - 0.03, world.z) * step(world.z, levels.z - 0.03) * step(0.4, n.z);
        base *= 1.0 - 0.5 * seams.w * thin(abs(world.y) - 0.78 * levels.w, 0.0012) * top * step(seams.x, world.x);
    }
    float low = smoothstep(levels.x + 0.08, ground, world.z + 0.03 * (noise(world.xz * 25.0) - 0.5));
    base = mix(base, vec3(0.22, 0.19, 0.15), livery.w * low);
    f.y *= 1.0 - 0.6 * livery.w * low;
}
bool plate(vec3 n, inout vec3 base) {
    if (abs(n.x) < 0.5) return false;
    vec4 p = plates[n.x > 0.0 ? 0 : 1];
    if (p.z <= 0.0 || (n.x > 0.0 ? world.x < p.x : world.x > p.x)) return false;
    vec2 uv = vec2(-sign(n.x) * world.y, world.z - p.y) / p.zw;
    if (max(abs(uv.x), abs(uv.y)) > 1.0) return false;
    vec3 yellow = vec3(0.75, 0.5, 0.06), field = vec3(0.75), ink = vec3(0.02);
    bool rear = n.x < 0.0;
    if (plateLook.x > 1.5 || (plateLook.x > 0.5 && rear)) field = yellow;
    if (plateLook.z > 0.5) { ink = field; field = vec3(0.02, 0.025, 0.06); }
    vec2 c = vec2((uv.x * 0.86 + 0.05) * 4.0 + 4.0, uv.y * 0.5 + 0.5);
    float glyph = step(0.42, hash(floor(vec2(c.x * 4.0, c.y * 5.0)) + plateLook.y * 7.0));
    glyph *= step(0.14, fract(c.x)) * step(abs(uv.y), 0.68) * step(0.25, c.x) * step(c.x, 7.7);
    glyph *= step(0.12, hash(vec2(floor(c.x), plateLook.y)));
    float coarse = smoothstep(0.15, 0.5, fwidth(c.x));    // letters too small to read are a grey row
    glyph = mix(glyph, 0.5 * step(abs(uv.y), 0.68) * step(abs(uv.x), 0.88), coarse);
    base = mix(field, ink, glyph);
    if (uv.x < -0.9 && plateLook.y > 0.4) base = vec3(0.02, 0.06, 0.35);
    if (max(abs(uv.x) - 0.96, abs(uv.y) - 0.86) > 0.0) base = vec3(0.06);
    return true;
}
void roll(vec3 n, inout vec3 base, inout vec4 f) {   // rims and tyres
    vec4 w = wheels[0];
    for (int i = 1; i < 4; i++) if (abs(world.x - wheels[i].x) < abs(world.x - w.x)) w = wheels[i];
    if (w.z <= 0.0) return;
    vec2 q = (world.xz - w.xy) / w.z;
    float r = length(q), a = atan(q.y, q.x), side = step(0.35, abs(n.y));
    if (kind == 3 && r > 0.66) {
        float wall = side * smoothstep(0.7, 0.74, r);
        float ring = smoothstep(0.03, 0.0, abs(r - 0.84)), letters = step(0.6, noise(vec2(a * 9.0, 2.0)));
        base *= 0.8 + wall * (0.5 * ring + 0.35 * letters);
        if (side < 0.5) base *= 0.75 + 0.5 * step(0.5, fract(a * 18.0));
        base = mix(base, vec3(0.2, 0.17, 0.14), livery.w * 0.5);
        return;
    }
    if (w.w < 0.5 || side < 0.5) return;
    vec3 metal = albedo[4].rgb;
    float k = a * wheelLook.x / 6.2831853 + wheelLook.y * r, spoke = abs(fract(k) - 0.5) * 2.0;
    float blur = 0.15 + 0.1 * wheelLook.x * fwidth(r), arm = mix(wheelLook.z + 0.12, wheelLook.z, r / 0.6);
    float solid = smoothstep(arm + blur, arm - blur, spoke);
    solid = max(solid, max(smoothstep(0.5, 0.54, r), smoothstep(0.19, 0.15, r)));
    vec3 behind = vec3(0.02) + 0.05 * step(abs(r - 0.32), 0.14);
    base = mix(mix(behind, metal, 1.0 - wheelLook.w), metal, solid);
    base *= 1.0 - 0.6 * smoothstep(0.05, 0.03, r) * step(0.02, r) - 0.4 * smoothstep(0.03, 0.0, abs(r - 0.6));
    f.x *= solid; f.y *= mix(0.1, 1.0, solid);
}
"""

CAR_FRAGMENT = HEADER + NOISE + SHADOW + _INPUT + _DETAILS + """
void main() {
    vec3 v = normalize(eye - world);
    // Face orientation is not trusted: the side towards the eye counts, found from the geometric normal.
    vec3 flatNormal = normalize(cross(dFdx(world), dFdy(world)));
    if (dot(flatNormal, v) < 0.0) flatNormal = -flatNormal;
    vec3 n = normalize(smoothNormal);
    if (dot(n, flatNormal) < 0.0) n = -n;
    if (dot(n, v) < 0.02) n = normalize(n + v * (0.02 - dot(n, v)));
    vec4 a = albedo[kind], f = finish[kind];
    vec3 base = a.rgb * (1.0 + f.w * (noise(world.xz * 40.0 + world.y * 23.0) - 0.5));
    if (kind <= 1) dress(n, base, f);
    else if (kind == 3 || kind == 4) roll(n, base, f);
    if (kind != 2 && kind != 3 && kind != 4 && plate(flatNormal, base)) f = vec4(0.0, 0.3, 0.03, 0.0);

    float facing = max(dot(n, v), 0.0), fresnel = 0.05 + 0.95 * pow(1.0 - facing, 4.6);
    float sun = max(dot(n, sunDirection), 0.0);
    if (sun > 0.0) sun *= lit(world, 0.002 + 0.004 * (1.0 - sun));
    // The lower flanks see the car's own shade on the ground.
    float above = world.z - ground + 0.12 * max(n.z, 0.0);
    vec3 ambient = around(n, 4.6) * open * mix(0.5, 1.0, smoothstep(0.0, 0.24, above));
    // What a panel mirrors is itself shut in near other panels and close to the ground.
    float free = mix(open * open, 1.0, 0.15);
    // Pressed steel is not optically flat: long, shallow waves.
    vec3 q = world * 14.0, wave = 0.012 * vec3(noise(q.xz + 3.0), noise(q.yz), noise(q.xy + 9.0)) - 0.006;
    vec3 r = reflect(-v, normalize(n + wave)), h = normalize(v + sunDirection);
    float nh = max(dot(n, h), 0.0), spark = sun > 0.0 ? 1.0 : 0.0;
    float lobe = exp2(10.0 * (1.0 - a.w)), glint = pow(nh, lobe) * (lobe + 8.0) / 25.0;
    vec3 mirror = mirrored(world, r, 0.4 + 5.0 * a.w) * free, colour;

    if (kind == 2) {
        // Into a dark cabin, and through it to what stands behind: less of it low down, where seats and doors are.
        float high = smoothstep(levels.y, levels.z, world.z);
        vec3 through = around(-v, 2.0) * (0.08 + 0.5 * high) * (1.0 - 0.7 * f.w * step(0.4, noise(world.xy * 9.0)));
        vec3 cabin = vec3(0.012) + 0.05 * around(vec3(0, 0, 1), 5.0) * noise(world.xz * 12.0 + world.y * 5.0);
        colour = base * (through + cabin * 2.0) + min(1.6 * fresnel + 0.03, 1.0) * f.y * mirror;
        colour += f.y * 0.12 * glint * sunColour * spark;
    } else if (kind == 5 || kind == 6) {
        // Reflector and bulbs behind a clear cover.
        vec3 cell = floor(world * vec3(70.0, 70.0, 90.0));
        float facet = hash(cell.yz + 3.1 * cell.x), ribs = 0.75 + 0.35 * step(0.4, fract(world.y * 110.0));
        vec3 bent = normalize(n + 0.9 * vec3(hash(cell.yz) - 0.5, hash(cell.zy + 4.0) - 0.5, hash(cell.xy) - 0.5));
        vec3 inner = around(reflect(-v, bent), 2.5);
        if (kind == 5) colour = base * (0.15 + 0.75 * facet) * (0.35 * ambient + 0.8 * inner) * ribs;
        else {
            float band = smoothstep(0.35, 0.65, noise(vec2(world.z * 28.0 + f.w * 9.0, step(0.0, world.y) + f.w)));
            vec3 tint = mix(base, vec3(dot(base, vec3(0.6))) + vec3(0.25, 0.14, 0.1), 0.55 * band * step(0.3, f.w));
            colour = tint * (0.35 + 0.5 * facet) * (0.8 * ambient + 0.5 * inner + 0.6 * sunColour * sun) * ribs;
        }
        colour += f.z * base * (0.4 + 2.5 * smoothstep(0.5, 0.9, facet)) + fresnel * f.y * mirror;
        colour += 0.1 * f.y * glint * sunColour * spark;
    } else {
        vec3 light = 0.8 * sunColour * sun + ambient;
        colour = base * (1.0 - 0.45 * f.x) * (1.0 - fresnel * f.y) * light;
        // Flakes: a wide lobe in the paint's own colour, brighter face on than edge on.
        float flip = pow(nh, 10.0);
        colour += f.x * base * (0.75 * around(r, 4.2) * free + 0.5 * flip * sunColour * sun) * (0.6 + 0.6 * facing);
        float grain = step(0.8, hash(floor(world.xz * 900.0) + floor(world.y * 900.0)));
        colour += f.x * base * 0.5 * grain * flip * sunColour * sun;
        if (kind == 7) colour = base * mirror;
        colour += f.y * fresnel * mirror + f.y * 0.1 * glint * sunColour * spark;
        colour += f.z * base;
    }
    pixel = vec4(min(colour, vec3(12.0)), reach > 0.0 ? 1.0 / max(length(eye - world) / reach, 0.02) : 1.0);
    label = (float(kind) + 1.0) / 255.0;
}
"""
