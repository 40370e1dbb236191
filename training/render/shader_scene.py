"""GLSL of the surroundings: a ray caster over sky, skyline, ground and up to twenty-four simple things.

It draws the picture's background and, from the place of the car, the panorama that the car mirrors.
"""

from __future__ import annotations

from training.render.shaders import HEADER, NOISE, SHADOW

#: Boxes, trees and people of the scene shader.
MAX_BOXES = 24

#: What a ray that hits nothing sees.
SKY = """
uniform vec3 sunDirection; uniform vec3 sunColour; uniform vec3 zenith; uniform vec3 horizon; uniform vec3 groundLit;
uniform vec4 skyline;          // height, blocks per radian, seed, softness
uniform vec3 skylineColour; uniform float clouds;
uniform vec4 studio;           // strength of the panels (0: open sky), turn, width, seed
vec3 sky(vec3 d) {
    float up = max(d.z, 0.0);
    vec3 c = mix(horizon, zenith, pow(up, 0.45));
    if (studio.x > 0.0) {      // a dim room with bright soft boxes overhead and at the sides
        c *= 0.35;
        float a = atan(d.y, d.x) + studio.y, side = abs(mod(a, 2.0944) - 1.0472);
        c += studio.x * smoothstep(0.05, 0.0, abs(d.z - 0.55) - 0.18) * smoothstep(0.06, 0.0, side - studio.z);
        vec2 roof = abs(d.xy / max(d.z, 0.05) - 0.3 * vec2(cos(studio.w), sin(studio.w)));
        return c + studio.x * step(0.05, d.z) * smoothstep(0.08, 0.0, max(roof.x - 0.9, roof.y - 0.25));
    }
    if (clouds > 0.0) {
        vec2 q = d.xy / (up + 0.15) + skyline.z;
        float body = fbm(q * 1.1) + 0.25 * (fbm(q * 5.0) - 0.5), k = smoothstep(0.45, 0.7, body);
        vec3 cloud = vec3(dot(horizon, vec3(0.33))) * mix(1.3, 0.75, smoothstep(0.5, 0.9, body)) + 0.12 * sunColour;
        c = mix(c, cloud, k * clouds * smoothstep(0.01, 0.2, up));
    }
    float s = max(dot(d, sunDirection), 0.0);
    return c + sunColour * (0.05 * pow(s, 6.0) + 0.25 * pow(s, 60.0));
}
vec3 distant(vec3 d) {
    vec3 c = sky(d);
    if (skyline.x > 0.0 && d.z < skyline.x * 1.6) {
        float a = atan(d.y, d.x) * skyline.y + skyline.z;
        // Two rows, the farther one hazier.
        for (int row = 1; row >= 0; row--) {
            float s = a * (1.0 + 0.7 * float(row)) + 17.0 * float(row), block = floor(s);
            float h = skyline.x * (0.3 + 0.7 * hash(vec2(block, skyline.z))) * (1.0 + 0.25 * float(row));
            vec3 wall = skylineColour * (0.6 + 0.8 * hash(vec2(block, 3.1)));
            if (skyline.w > 0.5) {
                h = skyline.x * (0.35 + 0.9 * fbm(vec2(s * 1.5, 1.0)) + 0.25 * fbm(vec2(s * 9.0, 5.0)));
                wall = skylineColour * (0.35 + 1.1 * fbm(vec2(s * 12.0, d.z * 70.0))) * (0.6 + 0.8 * d.z / h);
            } else {
                vec2 w = abs(fract(vec2(s * 7.0, d.z * 60.0)) - 0.5);
                wall *= w.x < 0.25 && w.y < 0.28 ? 0.55 + 0.4 * hash(floor(vec2(s * 7.0, d.z * 60.0))) : 1.0;
            }
            wall = mix(wall, horizon * 0.8, 0.2 + 0.3 * float(row));
            c = mix(c, wall, smoothstep(0.004, -0.004, d.z - h));
        }
    }
    return c;
}
"""

