"""Pictures of a car: one chosen view for the benchmark, random ones for training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from edge.errors import DataError
from training.meshes.model import CATEGORIES, CarMesh
from training.render.appearance import random_dress, random_materials
from training.render.camera import Camera, Framing, frame_camera, widened
from training.render.effects import Veil, defocus, develop, shrink, tone
from training.render.light import Light, random_light, studio_light
from training.render.occluders import hide, random_thing
from training.render.renderer import Layers, PreparedCar, Renderer
from training.render.scene import STREET, Neighbour, plain_backdrop, random_backdrop

Condition = Literal["plain", "clutter", "occluded"]
CONDITIONS: tuple[str, ...] = ("plain", "clutter", "occluded")
#: Least and greatest share of the whole car that is hidden or cut off under the condition "occluded".
HIDDEN = (0.05, 0.30)
#: Coverage above which a pixel counts as the car's and has a part.
SEEN = 127
#: How often a picture is drawn anew until its hidden share is in :data:`HIDDEN`.
ATTEMPTS = 12


@dataclass(frozen=True)
class Picture:
    """A picture of a car, how it was taken, and what is where in it.

    rgb: (S, S, 3) uint8. mask: (S, S) uint8, coverage by what is visible of the car, 255 = wholly. silhouette: (S, S)
    uint8, coverage by the whole car as if nothing stood before it. parts: (S, S) uint8, 0 = not the car, else 1 + index
    into CATEGORIES; not 0 exactly where the mask is above :data:`SEEN`. hidden: share 0..1 of the whole car's
    silhouette, also beyond the frame, that is covered or cut off. box: x, y, width, height of the whole car in pixels
    of this picture (may leave it). camera: OpenCV convention, world = canonical frame.
    """

    rgb: np.ndarray
    mask: np.ndarray
    silhouette: np.ndarray
    parts: np.ndarray
    hidden: float
    camera: Camera
    box: tuple[float, float, float, float]
    azimuth_deg: float
    elevation_deg: float
    focal_mm: float
    condition: str

    @property
    def K(self) -> np.ndarray:
        return self.camera.K

    @property
    def R(self) -> np.ndarray:
        return self.camera.R

    @property
    def t(self) -> np.ndarray:
        return self.camera.t


def render_view(
    mesh: CarMesh, azimuth_deg: float, elevation_deg: float, focal_mm: float, condition: Condition, seed: int,
    size: int = 128, renderer: Renderer | None = None,
) -> Picture:
    """One view of a car, deterministic by ``seed``.

    azimuth 0 = camera before the nose, 90 = on the car's left. condition "plain": neutral backdrop, car centred with
    margin 0.1, no camera effects; "clutter": surroundings, shadow, jittered crop, camera effects; "occluded": the same,
    and 5 to 30 % of the car is hidden or cut off. Pass one Renderer of the same size for many views (without one, each
    call opens its own, about a second). Raises DataError without EGL, or if no occlusion in that range is found.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"condition {condition!r} is none of {', '.join(CONDITIONS)}")
    view = (azimuth_deg, elevation_deg, focal_mm)
    if renderer is None:
        with Renderer(size) as own:
            return _take(own, mesh, view, condition, np.random.default_rng(seed))
    return _take(renderer, mesh, view, condition, np.random.default_rng(seed))


def random_view(mesh: CarMesh, rng: np.random.Generator, renderer: Renderer) -> Picture:
    """One training picture: any azimuth, mostly from the height of a person, 28-85 mm.

    15 % plain, 60 % cluttered, 25 % occluded. Elevations from the kerb (the lens may be lower than the car's middle) to
    the first floor.
    """
    draw = rng.random()
    elevation = rng.uniform(-2.5, 4) if draw < 0.25 else abs(rng.normal(3, 9)) if draw < 0.85 else rng.uniform(10, 45)
    focal = float(np.exp(rng.uniform(np.log(28), np.log(85))))
    view = (float(rng.uniform(0, 360)), float(min(elevation, 45)), focal)
    return _take(renderer, mesh, view, str(rng.choice(CONDITIONS, p=[0.15, 0.6, 0.25])), rng)


def _take(
    renderer: Renderer, mesh: CarMesh, view: tuple[float, float, float], condition: str, rng: np.random.Generator
) -> Picture:
    car = renderer.prepare(mesh)
    if condition == "plain":
        return _plain(renderer, car, view, rng)
    if condition == "clutter":
        return _cluttered(renderer, car, view, rng, None)
    for _ in range(ATTEMPTS):
        picture = _cluttered(renderer, car, view, rng, float(rng.uniform(HIDDEN[0] + 0.02, HIDDEN[1] - 0.02)))
        if HIDDEN[0] <= picture.hidden <= HIDDEN[1]:
            return picture
    raise DataError(f"no view of {mesh.name} hides 5 to 30 % of it in {ATTEMPTS} attempts; try another seed")


