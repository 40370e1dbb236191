"""Which layers a lower precision costs most, and how many of them have to stay: measured, on pictures held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import onnx
from tqdm import tqdm

from edge.bundle import CLOUD_OUTPUTS
from export.compare import Arrays, movement

#: The mean movement allowed of what the cloud is made of. Places: half a thousandth of the car's length, a fortieth of
#: the distance of F@2 and less than a twentieth of what the shipped network is off. Cells of an occupancy: in logits.
LIMITS = {"points": 5e-4, "vertices": 5e-4, "maps geometry": 5e-4, "occupancy": 0.1}

#: A graph in which these of the candidates, and no others, are in the lower precision.
Maker = Callable[[Sequence[str]], onnx.ModelProto]


class Choice(NamedTuple):
    """kept: candidates that stay in float32, the most sensitive first. ranking: by candidate, how far the cloud moves
    on average if it alone is in the lower precision, the most sensitive first; empty if nothing had to stay.
    moved: how far it moves with all the others in it. model: that graph.
    """

    kept: tuple[str, ...]
    ranking: dict[str, float]
    moved: float
    model: onnx.ModelProto


class Judge:
    """Compares graphs with the float32 one, on the same pictures (N, 3, S, S).

    exact: run them as written. ONNX Runtime otherwise rewrites TensorRT's graphs to integer kernels whose 8-bit
    products saturate on x86 before VNNI: that is how they would compute there, not on the device they are for.
    """

    def __init__(self, model: onnx.ModelProto, images: np.ndarray, exact: bool) -> None:
        self._images, self._exact = images, exact
        self._wanted = run_model(model, images, False)
        name = next(name for name in CLOUD_OUTPUTS if name in self._wanted)
        self.part = "maps geometry" if name == "maps" else name

    def all_moves(self, model: onnx.ModelProto) -> dict[str, dict[str, float]]:
        """Mean and largest movement of each part of the outputs."""
        return self._moves(model, self._exact)

    def move(self, model: onnx.ModelProto, alone: bool = False) -> float:
        """Mean movement of what the cloud is made of. alone: by one candidate; then ONNX Runtime finds nothing to
        rewrite, and need not run three times as long to be exact."""
        return self._moves(model, self._exact and not alone)[self.part]["mean"]

    def _moves(self, model: onnx.ModelProto, exact: bool) -> dict[str, dict[str, float]]:
        return movement(run_model(model, self._images, exact), self._wanted)


def run_model(model: onnx.ModelProto, images: np.ndarray, exact: bool) -> Arrays:
    """Outputs (N, ...) by ONNX Runtime on the CPU, one (3, S, S) picture at a time. exact: see :class:`Judge`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if exact:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    given, names = session.get_inputs()[0].name, [value.name for value in session.get_outputs()]
    rows = [session.run(names, {given: image[None]}) for image in images]
    return {name: np.concatenate([row[n] for row in rows]) for n, name in enumerate(names)}


def choose(make: Maker, candidates: Sequence[str], judge: Judge, share: float = 1.0) -> Choice:
    """Leave the most sensitive candidates in float32, one more at a time, until the cloud moves by no more than
    ``share`` of its limit on average.

    Sensitivity is what a candidate costs alone: a hundred graphs are run instead of thousands, and what two cost
    together is seen in the second part.
    """
    limit = share * LIMITS[judge.part]
    whole = make(candidates)
    moved = judge.move(whole)
    if moved <= limit:
        return Choice((), {}, moved, whole)
    progress = tqdm(candidates, desc="sensitivity", mininterval=1.0, delay=2.0)
    alone = {name: judge.move(make([name]), alone=True) for name in progress}
    order = sorted(alone, key=lambda name: -alone[name])
    for count in range(1, len(order) + 1):
        whole = make([name for name in candidates if name not in order[:count]])
        moved = judge.move(whole)
        if moved <= limit:
            break
    return Choice(tuple(order[:count]), {name: alone[name] for name in order}, moved, whole)