GROUND = """
uniform float ground; uniform vec3 groundColour; uniform vec4 pattern;   // style, scale, turn, seed
uniform vec4 footprint;        // half length, half width, contact strength, contact reach
float line(float x, float width, float blur) { return smoothstep(width + blur, width, abs(x)); }
float gap(vec2 p, vec2 half_) {
    vec2 q = abs(p) - half_;
    return length(max(q, 0.0)) + min(max(q.x, q.y), 0.0);
}
float contact(vec2 p) {        // shade of the car's own body on the ground below and beside it
    float wide = smoothstep(footprint.w * 1.5 + 0.1, -0.12, gap(p, footprint.xy * vec2(0.92, 0.82)));
    // Bumpers hang high: below them the shade is soft, between the wheels it is deep.
    vec2 q = abs(p) / footprint.xy;
    float tight = smoothstep(1.0 + 0.4 * footprint.w, 0.66, q.x) * smoothstep(0.95 + footprint.w, 0.66, q.y);
    return (1.0 - 0.5 * footprint.z * wide) * (1.0 - 0.85 * footprint.z * tight);
}
vec3 setts(vec2 q, vec3 colour, float blur) {
    q.x += 0.5 * mod(floor(q.y), 2.0);
    vec2 cell = abs(fract(q) - 0.5);
    float joint = smoothstep(0.38, 0.48, max(cell.x, cell.y)), sharp = exp(-blur * 12.0);
    colour *= 1.0 + sharp * 0.5 * (hash(floor(q)) - 0.5);
    return colour * (1.0 - 0.55 * joint * sharp - 0.2 * (1.0 - sharp));
}
vec3 floorColour(vec3 p, float blur) {
    float c = cos(pattern.z), s = sin(pattern.z);
    vec2 q = mat2(c, s, -s, c) * p.xy + pattern.w;
    int style = int(pattern.x + 0.5);
    float sharp = exp(-blur * 25.0), patch_ = smoothstep(0.5, 0.62, fbm(q * 0.7 + 31.0));
    vec3 colour = groundColour * (0.8 + 0.4 * fbm(q * 1.3)) * (1.0 - 0.16 * patch_);
    colour *= 1.0 + ((fbm(q * 30.0) - 0.5) * 0.35 + (hash(floor(q * 150.0)) - 0.5) * 0.25) * sharp;
    colour *= 1.0 - 0.2 * smoothstep(0.66, 0.85, fbm(q * 3.1 + 11.0));                       // stains
    float crack = abs(fbm(q * 1.7 + 3.0) - 0.5);
    if (style <= 2) colour *= 1.0 - 0.3 * sharp * smoothstep(0.008, 0.0, crack) * step(0.7, hash(pattern.wx));
    vec2 cell = fract(q / pattern.y) - 0.5;
    float b = blur / pattern.y, w = 0.014 / pattern.y;
    float worn = 0.4 + 0.6 * smoothstep(0.3, 0.5, fbm(q * 9.0));
    vec3 white = groundColour + (0.35 + 0.4 * hash(floor(pattern.ww))) * worn;
    if (style == 1) colour = mix(colour, white, 0.8 * line(cell.x, w, b) * step(abs(q.y - pattern.w - 0.4), 0.62));
    if (style == 2) {
        float y = q.y - pattern.w;
        colour = mix(colour, white, 0.8 * line(y - 0.55, 0.015, blur) * step(0.0, cell.x));
        float kerb = smoothstep(0.0, 0.02 + blur, -y - 0.5);
        vec3 slab = groundColour * vec3(1.35, 1.3, 1.2) * (0.8 + 0.3 * step(0.05, fract(q.x * 3.0)));
        slab *= 0.8 + 0.4 * fbm(q * 4.0);
        colour = mix(colour, slab, kerb);
        colour *= 1.0 - 0.5 * line(y + 0.51, 0.012, blur);
    }
    float joint = max(line(cell.x, w, b), line(cell.y, w, b));
    if (style == 3) colour *= 1.0 - 0.3 * joint + 0.15 * (hash(floor(q / pattern.y)) - 0.5);
    if (style == 4) {
        colour *= mix(0.45 + 1.1 * fbm(q * 14.0), 1.0, min(blur * 6.0, 1.0));
        colour = mix(colour, vec3(0.16, 0.13, 0.09), 0.6 * smoothstep(0.5, 0.7, fbm(q * 1.1 + 5.0)));
    }
    if (style == 5) colour = setts(q / pattern.y * 3.0, colour, blur * 3.0 / pattern.y);
    // Fallen leaves and grit, more of it away from the road.
    float leaf = step(0.986 + 0.03 * hash(pattern.zw), hash(floor(q * 45.0))) * sharp;
    return mix(colour, vec3(0.28, 0.2, 0.08), 0.6 * leaf);
}
"""

