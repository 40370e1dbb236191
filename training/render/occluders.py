"""What stands between the camera and the car: flat things with texture, moved until they hide the share asked for."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from training.render.appearance import linear, random_paint
from training.render.effects import Veil
from training.render.light import Light

#: Draws one thing: a random generator and (H, W) to colour (H, W, 3), 0..1 linear albedo, and cover (H, W).
Painter = Callable[[np.random.Generator, tuple[int, int]], tuple[np.ndarray, np.ndarray]]


def _grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixels in parts of the picture's side, (H, W) float32."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    return (x + 0.5) / shape[1], (y + 0.5) / shape[0]


def clouds(rng: np.random.Generator, shape: tuple[int, int], cells: int, octaves: int = 3) -> np.ndarray:
    """Smooth noise (H, W) float32 with mean about 0.5."""
    total, weight = np.zeros(shape, np.float32), 0.0
    for octave in range(octaves):
        side, part = cells * 2**octave + 1, 0.5**octave
        coarse = rng.random((side, side), np.float32)
        total += part * cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
        weight += part
    return total / weight


def _colour(rng: np.random.Generator) -> np.ndarray:
    return random_paint(rng) if rng.random() < 0.5 else linear(rng.uniform(0.08, 0.85, 3))


def post(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A pole or tree trunk from the ground upwards, sometimes with a sign or bands."""
    x, y = _grid(shape)
    width, tilt, top = rng.uniform(0.03, 0.16), rng.normal(0, 0.03), rng.uniform(-0.6, 0.35)
    across = (x - 0.5 - tilt * (y - 0.5)) / width
    cover = ((np.abs(across) < 0.5) & (y > top)).astype(np.float32)
    colour = np.broadcast_to(_colour(rng) * 0.6, (*shape, 3)).copy()
    if rng.random() < 0.4:
        colour *= (0.5 + clouds(rng, shape, 24))[..., None]           # bark
    elif rng.random() < 0.35:
        bands = ((y * rng.uniform(4, 12)) % 1 < 0.5)[..., None]
        colour = np.where(bands, colour, np.float32(0.7))
    colour *= (1.15 - 1.6 * np.abs(across - 0.15).clip(0, 0.5))[..., None]
    if top > 0.0 and rng.random() < 0.5:
        round_ = rng.random() < 0.5
        side = rng.uniform(0.08, 0.16)
        away = np.hypot(x - 0.5, y - top) if round_ else np.maximum(np.abs(x - 0.5), np.abs(y - top))
        sign = away < side
        colour[sign] = _colour(rng)
        colour[sign & (away < 0.7 * side)] = _colour(rng)
        cover[sign] = 1
    return colour, cover


