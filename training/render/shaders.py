"""GLSL 3.30 sources of the car renderer: one sky shared by background and reflections, one shadow map.

The world of all shaders is the canonical car frame (unit: car lengths, z up). Colours are linear until :data:`TONE`.
"""

HEADER = "#version 330\n"

#: Hashes, value noise and the ACES-like tone curve (K. Narkowicz 2015).
TONE = """
uniform float exposure;
float hash(vec2 p) { p = fract(p * vec2(123.34, 456.21)); p += dot(p, p + 45.32); return fract(p.x * p.y); }
float noise(vec2 p) {
    vec2 i = floor(p), f = fract(p); f = f * f * (3.0 - 2.0 * f);
    return mix(mix(hash(i), hash(i + vec2(1, 0)), f.x), mix(hash(i + vec2(0, 1)), hash(i + vec2(1, 1)), f.x), f.y);
}
float fbm(vec2 p) { return 0.55 * noise(p) + 0.3 * noise(p * 2.3 + 7.1) + 0.15 * noise(p * 5.1 + 3.7); }
vec3 tone(vec3 c) {
    c *= exposure;
    c = clamp((c * (2.51 * c + 0.03)) / (c * (2.43 * c + 0.59) + 0.14), 0.0, 1.0);
    return pow(c, vec3(1.0 / 2.2));
}
"""

#: What a ray that hits nothing sees: sky with clouds and sun, a skyline, or the lit ground.
ENVIRONMENT = """
uniform vec3 sunDirection; uniform vec3 sunColour; uniform vec3 zenith; uniform vec3 horizon; uniform vec3 groundLit;
uniform vec4 skyline;          // height, blocks per radian, seed, softness
uniform vec3 skylineColour;
uniform float clouds;
vec3 sky(vec3 d, bool fine) {
    float up = max(d.z, 0.0);
    vec3 c = mix(horizon, zenith, pow(up, 0.5));
    if (fine && clouds > 0.0) {
        float k = smoothstep(0.42, 0.72, fbm(d.xy / (up + 0.2) * 1.7 + skyline.z));
        c = mix(c, vec3(dot(horizon, vec3(0.33))) * 1.15, k * clouds * smoothstep(0.02, 0.25, up));
    }
    float s = max(dot(d, sunDirection), 0.0);
    return c + sunColour * (0.04 * pow(s, 6.0) + 0.8 * pow(s, 300.0));
}
vec3 environment(vec3 d, bool fine) {
    vec3 c = sky(d, fine);
    if (skyline.x > 0.0) {
        float a = atan(d.y, d.x) * skyline.y + skyline.z;
        float block = floor(a), h = skyline.x * (0.25 + 0.75 * hash(vec2(block, skyline.z)));
        vec3 wall = skylineColour * (0.55 + 0.9 * hash(vec2(block, 3.1)));
        if (fine && skyline.w > 0.5) {
            h += (fbm(vec2(a * 3.0, 1.0)) - 0.5) * skyline.x;
            wall *= 0.5 + fbm(vec2(a * 8.0, d.z * 60.0));
        } else if (fine) {
            vec2 w = abs(fract(vec2(a * 9.0, d.z * 90.0)) - 0.5);
            wall *= w.x < 0.28 && w.y < 0.26 ? 0.45 : 1.0;
        }
        c = mix(c, wall, smoothstep(0.006, -0.006, d.z - h));
    }
    return mix(groundLit, c, smoothstep(-0.01, 0.01, d.z));
}
"""

#: Soft lookup in the sun's shadow map: 1 lit, 0 in shadow.
SHADOW = """
uniform sampler2D shadowMap; uniform mat4 sunMatrix; uniform float shadowStrength; uniform float shadowSoftness;
float lit(vec3 p, float bias) {
    if (shadowStrength <= 0.0) return 1.0;
    vec3 q = (sunMatrix * vec4(p, 1.0)).xyz * 0.5 + 0.5;
    float turn = 6.28 * hash(gl_FragCoord.xy * 0.37), sum = 0.0;
    for (int i = 0; i < 8; i++) {
        float r = shadowSoftness * sqrt((float(i) + 0.5) / 8.0), a = turn + 2.4 * float(i);
        sum += step(q.z - bias, texture(shadowMap, q.xy + r * vec2(cos(a), sin(a))).r);
    }
    return 1.0 - shadowStrength * (1.0 - sum / 8.0);
}
"""

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

