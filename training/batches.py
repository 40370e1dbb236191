"""Batches for one training step, chosen by seed and step alone, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from edge.errors import DataError
from training.augment import augment, mirror_depth, mirrored_camera, zoomed_camera
from training.data.dataset import CarDataset
from training.losses_extras import Targets
from training.networks.base import CLASSES
from training.poses import virtual_cameras
from training.settings import Settings, Stage


class Truth(NamedTuple):
    """Registered points of the left half and unit normals (B, N, 3), canonical, and the box (B, 3) as it is in parts of
    ``training.morphable.register.PROPORTIONS``."""

    points: Tensor
    normals: Tensor
    box: Tensor


class Batch(NamedTuple):
    """image (B, 3, S, S) in 0..1; depth (B, V, M, M), 0 = background, or None; rotation (B, N, 3, 3) of novel views or
    None. shape: (B,) index of the shape. targets: pose, length and class. truth: of a network that is taught points
    that correspond, or None."""

    image: Tensor
    depth: Tensor | None
    rotation: Tensor | None
    shape: Tensor
    targets: Targets
    truth: Truth | None = None

    def part(self, rows: slice) -> Batch:
        """Some of the samples."""
        depth, rotation = (None if value is None else value[rows] for value in (self.depth, self.rotation))
        targets = Targets(*(value[rows] for value in self.targets))
        truth = None if self.truth is None else Truth(*(value[rows] for value in self.truth))
        return Batch(self.image[rows], depth, rotation, self.shape[rows], targets, truth)


def step_generator(seed: int, step: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that depends on seed and step only (and on the kind of device)."""
    state = np.random.SeedSequence([seed, step]).generate_state(2, np.uint32)
    return torch.Generator(device).manual_seed(int(state[0]) << 31 | int(state[1]))


def shrink_depth(depth: Tensor, size: int) -> Tensor:
    """(..., S, S) depth to (..., size, size): the mean over the hit pixels of each block, background below half."""
    factor = depth.shape[-1] // size
    if factor == 1:
        return depth
    if depth.shape[-1] != factor * size:
        raise DataError(f"depth maps of {depth.shape[-1]} pixels do not shrink to {size}")
    lead = depth.shape[:-2]
    flat = depth.reshape(-1, 1, *depth.shape[-2:])
    hit = functional.avg_pool2d((flat > 0).to(flat.dtype), factor)
    mean = functional.avg_pool2d(flat, factor) / hit.clamp_min(1e-6)
    return torch.where(hit >= 0.5, mean, torch.zeros_like(mean)).reshape(*lead, size, size)


def shape_weights(classes: list[str], real: np.ndarray | None = None, parametric_share: float = 0.3) -> np.ndarray:
    """Share of each shape in the batches (M,): a class as a whole counts with the square root of its size.

    Free meshes are mostly sports cars; streets are not. real: (M,) whether a shape is a modelled body or made from one;
    parametric cars together get ``parametric_share`` (none of it if there are none).
    """
    if real is None or real.all() or not real.any():
        names, inverse, counts = np.unique(classes, return_inverse=True, return_counts=True)
        weights = 1 / np.sqrt(counts[inverse])
        return np.asarray(weights / weights.sum())
    weights = np.empty(len(classes))
    for rows, share in ((real, 1 - parametric_share), (~real, parametric_share)):
        weights[rows] = share * shape_weights([classes[row] for row in np.flatnonzero(rows)])
    return weights


def true_targets(data: CarDataset, pictures: np.ndarray) -> Targets:
    """What is true of some pictures of a data set, as they are stored."""
    azimuth, camera = virtual_cameras(data.K[pictures], data.R[pictures], data.t[pictures], data.images.shape[1])
    shapes = data.shape_index[pictures]
    length = data.length_m[shapes].astype(np.float32)
    names = (data.classes[shape] for shape in shapes)
    numbers = [CLASSES.index(name) if name in CLASSES else -1 for name in names]
    return Targets(
        torch.from_numpy(azimuth), torch.from_numpy(camera), torch.from_numpy(length),
        torch.tensor(numbers, dtype=torch.int64),
    )  # fmt: skip


