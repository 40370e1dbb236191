"""TensorFlow Lite to ONNX: computes what the file says by a plain reference, keeps the classes asked for, refuses the
rest by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import onnxruntime
import pytest
import tflite
from onnx import numpy_helper

from export.graph import ExportError, assert_graph
from export.tflite import same_pads, translate

ANCHORS, CLASSES = (2, 3), 5
NONE, RELU6, TANH = (getattr(tflite.ActivationFunctionType, name) for name in ("NONE", "RELU6", "TANH"))
SAME, VALID = tflite.Padding.SAME, tflite.Padding.VALID
#: Builtin options by their table's name, fields in the order of the schema.
FIELDS = {
    "Conv2DOptions": ("Padding", "StrideW", "StrideH", "FusedActivationFunction", "DilationWFactor", "DilationHFactor"),
    "DepthwiseConv2DOptions": (
        "Padding", "StrideW", "StrideH", "DepthMultiplier", "FusedActivationFunction", "DilationWFactor",
        "DilationHFactor",
    ),
    "AddOptions": ("FusedActivationFunction",),
    "ConcatenationOptions": ("Axis", "FusedActivationFunction"),
}  # fmt: skip


def convolve(picture: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int, deep: bool) -> np.ndarray:
    """SAME convolution of (1, H, W, C), pixel by pixel, as TensorFlow documents it.

    kernel: (out, K, L, C), or for ``deep``, each channel on its own, (1, K, L, C).
    """
    size = np.array(picture.shape[1:3])
    window = np.array(kernel.shape[1:3])
    out = -(-size // stride)
    before = np.maximum((out - 1) * stride + window - size, 0) // 2
    large = np.zeros((*(size + 2 * window), picture.shape[3]), np.float64)
    large[before[0] : before[0] + size[0], before[1] : before[1] + size[1]] = picture[0]
    result = np.empty((1, *out, kernel.shape[3] if deep else kernel.shape[0]))
    for y in range(out[0]):
        for x in range(out[1]):
            seen = large[y * stride : y * stride + window[0], x * stride : x * stride + window[1]]
            axes = (0, 1) if deep else (1, 2, 3)
            result[0, y, x] = (kernel[0] * seen if deep else kernel * seen).sum(axes) + bias
    return result


class TinyFile:
    """Writes a TensorFlow Lite file, and computes it. Tensors are numbers; 0 is the picture (1, H, W, C)."""

    def __init__(self, height: int, width: int, channels: int = 3) -> None:
        self.tensors: list[tuple[tuple[int, ...], int, bytes]] = []
        self.operators: list[tuple[str, list[int], int, str, dict[str, int]]] = []
        self.steps: list[tuple[int, Callable[[dict[int, np.ndarray]], np.ndarray]]] = []
        self.rng = np.random.default_rng(0)
        self.tensor((1, height, width, channels))

    def tensor(self, shape: tuple[int, ...], data: np.ndarray | None = None) -> int:
        kind = tflite.TensorType.FLOAT32 if data is None else getattr(tflite.TensorType, data.dtype.name.upper())
        self.tensors.append((tuple(map(int, shape)), kind, b"" if data is None else data.tobytes()))
        return len(self.tensors) - 1

    def operator(self, name: str, inputs: list[int], shape: tuple[int, ...], table: str = "", **options: int) -> int:
        output = self.tensor(shape)
        self.operators.append((name, inputs, output, table, options))
        return output

    def weights(self, *shape: int, stored: type = np.float16) -> tuple[int, np.ndarray]:
        """A constant, dequantized where it is stored as float16, and its values."""
        values = self.rng.normal(0, 0.4, shape).astype(stored)
        number = self.tensor(shape, values)
        if stored is np.float16:
            number = self.operator("DEQUANTIZE", [number], shape)
        return number, values.astype(np.float64)

    def convolution(
        self, source: int, out: int = 0, size: int = 1, stride: int = 1, activation: int = NONE, padding: int = SAME,
        dilation: int = 1, stored: type = np.float16,
    ) -> int:
        """out: channels; 0 for a depthwise one."""
        shape, deep = self.tensors[source][0], not out
        out = out or shape[3]
        kernel, values = self.weights(1 if deep else out, size, size, shape[3], stored=stored)
        bias, shift = self.weights(out, stored=stored)
        result = self.operator(
            "DEPTHWISE_CONV_2D" if deep else "CONV_2D", [source, kernel, bias],
            (1, *(-(-n // stride) for n in shape[1:3]), out), "DepthwiseConv2DOptions" if deep else "Conv2DOptions",
            Padding=padding, StrideW=stride, StrideH=stride, FusedActivationFunction=activation,
            DilationWFactor=dilation, DilationHFactor=dilation, **({"DepthMultiplier": 1} if deep else {}),
        )  # fmt: skip
        low, high = (0.0, 6.0) if activation == RELU6 else (-np.inf, np.inf)
        self.steps.append(
            (result, lambda known: np.clip(convolve(known[source], values, shift, stride, deep), low, high))
        )
        return result

    def add(self, *sources: int) -> int:
        shape = self.tensors[sources[0]][0]
        result = self.operator("ADD", list(sources), shape, "AddOptions", FusedActivationFunction=NONE)
        self.steps.append((result, lambda known: known[sources[0]] + known[sources[1]]))
        return result

    def reshape(self, source: int, *shape: int) -> int:
        target = self.tensor((len(shape),), np.array(shape, np.int32))
        result = self.operator("RESHAPE", [source, target], shape)
        self.steps.append((result, lambda known: known[source].reshape(shape)))
        return result

    def join(self, sources: list[int], axis: int) -> int:
        shape = list(self.tensors[sources[0]][0])
        shape[axis] = sum(self.tensors[source][0][axis] for source in sources)
        result = self.operator(
            "CONCATENATION", sources, tuple(shape), "ConcatenationOptions", Axis=axis, FusedActivationFunction=NONE
        )
        self.steps.append((result, lambda known: np.concatenate([known[source] for source in sources], axis)))
        return result

    def heads(self, maps: list[int], anchors: tuple[int, ...] = ANCHORS, classes: int = CLASSES) -> tuple[int, int]:
        """Boxes and logits of each map, flattened and joined as in the real file. Returns the two outputs."""
        boxes, logits = [], []
        for source, count in zip(maps, anchors):
            _, height, width, _ = self.tensors[source][0]
            cells = height * width * count
            boxes.append(self.reshape(self.convolution(source, 4 * count), 1, cells, 1, 4))
            logits.append(self.reshape(self.convolution(source, classes * count), 1, cells, classes))
        joined = self.join(boxes, 1)
        return self.reshape(joined, 1, self.tensors[joined][0][1], 4), self.join(logits, 1)

    def compute(self, picture: np.ndarray) -> dict[int, np.ndarray]:
        known = {0: picture}
        for number, step in self.steps:
            known[number] = step(known)
        return known

    def content(self, outputs: tuple[int, ...]) -> bytes:
        """The file."""
        builder = flatbuffers.Builder(1024)
        names = sorted({operator[0] for operator in self.operators})
        codes = [_code(builder, name) for name in names]
        buffers = [_buffer(builder, data) for _, _, data in self.tensors]
        tensors = []
        for number, (shape, kind, _) in enumerate(self.tensors):
            dims = _integers(builder, shape)
            tensors.append(_table(builder, "Tensor", Shape=dims, Type=kind, Buffer=number))
        operators = []
        for name, inputs, output, table, options in self.operators:
            fields: dict[str, Any] = {"Inputs": _integers(builder, inputs), "Outputs": _integers(builder, [output])}
            if table:
                ordered = {field: options[field] for field in FIELDS[table]}
                fields |= {"BuiltinOptions": _table(builder, table, **ordered)}
                fields |= {"BuiltinOptionsType": getattr(tflite.BuiltinOptions, table)}
            operators.append(_table(builder, "Operator", OpcodeIndex=names.index(name), **fields))
        parts = {"Tensors": _offsets(builder, tensors), "Operators": _offsets(builder, operators)}
        ends = {"Inputs": _integers(builder, [0]), "Outputs": _integers(builder, outputs)}
        graph = _table(builder, "SubGraph", **parts, **ends)
        lists = {"OperatorCodes": codes, "Subgraphs": [graph], "Buffers": buffers}
        made = {name: _offsets(builder, entries) for name, entries in lists.items()}
        builder.Finish(_table(builder, "Model", Version=3, **made), b"TFL3")
        return bytes(builder.Output())


def _code(builder: flatbuffers.Builder, name: str) -> int:
    number = getattr(tflite.BuiltinOperator, name, tflite.BuiltinOperator.CUSTOM)
    fields = {"BuiltinCode": number, "DeprecatedBuiltinCode": min(number, 127)}
    if number == tflite.BuiltinOperator.CUSTOM:
        fields["CustomCode"] = builder.CreateString(name)
    return _table(builder, "OperatorCode", **fields)


def _buffer(builder: flatbuffers.Builder, data: bytes) -> int:
    return _table(builder, "Buffer", **({"Data": builder.CreateByteVector(data)} if data else {}))


def _table(builder: flatbuffers.Builder, name: str, **fields: int) -> int:
    getattr(tflite, f"{name}Start")(builder)
    for field, value in fields.items():
        getattr(tflite, f"{name}Add{field}")(builder, value)
    return int(getattr(tflite, f"{name}End")(builder))


def _integers(builder: flatbuffers.Builder, values: Any) -> int:
    return int(builder.CreateNumpyVector(np.array(values, np.int32)))


def _offsets(builder: flatbuffers.Builder, entries: list[int]) -> int:
    builder.StartVector(4, len(entries), 4)
    for entry in reversed(entries):
        builder.PrependUOffsetTRelative(entry)
    return int(builder.EndVector())


def detector(stored: type = np.float16) -> tuple[TinyFile, tuple[int, int]]:
    """Odd and even sizes, strides 1 and 2, kernels of 1 and 3, a residual sum, pictures joined, and two heads."""
    file = TinyFile(21, 20)
    stem = file.convolution(0, 4, 3, 2, RELU6, stored=stored)  # 11 x 10
    first = file.convolution(stem, 0, 3, 2, RELU6)  # 6 x 5
    sum_ = file.add(first, file.convolution(file.convolution(first, 0, 3), 4))
    wide = file.join([sum_, file.convolution(sum_, 2)], 3)
    second = file.convolution(wide, 3, 3, 2, RELU6)  # 3 x 3
    return file, file.heads([wide, second])


def run(model: onnx.ModelProto, picture: np.ndarray) -> dict[str, np.ndarray]:
    """picture: (1, H, W, C)."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    turned = np.ascontiguousarray(picture.transpose(0, 3, 1, 2), np.float32)
    return dict(zip(names, session.run(names, {"image": turned})))