CAR_FRAGMENT = HEADER + TONE + ENVIRONMENT + SHADOW + """
uniform vec3 eye; uniform float ground;
uniform vec4 albedo[11];       // rgb, roughness
uniform vec4 finish[11];       // metallic flake, clear coat, glow, noise
in vec3 world; in vec3 smoothNormal; flat in int kind; in float open;
out vec4 pixel;
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
    float sun = max(dot(n, sunDirection), 0.0);
    if (sun > 0.0) sun *= lit(world, 0.002 + 0.004 * (1.0 - sun));
    vec3 above = mix(horizon, zenith, 0.5);
    vec3 ambient = mix(groundLit * 0.8, above, 0.5 + 0.5 * n.z) * open;
    vec3 colour = base * (1.0 - 0.5 * f.x) * (0.8 * sunColour * sun + ambient);
    vec3 r = reflect(-v, n), h = normalize(v + sunDirection);
    float near = max(1.0 - max(dot(n, v), 0.0), 0.0), fresnel = pow(near, 5.0);
    // Reflections of the sky are dimmed where the surface is closed in, those of the ground near the ground.
    vec3 mirror = environment(r, false) * mix(open, 1.0, 0.2);
    if (r.z < 0.0) mirror *= smoothstep(-0.02, 0.2, world.z - ground) * 0.8 + 0.2;
    float lobe = exp2(9.0 * (1.0 - a.w) + 1.0), glint = pow(max(dot(n, h), 0.0), lobe) * (lobe + 8.0) / 60.0;
    colour += f.y * (0.045 + 0.955 * fresnel) * mirror;
    vec3 flake = 0.25 * sunColour * pow(max(dot(n, h), 0.0), 12.0) * step(0.01, sun);
    colour += f.x * base * (0.55 * mirror + 0.3 * ambient + flake);
    colour += max(f.y, f.x) * 0.12 * glint * sunColour * step(0.001, sun);
    colour += f.z * a.rgb;
    pixel = vec4(tone(colour), 1.0);
}
"""

DEPTH_FRAGMENT = HEADER + "void main() {}\n"

BACKGROUND_VERTEX = HEADER + """
in vec2 corner; out vec2 screen;
void main() { screen = corner; gl_Position = vec4(corner, 1.0, 1.0); }
"""

