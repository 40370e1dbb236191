"""The experiment with a truth: photos are rendered ones of bodies that no network was taught, whose shape is known.

The network sees some pictures of each body, without its shape. How far its clouds are from the true ones is measured on
other pictures of the same bodies, and on pictures of bodies that it has not seen at all.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge.bundle import load_bundle
from edge.errors import SettingsError
from edge.runtime.silhouette import open_silhouette
from training.benchmark.metrics import Target, figures, subsample
from training.data.dataset import CarDataset, load_cloud, load_dataset
from training.networks.morphable import Morphable
from training.record import command_line
from training.unlabelled.guards import rehearsal_of
from training.unlabelled.photos import Masker, Photo, masker, whole_crop
from training.unlabelled.run import Unlabelled, flagship, is_kept, prepare
from training.unlabelled.score import clouds
from training.unlabelled.settings import UnlabelledSettings
from training.unlabelled.student import Looked, Student, look

#: Points of predicted and of true clouds.
CLOUD, TRUTH = 8192, 20_000
#: One picture of so many of each body is kept for measuring.
EVERY = 3


class Group(NamedTuple):
    """Pictures whose clouds are measured. shapes: (N,) index into targets."""

    name: str
    looked: Looked
    shapes: np.ndarray
    targets: list[Target]

    def measured(self, student: Student, prefix: str = "") -> dict[str, float]:
        """Mean figures over the group's pictures, as CarPC-1 measures them."""
        made = clouds(student, self.looked).numpy()
        rows = [
            figures(subsample(cloud, CLOUD), self.targets[shape])
            for cloud, shape in zip(made, self.shapes, strict=True)
        ]
        return {
            f"{prefix}{name}": float(np.mean([getattr(row, name) for row in rows]))
            for name in ("pred_to_gt", "gt_to_pred", "f1", "f2")
        }


class Trial(NamedTuple):
    """teaching: pictures without shape. groups: what is measured."""

    teaching: list[Photo]
    groups: list[Group]

    def watch(self, step: int, student: Student) -> dict[str, float]:
        """Figures of all groups, for the curve."""
        return {k: v for group in self.groups for k, v in group.measured(student, f"{group.name}_").items()}


def trial_of(
    root: Path, network: Morphable, split: str, other: str, mask: Masker | None, bodies: Sequence[str] = ()
) -> Trial:
    """From shards: of each modelled body of ``split`` two thirds of the pictures teach, the rest is measured ("same"),
    and so are all pictures of the modelled bodies of the split ``other``.

    mask: what makes silhouettes, None for the rendered ones. bodies: only these. Raises DataError.
    """
    data = load_dataset(root, split, network.input_size, verify=False, novel=False, fixed=False)
    named = np.array([not bodies or body in bodies for body in data.bodies])
    rows = np.flatnonzero((data.real & named)[data.shape_index])
    kept = rows % EVERY == 0
    teaching = [_photo(data, row, mask) for row in rows[~kept]]
    groups = [_group("same", root, data, rows[kept], network)]
    if other:
        more = load_dataset(root, other, network.input_size, verify=False, novel=False, fixed=False)
        groups.append(_group("other", root, more, np.flatnonzero(more.real[more.shape_index]), network))
    return Trial(teaching, groups)


def _photo(data: CarDataset, row: int, mask: Masker | None) -> Photo:
    rgb = data.images[row]
    likely = data.masks[row].astype(np.float32) / 255 if mask is None else mask(rgb)
    body = data.names[data.shape_index[row]]
    return whole_crop(f"{body}/{row:05d}.png", body, rgb, likely)


def _group(name: str, root: Path, data: CarDataset, rows: np.ndarray, network: Morphable) -> Group:
    shapes, index = np.unique(data.shape_index[rows], return_inverse=True)
    targets = [Target(load_cloud(root, data.names[shape])[:TRUTH]) for shape in shapes]
    return Group(name, look(network, list(data.images[rows])), index, targets)


def arms_of(settings: UnlabelledSettings, names: Sequence[str]) -> dict[str, UnlabelledSettings]:
    """Settings by the arms' names. Raises SettingsError: an arm or part of the loss that there is not."""
    arms = {}
    for name in names:
        if name in ("guarded", "unguarded"):
            arms[name] = dataclasses.replace(settings, guards=name == "guarded")
        elif name == "grouped":
            arms[name] = dataclasses.replace(settings, grouped=True)
        elif name.startswith("without-"):
            arms[name] = dataclasses.replace(settings, without=(*settings.without, name.removeprefix("without-")))
        else:
            raise SettingsError(f"--arms names {name!r}; an arm is guarded, unguarded, grouped or without-PART")
    if not arms:
        raise SettingsError("--arms is empty; give guarded,unguarded")
    return arms


def run_arms(options: argparse.Namespace, arms: dict[str, UnlabelledSettings]) -> None:
    """Run every arm with every seed, each in a folder ARM-SEED of its own; finished ones are not run again."""
    network, state = flagship(options.checkpoint)
    rehearsal = rehearsal_of(options.shards, network, state["training_average"])
    other = {"test": "validation", "validation": "test"}[options.split]
    if options.masks == "truth":
        trial = trial_of(options.shards, network, options.split, other, None)
    else:
        silhouette = open_silhouette(load_bundle(options.bundle), threads=options.threads)
        if silhouette is None:
            raise SettingsError(f"{options.bundle} has no silhouette network; give --bundle another, or --masks truth")
        with silhouette:
            trial = trial_of(options.shards, network, options.split, other, masker(silhouette))
    judged = [photo for photo in trial.teaching if is_kept(photo.name)] or trial.teaching
    for seed in range(options.seed, options.seed + options.seeds):
        seeded = {name: dataclasses.replace(settings, seed=seed) for name, settings in arms.items()}
        prepared = prepare(next(iter(seeded.values())), network, trial.teaching, judged)
        for name, settings in seeded.items():
            folder = options.out / f"{name}-{seed}"
            print(f"{folder}: {len(trial.teaching)} pictures teach", flush=True)
            run = Unlabelled(
                settings, network, state, trial.teaching, judged, rehearsal, folder, command_line(), trial.watch,
                prepared,
            )  # fmt: skip
            run.resume()
            run.train()
            if run.ended:
                print(f"stopped by the guards at {run.ended}", flush=True)
