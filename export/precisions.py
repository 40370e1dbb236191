"""A bundle's network in further precisions: made, judged, and put into the bundle.

    python -m export precisions edge/bundles/morphable --data shards --photos my-photos/

Recipes are in :mod:`export.half` and :mod:`export.quantise`, what stays in float32 is chosen by
:mod:`export.sensitivity`; docs/precision.md tells why and what it costs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

from edge.bundle import PRECISIONS, Bundle, load_bundle, read_manifest
from edge.errors import SettingsError
from export.calibration import Pictures, Range, gather, ranges
from export.compare import parts
from export.graph import ExportError, assert_graph, halve_weights
from export.guests import put_file
from export.half import beyond_half, halve
from export.lint import require_clean
from export.plain import plain_graph
from export.quantise import CPU, TENSORRT, Recipe, activations, convolutions, quantise
from export.sensitivity import Choice, Judge, choose, run_model

#: What can be made, and the file of each.
FILES = {name: f"reconstructor.{name}.onnx" for name in PRECISIONS if name != "fp32"}
RECIPES: dict[str, Recipe] = {"int8": TENSORRT, "int8-cpu": CPU}
#: Pictures of each kind for calibration, and how many of those held out judge: first each choice, then its result.
RENDERED, PHOTOS, JUDGES, REPORTED = 256, 64, 32, 64
#: Times of its limit (:data:`export.sensitivity.LIMITS`) that the cloud may move: FP16 need not, and on CPUs, where
#: INT8 is there for speed alone, each layer in float32 takes two conversions and several times as long.
SHARES = {"fp16": 0.2, "int8": 1.0, "int8-cpu": 2.0}
#: Layers of a ranking that a manifest tells.
TOLD = 12

MADE = {
    "fp16": "float16 throughout, between a float32 input and float32 outputs",
    "int8": "explicit QDQ for TensorRT: convolutions in int8, symmetric, zero point 0, one scale a channel of a kernel;"
    " kernels float32 on that grid, biases float32, linear layers stored as float16",
    "int8-cpu": "QDQ for ONNX Runtime on CPUs: convolutions in uint8 x int8 with 7-bit kernels, one scale a channel,"
    " int32 biases; linear layers stored as float16",
}


class Source(NamedTuple):
    """What every precision is made from: the bundle, its plain graph, pictures, and what that graph's tensors hold."""

    bundle: Bundle
    model: onnx.ModelProto
    pictures: Pictures
    ranges: dict[str, Range]