#: kind 0 plain colour, 1 gradient with blotches, 2 a scene: sky, skyline, boxes, ground with a pattern.
BACKGROUND_FRAGMENT = HEADER + TONE + ENVIRONMENT + SHADOW + """
uniform vec3 eye; uniform mat3 rays; uniform float ground; uniform int kind;
uniform vec3 colourA; uniform vec3 colourB; uniform vec3 blend;     // direction of the gradient, noise
uniform vec3 groundColour; uniform vec4 pattern;                    // style, scale, turn, seed
uniform vec4 footprint;        // half length, half width, contact strength, contact reach
uniform int boxes; uniform vec4 boxPlace[16]; uniform vec4 boxShape[16]; uniform vec4 boxColour[16];
in vec2 screen; out vec4 pixel;

float shade(vec3 p) {          // sun shadow times contact shadow on the ground
    vec2 q = abs(p.xy) - footprint.xy * vec2(0.9, 0.8);
    float gap = length(max(q, 0.0)) + min(max(q.x, q.y), 0.0);
    float contact = 1.0 - footprint.z * smoothstep(footprint.w, -0.12, gap);
    return contact * mix(1.0, lit(p, 0.001), 0.75);
}
float line(float x, float width, float blur) { return smoothstep(width + blur, width, abs(x)); }
vec3 floorColour(vec3 p, float blur) {
    float c = cos(pattern.z), s = sin(pattern.z);
    vec2 q = mat2(c, s, -s, c) * p.xy + pattern.w;
    vec3 colour = groundColour * (0.8 + 0.4 * fbm(q * 2.0)) * (1.0 + (fbm(q * 28.0) - 0.5) * 0.35 * exp(-blur * 25.0));
    vec2 cell = fract(q / pattern.y) - 0.5;
    float b = blur / pattern.y, w = 0.014 / pattern.y;
    int style = int(pattern.x + 0.5);
    vec3 white = vec3(0.6 + 0.3 * hash(floor(pattern.ww)));
    if (style == 1) colour = mix(colour, white, 0.8 * line(cell.x, w, b) * step(abs(q.y - 1.0), 1.1));
    if (style == 2) {
        colour = mix(colour, white, 0.8 * line(q.y - 0.55, 0.015, blur) * step(0.0, cell.x));
        float kerb = smoothstep(0.0, 0.02 + blur, -q.y - 0.75);
        colour = mix(colour, groundColour * vec3(1.35, 1.3, 1.2) * (0.8 + 0.3 * step(0.04, fract(q.x * 3.0))), kerb);
        colour *= 1.0 - 0.5 * line(q.y + 0.76, 0.015, blur);
    }
    float stone = 0.2 * (hash(floor(q / pattern.y)) - 0.5);
    if (style == 3) colour *= 1.0 - 0.35 * max(line(cell.x, w, b), line(cell.y, w, b)) + stone;
    if (style == 4) colour *= mix(0.5 + fbm(q * 14.0), 1.0, min(blur * 6.0, 1.0));
    return colour;
}
vec3 scene(vec3 d) {
    vec3 colour = environment(d, true);
    float far = 1e6;
    if (d.z < -1e-4) {
        far = (ground - eye.z) / d.z;
        vec3 p = eye + far * d;
        vec3 light = 0.8 * sunColour * max(sunDirection.z, 0.0) + mix(horizon, zenith, 0.6);
        float blur = 0.0015 * far * far / max(eye.z - ground, 0.05);
        colour = mix(floorColour(p, blur) * light * shade(p), horizon * 0.7 + 0.3 * groundLit, 1.0 - exp(-far * 0.012));
    }
    for (int i = 0; i < boxes; i++) {
        vec4 place = boxPlace[i], shape = boxShape[i];    // centre x, y, bottom, turn; half x, half y, height, style
        float c = cos(place.w), s = sin(place.w); mat2 turn = mat2(c, -s, s, c);
        vec3 o = vec3(turn * (eye.xy - place.xy), eye.z - place.z - shape.z * 0.5), e = vec3(turn * d.xy, d.z);
        vec3 half_ = vec3(shape.xy, shape.z * 0.5), a = (-half_ - o) / e, b = (half_ - o) / e;
        vec3 lo = min(a, b), hi = max(a, b);
        float t = max(max(lo.x, lo.y), lo.z), leave = min(min(hi.x, hi.y), hi.z);
        if (t > leave || t < 0.05 || t > far) continue;
        far = t;
        vec3 q = o + t * e, n = vec3(0, 0, -sign(e.z));
        if (lo.x > max(lo.y, lo.z)) n = vec3(-sign(e.x), 0, 0);
        else if (lo.y > lo.z) n = vec3(0, -sign(e.y), 0);
        vec3 world = vec3(transpose(turn) * n.xy, n.z);
        vec3 wall = boxColour[i].rgb * (0.85 + 0.3 * fbm(q.xz * 3.0 + q.y * 2.0 + float(i)));
        vec2 uv = vec2(abs(n.x) > 0.5 ? q.y : q.x, q.z + half_.z);
        int style = int(shape.w + 0.5);
        if (style == 1 && abs(n.z) < 0.5) {
            vec2 g = abs(fract(uv / vec2(0.45, 0.7) + 0.2) - 0.5);
            if (g.x < 0.28 && g.y < 0.3) wall = mix(vec3(0.03), 0.5 * sky(reflect(d, world), false), 0.6);
        }
        if (style == 2) wall *= 0.35 + 1.1 * fbm(uv * 22.0 + float(i));
        if (style == 3) wall = mix(wall, 0.4 * environment(reflect(d, world), false), 0.35);
        vec3 above = mix(horizon, zenith, 0.5);
        vec3 direct = 0.8 * sunColour * max(dot(world, sunDirection), 0.0);
        colour = wall * (direct + mix(groundLit, above, 0.5 + 0.5 * world.z));
        colour *= 0.55 + 0.45 * smoothstep(0.0, 0.15, q.z + half_.z);
        colour = mix(colour, horizon * 0.8, 1.0 - exp(-far * 0.008));
    }
    return colour;
}
void main() {
    vec3 d = normalize(rays * vec3(screen, 1.0));
    if (kind == 2) { pixel = vec4(tone(scene(d)), 0.0); return; }
    float k = clamp(0.5 + 0.5 * dot(screen, blend.xy), 0.0, 1.0);
    k = clamp(k + blend.z * (fbm(screen * 2.5 + pattern.w) - 0.5), 0.0, 1.0);
    vec3 colour = mix(colourA, colourB, k);
    if (footprint.z > 0.0 && d.z < -1e-4) colour *= mix(1.0, shade(eye + d * (ground - eye.z) / d.z), 0.85);
    pixel = vec4(pow(colour, vec3(1.0 / 2.2)), 0.0);
}
"""
