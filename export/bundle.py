"""A trained network to a bundle: graph, golden inputs and outputs, sealed manifest. Written whole or not at all."""

from __future__ import annotations

import copy
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from edge.bundle import read_manifest, sha256_file
from edge.errors import DataError, SettingsError
from export.compare import Arrays, compare, movement, run_graph, run_network
from export.estimate import estimate
from export.fold import fold_batch_norm
from export.graph import ExportError, assert_graph, export_onnx, halve_weights
from export.guests import keep, write_manifest
from export.lint import require_clean
from export.lowrank import Thinned, thin_linear
from export.manifest import Facts, describe
from training import checkpoint
from training.networks import rebuilt
from training.networks.base import Network
from training.networks.cost import count
from training.networks.morphable import Morphable

#: Outputs kept as float16 in golden.npz: large, and compared by limits far above its steps.
COARSE = ("maps", "occupancy")
#: Pictures on which the loss by ``fc_rank`` is measured, where there are shards.
THIN_PICTURES = 33
#: Pictures that tell which directions of a shape space are used.
DIRECTION_PICTURES = 401


class Trained(NamedTuple):
    """A network as it was trained. state: the checkpoint's bookkeeping, without the weights."""

    network: Network
    state: dict[str, Any]


def load_network(path: Path) -> Trained:
    """The averaged network of a checkpoint, batch normalisation folded. Raises DataError."""
    state = checkpoint.load(path)
    network = rebuilt(state, path)
    return Trained(fold_batch_norm(network), {k: v for k, v in state.items() if k not in ("network", "average")})


def validation_pictures(data: Path | None, size: int) -> np.ndarray | None:
    """(N, S, S, 3) uint8 of the validation cars in the shards, or None without shards. Raises DataError."""
    if data is None:
        return None
    from training.data.dataset import load_dataset

    return load_dataset(data, "validation", size, novel=False, fixed=False).images


def golden_images(network: Network, pictures: np.ndarray | None, count_: int = 4) -> np.ndarray:
    """(N, 3, S, S) float32 inputs, normalised: a seeded smooth pattern, and some of :func:`validation_pictures`."""
    size = network.input_size
    rng = np.random.default_rng(0)
    coarse = rng.random((1, 3, 8, 8)).astype(np.float32)
    images = torch.nn.functional.interpolate(torch.from_numpy(coarse), size=(size, size), mode="bilinear").numpy()
    if pictures is not None:
        rows = np.linspace(0, len(pictures) - 1, count_ - 1).astype(int)
        images = np.concatenate([images, pictures[rows].transpose(0, 3, 1, 2).astype(np.float32) / 255])
    mean, std = (np.asarray(v, np.float32).reshape(1, 3, 1, 1) for v in (network.mean, network.std))
    return np.ascontiguousarray((images - mean) / std, dtype=np.float32)