PICTURE = np.random.default_rng(1).uniform(-1, 1, (1, 21, 20, 3))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"),
    [(300, 3, 2, (0, 1)), (75, 3, 2, (1, 1)), (19, 3, 1, (1, 1)), (19, 1, 1, (0, 0)), (1, 3, 2, (1, 1)),
     (5, 2, 1, (0, 1)), (4, 1, 2, (0, 0))],
)  # fmt: skip
def test_same_padding_puts_the_odd_cell_behind(size: int, kernel: int, stride: int, pads: tuple[int, int]) -> None:
    assert same_pads(size, kernel, stride) == pads


@pytest.mark.parametrize("stored", [np.float16, np.float32])
def test_a_translation_computes_what_the_file_says(stored: type) -> None:
    file, (boxes, logits) = detector(stored)
    wanted = file.compute(PICTURE)
    got = run(translate(file.content((boxes, logits))), PICTURE)
    assert np.abs(wanted[boxes]).max() > 1
    assert np.allclose(got["boxes"], wanted[boxes], atol=1e-5)
    assert np.allclose(got["scores"], 1 / (1 + np.exp(-wanted[logits])), atol=1e-5)


def test_only_the_classes_asked_for_are_computed() -> None:
    file, outputs = detector()
    content = file.content(outputs)
    whole, cut = translate(content), translate(content, [3, 1])
    full, got = run(whole, PICTURE), run(cut, PICTURE)
    assert np.array_equal(got["boxes"], full["boxes"])
    assert np.allclose(got["scores"], full["scores"][..., [3, 1]], atol=1e-6)
    rows = [sum(t.dims[0] for t in model.graph.initializer if t.name.endswith(".kernel")) for model in (whole, cut)]
    assert rows[0] - rows[1] == sum(ANCHORS) * (CLASSES - 2)


