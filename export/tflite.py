"""A TensorFlow Lite detector to ONNX, with only the classes asked for: opset 13, channels first, static shapes.

TensorFlow Lite keeps pictures channels last, ONNX first. All that convolutions make is therefore kept channels first,
and turned round only where a head is flattened, whose numbers lie by cell, then anchor, then class. Kernels are
written as float32, although the file holds float16: TensorRT's parser, up to 8.x, refuses one that comes of a ``Cast``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import tflite  # type: ignore[import-untyped]
from onnx import TensorProto, helper, numpy_helper

from export.graph import MAX_IR, OPSET, ExportError, Shape

#: What the file must begin with, behind the offset of its root.
MARK = b"TFL3"
#: The result's input and outputs; scores are probabilities, of the file's logits.
INPUT, BOXES, LOGITS, SCORES = "image", "boxes", "logits", "scores"
#: Axes of a picture channels first, in the order of channels last.
CHANNELS_LAST = (0, 2, 3, 1)
#: Bounds of ReLU6, the constants they are in.
BOUNDS = {"relu6.low": 0.0, "relu6.high": 6.0}


def _names(enumeration: type) -> dict[int, str]:
    """The names of a schema's enumeration by number."""
    return {value: name for name, value in vars(enumeration).items() if name.isupper() and isinstance(value, int)}


OPERATORS, TYPES = _names(tflite.BuiltinOperator), _names(tflite.TensorType)
ACTIVATIONS, PADDINGS = _names(tflite.ActivationFunctionType), _names(tflite.Padding)
STORED = {"FLOAT32": np.float32, "FLOAT16": np.float16}


class Value(NamedTuple):
    """A computed tensor. name, shape: as in ONNX. planar: channels first, where the file has them last."""

    name: str
    shape: Shape
    planar: bool


class Operator(NamedTuple):
    """One operator of the file. name: CONV_2D, ... inputs: tensors, without those left out. options: its table."""

    name: str
    inputs: tuple[int, ...]
    output: int
    options: Any


def translate(content: bytes, classes: Sequence[int] | None = None) -> onnx.ModelProto:
    """The detector of a TensorFlow Lite file as an ONNX model.

    content: the whole file. Its input is one picture (1, S, T, 3); its outputs are box offsets (1, N, 4) and class
    logits (1, N, C), both joined of flattened convolutions.
    classes: which of C to keep, in the order wanted; the others are cut out of the kernels, so that nothing computes
    them. None keeps all.
    The model's input is ``image`` (1, 3, S, T) float32, its outputs ``boxes`` (1, N, 4), as the file has them, and
    ``scores`` (1, N, len(classes)), each 0..1. Raises ExportError, naming it, where the file has anything that is not
    translated here.
    """
    if content[4:8] != MARK:
        raise ExportError(f"this is no TensorFlow Lite file: it does not begin with {MARK.decode()}; give another")
    return _Translation(content, classes).model()


