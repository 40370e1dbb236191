"""A split of the shards as a stream, for data sets larger than memory: a torch IterableDataset over WebDataset."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch.utils.data
import webdataset  # type: ignore[import-untyped]

from edge.errors import DataError
from training.data.archive import DAMAGE, IMAGES, SHAPE_KEY
from training.data.dataset import decoded, listed
from training.data.shards import check_shard, remedy

Sample = dict[str, Any]


class ShardStream(torch.utils.data.IterableDataset):
    """One epoch of a split, read shard by shard. Made by :func:`stream`."""

    def __init__(
        self, root: Path, split: str, seed: int, epoch: int, rank: int, world: int, shuffle: int, verify: bool,
        images: tuple[str, ...], novel: bool,
    ) -> None:
        super().__init__()
        self.root, self.verify, self.images, self.novel = Path(root), verify, images, novel
        self.rank, self.world, self.shuffle = rank, world, shuffle
        self.order = f"{seed}/{epoch}"
        self.entries = listed(self.root, split)[1]
        if shuffle:
            random.Random(self.order).shuffle(self.entries)

    def __iter__(self) -> Iterator[Sample]:
        worker = torch.utils.data.get_worker_info()
        workers, number = (worker.num_workers, worker.id) if worker is not None else (1, 0)
        part = self.rank * workers + number
        entries = self.entries[part :: self.world * workers]
        if not entries:
            return  # more readers than shards
        stages = [
            self._urls(entries), webdataset.tarfile_to_samples(select_files=self._wanted),
            webdataset.map(_decoded), _with_shape,
        ]
        if self.shuffle:
            rng = random.Random(f"{self.order}/{part}")
            stages.append(webdataset.shuffle(self.shuffle, initial=self.shuffle, rng=rng))
        try:
            yield from webdataset.DataPipeline(*stages)
        except DAMAGE as error:
            raise DataError(f"a shard in {self.root} is damaged ({error}); {remedy(self.root)}") from error

    def _urls(self, entries: list[dict[str, Any]]) -> Any:
        def source() -> Iterator[dict[str, str]]:
            for entry in entries:
                yield {"url": str(check_shard(self.root, entry, self.verify))}

        return source

    def _wanted(self, member: str) -> bool:
        key, _, extension = member.rpartition("/")[2].partition(".")
        if key == SHAPE_KEY:
            return extension in ("meta.json", "fixed.npz") or (extension == "novel.npz" and self.novel)
        return extension == "camera.json" or extension.removesuffix(".png") in self.images


def stream(
    root: Path, split: str, seed: int = 0, epoch: int = 0, rank: int = 0, world: int = 1, shuffle: int = 1000,
    verify: bool = False, images: tuple[str, ...] = IMAGES, novel: bool = False,
) -> ShardStream:
    """The pictures of a split once, as dictionaries; every picture goes to one rank and one worker process.

    The order depends on seed and epoch (and on world and workers, between which shards are dealt out): make one for
    every epoch. shuffle: pictures held back to mix shapes (0: shards and pictures by name). verify: check the SHA-256
    of each shard before it is read. images: which of rgb, mask, silhouette, parts to decode. novel: also random views.

    Each sample: ``key`` SHAPE/0007; the images, (S, S, 3) or (S, S) uint8; ``K``, ``R``, ``t``, ``box``, ``view``
    float32 and ``hidden``, ``condition`` as in :class:`training.data.dataset.CarDataset`; of the shape ``name``,
    ``body``, ``body_class``, ``real``, ``length_m``, ``extents_m``, ``fixed_depth`` (8, 128, 128) float16 and, on
    demand, ``novel_depth`` and ``novel_rotation``. Raises DataError: no such split, a shard missing or damaged.
    """
    unknown = sorted(set(images) - set(IMAGES))
    if unknown:
        raise DataError(f"there is no image {unknown[0]!r} in the shards; choose of {', '.join(IMAGES)}")
    if not 0 <= rank < world or shuffle < 0:
        raise DataError(f"rank {rank} of {world} with shuffle {shuffle}; give 0 <= rank < world and shuffle >= 0")
    return ShardStream(root, split, seed, epoch, rank, world, shuffle, verify, images, novel)


def _decoded(sample: Sample) -> Sample:
    """Every member decoded; the names of WebDataset itself begin with two underscores."""
    own = {name: value for name, value in sample.items() if name.startswith("__")}
    return own | {name.partition(".")[0]: decoded(name, sample[name]) for name in sample.keys() - own.keys()}


def _with_shape(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Pictures with the labels of their shape, whose sample is the first of each tar. ValueError if some are missing.

    WebDataset, like tarfile, takes a damaged header for the end of a tar.
    """
    shape: Sample = {}
    lacking = 0
    for sample in samples:
        if sample["__key__"].endswith(f"/{SHAPE_KEY}"):
            _none_lacking(lacking, shape)
            shape, lacking = _shape_labels(sample), int(sample["meta"]["pictures"])
        else:
            lacking -= 1
            yield {"key": sample["__key__"], **_picture_labels(sample), **shape}
    _none_lacking(lacking, shape)


def _none_lacking(lacking: int, shape: Sample) -> None:
    if lacking:
        raise ValueError(f"{shape['name']} lacks {lacking} of its pictures")


def _shape_labels(sample: Sample) -> Sample:
    meta = sample["meta"]
    labels = {name: meta[name] for name in ("name", "body", "body_class", "real")}
    labels |= {name: np.array(meta[name], np.float32) for name in ("length_m", "extents_m")}
    labels["fixed_depth"] = sample["fixed"]["depth"]
    if "novel" in sample:
        labels |= {"novel_depth": sample["novel"]["depth"], "novel_rotation": sample["novel"]["rotation"]}
    return labels


def _picture_labels(sample: Sample) -> Sample:
    camera = sample["camera"]
    labels = {name: sample[name] for name in IMAGES if name in sample}
    labels |= {name: np.array(camera[name], np.float32) for name in ("K", "R", "t", "box", "hidden")}
    labels["view"] = np.array([camera["azimuth_deg"], camera["elevation_deg"], camera["focal_mm"]], np.float32)
    return {**labels, "condition": camera["condition"]}