THINGS = """
uniform int boxes; uniform vec4 boxPlace[24]; uniform vec4 boxShape[24]; uniform vec4 boxColour[24];
vec3 facade(vec2 uv, vec3 wall, float seed, vec3 mirror) {
    float tall = 0.55 + 0.2 * hash(vec2(seed, 1.0)), wide = 0.35 + 0.45 * hash(vec2(seed, 2.0));
    vec2 g = uv / vec2(wide, tall) + vec2(hash(vec2(seed, 3.0)), 0.0), id = floor(g), c = fract(g);
    wall *= 0.82 + 0.3 * fbm(uv * vec2(6.0, 1.5) + seed);
    if (hash(vec2(seed, 4.0)) > 0.55) {                   // bricks or boards
        vec2 k = uv * vec2(14.0, 40.0); k.x += 0.5 * mod(floor(k.y), 2.0);
        wall *= 0.85 + 0.25 * hash(floor(k)) - 0.15 * step(0.85, fract(k.y));
    }
    float kind = hash(vec2(seed, 7.0 + (id.y < 0.5 ? floor(id.x * 0.5) : 40.0)));
    if (id.y < 0.5 && kind > 0.6) {                       // a gate with ribs
        float door = step(abs(c.x - 0.5), 0.44) * step(c.y, 0.75);
        vec3 rib = vec3(0.25 + 0.4 * hash(vec2(seed, 8.0))) * (0.75 + 0.25 * step(0.3, fract(uv.y * 22.0)));
        return mix(wall, rib, door);
    }
    vec2 half_ = vec2(0.2 + 0.16 * hash(vec2(seed, 5.0)), 0.22 + 0.12 * hash(vec2(seed, 6.0)));
    vec2 e = abs(c - vec2(0.5, 0.52)) - half_;
    float inside = max(e.x, e.y);
    if (inside < 0.0) {
        vec3 room = vec3(0.02 + 0.05 * hash(id + seed));
        float curtain = step(0.55, hash(id * 1.7 + seed)) * step(0.52 - half_.y * 0.2, c.y);
        room = mix(room, vec3(0.35, 0.33, 0.3) * (0.8 + 0.3 * step(0.5, fract(uv.x * 40.0))), 0.7 * curtain);
        vec3 glass = mix(room, mirror, 0.25 + 0.35 * hash(id * 2.3 + seed));
        float bar = step(abs(c.x - 0.5), 0.015) + step(-0.035, inside);
        return mix(glass, vec3(0.6), 0.7 * min(bar, 1.0));
    }
    if (inside < 0.035 && c.y < 0.5) return wall * 1.3;   // sill
    return wall * (1.0 - 0.25 * step(c.y, 0.03));
}
// A thing that stands as a picture facing the eye: 6 a tree, 8 a person. Returns colour and cover.
vec4 card(vec2 q, vec4 shape, vec3 colour, float seed, float sunny) {
    if (shape.w > 7.5) {
        float h = q.y / shape.z, x = q.x / shape.z, stride = 0.05 + 0.05 * hash(vec2(seed, 1.0));
        float head = length(vec2(x, h - 0.93)) - 0.065;
        float trunk = max(abs(x) - mix(0.1, 0.13, smoothstep(0.45, 0.8, h)), abs(h - 0.66) - 0.2);
        float legs = max(abs(abs(x) - stride * (1.0 - h * 1.6)) - 0.05, abs(h - 0.25) - 0.26);
        vec3 cloth = h > 0.46 ? colour : vec3(0.03, 0.04, 0.07) + 0.2 * hash(vec2(seed, 2.0)) * colour;
        if (h > 0.87) cloth = hash(vec2(seed, 3.0)) > 0.4 && h > 0.95 ? vec3(0.05, 0.03, 0.02) : vec3(0.5, 0.33, 0.25);
        return vec4(cloth * (0.7 + 0.4 * fbm(q * 60.0)) * (0.8 + 2.0 * x), step(min(head, min(trunk, legs)), 0.0));
    }
    vec2 k = vec2(q.x / shape.x, (q.y - shape.z * 0.6) / (shape.z * 0.42));
    float edge = length(k) + 0.9 * (fbm(q * 3.0 / shape.x + seed) - 0.5) + 0.5 * (fbm(q * 14.0 / shape.x) - 0.5);
    if (edge < 0.95) {
        float depth = fbm(q * 9.0 / shape.x + seed * 3.0);
        vec3 leaf = colour * (0.3 + 1.2 * depth) * (0.65 + 0.35 * k.y + sunny * k.x);
        return vec4(leaf * (0.7 + 0.6 * noise(q * 50.0 / shape.x)), 1.0);
    }
    float bark = step(abs(q.x + 0.02 * sin(q.y * 4.0)), shape.y) * step(q.y, shape.z * 0.6);
    return vec4(vec3(0.1, 0.08, 0.06) * (0.6 + 0.8 * fbm(q * vec2(60.0, 8.0))), bark);
}
float shadows(vec3 p) {        // of the other things on the ground, and their dark feet
    float light = 1.0;
    for (int i = 0; i < boxes; i++) {
        vec4 place = boxPlace[i], shape = boxShape[i];
        if (shape.w > 5.5 && shape.w < 8.5) {
            if (shadowStrength <= 0.0) continue;
            vec3 to = vec3(place.xy, place.z + shape.z * 0.55) - p;
            float off = length(to - dot(to, sunDirection) * sunDirection) / max(min(shape.x, shape.z * 0.4), 0.02);
            light *= 1.0 - 0.8 * shadowStrength * smoothstep(1.25, 0.75, off + 0.6 * (noise(p.xy * 25.0) - 0.5));
            continue;
        }
        float c = cos(place.w), s = sin(place.w); mat2 turn = mat2(c, -s, s, c);
        vec2 here = turn * (p.xy - place.xy);
        float car = step(8.5, shape.w), foot = gap(here, shape.xy * (car > 0.5 ? 0.9 : 1.0));
        light *= 1.0 - mix(0.3, 0.75, car) * smoothstep(mix(0.2, 0.1, car), -0.06, foot) * step(place.z - ground, 0.1);
        if (shadowStrength <= 0.0) continue;
        vec3 o = vec3(here, p.z - place.z - shape.z * 0.5), e = vec3(turn * sunDirection.xy, sunDirection.z);
        vec3 half_ = vec3(shape.xy, shape.z * 0.5), a = (-half_ - o) / e, b = (half_ - o) / e;
        vec3 lo = min(a, b), hi = max(a, b);
        float enter = max(max(lo.x, lo.y), lo.z), leave = min(min(hi.x, hi.y), hi.z);
        light *= 1.0 - shadowStrength * 0.9 * smoothstep(-0.03, 0.03, leave - max(enter, 0.0));
    }
    return light;
}
"""

