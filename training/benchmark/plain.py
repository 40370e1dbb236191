"""Networks without a manifest: ONNX files by the contract of docs/bundle.md alone, and checkpoints run by PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle import CLOUD_OUTPUTS, OUTPUTS, Bundle, Graph
from edge.errors import BackendError, SettingsError
from edge.geometry import cube_corner_views
from edge.runtime.backends import Backend

INPUT = "image"
#: What runs ONNX files here.
PROVIDER = "CPUExecutionProvider"
#: Lower and upper corner of the box that a file's ``occupancy`` fills: the unit cube, in which a car always fits.
GRID = (-0.5, -0.5, -0.5, 0.5, 0.5, 0.5)
Shapes = Mapping[str, tuple[int, ...]]


class PlainNetwork(Bundle):
    """A network without a manifest: the contract's defaults stand in for it. ``path`` is the network's own file."""

    def file(self, name: str) -> str:
        return self.path


def plain_network(
    path: str, name: str, size: int, outputs: Shapes, mean: tuple[float, ...] = (0.0, 0.0, 0.0),
    std: tuple[float, ...] = (1.0, 1.0, 1.0), grid: tuple[float, ...] = GRID,
) -> PlainNetwork:
    """The defaults of docs/bundle.md: RGB in 0..1, cube-corner views, a point where the mask logit exceeds 0."""
    from training.networks.base import CLASSES

    return PlainNetwork(
        path=path,
        manifest={"name": name, "files": {}},
        input_name=INPUT,
        input_size=size,
        mean=np.asarray(mean, np.float32),
        std=np.asarray(std, np.float32),
        margin=0.0,
        outputs=dict(outputs),
        views=cube_corner_views() if "maps" in outputs else None,
        threshold=0.0,
        grid=np.asarray(grid, np.float32).reshape(2, 3) if "occupancy" in outputs else None,
        classes=CLASSES if "classes" in outputs else (),
    )


def open_onnx(path: Path) -> PlainNetwork:
    """The file's tensors checked against the contract; BackendError if it is another kind of network."""
    from edge.runtime.backends.ort import import_onnxruntime, runtime_errors

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
    image = got.get(INPUT, [])
    square = len(image) == 4 and image[:2] == [1, 3] and isinstance(image[2], int) and image[2] == image[3]
    wanted = wanted_shapes()
    known = all(name in wanted and _fits(shape, wanted[name]) for name, shape in given.items())
    aligned = "error" not in given or given["error"] == given.get("points", [])[:2]
    if list(got) != [INPUT] or not square or not known or not aligned or not set(given) & set(CLOUD_OUTPUTS):
        choice = ", ".join(f"{name} ({_text(shape)})" for name, shape in wanted.items())
        raise BackendError(
            f"{path} takes {_shapes(got)} and gives {_shapes(given)}; without a manifest it must take {INPUT} "
            f"(1, 3, S, S) and give some of {choice}, among them {' or '.join(CLOUD_OUTPUTS)}, fixed numbers all "
            "(docs/bundle.md). Export it so, or make a bundle whose manifest says how it differs"
        )
    return plain_network(str(path), path.stem, int(image[2]), {name: tuple(shape) for name, shape in given.items()})


def wanted_shapes() -> dict[str, tuple[int | None, ...]]:
    """Shape of each output of a file without a manifest; None is a number of the network's own."""
    from training.networks.base import BINS, CLASSES

    views = len(cube_corner_views().rotations)
    fixed = {"maps": (1, views, 4, None, None), "azimuth": (1, 2 * BINS), "classes": (1, len(CLASSES))}
    return {**OUTPUTS, **fixed}


def _fits(shape: list[Any], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        isinstance(n, int) and n > 0 and w in (None, n) for n, w in zip(shape, wanted, strict=True)
    )


def _text(shape: tuple[int | None, ...]) -> str:
    return ", ".join("N" if n is None else str(n) for n in shape)


def _shapes(tensors: dict[str, list[Any]]) -> str:
    return ", ".join(f"{name} ({', '.join(str(n) for n in shape)})" for name, shape in tensors.items()) or "nothing"


def open_checkpoint(name: str, path: Path) -> Any:
    """The network in evaluation mode. DataError or SettingsError if the checkpoint is not one of this network."""
    from training import checkpoint
    from training.networks import NETWORKS, build, rebuilt

    if name not in NETWORKS:
        build(name)  # raises, with the names there are, before a file is asked for
    state = checkpoint.load(path)
    trained = state.get("network_name")
    if trained != name:
        raise SettingsError(f"{path} holds a network {trained!r}, not {name!r}; type --network {trained}")
    return rebuilt(state, path).eval()


def torch_network(network: Any, name: str, path: str) -> PlainNetwork:
    """What the class of a network of the registry says, and the shapes that one run of it gives, as a bundle."""
    import torch

    with torch.inference_mode():
        given = network(torch.zeros(1, 3, network.input_size, network.input_size)).given()
    shapes = {key: tuple(value.shape) for key, value in given.items()}
    return plain_network(
        path, name, network.input_size, shapes, network.mean, network.std, network.grid or GRID
    )


class TorchBackend(Backend):
    """A network of the registry as a backend. It only runs it: what goes in is normalised, what comes out is raw."""

    name = "torch"

    def __init__(self, network: Any) -> None:
        self._network = network

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        import torch

        with torch.inference_mode():
            given = self._network(torch.from_numpy(inputs[INPUT])).given()
        return {name: value.numpy() for name, value in given.items()}


class ExactBackend(Backend):
    """An ONNX graph, node by node as it is written, on the CPU: what a graph for another device computes.

    ONNX Runtime otherwise rewrites QDQ graphs to integer kernels whose 8-bit products saturate at 16 bits on x86 before
    VNNI, which no GPU's do (docs/precision.md).
    """

    name = "exact"

    def __init__(self, graph: Graph, threads: int = 0) -> None:
        from edge.runtime.backends.ort import import_onnxruntime

        runtime = import_onnxruntime()
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = runtime.InferenceSession(graph.path, sess_options=options, providers=[PROVIDER])
        self._outputs = list(graph.outputs)

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs), strict=True))
