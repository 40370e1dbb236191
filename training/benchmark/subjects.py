"""What is scored: a bundle, an ONNX file, a network with a checkpoint, or clouds of another program."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edge.bundle import Bundle, load_bundle, sha256_file
from edge.errors import BackendError, DataError, SettingsError
from edge.geometry import cube_corner_views
from edge.runtime.backends import Backend, open_backend
from edge.runtime.reconstructor import Reconstructor
from training.benchmark import clouds
from training.benchmark.protocol import CLOUD_POINTS, Predictor

#: Tensors of the contract in docs/bundle.md, for an ONNX file without a manifest.
INPUT, OUTPUT = "image", "maps"
CHANNELS = 4


@dataclass(frozen=True)
class Subject:
    """One row of the tables: what it is, where it is, and what it costs. Small, so that it can go to other processes.

    name: what the tables call it. path: bundle folder, ONNX file, checkpoint or folder of clouds. sha256: of the file
    that decides the result. network: its name in the registry, for a checkpoint. training: provenance, of a bundle.
    """

    name: str
    kind: Literal["bundle", "onnx", "checkpoint", "clouds"]
    path: str
    sha256: str
    network: str = ""
    cost: dict[str, float] = field(default_factory=dict)
    training: Any = None
    missing: tuple[str, ...] = ()


class PlainNetwork(Bundle):
    """A network without a manifest: the contract's defaults stand in for it. ``path`` is the ONNX file itself."""

    def file(self, name: str) -> str:
        return self.path


def plain_network(path: str, name: str, size: int, output_shape: tuple[int, ...]) -> PlainNetwork:
    """The defaults of docs/bundle.md: RGB in 0..1, cube-corner views, a point where the mask logit exceeds 0."""
    return PlainNetwork(
        path=path,
        manifest={"name": name, "files": {}},
        input_name=INPUT,
        input_size=size,
        mean=np.zeros(3, np.float32),
        std=np.ones(3, np.float32),
        margin=0.0,
        output_name=OUTPUT,
        output_shape=output_shape,
        views=cube_corner_views(),
        threshold=0.0,
    )


def bundle_subject(name_or_path: str) -> Subject:
    """A bundle by name or folder. BundleError if it is missing or damaged."""
    bundle = load_bundle(name_or_path)
    network = bundle.manifest.get("network", {})
    cost = {"megabytes": Path(bundle.file("reconstructor.onnx")).stat().st_size / 1e6}
    if "gflop" in network:
        cost["gflop"] = float(network["gflop"])
    if "parameters" in network:
        cost["parameters_m"] = float(network["parameters"]) / 1e6
    sha256 = bundle.manifest["files"]["reconstructor.onnx"]["sha256"]
    return Subject(bundle.name, "bundle", bundle.path, sha256, cost=cost, training=bundle.manifest.get("training"))


def onnx_subject(path: Path) -> Subject:
    """Any ONNX file with the contract of docs/bundle.md. BackendError says how it differs from it."""
    open_onnx(path)
    cost = {"megabytes": path.stat().st_size / 1e6}
    return Subject(path.stem, "onnx", str(path), sha256_file(str(path)), cost=cost)


def open_onnx(path: Path) -> PlainNetwork:
    """The file's tensors checked against the contract; BackendError if it is another kind of network."""
    from edge.runtime.backends.ort import PROVIDER, import_onnxruntime, runtime_errors

    if not path.is_file():
        raise BackendError(f"no ONNX file at {path}; give --onnx FILE.onnx, or --bundle for a bundle folder")
    runtime = import_onnxruntime()
    try:
        session = runtime.InferenceSession(str(path), providers=[PROVIDER])
    except runtime_errors(runtime) as error:
        raise BackendError(f"onnxruntime {runtime.__version__} refuses {path} ({error}); export it again") from None
    got, given = (
        {tensor.name: list(tensor.shape) for tensor in tensors}
        for tensors in (session.get_inputs(), session.get_outputs())
    )
    views = len(cube_corner_views().rotations)
    image, maps = got.get(INPUT, []), given.get(OUTPUT, [])
    square = len(image) == 4 and image[:2] == [1, 3] and isinstance(image[2], int) and image[2] == image[3]
    whole = len(maps) == 5 and maps[:3] == [1, views, CHANNELS] and all(isinstance(n, int) for n in maps)
    if list(got) != [INPUT] or not square or not whole:
        raise BackendError(
            f"{path} takes {_shapes(got)} and gives {_shapes(given)}; without a manifest it must take {INPUT} "
            f"(1, 3, S, S) and give {OUTPUT} (1, {views}, {CHANNELS}, H, W), fixed numbers all (docs/bundle.md). "
            "Export it so, or make a bundle whose manifest says how it differs"
        )
    return plain_network(str(path), path.stem, int(image[2]), tuple(int(n) for n in maps))