def same_pads(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Cells before and after an axis of ``size`` cells by which TensorFlow's SAME padding extends it.

    The odd one of an odd sum goes behind: a picture of even size is padded on one side only where the stride is 2.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class _Translation:
    """One pass over a file's operators, which are in the order of computation."""

    def __init__(self, content: bytes, classes: Sequence[int] | None) -> None:
        self.file = tflite.Model.GetRootAsModel(content, 0)
        self.graph = self.file.Subgraphs(0)
        ends = (self.file.SubgraphsLength(), self.graph.InputsLength(), self.graph.OutputsLength())
        if ends != (1, 1, 2):
            raise ExportError("the file has {} graphs, {} inputs, {} outputs; a detector has 1, 1, 2".format(*ends))
        self.outputs = (self.graph.Outputs(0), self.graph.Outputs(1))
        self.operators = [self._operator(self.graph.Operators(i)) for i in range(self.graph.OperatorsLength())]
        self.total = self._shape(self.outputs[1])[-1]
        self.classes = list(range(self.total)) if classes is None else list(classes)
        if not self.classes or not set(self.classes) <= set(range(self.total)):
            raise ExportError(f"classes {self.classes} are not among the file's {self.total}, numbered from 0")
        self.heads = self._heads()
        self.values: dict[int, Value] = {}
        self.constants: dict[int, np.ndarray] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, np.ndarray] = {}

    def model(self) -> onnx.ModelProto:
        """Translate all of it."""
        entry = self.graph.Inputs(0)
        shape = self._shape(entry)
        if len(shape) != 4 or shape[0] != 1:
            raise ExportError(f"the file reads {shape}, wanted one picture (1, height, width, channels)")
        self.values[entry] = Value(INPUT, _planar(shape), True)
        known = {
            "CONV_2D": self._convolution, "DEPTHWISE_CONV_2D": self._convolution, "ADD": self._add,
            "RESHAPE": self._reshape, "CONCATENATION": self._join, "DEQUANTIZE": self._dequantize,
        }  # fmt: skip
        for operator in self.operators:
            if operator.name not in known:
                raise ExportError(
                    f"the file uses the operator {operator.name}, which is not translated; known are {', '.join(known)}"
                )
            known[operator.name](operator)
        ends = [self._value(tensor, "the output") for tensor in self.outputs]
        given = {BOXES: ends[0].shape, SCORES: ends[1].shape}
        wanted = {BOXES: (1, ends[0].shape[1], 4), SCORES: (1, ends[0].shape[1], len(self.classes))}
        if given != wanted:
            raise ExportError(f"the file gives {given}, wanted {wanted}")
        self.nodes.append(helper.make_node("Sigmoid", [LOGITS], [SCORES], name=SCORES))
        graph = helper.make_graph(
            self.nodes,
            "detector",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, self.values[entry].shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in given.items()],
            [numpy_helper.from_array(array, name) for name, array in self.initializers.items()],
        )
        model = helper.make_model(graph, producer_name="carcloud", opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = MAX_IR
        return model

    # --- what the file says ---------------------------------------------------------------------------------------

    def _operator(self, entry: Any) -> Operator:
        code = self.file.OperatorCodes(entry.OpcodeIndex())
        name = OPERATORS.get(code.BuiltinCode(), str(code.BuiltinCode()))
        if name == "CUSTOM":
            name = (code.CustomCode() or b"CUSTOM").decode("utf-8", "replace")
        inputs = tuple(entry.Inputs(i) for i in range(entry.InputsLength()) if entry.Inputs(i) >= 0)
        return Operator(name, inputs, entry.Outputs(0), entry.BuiltinOptions())

    def _options(self, operator: Operator, kind: type) -> Any:
        if operator.options is None:
            raise ExportError(f"the file's {operator.name} lacks its options; give a file that is whole")
        options = kind()
        options.Init(operator.options.Bytes, operator.options.Pos)
        return options

    def _shape(self, tensor: int) -> Shape:
        entry = self.graph.Tensors(tensor)
        return tuple(int(entry.Shape(i)) for i in range(entry.ShapeLength()))

    def _type(self, tensor: int) -> str:
        return TYPES.get(self.graph.Tensors(tensor).Type(), "an unknown type")

    def _value(self, tensor: int, reader: str) -> Value:
        if tensor not in self.values:
            raise ExportError(f"{reader} reads a tensor that is not computed from the picture; that is not translated")
        return self.values[tensor]

    def _constant(self, tensor: int, reader: str) -> np.ndarray:
        """A constant as float32. Raises ExportError: the file has none there, or stores it as something else."""
        if tensor in self.constants:
            return self.constants[tensor]
        data, kind = self.file.Buffers(self.graph.Tensors(tensor).Buffer()), self._type(tensor)
        if data.DataLength() == 0 or kind not in STORED:
            found = f"constants stored as {kind}" if data.DataLength() else "what is no constant"
            raise ExportError(f"{reader} reads {found}; translated are constants stored as {' or '.join(STORED)}")
        return np.frombuffer(data.DataAsNumpy().tobytes(), STORED[kind]).reshape(self._shape(tensor)).astype(np.float32)

    def _heads(self) -> set[int]:
        """Tensors that hold class logits, from the convolutions to the output. Raises ExportError: something else is
        done to them in between, or reads them as well, so that no class could be cut out."""
        makers = {operator.output: operator for operator in self.operators}
        readers = Counter(tensor for operator in self.operators for tensor in operator.inputs)
        found, waiting = set[int](), [self.outputs[1]]
        while waiting:
            tensor = waiting.pop()
            maker = makers.get(tensor)
            again = readers[tensor] > (tensor != self.outputs[1])
            if maker is None or maker.name not in ("CONV_2D", "RESHAPE", "CONCATENATION") or again:
                name = f"{maker.name if maker else 'nothing'}{' and read twice' if again else ''}"
                raise ExportError(f"class logits are made by {name}; translated are convolutions, flattened and joined")
            found.add(tensor)
            if maker.name != "CONV_2D":
                waiting += maker.inputs[: 1 if maker.name == "RESHAPE" else None]
        return found

    # --- what becomes of it ---------------------------------------------------------------------------------------

    def _name(self, tensor: int) -> str:
        return dict(zip(self.outputs, (BOXES, LOGITS))).get(tensor, f"tensor_{tensor}")

    def _emit(
        self, operator: Operator, kind: str, inputs: list[str], shape: Shape, planar: bool, activation: int = 0,
        **attributes: Any,
    ) -> None:
        """Append a node and its activation. shape: of the result. Raises ExportError: the file says another shape."""
        told, function = self._shape(operator.output), ACTIVATIONS.get(activation, str(activation))
        if operator.output in self.heads:
            told = (*told[:-1], told[-1] // self.total * len(self.classes))
        if shape != (_planar(told) if planar else told) or self._type(operator.output) != "FLOAT32":
            found = f"{told} {self._type(operator.output)}"
            raise ExportError(f"the file's {operator.name} gives {found}; translated it would give {shape} FLOAT32")
        if function not in ("NONE", "RELU6"):
            raise ExportError(f"the file's {operator.name} ends in {function}; translated are RELU6 and NONE")
        name = self._name(operator.output)
        raw = name if function == "NONE" else name + ".linear"
        self.nodes.append(helper.make_node(kind, inputs, [raw], name=raw, **attributes))
        if function == "RELU6":
            self.initializers |= {bound: np.array(value, np.float32) for bound, value in BOUNDS.items()}
            self.nodes.append(helper.make_node("Clip", [raw, *BOUNDS], [name], name=name))
        self.values[operator.output] = Value(name, shape, planar)

    def _convolution(self, operator: Operator) -> None:
        deep = operator.name == "DEPTHWISE_CONV_2D"
        options = self._options(operator, tflite.DepthwiseConv2DOptions if deep else tflite.Conv2DOptions)
        padding = PADDINGS.get(options.Padding(), str(options.Padding()))
        if padding != "SAME" or (options.DilationHFactor(), options.DilationWFactor()) != (1, 1):
            found = f"padding {padding}" if padding != "SAME" else "dilation"
            raise ExportError(f"the file's {operator.name} has {found}; translated is padding SAME without dilation")
        picture, *arrays = (
            self._value(operator.inputs[0], operator.name),
            *(self._constant(tensor, operator.name) for tensor in operator.inputs[1:]),
        )
        # (1, height, width, out) or (out, height, width, in): in ONNX (out, in of its group, height, width).
        kernel = arrays[0] = arrays[0].transpose((3, 0, 1, 2) if deep else (0, 3, 1, 2))
        if not picture.planar or kernel.shape[0 if deep else 1] != picture.shape[1]:
            raise ExportError(
                f"the file's {operator.name} has the kernel {kernel.shape} for {picture.shape}; groups, multipliers "
                "and flattened pictures are not translated"
            )
        if operator.output in self.heads:
            arrays = [self._cut(array) for array in arrays]
        names = [f"{self._name(operator.output)}.{part}" for part in ("kernel", "bias")[: len(arrays)]]
        self.initializers |= {name: np.ascontiguousarray(array) for name, array in zip(names, arrays)}
        size, strides = picture.shape[2:], (options.StrideH(), options.StrideW())
        pads = [same_pads(*axis) for axis in zip(size, kernel.shape[2:], strides)]
        self._emit(
            operator, "Conv", [picture.name, *names],
            (1, len(arrays[0]), *(-(-n // stride) for n, stride in zip(size, strides))), True,
            options.FusedActivationFunction(), group=picture.shape[1] if deep else 1, kernel_shape=kernel.shape[2:],
            strides=strides, pads=[before for before, _ in pads] + [after for _, after in pads],
        )  # fmt: skip

    def _cut(self, array: np.ndarray) -> np.ndarray:
        """The rows of the classes wanted, of a kernel or bias (anchors * classes, ...), anchor after anchor."""
        if len(array) % self.total:
            raise ExportError(f"a class head has {len(array)} channels, no multiple of {self.total} classes")
        return array.reshape(-1, self.total, *array.shape[1:])[:, self.classes].reshape(-1, *array.shape[1:])

    def _add(self, operator: Operator) -> None:
        options = self._options(operator, tflite.AddOptions)
        values = [self._value(tensor, "ADD") for tensor in operator.inputs]
        if len({(value.shape, value.planar) for value in values}) != 1:
            raise ExportError(f"the file's ADD reads {[v.shape for v in values]}; translated are equal shapes")
        names, first = [value.name for value in values], values[0]
        self._emit(operator, "Add", names, first.shape, first.planar, options.FusedActivationFunction())

    def _reshape(self, operator: Operator) -> None:
        value, shape = self._value(operator.inputs[0], "RESHAPE"), self._shape(operator.output)
        source = value.name
        if value.planar:
            source += ".last"
            self.nodes.append(helper.make_node("Transpose", [value.name], [source], name=source, perm=CHANNELS_LAST))
        if operator.output in self.heads:
            if shape[-1] != self.total:
                raise ExportError(f"the file's RESHAPE makes class logits {shape}, wanted {self.total} at the end")
            shape = (*shape[:-1], len(self.classes))
        name = f"{self._name(operator.output)}.shape"
        self.initializers[name] = np.array(shape, np.int64)
        self._emit(operator, "Reshape", [source, name], shape, False)

    def _join(self, operator: Operator) -> None:
        options = self._options(operator, tflite.ConcatenationOptions)
        values = [self._value(tensor, "CONCATENATION") for tensor in operator.inputs]
        first = values[0]
        if len({(len(value.shape), value.planar) for value in values}) != 1:
            raise ExportError("the file's CONCATENATION joins pictures and flattened ones; that is not translated")
        axis = options.Axis() % len(first.shape)
        axis = CHANNELS_LAST[axis] if first.planar else axis
        shape = (*first.shape[:axis], sum(value.shape[axis] for value in values), *first.shape[axis + 1 :])
        names = [value.name for value in values]
        self._emit(operator, "Concat", names, shape, first.planar, options.FusedActivationFunction(), axis=axis)

    def _dequantize(self, operator: Operator) -> None:
        """Of constants only, so that it costs the network nothing."""
        self.constants[operator.output] = self._constant(operator.inputs[0], "DEQUANTIZE")


def _planar(shape: Shape) -> Shape:
    """(1, height, width, channels) to (1, channels, height, width)."""
    return (shape[0], shape[3], *shape[1:3])
