"""The benchmark's pictures: rendered once, cached, and written as PNG for other programs."""

from __future__ import annotations

import atexit
import functools
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from edge.errors import DataError
from edge.ply import atomic_file
from training.benchmark import protocol
from training.benchmark.store import Store, code_fingerprint, fingerprint, mesh_fingerprint
from training.meshes.model import CarMesh

#: Side of the pictures in pixels.
SIZE = 128
#: Seeds tried for a view, one after another.
SEEDS = 8
LOG = logging.getLogger(__name__)


class Pictures(NamedTuple):
    """The pictures of one body under one condition.

    rgb: (V, S, S, 3) uint8. hidden: (V,) share of the whole car's silhouette that is covered or cut off, 0..1.
    """

    rgb: np.ndarray
    hidden: np.ndarray

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.rgb)


@functools.lru_cache(maxsize=1)
def renderer() -> Any:
    """This process's renderer: opening one costs about a second, a benchmark asks some hundred times."""
    from training.render.renderer import Renderer

    opened = Renderer(SIZE)
    atexit.register(opened.close)
    return opened


def draw(mesh: CarMesh, view: protocol.View, condition: str) -> Any:
    """One picture. Where nothing can be put before a side of the car, the next seed is tried: as good, and as fixed."""
    from training.render.views import render_view

    opened, where = renderer(), (view.azimuth, view.elevation, view.focal)
    seeds = range(view.seed, view.seed + (SEEDS if condition == "occluded" else 1))
    for seed in seeds[:-1]:
        try:
            return render_view(mesh, *where, condition, seed, SIZE, opened)  # type: ignore[arg-type]
        except DataError as error:
            LOG.warning("%s; the benchmark takes the next one", error)
    return render_view(mesh, *where, condition, seeds[-1], SIZE, opened)  # type: ignore[arg-type]


def pictures_of(mesh: CarMesh, condition: str, views: int, store: Store) -> Pictures:
    """The first ``views`` pictures of the protocol, of a canonical mesh, cached."""
    import training.render as rendering
    import training.shapes as shapes  # neighbouring cars are parametric bodies

    wanted = protocol.views_of(mesh.name, views)
    key = fingerprint(mesh_fingerprint(mesh), code_fingerprint([rendering, shapes]), condition, SIZE, *wanted)

    def make() -> dict[str, np.ndarray]:
        drawn = [draw(mesh, view, condition) for view in wanted]
        hidden = [picture.hidden for picture in drawn]
        return {"rgb": np.stack([picture.rgb for picture in drawn]), "hidden": np.array(hidden)}

    return Pictures(**store.get("pictures", key, make))


def file_name(body: str, condition: str, view: int, suffix: str) -> str:
    """Where a picture, or a cloud made of it, lies in a folder: BODY/CONDITION/VIEW.suffix."""
    return f"{body}/{condition}/{view:02d}.{suffix}"


def export(bodies: Sequence[CarMesh], conditions: Sequence[str], views: int, store: Store, folder: Path) -> int:
    """Write every picture as PNG and ``index.json``; returns how many.

    The index names body, condition and view, because a cloud is filed under them; camera and shape are not told: a
    network is not to know them.
    """
    index = []
    for mesh in bodies:
        for condition in conditions:
            made = pictures_of(mesh, condition, views, store)
            for view, rgb in enumerate(made.rgb):
                name = file_name(mesh.name, condition, view, "png")
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(str(folder / name)) as handle:
                    Image.fromarray(rgb).save(handle, format="PNG")
                clouds = file_name(mesh.name, condition, view, "ply")
                index.append(
                    {"picture": name, "cloud": clouds, "body": mesh.name, "condition": condition, "view": view}
                )
    about = {
        "protocol": protocol.NAME,
        "version": protocol.VERSION,
        "frame": "canonical: x forward, y left, z up, origin at the centre of the car's bounding box, length 1",
        "next": "python -m training benchmark --clouds FOLDER",
        "pictures": index,
    }
    with atomic_file(str(folder / "index.json")) as handle:
        handle.write((json.dumps(about, indent=1) + "\n").encode())
    return len(index)