def test_the_graph_is_what_tensorrt_8_reads(tmp_path: Path) -> None:
    file, outputs = detector()
    path = tmp_path / "net.onnx"
    onnx.save(translate(file.content(outputs), [0]), str(path))
    cells = 30 * ANCHORS[0] + 9 * ANCHORS[1]
    model = assert_graph(path, {"image": (1, 3, 21, 20)}, {"boxes": (1, cells, 4), "scores": (1, cells, 1)})
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    kinds = [node.op_type for node in model.graph.node]
    assert set(kinds) == {"Conv", "Clip", "Add", "Transpose", "Reshape", "Concat", "Sigmoid"}
    assert kinds.count("Transpose") == 2 * len(ANCHORS)
    for node in model.graph.node:
        if node.op_type == "Conv":
            assert all(constants[name].dtype == np.float32 for name in node.input[1:])
        if node.op_type == "Clip":
            assert [float(constants[name]) for name in node.input[1:]] == [0.0, 6.0]


def test_translating_twice_gives_the_same_bytes() -> None:
    file, outputs = detector()
    first, second = (translate(file.content(outputs), [1]).SerializeToString() for _ in range(2))
    assert first == second


def broken(change: Callable[[TinyFile, int], int]) -> bytes:
    """A detector with something else in it."""
    file = TinyFile(8, 8)
    source = file.convolution(0, 4, 3, 2)
    change(file, source)
    return file.content(file.heads([source], (2,)))


