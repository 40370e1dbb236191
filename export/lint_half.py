"""What FP16 makes of a network: numbers beyond 65504, numbers that vanish, sums of squares.

Engines of the FP32 files are built in FP16 where the hardware is fast at it; a number that overflows is infinite there,
and what follows is none.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto

from edge.runtime.backends.ort import runtime_errors
from edge.targets import Target
from export.graph import ExportError
from export.lint_graph import Facts, Problem, error, given, values, warning

#: Largest number of FP16, and the smallest above zero, rounded up.
LARGEST, SMALLEST = 65504.0, 6e-8
#: Parts of LARGEST that an activation may reach on the samples: more is an error, more is a warning.
ALLOWED, QUIET = 1 / 2, 1 / 8


def constants(facts: Facts, target: Target, versions: tuple[str, ...]) -> Iterator[Problem]:
    """Constants that overflow FP16, or of which nothing is left. Bounds of ``Clip`` may: they then bound nothing."""
    for name, tensor in facts.constants.items() if _halves(target, versions) else ():
        if tensor.data_type not in (TensorProto.FLOAT, TensorProto.DOUBLE):
            continue
        sizes = np.abs(values(tensor))
        sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
        high = float(sizes.max()) if sizes.size else 0.0
        for node, index in facts.readers.get(name, ()):
            if node.op_type == "Clip" and index > 0:
                continue
            if high > LARGEST:
                yield error(node, f"its constant {name} holds {high:.3g}, and FP16 ends at {LARGEST:g}",
                            "divide it, and multiply what comes of it")  # fmt: skip
            elif 0 < high < SMALLEST:
                yield warning(node, f"its constant {name}, {high:.3g} at most, is zero in FP16",
                              "use 1e-6 or more, or leave it out")  # fmt: skip


def squares(facts: Facts, target: Target, versions: tuple[str, ...]) -> Iterator[Problem]:
    """Means of squares, as layer normalisation is written at opset 13."""
    for node in facts.nodes if _halves(target, versions) else ():
        maker = facts.makers.get(given(node, 0)) if node.op_type == "ReduceMean" else None
        if maker is not None and _squares(facts, maker):
            yield warning(node, "it averages squares, which overflow FP16 from 256 on", "use batch normalisation")


def _squares(facts: Facts, node: onnx.NodeProto) -> bool:
    if node.op_type == "Pow":
        power = facts.constants.get(given(node, 1))
        return power is None or bool(np.any(np.abs(values(power)) > 1))
    return node.op_type == "Mul" and given(node, 0) == given(node, 1)


def activations(facts: Facts, target: Target, versions: tuple[str, ...]) -> Iterator[Problem]:
    """Tensors that come near the end of FP16 on the samples, or are no numbers."""
    for node in facts.nodes if _halves(target, versions) else ():
        high = float(np.max([facts.largest.get(name, 0.0) for name in node.output]))  # NaN stays
        why = f"it reaches {high:.3g} on the samples, and FP16 ends at {LARGEST:g}"
        instead = "scale its weights down and what follows up, or clip it"
        if not high <= LARGEST * ALLOWED:
            yield error(node, why, instead)
        elif high > LARGEST * QUIET:
            yield warning(node, why, instead)


def measure(model: onnx.ModelProto, samples: np.ndarray) -> dict[str, float]:
    """Largest magnitude of every float tensor a node makes, over ``samples`` (N, ...) float32, one at a time, in ONNX
    Runtime on the CPU; NaN where there is one. Raises ExportError: it does not run there."""
    import onnxruntime

    whole = onnx.ModelProto.FromString(model.SerializeToString())
    kept = {value.name for value in whole.graph.output}
    names = [name for node in whole.graph.node for name in node.output if name]
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in kept)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    largest: dict[str, float] = {}
    try:
        session = onnxruntime.InferenceSession(whole.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for sample in samples:
            got = session.run(names, {session.get_inputs()[0].name: sample[None]})
            for name, value in zip(names, got, strict=True):
                if value.dtype.kind == "f" and value.size:
                    largest[name] = float(np.maximum(largest.get(name, 0.0), np.abs(value).max()))  # NaN stays
    except runtime_errors(onnxruntime) as error:
        raise ExportError(f"the network does not run on the samples in ONNX Runtime: {error}") from None
    return largest


def _halves(target: Target, versions: tuple[str, ...]) -> bool:
    """Whether engines are built in FP16 there."""
    return bool(versions) and "fp16" in target.precisions


#: The rules about FP16.
RULES = (constants, squares, activations)