class Pool:
    """What a run's batches are drawn from. What all steps need is made once; the pictures lie on ``device`` if they
    take less than half of what is free there, and come to it by the batch otherwise.

    complete: adds to each batch what the network's objective knows of its shapes; it may draw from the generator.
    """

    def __init__(
        self, data: CarDataset, settings: Settings, device: torch.device | str = "cpu",
        complete: Callable[[Batch, torch.Generator], Batch] | None = None,
    ) -> None:
        self.data, self.settings, self.device, self.complete = data, settings, torch.device(device), complete
        self.weights = shape_weights(data.classes, data.real, settings.parametric_share)
        self.images, self.masks = torch.from_numpy(data.images), torch.from_numpy(data.masks)
        self.targets = Targets(*(value.to(self.device) for value in true_targets(data, np.arange(len(data)))))
        if self.device.type == "cuda" and 2 * (data.images.nbytes + data.masks.nbytes) < torch.cuda.mem_get_info()[0]:
            self.images, self.masks = self.images.to(self.device), self.masks.to(self.device)

    def sample(self, stage: Stage, step: int, input_size: int, rank: int = 0, world: int = 1) -> Batch:
        """One augmented training batch on the device; of ``world`` processes' global one this is the ``rank``-th slice.

        Shapes are drawn by ``shape_weights``, then their pictures: a shape with more pictures is not seen more often.
        """
        generator = step_generator(self.settings.seed, step, self.device)
        rng = np.random.default_rng([self.settings.seed, step])
        shapes = rng.choice(len(self.data.names), size=stage.batch, p=self.weights)
        first, end = (np.searchsorted(self.data.shape_index, shapes, side) for side in ("left", "right"))
        pictures = self._sent(first + (rng.random(stage.batch) * (end - first)).astype(np.int64))
        flipped = rng.random(stage.batch) < 0.5
        depth, rotation = _depth(self.data, stage, shapes, torch.from_numpy(flipped), rng)
        flip = self._sent(flipped)
        there = pictures.to(self.images.device)
        image = self.images[there].to(self.device).permute(0, 3, 1, 2).float() / 255
        mask = self.masks[there].to(self.device)[:, None].float() / 255
        image = torch.where(flip[:, None, None, None], image.flip(-1), image)
        mask = torch.where(flip[:, None, None, None], mask.flip(-1), mask)
        image, theta = augment(image, mask, input_size, self.settings, generator)
        targets = Targets(*(value[pictures] for value in self.targets))
        camera = torch.where(flip[:, None], mirrored_camera(targets.camera), targets.camera)
        targets = targets._replace(
            azimuth=torch.where(flip, -targets.azimuth, targets.azimuth), camera=zoomed_camera(camera, theta)
        )
        batch = Batch(image, depth, rotation, self._sent(shapes), targets)
        if self.complete is not None:
            batch = self.complete(batch, generator)
        batch = batch.part(slice(rank * stage.batch // world, (rank + 1) * stage.batch // world))
        return batch._replace(
            depth=None if batch.depth is None else shrink_depth(batch.depth.to(self.device), stage.map_size),
            rotation=None if batch.rotation is None else batch.rotation.to(self.device),
        )

    def _sent(self, values: np.ndarray) -> Tensor:
        """Values on the device, without waiting for what is computed there."""
        tensor = torch.from_numpy(values)
        return tensor if self.device.type == "cpu" else tensor.pin_memory().to(self.device, non_blocking=True)


def _depth(
    data: CarDataset, stage: Stage, shapes: np.ndarray, flip: Tensor, rng: np.random.Generator
) -> tuple[Tensor | None, Tensor | None]:
    """Depth maps (B, V, S, S) for the stage's loss, and the rotations of novel views; None where not wanted."""
    if stage.loss == "fixed" or (stage.loss == "network" and data.fixed_depth.shape[1]):
        depth = torch.from_numpy(data.fixed_depth[shapes].astype(np.float32))
        return torch.where(flip[:, None, None, None], mirror_depth(depth), depth), None
    if stage.loss != "novel":
        # Shape numbers are enough: a mirrored picture shows (near enough) the same shape.
        return None, None
    views = np.stack([rng.permutation(data.novel_depth.shape[1])[: stage.novel_views] for _ in shapes])
    depth = torch.from_numpy(data.novel_depth[shapes[:, None], views].astype(np.float32))
    rotation = torch.from_numpy(data.novel_rotation[shapes[:, None], views])
    # The mirrored car seen by the mirrored camera gives the mirrored map: y -> -y and x_cam -> -x_cam.
    mirrored = rotation * torch.tensor([[-1.0], [1.0], [1.0]]) * torch.tensor([1.0, -1.0, 1.0])
    rotation = torch.where(flip[:, None, None, None], mirrored, rotation)
    return torch.where(flip[:, None, None, None], depth.flip(-1), depth), rotation


def validation_batches(data: CarDataset, map_size: int, input_size: int, count: int, batch: int) -> list[Batch]:
    """The same ``count`` un-augmented pictures each time, spread evenly over the set. map_size 0: no depth."""
    chosen = np.linspace(0, len(data.images) - 1, min(count, len(data.images))).astype(int)
    batches = []
    for start in range(0, len(chosen), batch):
        rows = chosen[start : start + batch]
        image = torch.from_numpy(data.images[rows]).permute(0, 3, 1, 2).float() / 255
        if image.shape[-1] != input_size:
            image = functional.interpolate(image, size=(input_size, input_size), mode="area")
        shapes = data.shape_index[rows]
        depth = None
        if map_size:
            depth = shrink_depth(torch.from_numpy(data.fixed_depth[shapes].astype(np.float32)), map_size)
        batches.append(Batch(image, depth, None, torch.from_numpy(shapes), true_targets(data, rows)))
    return batches