def person(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Somebody who walks through the picture: head, coat, arms, legs."""
    height, width = shape
    size, foot = rng.uniform(0.75, 1.5) * height, rng.uniform(1.08, 1.3) * height
    cover = np.zeros(shape, np.uint8)
    colour = np.zeros((*shape, 3), np.float32)
    stride, swing, broad = rng.uniform(0.02, 0.14), rng.uniform(-0.1, 0.1), rng.uniform(0.1, 0.15)

    def at(px: float, py: float) -> tuple[int, int]:
        return int(width / 2 + px * size), int(foot - py * size)

    def limb(a: tuple[float, float], b: tuple[float, float], thick: float, tone: np.ndarray) -> None:
        mark = np.zeros(shape, np.uint8)
        cv2.line(mark, at(*a), at(*b), 255, max(int(thick * size), 1), cv2.LINE_AA)
        colour[mark > 0] = tone
        np.maximum(cover, mark, out=cover)

    skin, coat, cloth = linear((0.75, 0.55, 0.45)) * rng.uniform(0.3, 1.2), _colour(rng) * 0.7, _colour(rng) * 0.4
    limb((-stride, 0.03), (-0.03, 0.48), 0.09, cloth)
    limb((stride, 0.0), (0.03, 0.48), 0.09, cloth)
    limb((0.0, 0.5), (0.0, 0.78), 2 * broad, coat)
    limb((-broad, 0.78), (-broad - abs(swing), 0.5), 0.06, coat)
    limb((broad, 0.78), (broad + swing, 0.5), 0.06, coat)
    limb((0.0, 0.86), (0.0, 0.9), 0.05, skin)
    limb((0.0, 0.9), (0.0, 0.94), 0.11, skin)
    limb((0.0, 0.95), (0.0, 0.97), 0.11, linear(rng.uniform(0.05, 0.5, 3)))
    colour *= (0.55 + 0.9 * clouds(rng, shape, 10))[..., None]
    return colour, cover.astype(np.float32) / 255


def hedge(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A bush or tall grass that grows into the picture from below."""
    x, y = _grid(shape)
    ragged = clouds(rng, shape, 5, 4) - 0.5
    half = rng.uniform(0.2, 0.42)
    bush = np.hypot((x - 0.5) / half, (y - 1.1) / 0.6) + 0.8 * np.abs(ragged) < 1
    cover = bush.astype(np.float32)
    leaf = linear(np.array([0.32, 0.4, 0.2]) * rng.uniform(0.6, 1.2) * (1 + rng.uniform(-0.2, 0.2, 3)))
    colour = leaf * (0.25 + 1.5 * clouds(rng, shape, 40, 2) * clouds(rng, shape, 8, 2))[..., None]
    holes = clouds(rng, shape, 30, 2) > rng.uniform(0.62, 0.8)
    cover[holes & (y < 0.8)] = 0
    return colour.astype(np.float32), cover


def block(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A bin, a box, a low wall, a bonnet: an upright thing with straight sides, lit from one side."""
    x, y = _grid(shape)
    half, top = rng.uniform(0.1, 0.32), rng.uniform(0.35, 0.6)
    lean = 1 + rng.uniform(-0.15, 0.15) * (y - top)
    cover = ((np.abs(x - 0.5) < half * lean) & (y > top)).astype(np.float32)
    colour = np.broadcast_to(_colour(rng) * 0.7, (*shape, 3)).copy()
    edge = 0.5 + rng.uniform(-0.7, 0.7) * half
    colour *= np.where(x > edge, rng.uniform(0.4, 0.8), 1.0)[..., None]
    if rng.random() < 0.6:
        colour[np.abs(y - top) < rng.uniform(0.01, 0.06)] *= rng.uniform(0.3, 1.6)
    if rng.random() < 0.4:
        colour *= np.where((x * rng.uniform(10, 40)) % 1 < 0.2, 0.6, 1.0)[..., None]
    return colour * (0.75 + 0.5 * clouds(rng, shape, 6))[..., None], cover


def blob(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Anything else, near the lens: a finger, a strap, a leaf, a smear: smooth outline, any texture."""
    x, y = _grid(shape)
    stretch, turn = rng.uniform(0.35, 1.0), rng.uniform(0, np.pi)
    u = (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn)
    v = (-(x - 0.5) * np.sin(turn) + (y - 0.5) * np.cos(turn)) / stretch
    cover = (np.hypot(u, v) + 0.35 * (clouds(rng, shape, 4) - 0.5) < rng.uniform(0.15, 0.32)).astype(np.float32)
    a, b = linear((0.8, 0.6, 0.5)) * rng.uniform(0.2, 1.1) if rng.random() < 0.4 else _colour(rng), _colour(rng)
    k = clouds(rng, shape, int(rng.integers(2, 12))) if rng.random() < 0.7 else ((u * rng.uniform(5, 30)) % 1 > 0.5)
    return (a + (b - a) * (np.asarray(k, np.float32) * rng.uniform(0.1, 1.0))[..., None]).astype(np.float32), cover


PAINTERS: tuple[Painter, ...] = (post, person, hedge, block, blob)
#: How often each is drawn; cars take the rest, see views.
SHARES = (0.24, 0.22, 0.16, 0.18, 0.2)


def random_thing(rng: np.random.Generator, shape: tuple[int, int], light: Light) -> Veil:
    """One random thing, lit, in the middle of the picture."""
    colour, cover = PAINTERS[int(rng.choice(len(PAINTERS), p=SHARES))](rng, shape)
    lamp = rng.uniform(0.2, 0.7) * light.sun_colour + 0.7 * (light.zenith + light.horizon) / 2
    return Veil((colour * lamp).astype(np.float32), cover)


def moved(veil: Veil, by: tuple[int, int]) -> Veil:
    """Shifted by whole pixels right and down; what comes in from outside is empty, or goes on from the lower edge."""
    shift = np.array([[1, 0, by[0]], [0, 1, by[1]]], np.float32)
    rgb, cover = (
        cv2.warpAffine(layer, shift, layer.shape[1::-1], flags=cv2.INTER_NEAREST, borderMode=mode, borderValue=0)
        for layer, mode in ((veil.rgb, cv2.BORDER_REPLICATE), (veil.cover, cv2.BORDER_CONSTANT))
    )
    if by[1] < 0:    # things that stand on the ground below the picture do not float: the outline goes straight on
        rgb[by[1] :], cover[by[1] :] = rgb[2 * by[1] : by[1]][::-1], cover[by[1] - 1]
    return Veil(rgb, cover)


def hide(car: np.ndarray, veil: Veil, share: float, rng: np.random.Generator, tries: int = 24) -> Veil:
    """Move a thing so that it hides nearly ``share`` of the part of the car that is in the picture.

    car: (H, W) float32 cover of the car.
    """
    step = max(car.shape[0] // 64, 1)
    small, whole = car[::step, ::step], max(float(car[::step, ::step].sum()), 1e-6)
    cover = veil.cover[::step, ::step]
    best, best_error = (0, 0), np.inf
    for _ in range(tries):
        height, width = small.shape
        by = rng.integers(-width // 2, width // 2 + 1), rng.integers(-height // 4, height // 3 + 1)
        part = _overlap(small, cover, int(by[0]), int(by[1])) / whole
        if abs(part - share) < best_error:
            best, best_error = (int(by[0]) * step, int(by[1]) * step), abs(part - share)
    return moved(veil, best)


def _overlap(car: np.ndarray, cover: np.ndarray, right: int, down: int) -> float:
    height, width = car.shape
    part = car[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
    over = cover[max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)]
    total = float((part * over).sum())
    if down < 0:    # as :func:`moved` goes on below
        below = cover[-1, max(-right, 0) : width - max(right, 0)]
        total += float((car[down:, max(right, 0) : width + min(right, 0)] * below).sum())
    return total
