"""A trained network to a bundle: graph, golden inputs and outputs, sealed manifest. Written whole or not at all."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

import edge
from edge.bundle import FORMAT, FORMAT_VERSION, read_manifest, sha256_file
from edge.errors import DataError
from edge.geometry import cube_corner_views
from edge.ply import atomic_file
from export.fold import fold_batch_norm
from export.graph import OPSET, ExportError, assert_graph, export_onnx, halve_fc_weights
from training import checkpoint
from training.networks import NETWORKS, build
from training.networks.base import Network
from training.networks.cost import count

#: Largest differences allowed to PyTorch: of x, y and depth in canonical units, and of the mask logit. First the
#: float32 graph as exported, then the graph that ships, whose fully connected weights are rounded to float16.
TOLERANCE = {"exported": (2e-4, 2e-3), "shipped": (5e-3, 0.25)}
#: The network learnt on crops that leave this part of the car's longer edge free on each side.
CROP_MARGIN = 0.1
#: Metres. Passenger cars; the networks of this version do not predict a length.
LENGTH_PRIOR = {"mean": 4.4, "std": 0.4}


def load_network(path: Path) -> tuple[Network, dict[str, Any]]:
    """The averaged network of a checkpoint, batch normalisation folded, and the checkpoint's bookkeeping."""
    state = checkpoint.load(path)
    network = build(state["network_name"])
    network.load_state_dict(state["average"])
    return fold_batch_norm(network), {
        key: state[key] for key in ("settings", "step", "samples", "seconds", "network_name")
    }


def golden_images(data: Path | None, size: int, count_: int = 4) -> np.ndarray:
    """(N, 3, S, S) float32 inputs: validation pictures if there are shards, and always a seeded smooth pattern."""
    rng = np.random.default_rng(0)
    coarse = rng.random((1, 3, 8, 8)).astype(np.float32)
    pattern = torch.nn.functional.interpolate(torch.from_numpy(coarse), size=(size, size), mode="bilinear").numpy()
    if data is None:
        return pattern
    from training.data.dataset import load_dataset

    images = load_dataset(data, "validation", size).images
    rows = np.linspace(0, len(images) - 1, count_ - 1).astype(int)
    return np.concatenate([pattern, images[rows].transpose(0, 3, 1, 2).astype(np.float32) / 255])


