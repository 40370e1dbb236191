"""What is gained over classical methods: the visual hull (Laurentini 1994) and structure from motion of the same views.

Both get what a classical method needs and a network does not. The hull: true silhouettes and true cameras. Structure
from motion (COLMAP, Schoenberger and Frahm 2016, by its Python package): larger pictures, and the true focal length.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.errors import DataError
from edge.geometry import even_stride
from edge.models.group import Member, average
from edge.voxels import surface_points
from training.answers import plots
from training.answers.bench import POINTS, Bench, Figures, bodies, figures, mean, pictures, reconstruct, truth
from training.benchmark import protocol
from training.meshes.model import CarMesh
from training.progress import track

COUNTS = (1, 2, 3, 4, 6, 8, 12, 24)
#: Cells of the hull and the box that they fill, car lengths.
CELLS, LOW, HIGH = (160, 96, 80), (-0.54, -0.32, -0.27), (0.54, 0.32, 0.27)
#: Pictures for structure from motion: side in pixels. Bodies that it is tried on, to keep it to minutes.
SIDE, TRIED = 800, 3


def run(bench: Bench) -> dict[str, Any]:
    """Figures of the hull and of the network over the number of views; how many views COLMAP places."""
    cars = bodies(bench)
    hull: dict[int, list[Figures]] = {count: [] for count in COUNTS if count <= bench.views}
    network: dict[int, list[Figures]] = {count: [] for count in hull}
    for mesh in track(cars, "visual hull"):
        true, taken = truth(mesh, bench), silhouettes(mesh, bench)
        members = [Member(m.cloud, None if m.pose is None else m.pose.azimuth)
                   for m in (reconstruct(rgb, bench) for rgb in pictures(mesh, "plain", bench).rgb)]
        for count in hull:
            chosen = np.arange(count) * bench.views // count  # evenly around the car: the best that a hull can get
            cloud = surface_points(carve([taken[view] for view in chosen]), LOW, HIGH).points
            hull[count].append(figures(cloud[even_stride(len(cloud), 4 * POINTS)], true))
            network[count].append(figures(average([members[view] for view in chosen]).cloud.points, true))
    rows = {name: {str(count): mean(values) for count, values in found.items()}
            for name, found in (("hull", hull), ("network", network))}
    return {"bodies": [mesh.name for mesh in cars], "rows": rows, "motion": motion(cars[:TRIED], bench)}


class Silhouette:
    """mask: (S, S) bool, the car's pixels. camera: training.render.camera.Camera, canonical frame."""

    def __init__(self, mask: np.ndarray, camera: Any) -> None:
        self.mask, self.camera = mask, camera


def silhouettes(mesh: CarMesh, bench: Bench) -> list[Silhouette]:
    """True silhouettes and cameras of the benchmark's plain pictures of a body."""
    from training.benchmark.pictures import draw

    drawn = [draw(mesh, view, "plain") for view in protocol.views_of(mesh.name, bench.views)]
    return [Silhouette(picture.silhouette > 127, picture.camera) for picture in drawn]


def carve(taken: list[Silhouette]) -> np.ndarray:
    """Occupancy of CELLS: 1 where every silhouette has the cell's middle, else -1; float32."""
    axes = [np.linspace(low, high, 2 * count + 1)[1::2] for low, high, count in zip(LOW, HIGH, CELLS, strict=True)]
    middles = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    inside = np.ones(len(middles), bool)
    for one in taken:
        at = np.floor(one.camera.project(middles[inside])).astype(int)
        height, width = one.mask.shape
        within = (at[:, 0] >= 0) & (at[:, 0] < width) & (at[:, 1] >= 0) & (at[:, 1] < height)
        seen = np.zeros(len(at), bool)
        seen[within] = one.mask[at[within, 1], at[within, 0]]
        inside[inside] = seen
    return np.where(inside, 1.0, -1.0).astype(np.float32).reshape(CELLS)


def motion(cars: list[CarMesh], bench: Bench) -> dict[str, Any]:
    """By body: how many of the views COLMAP places in its largest model, and of how many points that is.

    DataError if the package pycolmap is missing.
    """
    try:
        import pycolmap
    except ImportError as error:
        raise DataError(f"structure from motion takes pycolmap ({error}); type: pip install pycolmap==4.2.1") from error
    from training.render.renderer import Renderer
    from training.render.views import render_view

    placed = {}
    with Renderer(SIDE) as renderer:
        for mesh in track(cars, "structure from motion"):
            with tempfile.TemporaryDirectory() as folder:
                for index, view in enumerate(protocol.views_of(mesh.name, bench.views)):
                    where = (view.azimuth, view.elevation, 50.0)
                    # One seed: the same paint and light in every picture, as if one walked round it.
                    picture = render_view(mesh, *where, "plain", 1, SIDE, renderer)
                    cv2.imwrite(f"{folder}/{index:02d}.png", picture.rgb[..., ::-1])
                placed[mesh.name] = _placed(pycolmap, Path(folder))
    return {"side": SIDE, "views": bench.views, "placed": placed}


def _placed(pycolmap: Any, folder: Path) -> dict[str, int]:
    database = folder / "database.db"
    pycolmap.set_random_seed(0)
    pycolmap.extract_features(database, folder, camera_mode=pycolmap.CameraMode.PER_IMAGE)
    pycolmap.match_exhaustive(database)
    (folder / "out").mkdir()
    models = pycolmap.incremental_mapping(database, folder, folder / "out")
    best = max(models.values(), key=lambda model: model.num_reg_images(), default=None)
    return {"views": 0, "points": 0} if best is None else {
        "views": int(best.num_reg_images()), "points": int(best.num_points3D())}


def write(results: dict[str, Any], folder: Path) -> str:
    """The section, and its plot."""
    hull, network, motion_ = results["rows"]["hull"], results["rows"]["network"], results["motion"]
    counts = list(hull)
    plots.lines(
        folder / "classical.png", [int(count) for count in counts],
        {"visual hull, true masks and cameras": [hull[c]["f1"] for c in counts],
         "this network, averaged": [network[c]["f1"] for c in counts]},
        "views, evenly around the car", "F@1, per cent", log=True,
    )  # fmt: skip
    better = next((count for count in counts if hull[count]["f1"] > network[count]["f1"]), None)
    until = ("with every number of views that was tried" if better is None else
             f"up to the point where the hull has {better} views")
    table = plots.table(
        ["views", "hull: F@1", "hull: pred→GT", "network: F@1", "network: pred→GT"],
        [[c, hull[c]["f1"], hull[c]["pred_to_gt"], network[c]["f1"], network[c]["pred_to_gt"]] for c in counts])
    placed = plots.table(
        ["body", f"views placed, of {motion_['views']}", "points"],
        [[name, one["views"], one["points"]] for name, one in motion_["placed"].items()])
    return f"""## What is gained over classical methods?
One picture is enough, and nothing but the picture is needed. A **visual hull** needs silhouettes without error and
cameras that are known exactly; given both (true ones, which nobody who walks round a car has), the network is ahead of
it {until}. From one view a hull is a cone.

{table}

![F@1 of both against the number of views](images/answers/classical.png)

**Structure from motion** (COLMAP through pycolmap, its default settings, pictures of {motion_["side"]} x
{motion_["side"]} pixels of a car on a plain ground, one every {360 / motion_["views"]:.0f} degrees) places:

{placed}

What it has to go by is the car alone, which is smooth, shines, and has little texture; on a real street it would also
have the ground to hold on to. Where it places views it gives points where there is texture, and no closed shape.
"""