REFUSED: dict[str, Callable[[TinyFile, int], int]] = {
    "operator SOFTMAX": lambda file, x: file.operator("SOFTMAX", [x], (1, 4, 4, 4)),
    "operator GELU": lambda file, x: file.operator("GELU", [x], (1, 4, 4, 4)),
    "operator Own_Op": lambda file, x: file.operator("Own_Op", [x], (1, 4, 4, 4)),
    "padding VALID": lambda file, x: file.convolution(x, 4, padding=VALID),
    "has dilation": lambda file, x: file.convolution(x, 4, 3, dilation=2),
    "ends in TANH": lambda file, x: file.convolution(x, 4, activation=TANH),
    "lacks its options": lambda file, x: file.operator("ADD", [x, x], (1, 4, 4, 4)),
    "translated are equal shapes": lambda file, x: file.add(x, file.convolution(x, 4, 1, 2)),
    "stored as INT8": lambda file, x: file.operator("DEQUANTIZE", [file.tensor((4,), np.ones(4, np.int8))], (4,)),
    "reads what is no constant": lambda file, x: file.operator("DEQUANTIZE", [x], (1, 4, 4, 4)),
    "not computed from the picture": lambda file, x: file.add(x, file.tensor((1, 4, 4, 4))),
    "joins pictures and flattened": lambda file, x: file.join([x, file.reshape(x, 1, 4, 4, 4)], 3),
    "flattened pictures are not": lambda file, x: file.convolution(file.reshape(x, 1, 4, 4, 4), 4),
    "gives (1, 4, 4, 5) FLOAT32": lambda file, x: file.operator(
        "ADD", [x, x], (1, 4, 4, 5), "AddOptions", FusedActivationFunction=NONE
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_not_translated_is_refused_by_name(words: str) -> None:
    with pytest.raises(ExportError) as caught:
        translate(broken(REFUSED[words]))
    assert words in str(caught.value)


def test_heads_of_which_no_class_can_be_cut_are_refused() -> None:
    file, (boxes, logits) = detector()
    file.add(logits, logits)
    with pytest.raises(ExportError, match="read twice"):
        translate(file.content((boxes, logits)))
    with pytest.raises(ExportError, match="made by ADD"):
        translate(file.content((boxes, file.add(boxes, boxes))))
    file = TinyFile(8, 8)
    boxes, _ = file.heads([0], (2,))
    with pytest.raises(ExportError, match="no multiple of 5 classes"):
        translate(file.content((boxes, file.reshape(file.convolution(0, 9), 1, 64, 9, 5))))


def test_outputs_that_no_detector_has_are_refused() -> None:
    file = TinyFile(8, 8)
    boxes, logits = file.heads([0], (2,))
    with pytest.raises(ExportError, match=r"gives \{'boxes': \(1, 128, 1, 4\)"):
        translate(file.content((file.reshape(boxes, 1, 128, 1, 4), logits)))


@pytest.mark.parametrize("classes", [[], [CLASSES], [-1]])
def test_classes_that_the_file_lacks_are_refused(classes: list[int]) -> None:
    file, outputs = detector()
    with pytest.raises(ExportError, match="not among the file's 5"):
        translate(file.content(outputs), classes)


def test_other_files_are_refused() -> None:
    with pytest.raises(ExportError, match="no TensorFlow Lite file"):
        translate(b"\x08\x00\x00\x00ONNX and more")
    file, outputs = detector()
    with pytest.raises(ExportError, match="1 outputs"):
        translate(file.content(outputs[:1]))