def run_graph(path: Path, images: np.ndarray) -> np.ndarray:
    """Maps (N, V, 4, H, W) by ONNX Runtime on the CPU, one image at a time as on the device."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["maps"], {"image": image[None]})[0] for image in images])


def compare(got: np.ndarray, wanted: np.ndarray, which: str) -> tuple[float, float]:
    """Largest difference of geometry and of logits; ExportError when either exceeds ``TOLERANCE[which]``."""
    difference = np.abs(got - wanted)
    pair = (float(difference[:, :, :3].max()), float(difference[:, :, 3].max()))
    for name, value, limit in zip(("x, y or depth", "mask logit"), pair, TOLERANCE[which], strict=True):
        if not value <= limit:
            raise ExportError(f"the {which} graph differs from PyTorch by {value:.2g} in {name}, more than {limit}")
    return pair


def write_bundle(checkpoint_path: Path, out: Path, name: str, data: Path | None = None) -> dict[str, Any]:
    """Export ``checkpoint_path`` to the folder ``out``; returns the manifest.

    Raises ExportError when the graph written is not the one asked for or differs from PyTorch by more than
    ``TOLERANCE``.
    """
    network, provenance = load_network(checkpoint_path)
    size = network.input_size
    images = golden_images(data, size)
    staging = out.with_name(out.name + ".part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        graph = staging / "reconstructor.onnx"
        export_onnx(network, torch.from_numpy(images[:1]), graph)
        with torch.no_grad():
            wanted = torch.cat([network(torch.from_numpy(image[None])) for image in images]).numpy()
        differences = {"exported": compare(run_graph(graph, images), wanted, "exported")}
        halve_fc_weights(graph)
        output_shape = (1, network.view_count, 4, network.map_size, network.map_size)
        assert_graph(graph, (1, 3, size, size), output_shape)
        got = run_graph(graph, images)
        differences["shipped"] = compare(got, wanted, "shipped")
        np.savez_compressed(staging / "golden.npz", image=images, maps=got.astype(np.float16))
        cost = count(network, torch.from_numpy(images[:1]))
        manifest = _manifest(name, size, output_shape, provenance, cost.parameters, cost.gflop, differences)
        for file in ("reconstructor.onnx", "golden.npz"):
            manifest["files"][file] = {
                "sha256": sha256_file(str(staging / file)),
                "bytes": (staging / file).stat().st_size,
            }
        with (staging / "manifest.json").open("w", encoding="utf-8") as handle:
            handle.write(json.dumps(manifest, indent=1) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        _replace(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def record_figures(bundle: Path, results: dict[str, Any], precision: str = "fp32") -> None:
    """Put the means of a benchmark's results.json into the manifest of the bundle they were measured on.

    Its files stay as they are. Raises DataError when the results hold no row of this very network (by SHA-256).
    """
    manifest = read_manifest(str(bundle))
    file = manifest["precisions"][precision]["file"]
    try:
        names = [b["name"] for b in results["bundles"] if b["sha256"] == manifest["files"][file]["sha256"]]
        rows = {r["condition"]: r["mean"] for r in results["rows"] if r["kind"] == "network" and r["name"] in names}
        bodies = list(results["bodies"])
    except (KeyError, TypeError) as error:
        raise DataError(f"these are no benchmark results (no {error}); run: python -m training benchmark") from None
    if not rows:
        raise DataError(
            f"the results hold no row of {file} of {bundle}; run: python -m training benchmark --bundle {bundle}"
        )
    manifest["carpc1"][precision] = {"test_bodies": len(bodies), "conditions": rows}
    with atomic_file(str(bundle / "manifest.json")) as handle:
        handle.write((json.dumps(manifest, indent=1) + "\n").encode("utf-8"))


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


def _manifest(
    name: str,
    size: int,
    output_shape: tuple[int, ...],
    provenance: dict[str, Any],
    parameters: int,
    gflop: float,
    differences: dict[str, tuple[float, float]],
) -> dict[str, Any]:
    views = cube_corner_views()
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": name,
        "carcloud": edge.__version__,
        "created": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "network": {
            "name": provenance["network_name"],
            "parameters": parameters,
            "gflop": round(gflop, 3),
            "source": NETWORKS[provenance["network_name"]].source,
        },
        "input": {
            "name": "image",
            "shape": [1, 3, size, size],
            "color": "RGB",
            "range": "0..1 before mean and std",
            "mean": [0.0, 0.0, 0.0],
            "std": [1.0, 1.0, 1.0],
            "margin": CROP_MARGIN,
        },
        "output": {"name": "maps", "shape": list(output_shape), "channels": ["x", "y", "depth", "mask_logit"]},
        "views": {
            "kind": "orthographic",
            "width": views.width,
            "distance": views.distance,
            "rotations": views.rotations.tolist(),
        },
        "frame": {
            "name": "canonical",
            "axes": "x forward, y left, z up, right-handed",
            "unit": "longest edge of the car = 1",
            "origin": "centre of the car's axis-aligned bounding box",
        },
        "fusion": {"mask_threshold": 0.0},
        "length_prior_m": LENGTH_PRIOR,
        "precisions": {"fp32": {"file": "reconstructor.onnx", "weights": "fully connected layers stored as float16"}},
        "files": {},
        "checks": {
            "onnx_opset": OPSET,
            "max_difference_to_pytorch": {
                key: {"geometry": pair[0], "logit": pair[1], "tolerance": list(TOLERANCE[key])}
                for key, pair in differences.items()
            },
        },
        "training": {
            "command": "python -m training train --config training/configs/lin2018.toml",
            "settings": json.loads(provenance["settings"]),
            "iterations": provenance["step"],
            "samples": provenance["samples"],
            "hours": round(provenance["seconds"] / 3600, 3),
        },
        "carpc1": {},
    }