def _plain(renderer: Renderer, car: PreparedCar, view: tuple[float, float, float], rng: np.random.Generator) -> Picture:
    camera = frame_camera(car.soup.hull, *view, renderer.size[0], Framing(fill=float(rng.uniform(0.4, 0.8))))
    light = studio_light(rng) if rng.random() < 0.3 else random_light(rng)
    backdrop = plain_backdrop(rng)
    layers = renderer.draw(car, camera, random_materials(rng), random_dress(rng), light, backdrop)
    back = cv2.pow(np.clip(layers.back, 0, 1), 1 / 2.2)
    display = np.where(layers.kind[..., None] > 0, tone(layers.car, light.exposure), back)
    return _picture(renderer, car, camera, view, "plain", layers, None, shrink(display, renderer.size))


def _cluttered(
    renderer: Renderer, car: PreparedCar, view: tuple[float, float, float], rng: np.random.Generator,
    hidden: float | None,
) -> Picture:
    """hidden: the share that should be hidden or cut off, or None for whatever the jitter of the crop does."""
    backdrop = random_backdrop(rng, view[0])
    studio = backdrop.kind != STREET and rng.random() < 0.7
    light = studio_light(rng) if studio else random_light(rng)
    framing, covered = _random_framing(rng), 0.0
    if hidden is not None:
        covered = hidden if rng.random() < 0.6 else hidden * float(rng.choice([0.0, 0.5], p=[0.6, 0.4]))
        framing = replace(framing, scale=float(rng.uniform(0.75, 1.15)), shift=(0.0, 0.0))
        framing = _cut(renderer, car, view, framing, hidden - covered, rng)
    camera = frame_camera(car.soup.hull, *view, renderer.size[0], framing)
    layers = renderer.draw(car, camera, random_materials(rng), random_dress(rng), light, backdrop)
    veil = _veil(renderer, car, camera, layers, light, covered, rng) if covered else None
    strength = float(rng.uniform(0.0, 0.01) if rng.random() < 0.7 else rng.uniform(0.01, 0.035))
    back = defocus(layers.back, layers.near, layers.distance, strength)
    radiance = np.where(layers.kind[..., None] > 0, layers.car, back)
    if veil is not None:
        radiance = radiance + (veil.rgb - radiance) * veil.cover[..., None]
    rgb = develop(radiance, renderer.size, rng)
    name = "clutter" if hidden is None else "occluded"
    return _picture(renderer, car, camera, view, name, layers, veil, rgb)


def _picture(
    renderer: Renderer, car: PreparedCar, camera: Camera, view: tuple[float, float, float], condition: str,
    layers: Layers, veil: Veil | None, rgb: np.ndarray,
) -> Picture:
    whole = (layers.kind > 0).astype(np.float32)
    seen = whole if veil is None else whole * (1 - veil.cover)
    silhouette, mask = (_cover(layer, renderer.size) for layer in (whole, seen))
    box = camera.box(car.soup.hull)
    area = float(silhouette.sum())
    if min(box[:2]) < 0 or box[0] + box[2] > renderer.size[0] or box[1] + box[3] > renderer.size[1]:
        area = max(area, _whole_area(renderer, car, camera, box))
    hidden = float(1 - mask.sum() / area) if area else 1.0
    parts = _parts(layers.kind, seen, mask, renderer.size)
    return Picture(rgb, mask, silhouette, parts, hidden, camera, box, *view, condition)


def _cover(layer: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_AREA) * 255 + 0.5, np.uint8)


def _whole_area(
    renderer: Renderer, car: PreparedCar, camera: Camera, box: tuple[float, float, float, float]
) -> float:
    """Coverage summed over the whole car, also beyond the frame, in the units of a silhouette's sum."""
    side = max(box[2], box[3]) * 1.04
    corner = (box[0] + box[2] / 2 - side / 2, box[1] + box[3] / 2 - side / 2)
    wide = widened(camera, corner, side, renderer.size[0])
    return float(renderer.silhouette(car, wide).sum(dtype=np.float64)) * (side / renderer.size[0]) ** 2