#: rgb and distance of what a ray sees. skip: the stand-ins of cars that are drawn as meshes.
TRACE = """
vec4 trace(vec3 eye, vec3 d, bool skip) {
    vec3 colour = distant(d);
    float far = 1e4;
    if (d.z < -1e-4) {
        far = (ground - eye.z) / d.z;
        vec3 p = eye + far * d;
        float shade = shadows(p), own = mix(1.0, lit(p, 0.001), step(far, 1e3));
        vec3 light = 0.8 * sunColour * max(sunDirection.z, 0.0) * own * shade;
        light += mix(horizon, zenith, 0.6) * (0.5 + 0.5 * shade);
        float blur = 0.0012 * far * far / max(eye.z - ground, 0.05);
        float haze = 1.0 - exp(-far * 0.007);
        colour = mix(floorColour(p, blur) * light * contact(p.xy), mix(horizon, groundLit, 0.6), haze);
    } else if (d.z < 0.01) colour = mix(mix(horizon, groundLit, 0.6), colour, smoothstep(0.0, 0.01, d.z));
    for (int i = 0; i < boxes; i++) {
        vec4 place = boxPlace[i], shape = boxShape[i];    // centre x, y, bottom, turn; half x, half y, height, style
        int style = int(shape.w + 0.5);
        if (style == 9 && skip) continue;
        vec3 above = mix(horizon, zenith, 0.5);
        float seed = float(i) + pattern.w;
        if (style == 6 || style == 8) {
            vec2 to = place.xy - eye.xy; float reach = length(to); to /= reach;
            float along = dot(d.xy, to), t = reach / along;
            if (along < 1e-3 || t > far || t < 0.1) continue;
            vec3 p = eye + t * d;
            vec2 q = vec2(dot(p.xy - place.xy, vec2(-to.y, to.x)), p.z - place.z);
            if (abs(q.x) > max(shape.x, 0.3 * shape.z) * 1.5 || q.y < 0.0 || q.y > shape.z * 1.2) continue;
            float sunny = 0.4 * dot(sunDirection.xy, vec2(-to.y, to.x)) * shadowStrength;
            vec4 seen = card(q, shape, boxColour[i].rgb, seed, sunny);
            if (seen.a < 0.5) continue;
            far = t; colour = seen.rgb * (0.45 * sunColour + 0.8 * above);
            colour = mix(colour, horizon * 0.8, 1.0 - exp(-far * 0.008));
            continue;
        }
        float c = cos(place.w), s = sin(place.w); mat2 turn = mat2(c, -s, s, c);
        vec3 o = vec3(turn * (eye.xy - place.xy), eye.z - place.z - shape.z * 0.5), e = vec3(turn * d.xy, d.z);
        vec3 half_ = vec3(shape.xy, shape.z * 0.5), a = (-half_ - o) / e, b = (half_ - o) / e;
        vec3 lo = min(a, b), hi = max(a, b);
        float t = max(max(lo.x, lo.y), lo.z), leave = min(min(hi.x, hi.y), hi.z);
        if (t > leave || t < 0.05 || t > far) continue;
        vec3 q = o + t * e, n = vec3(0, 0, -sign(e.z));
        if (lo.x > max(lo.y, lo.z)) n = vec3(-sign(e.x), 0, 0);
        else if (lo.y > lo.z) n = vec3(0, -sign(e.y), 0);
        vec3 world = vec3(transpose(turn) * n.xy, n.z), wall = boxColour[i].rgb;
        vec2 uv = vec2(abs(n.x) > 0.5 ? q.y : q.x, q.z + half_.z);
        if (style == 5) {                                 // a fence: posts and bars with gaps
            float bar = step(abs(fract(uv.x * (8.0 + 8.0 * boxColour[i].a)) - 0.5), 0.16) + step(shape.z - uv.y, 0.03);
            bar += step(abs(fract(uv.x * 0.8) - 0.5), 0.02) + step(abs(uv.y - 0.05), 0.015);
            if (bar < 0.5) continue;
        }
        if (style == 2) {
            float lump = fbm(uv * 9.0 + seed) - 0.5;
            if (abs(n.z) < 0.5 && uv.y > shape.z + 0.12 * lump - 0.05) continue;
            world = normalize(world + 1.2 * vec3(lump, noise(uv * 14.0) - 0.5, 0.3));
            wall *= 0.3 + 1.3 * fbm(uv * 24.0 + seed) * (0.5 + noise(uv * 60.0));
        }
        far = t;
        vec3 mirror = sky(reflect(d, vec3(transpose(turn) * n.xy, n.z)));
        if (style == 1 && abs(n.z) < 0.5) wall = facade(uv, wall, boxColour[i].a * 50.0 + 3.0 * n.x, mirror);
        if (style == 4 && abs(n.z) < 0.5) {               // bricks, blocks or rough plaster, damp at the foot
            vec2 k = uv * vec2(11.0, 34.0) * (0.5 + boxColour[i].a); k.x += 0.5 * mod(floor(k.y), 2.0);
            float mortar = max(step(0.86, fract(k.y)), step(0.93, fract(k.x))), near = exp(-t * 0.25);
            if (boxColour[i].a > 0.4) wall *= 1.0 + near * (0.4 * (hash(floor(k)) - 0.5) + 0.25 * mortar);
            wall *= 0.75 + 0.45 * fbm(uv * vec2(5.0, 2.0) + seed) + 0.2 * (noise(uv * 60.0) - 0.5);
            wall *= 0.65 + 0.35 * smoothstep(0.0, 0.12, uv.y + 0.1 * (noise(uv * 10.0) - 0.5));
        } else if (style != 1) wall *= 0.85 + 0.3 * fbm(q.xz * 3.0 + q.y * 2.0 + seed);
        if (style == 3 || style == 9) wall = mix(wall, 0.5 * mirror, 0.3);
        vec3 direct = 0.8 * sunColour * max(dot(world, sunDirection), 0.0);
        colour = wall * (direct + mix(groundLit, above, 0.5 + 0.5 * world.z));
        colour *= 0.55 + 0.45 * smoothstep(0.0, 0.15, q.z + half_.z);
        colour = mix(colour, horizon * 0.8, 1.0 - exp(-far * 0.008));
    }
    return vec4(colour, far);
}
"""

