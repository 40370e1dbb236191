"""Judging a network while it trains: distances of its cloud to true clouds, pose, length, class.

A network without points is judged by the cloud that the device makes of its maps or cells (edge.geometry, edge.voxels).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree

from edge.geometry import cube_corner_views, even_stride, fuse
from edge.pose import decode_pose
from edge.voxels import surface_points
from training.batches import Batch, validation_batches
from training.benchmark.attributes import FLIPPED
from training.data.dataset import CarDataset, load_cloud
from training.networks.base import Network, Prediction
from training.objectives.base import normalised

#: Pictures scored each time, points of each true and each predicted cloud.
PICTURES, TRUE_POINTS, POINTS = 192, 8192, 2048
#: Points of the largest cloud that the device streams: no representation is judged by more.
STREAMED = 16_384


class CloudValidation:
    """The same pictures of the validation bodies each time. root: folder of the shards, for the true clouds."""

    def __init__(self, data: CarDataset, root: Path, input_size: int, pictures: int = PICTURES) -> None:
        self.data, self.root = data, root
        self.batches = validation_batches(data, 0, input_size, pictures, 16)
        self._trees: dict[int, tuple[cKDTree, np.ndarray]] = {}

    def truth(self, shape: int) -> tuple[cKDTree, np.ndarray]:
        """A shape's true cloud as a tree, and some of its points (P, 3)."""
        if shape not in self._trees:
            cloud = load_cloud(self.root, self.data.names[shape])[:TRUE_POINTS]
            self._trees[shape] = cKDTree(cloud), cloud[:POINTS]
        return self._trees[shape]

    @torch.no_grad()
    def predict(self, network: Network, device: torch.device) -> list[tuple[Batch, Prediction]]:
        """Each batch with what the network makes of it, on the CPU, float32."""
        pairs = []
        for batch in self.batches:
            got = network(normalised(batch.image.to(device), network))
            pairs.append((batch, Prediction(**{name: v.float().cpu() for name, v in got.given().items()})))
        return pairs

    def figures(self, network: Network, device: torch.device) -> dict[str, float]:
        """Means over pictures; ``score`` is the sum of both distances, of real bodies and parametric ones alike."""
        columns: dict[str, list[float]] = {}
        for batch, prediction in self.predict(network, device):
            for row in range(len(batch.image)):
                shape = int(batch.shape[row])
                found = self._cloud(cloud_of(network, prediction, row), shape)
                found |= _attributes(prediction, batch, row)
                real = "real" if self.data.real[shape] else "parametric"
                found |= {f"{real}_pred_to_gt": found["pred_to_gt"], f"{real}_gt_to_pred": found["gt_to_pred"],
                          f"{real}_f1": found["f1"]}  # fmt: skip
                for name, value in found.items():
                    columns.setdefault(name, []).append(value)
        medians = ("azimuth_error", "elevation_error", "length_error")
        figures = {n: float(np.median(v) if n in medians else np.mean(v)) for n, v in columns.items()}
        sides = [s for s in ("real", "parametric") if f"{s}_pred_to_gt" in figures]
        return {**figures, "score": float(np.mean([figures[f"{s}_{d}"] for s in sides
                                                   for d in ("pred_to_gt", "gt_to_pred")]) * 2)}  # fmt: skip

    def _cloud(self, cloud: np.ndarray, shape: int) -> dict[str, float]:
        tree, true = self.truth(shape)
        if len(cloud) == 0:
            cloud = np.zeros((1, 3), np.float32)  # no car seen: as bad as a single point at the centre
        some = cloud[np.linspace(0, len(cloud) - 1, min(POINTS, len(cloud))).astype(int)]
        forth, back = (100 * t.query(p, workers=-1)[0] for t, p in ((tree, some), (cKDTree(cloud), true)))
        found = {"pred_to_gt": float(forth.mean()), "gt_to_pred": float(back.mean())}
        for limit in (1, 2):
            precision, recall = float((forth < limit).mean()), float((back < limit).mean())
            found[f"f{limit}"] = 200 * precision * recall / max(1e-9, precision + recall)
        return found


def cloud_of(network: Network, prediction: Prediction, row: int) -> np.ndarray:
    """The cloud (N, 3) float32 that the device makes of one prediction of a batch, N at most STREAMED; may be empty.

    In the device's order: points, vertices, maps, occupancy. Raises ValueError for a prediction without a shape.
    """
    points = prediction.points if prediction.points is not None else prediction.vertices
    if points is not None:
        return np.asarray(points[row].numpy()[even_stride(points.shape[1], STREAMED)])
    if prediction.maps is not None:
        return np.asarray(fuse(prediction.maps[row].numpy(), cube_corner_views(), max_points=STREAMED).points)
    if prediction.occupancy is not None and network.grid is not None:
        lower, upper = network.grid[:3], network.grid[3:]
        return np.asarray(surface_points(prediction.occupancy[row].numpy(), lower, upper, STREAMED).points)
    raise ValueError(f"a prediction of {', '.join(prediction.given())} has no shape to judge")


def _attributes(prediction: Prediction, batch: Batch, row: int) -> dict[str, float]:
    """Errors of azimuth and elevation in degrees, front-back confusion, relative length error, class right."""
    if prediction.azimuth is None or prediction.camera is None:
        return {}
    pose = decode_pose(prediction.azimuth[row].numpy(), prediction.camera[row].numpy())
    true = float(np.degrees(batch.targets.azimuth[row].item()))
    azimuth = abs((pose.azimuth - true + 180) % 360 - 180)
    elevation = abs(pose.elevation - float(np.degrees(batch.targets.camera[row, 0].item())))
    found = {
        "azimuth_error": azimuth, "elevation_error": elevation, "confused": 100.0 * (azimuth > FLIPPED),
        "place_error": float((prediction.camera[row, 2:4] - batch.targets.camera[row, 2:4]).abs().mean()),
        "scale_error": float((prediction.camera[row, 4] - batch.targets.camera[row, 4]).abs()),
    }  # fmt: skip
    if prediction.length is not None:
        found["length_error"] = 100 * abs(float(prediction.length[row, 0].exp() / batch.targets.length[row]) - 1)
    if prediction.classes is not None and batch.targets.classes[row] >= 0:
        found["class_right"] = 100.0 * (prediction.classes[row].argmax() == batch.targets.classes[row]).item()
    return found