def _parts(kind: np.ndarray, seen: np.ndarray, mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The part that covers most of each visible pixel; exact at the fine size, so no new categories at borders."""
    best = np.zeros(mask.shape, np.float32)
    parts = np.zeros(mask.shape, np.uint8)
    for label in range(1, len(CATEGORIES) + 1):
        here = kind == label
        if here.any():
            share = cv2.resize(here * seen, size, interpolation=cv2.INTER_AREA)
            wins = share > best
            best[wins], parts[wins] = share[wins], label
    parts[mask <= SEEN] = 0
    return parts


def _cut(
    renderer: Renderer, car: PreparedCar, view: tuple[float, float, float], framing: Framing, share: float,
    rng: np.random.Generator,
) -> Framing:
    """Shift the crop until the frame cuts ``share`` of the car off, in a random direction, mostly sideways."""
    if share <= 0:
        return replace(framing, scale=max(framing.scale, 1.0))
    size = renderer.size[0]
    camera = frame_camera(car.soup.hull, *view, size, replace(framing, scale=1.0))
    cover = renderer.silhouette(car, widened(camera, (-size / 2, -size / 2), 2.0 * size, size)).astype(np.float64)
    table = np.pad(cover.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    side = framing.scale * size / 2
    angle = rng.choice([0.0, np.pi]) + rng.normal(0, 0.5)
    best, best_error = framing, np.inf
    for far in np.linspace(0, 0.6, 61):
        shift = far * np.cos(angle), far * np.sin(angle)
        left, top = size / 2 - side / 2 + shift[0] * side, size / 2 - side / 2 + shift[1] * side
        ends = np.clip(np.round([top, top + side, left, left + side]), 0, size).astype(int)
        inside = table[ends[1], ends[3]] - table[ends[0], ends[3]] - table[ends[1], ends[2]] + table[ends[0], ends[2]]
        error = abs(1 - inside / table[-1, -1] - share)
        if error < best_error:
            best, best_error = replace(framing, shift=(float(shift[0]), float(shift[1]))), error
    return best


def _veil(
    renderer: Renderer, car: PreparedCar, camera: Camera, layers: Layers, light: Light, share: float,
    rng: np.random.Generator,
) -> Veil:
    """One or two things before the car that hide about ``share`` of it."""
    whole = (layers.kind > 0).astype(np.float32)
    total = Veil(np.zeros_like(layers.car), np.zeros_like(whole))
    for _ in range(3):
        if rng.random() < 0.25:
            thing = _passing(renderer, car, camera, light, whole, share, rng)
        else:
            thing = hide(whole, random_thing(rng, whole.shape, light), share, rng)
        if rng.random() < 0.5:   # out of focus, being nearer
            sigma = rng.uniform(0.5, 3.0) * whole.shape[1] / 256
            thing = Veil(thing.rgb, cv2.GaussianBlur(thing.cover, (0, 0), sigma))
        total = Veil(
            total.rgb + (thing.rgb - total.rgb) * thing.cover[..., None],
            1 - (1 - total.cover) * (1 - thing.cover),
        )
        if float((whole * total.cover).sum()) > 0.7 * share * float(whole.sum()):
            break
    return total


def _passing(
    renderer: Renderer, car: PreparedCar, camera: Camera, light: Light, whole: np.ndarray, share: float,
    rng: np.random.Generator,
) -> Veil:
    """Another car, nearer to the camera, that hides nearly ``share`` of the car whose cover is ``whole``."""
    eye = camera.eye[:2]
    away = max(float(np.linalg.norm(eye)), 1e-6)
    ahead, across = eye / away, np.array([-eye[1], eye[0]]) / away
    other = Neighbour(
        float(rng.random()), 0.0, 0.0, float(rng.choice([0, np.pi / 2, np.pi]) + rng.normal(0, 0.3)),
        float(rng.uniform(0.92, 1.1)), random_materials(rng), random_dress(rng),
    )
    best, best_error = Veil(np.zeros((*whole.shape, 3), np.float32), np.zeros_like(whole)), np.inf
    for _ in range(5):
        # At least a car's half length off the car, and the camera outside the other one.
        x, y = ahead * min(rng.uniform(0.3, 0.5) * away + 0.25, away - 0.6) + across * rng.uniform(-0.9, 0.9)
        rgb, cover = renderer.draw_other(replace(other, x=float(x), y=float(y)), car.ground, camera, light)
        error = abs(float((whole * cover).sum()) / max(float(whole.sum()), 1e-6) - share)
        if error < best_error:
            best, best_error = Veil(rgb, cover), error
    return best


def _random_framing(rng: np.random.Generator) -> Framing:
    shift, aim = rng.uniform(-0.08, 0.08, 2), rng.uniform(-0.12, 0.12, 2)
    return Framing(
        fill=float(rng.uniform(0.3, 0.85)), scale=float(rng.uniform(0.9, 1.25)), roll_deg=float(rng.normal(0, 2)),
        shift=(float(shift[0]), float(shift[1])), aim=(float(aim[0]), float(aim[1])),
    )

