"""What goes onto a contact sheet: test renders with their score, and photos."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from edge.errors import ImageError, SettingsError, SourceError
from edge.runtime.images import list_images, read_image
from edge.runtime.reconstructor import Reconstructor
from training.benchmark import metrics, protocol
from training.benchmark.pictures import pictures_of
from training.benchmark.protocol import Predictor
from training.benchmark.sheet import Card
from training.benchmark.store import Store
from training.meshes.model import CarMesh
from training.progress import track

Box = tuple[float, float, float, float]


def render_cards(
    predict: Predictor, bodies: Sequence[CarMesh], count: int, conditions: Sequence[str], store: Store
) -> list[Card]:
    """``count`` benchmark pictures: the bodies and conditions in turn, each body from another side."""
    cards = []
    for index in track(range(count), "renders"):
        mesh, condition = bodies[index % len(bodies)], conditions[index % len(conditions)]
        view = (7 * index + 2) % protocol.VIEWS
        picture = pictures_of(mesh, condition, protocol.VIEWS, store).rgb[view]
        points = predict(picture).points
        truth = metrics.Target(protocol.outside_points(mesh, store, protocol.TRUTH_POINTS))
        scored = metrics.figures(metrics.subsample(points, 8192), truth)
        detail = f"F@1 {scored.f1:.1f}   F@2 {scored.f2:.1f}   {len(points):,} points"
        cards.append(Card(picture, points, f"{mesh.name}, {condition}, view {view}", detail))
    return cards


def photo_cards(
    reconstructor: Reconstructor, paths: Sequence[Path], boxes: Mapping[str, Box], say: Callable[[str], None]
) -> list[Card]:
    """One card a photo; a photo that cannot be read, or whose box is wrong, is named and left out."""
    cards = []
    for path in track(paths, "photos"):
        box = boxes.get(path.name)
        try:
            image = read_image(str(path))
            points = reconstructor.reconstruct(image, box).cloud.points
        except (ImageError, SettingsError) as error:
            say(f"left out: {path}: {error}")
            continue
        rgb = np.ascontiguousarray(image[..., ::-1])
        cards.append(Card(rgb, points, path.stem, f"photo, no ground truth   {len(points):,} points", box))
    return cards


def photo_paths(given: Sequence[Path], limit: int) -> list[Path]:
    """Files as they are given, then as many pictures of the folders, evenly spread, as ``limit`` leaves (0 = all)."""
    files = [item for item in given if not item.is_dir()]
    found = [item / name for item in given if item.is_dir() for name in list_images(str(item))]
    room = max(limit - len(files), 0) if limit else len(found)
    if len(found) > room:
        found = [found[index * len(found) // room] for index in range(room)]
    return files + found


def read_boxes(path: Path | None) -> dict[str, Box]:
    """Boxes by file name: ``{"car.jpg": [x, y, width, height]}`` in pixels. SettingsError if it is anything else."""
    if path is None:
        return {}
    hint = 'it should read like {"car.jpg": [x, y, width, height]}, in pixels'
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        boxes = {str(name): tuple(float(v) for v in box) for name, box in found.items()}
    except OSError as error:
        raise SettingsError(f"cannot read the boxes in {path}: {error.strerror}") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise SettingsError(f"{path} is no list of boxes ({error}); {hint}") from error
    wrong = [name for name, box in boxes.items() if len(box) != 4]
    if wrong:
        raise SettingsError(f"{path} gives {wrong[0]} no four numbers; {hint}")
    return boxes  # type: ignore[return-value]


def nothing_to_show() -> SourceError:
    """The error of a sheet without cards."""
    return SourceError("nothing to put on the sheet: give --renders N of 1 or more, or --photos with readable pictures")