def _shapes(tensors: dict[str, list[Any]]) -> str:
    return ", ".join(f"{name} ({', '.join(str(n) for n in shape)})" for name, shape in tensors.items()) or "nothing"


def checkpoint_subject(network: str, path: Path) -> Subject:
    """A network of the registry with the averaged weights of a training checkpoint, run by PyTorch."""
    import torch

    from training.networks.cost import count

    built = open_checkpoint(network, path)
    cost = count(built, torch.zeros(1, 3, built.input_size, built.input_size))
    figures = {
        "gflop": cost.gflop, "parameters_m": cost.parameters / 1e6, "megabytes": 4 * cost.parameters / 1e6,
    }  # fmt: skip
    name = f"{network}-{path.parent.name or path.stem}"
    return Subject(name, "checkpoint", str(path), sha256_file(str(path)), network, figures)


def open_checkpoint(name: str, path: Path) -> Any:
    """The network in evaluation mode. DataError or SettingsError if the checkpoint is not one of this network."""
    from training import checkpoint
    from training.networks import build

    network = build(name)
    state = checkpoint.load(path)
    trained = state.get("network_name")
    if trained != name:
        raise SettingsError(f"{path} holds a network {trained!r}, not {name!r}; type --network {trained}")
    try:
        network.load_state_dict(state["average"])
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} does not fit the network {name} of this version ({reason}); train it again") from None
    return network.eval()


class TorchBackend(Backend):
    """A network of the registry as a backend, on one thread."""

    name = "torch"

    def __init__(self, network: Any) -> None:
        self._network = network

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        import torch

        with torch.inference_mode():
            return {OUTPUT: self._network(torch.from_numpy(inputs[INPUT])).numpy()}


def clouds_subject(
    folder: Path, bodies: list[str], conditions: tuple[str, ...], views: int, worst: bool, say: Callable[[str], None]
) -> Subject:
    """Clouds of another program. DataError for missing, empty or unreadable ones (:mod:`training.benchmark.clouds`)."""
    found = clouds.survey(folder, bodies, conditions, views, worst)
    for line in found.warnings:
        say(f"warning: {folder}: {line}")
    if found.missing:
        named = ", ".join(found.missing[:4])
        say(f"{folder}: {len(found.missing)} missing clouds get the worst score, such as {named}")
    name = folder.resolve().name
    return Subject(name, "clouds", str(folder), found.sha256, missing=tuple(found.missing))


def predictor(subject: Subject, backend: str = "auto", max_points: int = CLOUD_POINTS) -> Predictor:
    """The product's own reconstruction, on one thread. The picture is the crop: no box is given.

    Rendered pictures leave the margin that a finder's box and the bundle's margin would leave; in "clutter" and
    "occluded" they are cropped with the error a finder makes. Not for clouds, which are there already.
    """
    if subject.kind == "bundle":
        return reconstruction(load_bundle(subject.path), backend, max_points)
    if subject.kind == "onnx":
        return reconstruction(open_onnx(Path(subject.path)), backend, max_points)
    import torch

    # One thread, as ONNX Runtime: comparable, and several processes do not fight for the cores.
    torch.set_num_threads(1)
    network = open_checkpoint(subject.network, Path(subject.path))
    shape = (1, network.view_count, CHANNELS, network.map_size, network.map_size)
    bundle = plain_network(subject.path, subject.name, network.input_size, shape)
    return _predictor(Reconstructor(bundle, TorchBackend(network), max_points))


def reconstruction(bundle: Bundle, backend: str, max_points: int) -> Predictor:
    """A bundle's network as a predictor."""
    return _predictor(Reconstructor(bundle, open_backend(bundle, backend, threads=1), max_points))


def _predictor(reconstructor: Reconstructor) -> Predictor:
    def predict(rgb: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        made = reconstructor.reconstruct(np.ascontiguousarray(rgb[..., ::-1]))
        return made.cloud.points, made.timings

    return predict


def cloud_of(subject: Subject, body: str, condition: str, view: int) -> np.ndarray:
    """One cloud of another program, (N, 3); an empty one where it is missing and that was allowed."""
    path = clouds.find(Path(subject.path), body, condition, view)
    return np.zeros((0, 3), np.float32) if path is None else clouds.read(path)


def told_apart(subjects: list[Subject], say: Callable[[str], None]) -> list[Subject]:
    """Each subject once, each under its own name: of two with one name the later gets a part of its hash."""
    found: list[Subject] = []
    for subject in subjects:
        if any((subject.kind, subject.sha256) == (other.kind, other.sha256) for other in found):
            say(f"{subject.path} was given twice and is scored once")
            continue
        if any(subject.name == other.name for other in found):
            subject = dataclasses.replace(subject, name=f"{subject.name}-{subject.sha256[:6]}")
        found.append(subject)
    return found