_COMMON = HEADER + NOISE + SHADOW + SKY + GROUND + THINGS + TRACE

#: kind 0 one colour, 1 gradient with blotches, 2 the scene. Colour and one over the distance in car lengths.
BACKGROUND_FRAGMENT = _COMMON + """
uniform vec3 eye; uniform mat3 rays; uniform int kind; uniform mat4 matrix;
uniform vec3 colourA; uniform vec3 colourB; uniform vec3 blend;     // direction of the gradient, noise
in vec2 screen; out vec4 pixel;
void main() {
    vec3 d = normalize(rays * vec3(screen, 1.0));
    gl_FragDepth = 1.0;
    if (kind == 2) {
        vec4 seen = trace(eye, d, true);
        vec4 clip = matrix * vec4(eye + seen.w * d, 1.0);
        gl_FragDepth = clamp(0.5 + 0.5 * clip.z / clip.w, 0.0, 1.0);
        pixel = vec4(seen.rgb, 1.0 / seen.w);
        return;
    }
    float k = clamp(0.5 + 0.5 * dot(screen, blend.xy), 0.0, 1.0);
    k = clamp(k + blend.z * (fbm(screen * 2.5 + pattern.w) - 0.5), 0.0, 1.0);
    vec3 colour = mix(colourA, colourB, k);
    if (footprint.z > 0.0 && d.z < -1e-4) {
        vec3 p = eye + d * (ground - eye.z) / d.z;
        colour *= mix(1.0, contact(p.xy) * mix(1.0, lit(p, 0.001), 0.6), 0.9);
    }
    pixel = vec4(colour, 0.0);
}
"""

#: The surroundings as the car sees them: azimuth across, elevation upwards.
PANORAMA_FRAGMENT = _COMMON + """
uniform vec3 middle; uniform int kind;
in vec2 screen; out vec4 pixel;
void main() {
    float a = screen.x * 3.14159265, e = screen.y * 1.57079633;
    vec3 d = vec3(cos(e) * cos(a), cos(e) * sin(a), sin(e));
    if (kind == 2) { pixel = vec4(trace(middle, d, false).rgb, 1.0); return; }
    vec3 below = groundLit;
    if (d.z < -1e-3) below *= contact((middle + d * (ground - middle.z) / d.z).xy);
    pixel = vec4(mix(below, distant(d), smoothstep(-0.01, 0.01, d.z)), 1.0);
}
"""