def write_precisions(
    bundle: Path, data: Path, photos: Path | None, only: Sequence[str] = (), say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Put the precisions ``only`` (all, if empty) into a bundle; returns its manifest.

    A precision that is there is replaced. A kill leaves a bundle that verifies. data: shards. photos: a folder, None to
    calibrate on rendered pictures alone. Raises SettingsError: no such precision. BundleError: no bundle. DataError: no
    shards, no photos. ExportError: a graph cannot be made, or is not as promised.
    """
    unknown = [name for name in only if name not in FILES]
    if unknown:
        raise SettingsError(f"--only does not know {unknown[0]!r}; give a comma list out of: {', '.join(FILES)}")
    wanted = [name for name in FILES if not only or name in only]
    opened = load_bundle(str(bundle))
    if photos is None:
        say("without --photos the network is calibrated on rendered pictures alone")
    model = plain_graph(onnx.load(opened.graph.path))
    pictures = gather(opened, data, photos, RENDERED, PHOTOS)
    say(", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in pictures.counts.items()) + " pictures")
    names = {name for key in wanted if key in RECIPES for name in activations(model, RECIPES[key])}
    held = ranges(model, names, pictures.calibration) if names else {}
    source = Source(opened, model, pictures, held)
    for name in wanted:
        choice = _choice(source, name)
        content, entry = _finish(source, name, choice)
        written = put(Path(opened.path), name, content, entry)
        kept = f"{len(choice.kept)} layers stay in float32{'' if written else '; as it was, nothing written'}"
        say(f"{FILES[name]}: {len(content) / 1e6:.1f} MB, the cloud moves by {choice.moved:.5f} on average, {kept}")
    return read_manifest(opened.path)


def _choice(source: Source, name: str) -> Choice:
    """The graph of a precision, as low as it may be."""
    model, held_out = source.model, source.pictures.held_out
    images = held_out[::2][np.linspace(0, len(held_out[::2]) - 1, min(JUDGES, len(held_out[::2]))).astype(int)]
    judge = Judge(model, images, exact=name == "int8")
    if name == "fp16":
        groups = _groups(model)

        def make(chosen: Sequence[str]) -> onnx.ModelProto:
            return halve(model, [node for group in groups if group not in chosen for node in groups[group]])

        return choose(make, list(groups), judge, SHARES[name])
    layers = convolutions(model)
    if not layers:
        raise ExportError(f"{source.bundle.path} has no convolution that could be quantised; leave out {name}")
    ranges_, recipe = source.ranges, RECIPES[name]
    return choose(lambda chosen: quantise(model, ranges_, chosen, recipe), layers, judge, SHARES[name])


def _groups(model: onnx.ModelProto) -> dict[str, list[str]]:
    """Names of nodes by the module that they belong to: the first three parts of a name such as /network/find/heat."""
    groups: dict[str, list[str]] = {}
    for node in model.graph.node:
        groups.setdefault("/".join(node.name.split("/")[:4]), []).append(node.name)
    return groups


def _finish(source: Source, name: str, choice: Choice) -> tuple[bytes, dict[str, Any]]:
    """The file of a precision, checked, and its entry in the manifest."""
    bundle = source.bundle
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILES[name]
        onnx.save(choice.model, str(path))
        if name != "fp16":
            halve_weights(path)
        shape = (1, 3, bundle.input_size, bundle.input_size)
        model = assert_graph(path, {bundle.input_name: shape}, bundle.outputs)
        require_clean(path, name)
        content = path.read_bytes()
    exact = name == "int8"
    held_out = source.pictures.held_out[1::2]
    judged = held_out[np.linspace(0, len(held_out) - 1, min(REPORTED, len(held_out))).astype(int)]
    entry: dict[str, Any] = {"file": FILES[name], "made": MADE[name]}
    if name == "fp16":
        entry["float32_nodes"] = sorted(beyond_half(source.model))
    else:
        entry["calibration"] = source.pictures.counts
        entry["quantised"] = len(convolutions(source.model)) - len(choice.kept)
    entry |= {
        "kept_float32": list(choice.kept),
        "sensitivity": dict(list(choice.ranking.items())[:TOLD]),
        "moved": Judge(source.model, judged, exact).all_moves(model),
        "golden_difference": _golden_difference(bundle, model, exact),
    }
    return content, entry


def _golden_difference(bundle: Bundle, model: onnx.ModelProto, exact: bool) -> dict[str, float]:
    """Largest difference to the golden outputs, of each part of them (:func:`export.compare.parts`). Raises ExportError
    where a number is not finite."""
    with np.load(bundle.file("golden.npz"), allow_pickle=False) as stored:
        images = stored["image"].astype(np.float32)
        wanted = {name: stored[name].astype(np.float32) for name in bundle.outputs}
    got, found = parts(run_model(model, images, exact)), {}
    for name, value in parts(wanted).items():
        found[name] = float(f"{np.abs(got[name] - value).max():.3g}")
        if not np.isfinite(found[name]):
            raise ExportError(f"{name} is not finite on the golden pictures; this network does not bear the precision")
    return found


def put(bundle: Path, name: str, content: bytes, entry: dict[str, Any]) -> bool:
    """Write the file of a precision and list it in the manifest; False when both were there, and nothing was written.

    A kill leaves a bundle that verifies: the old one or the new one; where another file is replaced, in between, the
    old one without it. CarPC-1 figures of a file that is replaced go with it.
    """
    manifest = read_manifest(str(bundle))

    def unlist(old: dict[str, Any]) -> None:
        for section in ("precisions", "carpc1"):
            old[section].pop(name, None)

    def enlist(new: dict[str, Any]) -> None:
        new["precisions"][name] = entry

    told = manifest["precisions"].get(name) == entry
    return put_file(bundle, manifest, entry["file"], content, told, unlist, enlist)