def write_bundle(
    checkpoint_path: Path, out: Path, name: str, data: Path | None = None, fc_rank: int | None = None,
    components: int | None = None,
) -> dict[str, Any]:
    """Export ``checkpoint_path`` to the folder ``out``; returns the manifest. A bundle there leaves its finder
    and its silhouette network.

    fc_rank: large fully connected layers become two of this rank between (:mod:`export.lowrank`); None keeps them.
    components: so many directions of a morphable model's shape space are kept (``Morphable.keep_directions``), those
    that the validation pictures of ``data`` use most; None keeps all. Raises SettingsError where that cannot be.
    Raises ExportError when the graph written is not the one asked for, differs from PyTorch by more than
    ``export.compare.TOLERANCE``, or would not run on one of the targets (:mod:`export.lint`).
    """
    network, state = load_network(checkpoint_path)
    pictures = validation_pictures(data, network.input_size)
    images = golden_images(network, pictures)
    full, thin = network, dict[str, Any]()
    if components is not None:
        network, thin["components"] = _fewer_components(full, components, pictures)
    if fc_rank is not None:
        network, layers = thin_linear(network, fc_rank)
        thin |= _thin_record(fc_rank, layers)
    if network is not full:
        inputs = golden_images(full, pictures, THIN_PICTURES)
        moved = movement(run_network(network, inputs), run_network(full, inputs))
        thin |= {"pictures": len(inputs), "difference_to_full": moved}
    wanted = run_network(network, images)
    staging = out.with_name(out.name + ".part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        graph = staging / "reconstructor.onnx"
        shapes = export_onnx(network, torch.from_numpy(images[:1]), graph)
        differences = {"exported": compare(run_graph(graph, images), wanted, "exported")}
        halve_weights(graph)
        assert_graph(graph, {"image": (1, *images.shape[1:])}, shapes)
        got = run_graph(graph, images)
        differences["shipped"] = compare(got, wanted, "shipped")
        _write_golden(staging / "golden.npz", images, got)
        files = ["reconstructor.onnx", "golden.npz"]
        if "vertices" in shapes:
            np.save(staging / "faces.npy", _faces(network, shapes["vertices"][1]))
            files.append("faces.npy")
        cost = count(network, torch.from_numpy(images[:1]))
        manifest = describe(
            Facts(name, network, shapes, state, cost, estimate(graph).record(), differences, thin or None)
        )
        for file in files:
            size = (staging / file).stat().st_size
            manifest["files"][file] = {"sha256": sha256_file(str(staging / file)), "bytes": size}
        for section in ("finder", "silhouette"):
            keep(out, staging, manifest, section)
        with (staging / "manifest.json").open("w", encoding="utf-8") as handle:
            handle.write(json.dumps(manifest, indent=1) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        require_clean(staging)
        _replace(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def record_figures(bundle: Path, results: dict[str, Any], precision: str = "fp32") -> None:
    """Put the means of a benchmark's results.json into the manifest of the bundle they were measured on.

    precision: which of the bundle's networks. Its files stay as they are. Raises DataError when the bundle has none in
    that precision, or the results hold no row of this very network (by SHA-256).
    """
    manifest = read_manifest(str(bundle))
    held = manifest["precisions"]
    if precision not in held:
        raise DataError(f"{bundle} holds no {precision} network, it has {', '.join(sorted(held))}; type: "
                        f"python -m export precisions {bundle}")  # fmt: skip
    file = held[precision]["file"]
    try:
        names = [b["name"] for b in results["bundles"] if b["sha256"] == manifest["files"][file]["sha256"]]
        rows = {r["condition"]: r["mean"] for r in results["rows"] if r["kind"] == "network" and r["name"] in names}
        bodies = list(results["bodies"])
    except (KeyError, TypeError) as error:
        raise DataError(f"these are no benchmark results (no {error}); run: python -m training benchmark") from None
    if not rows:
        flag = "" if precision == "fp32" else f" --precision {precision}"
        raise DataError(
            f"the results hold no row of {file} of {bundle}; run: python -m training benchmark --bundle {bundle}{flag}"
        )
    manifest["carpc1"][precision] = {"test_bodies": len(bodies), "conditions": rows}
    write_manifest(bundle, manifest)


def _write_golden(path: Path, images: np.ndarray, outputs: Arrays) -> None:
    kept = {name: value.astype(np.float16 if name in COARSE else np.float32) for name, value in outputs.items()}
    arrays: dict[str, Any] = {"image": images, **kept}
    np.savez_compressed(path, **arrays)


def _faces(network: Network, vertices: int) -> np.ndarray:
    """(F, 3) int32 triangles of the network's mesh. Raises ExportError when they are missing or name no vertex."""
    triangles = getattr(network, "faces", None)
    if triangles is None:
        raise ExportError(f"{type(network).__name__} gives vertices but has no faces; give it the buffer `faces`")
    faces = triangles.cpu().numpy().astype(np.int32)
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.min() < 0 or faces.max() >= vertices:
        raise ExportError(
            f"the faces of {type(network).__name__}, shape {faces.shape}, are no triangles of its {vertices} vertices"
        )
    return faces


def _thin_record(rank: int, layers: list[Thinned]) -> dict[str, Any]:
    """For the manifest: what was thinned."""
    return {
        "rank": rank,
        "numbers_saved": sum(layer.saved for layer in layers),
        "layers": {layer.name: {"energy_kept": round(layer.energy, 4)} for layer in layers},
    }


def _fewer_components(
    network: Network, count_: int, pictures: np.ndarray | None
) -> tuple[Network, dict[str, float]]:
    """A copy with fewer directions of shape, and for the manifest how many, and what share of shape they leave out."""
    if not isinstance(network, Morphable) or pictures is None:
        raise SettingsError("--components needs a morphable network, and --data for the pictures that tell which")
    result = copy.deepcopy(network)
    try:
        lost = result.keep_directions(torch.from_numpy(golden_images(network, pictures, DIRECTION_PICTURES)), count_)
    except ValueError as error:
        raise SettingsError(f"--components {count_}: {error}; give less, or leave it out") from None
    return result, {"kept": count_, "share_lost": float(f"{lost:.2g}")}


def _replace(staging: Path, out: Path) -> None:
    """Swap the finished folder in; an existing one must be a bundle, nothing else is ever deleted."""
    if out.exists():
        if not (out / "manifest.json").is_file():
            raise DataError(f"{out} exists and is no bundle; give another --out")
        old = out.with_name(out.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
        staging.rename(out)
        shutil.rmtree(old)
    else:
        staging.rename(out)
