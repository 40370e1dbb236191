"""A trained silhouette network into a bundle: traced, compared with PyTorch, written so that a kill leaves a bundle
that verifies."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from edge.bundle import read_manifest
from export.compare import run_graph
from export.estimate import estimate
from export.fold import fold_batch_norm
from export.graph import ExportError, assert_graph, export_onnx
from export.guests import put
from export.lint import require_clean
from export.manifest import command_of
from training import checkpoint
from training.curve import read
from training.networks.base import Network
from training.silhouette.network import Silhouette, rebuilt

#: In the bundle.
FILE = "silhouette.onnx"
OUTPUT = "mask"
#: Probability from which a pixel is the car's, and the largest difference of a logit to PyTorch.
THRESHOLD, TOLERANCE = 0.5, 2e-3
#: A network of more milliseconds on a Jetson Nano, estimated, does not fit beside the others.
BUDGET_MS = 3.0


class _Given(NamedTuple):
    """What :func:`export.graph.export_onnx` wants of a network."""

    mask: Tensor

    def given(self) -> dict[str, Tensor]:
        """The output by its name."""
        return {OUTPUT: self.mask}


class _Named(nn.Module):
    """A silhouette network whose output has a name."""

    def __init__(self, network: Silhouette) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> _Given:
        return _Given(self.network(image))


def write_silhouette(bundle: Path, run: Path) -> bool:
    """Put the averaged network of a run's ``last.pt`` into a bundle; False if it was there already.

    A kill leaves a bundle that verifies: the old one or the new one; where another network is replaced, in between, the
    old one without it. Raises BundleError: no bundle. DataError: no checkpoint of a silhouette network. ExportError:
    the graph differs from PyTorch, is too slow, or would not run on one of the targets (:mod:`export.lint`).
    """
    manifest = read_manifest(str(bundle))
    state = checkpoint.load(run / "last.pt")
    network = fold_batch_norm(rebuilt(state, run / "last.pt"))
    content, milliseconds, difference = make_graph(network)
    size = network.input_size
    entry = {
        "file": FILE,
        "input": {"name": "image", "shape": [1, 3, size, size], "mean": list(network.mean), "std": list(network.std)},
        "outputs": {OUTPUT: [1, 1, size, size]},
        "threshold": THRESHOLD,
        "nano_ms_estimate": milliseconds,
        "max_difference_to_pytorch": float(f"{difference:.1e}"),
        "source": network.source,
        "training": _training(state, run),
    }
    return put(bundle, manifest, "silhouette", content, entry)


def make_graph(network: Silhouette) -> tuple[bytes, dict[str, float], float]:
    """The ONNX file, its estimate of a Jetson Nano, and the largest difference of a logit to PyTorch.

    Kernels stay float32, as in every graph here (export.graph.halve_weights says why); an engine rounds them to FP16.
    Raises ExportError.
    """
    size = network.input_size
    images = _images(size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        shapes = export_onnx(cast(Network, _Named(network)), torch.from_numpy(images[:1]), path)
        assert_graph(path, {"image": (1, 3, size, size)}, shapes)
        require_clean(path, samples=images)
        with torch.no_grad():
            wanted = network.eval()(torch.from_numpy(images)).numpy()
        difference = float(np.abs(run_graph(path, images)[OUTPUT] - wanted).max())
        if not difference <= TOLERANCE:
            raise ExportError(f"{FILE} differs from PyTorch by {difference:.2g} in a logit, more than {TOLERANCE:g}")
        record = estimate(path).record()
        if record["ms"] > BUDGET_MS:
            raise ExportError(
                f"{FILE} is estimated at {record['ms']:g} ms on a Jetson Nano, more than {BUDGET_MS:g}; train one with "
                "fewer channels"
            )
        return path.read_bytes(), record, difference


def _images(size: int) -> np.ndarray:
    """(4, 3, S, S) float32 inputs, normalised: smooth patterns and noise, the same each time."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(-2, 2, (4, 3, 9, 9)).astype(np.float32))
    smooth = nn.functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False).numpy()
    return np.asarray(smooth + rng.normal(0, 0.2, smooth.shape), np.float32)


def _training(state: dict[str, Any], run: Path) -> dict[str, Any]:
    """For the manifest: what was typed, how much it saw, and the last line of the curve."""
    rows = read(run / "curve.csv")
    last = rows[-1] if rows else {}
    figures = {name: float(value) for name, value in last.items() if name.startswith("iou") and value}
    return {
        "command": command_of(state), "samples": int(state["samples"]), "seconds": round(float(state["seconds"])),
        "photos": len(state["photos"]), "validation": figures,
    }  # fmt: skip
