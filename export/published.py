"""Networks with published times on a Jetson Nano, as graphs without weights: what the estimator is checked against.

Times: NVIDIA-AI-IOT/torch2trt, benchmarks/JETSON_NANO.md (TensorRT, FP16, batch 1, 224x224). MobileNet-v2 at 300x300:
NVIDIA's 64 frames a second. Structures: those of torchvision, which this project does not install, from the papers: He
et al. 2016 (the stride in the bottleneck's 3x3), Simonyan 2015, Krizhevsky 2014, Iandola 2016, Huang et al. 2017,
Sandler et al. 2018. Batch normalisation directly after a convolution is left out, as any exporter folds it away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import onnx
from onnx import TensorProto, helper

from export.estimate import estimate_model
from export.graph import OPSET


class _Graph:
    """Adds nodes one after the other. A tensor is its name, a weight a graph input: only its shape counts."""

    def __init__(self, size: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, size, size))]

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def weight(self, *shape: int) -> str:
        name = f"w{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def conv(self, x: str, a: int, b: int, k: int, s: int = 1, p: int = 0, group: int = 1, act: str = "Relu") -> str:
        x = self.node(
            "Conv", x, self.weight(b, a // group, k, k), self.weight(b),
            kernel_shape=[k, k], strides=[s, s], pads=[p] * 4, group=group,
        )
        return self.node(act, x) if act else x

    def pool(self, x: str, k: int, s: int, p: int = 0, ceil: int = 0, kind: str = "MaxPool") -> str:
        extra = {"ceil_mode": ceil} if kind == "MaxPool" else {}
        return self.node(kind, x, kernel_shape=[k, k], strides=[s, s], pads=[p] * 4, **extra)

    def linear(self, x: str, a: int, b: int, act: str = "") -> str:
        x = self.node("Gemm", x, self.weight(b, a), self.weight(b), transB=1)
        return self.node(act, x) if act else x

    def norm_relu(self, x: str, channels: int) -> str:
        return self.node("Relu", self.node("BatchNormalization", x, *(self.weight(channels) for _ in range(4))))

    def classify(self, x: str, channels: int) -> str:
        return self.linear(self.node("Flatten", self.node("GlobalAveragePool", x)), channels, 1000)

    def finish(self, x: str) -> onnx.ModelProto:
        output = helper.make_tensor_value_info(x, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "published", self.inputs, [output])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=7)


def resnet(counts: tuple[int, int, int, int], bottleneck: bool) -> onnx.ModelProto:
    """ResNet at 224x224."""
    g = _Graph(224)
    x, a = g.pool(g.conv("image", 3, 64, 7, 2, 3), 3, 2, 1), 64
    for stage, count in enumerate(counts):
        width = 64 << stage
        b = width * 4 if bottleneck else width
        for n in range(count):
            s = 2 if n == 0 and stage else 1
            if bottleneck:
                y = g.conv(g.conv(x, a, width, 1), width, width, 3, s, 1)
                y = g.conv(y, width, b, 1, act="")
            else:
                y = g.conv(g.conv(x, a, width, 3, s, 1), width, b, 3, 1, 1, act="")
            x = g.node("Relu", g.node("Add", y, x if s == 1 and a == b else g.conv(x, a, b, 1, s, act="")))
            a = b
    return g.finish(g.classify(x, a))


def vgg(counts: tuple[int, ...]) -> onnx.ModelProto:
    """VGG at 224x224."""
    g = _Graph(224)
    x, a = "image", 3
    for count, b in zip(counts, (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            x, a = g.conv(x, a, b, 3, 1, 1), b
        x = g.pool(x, 2, 2)
    x = g.linear(g.linear(g.node("Flatten", x), 512 * 49, 4096, "Relu"), 4096, 4096, "Relu")
    return g.finish(g.linear(x, 4096, 1000))


def alexnet() -> onnx.ModelProto:
    """AlexNet, the one-tower form."""
    g = _Graph(224)
    x = g.pool(g.conv("image", 3, 64, 11, 4, 2), 3, 2)
    x = g.pool(g.conv(x, 64, 192, 5, 1, 2), 3, 2)
    x = g.conv(g.conv(g.conv(x, 192, 384, 3, 1, 1), 384, 256, 3, 1, 1), 256, 256, 3, 1, 1)
    x = g.node("Flatten", g.pool(x, 3, 2))
    return g.finish(g.linear(g.linear(g.linear(x, 256 * 36, 4096, "Relu"), 4096, 4096, "Relu"), 4096, 1000))


def squeezenet(old: bool) -> onnx.ModelProto:
    """SqueezeNet 1.0 (old) or 1.1."""
    g = _Graph(224)
    x, a = (g.conv("image", 3, 96, 7, 2), 96) if old else (g.conv("image", 3, 64, 3, 2), 64)
    x = g.pool(x, 3, 2, ceil=1)
    pooled = (2, 6) if old else (1, 3)
    for n, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
        expand = 4 * squeeze
        y = g.conv(x, a, squeeze, 1)
        x = g.node("Concat", g.conv(y, squeeze, expand, 1), g.conv(y, squeeze, expand, 3, 1, 1), axis=1)
        a = 2 * expand
        if n in pooled:
            x = g.pool(x, 3, 2, ceil=1)
    return g.finish(g.node("Flatten", g.node("GlobalAveragePool", g.conv(x, a, 1000, 1))))


def densenet(counts: tuple[int, int, int, int], growth: int = 32, start: int = 64) -> onnx.ModelProto:
    """DenseNet-BC at 224x224: normalisation and ReLU stand before the first convolution of each pair."""
    g = _Graph(224)
    x, a = g.pool(g.conv("image", 3, start, 7, 2, 3), 3, 2, 1), start
    for stage, count in enumerate(counts):
        for _ in range(count):
            y = g.conv(g.conv(g.norm_relu(x, a), a, 4 * growth, 1), 4 * growth, growth, 3, 1, 1, act="")
            x, a = g.node("Concat", x, y, axis=1), a + growth
        x = g.norm_relu(x, a)
        if stage < 3:
            x, a = g.pool(g.conv(x, a, a // 2, 1, act=""), 2, 2, kind="AveragePool"), a // 2
    return g.finish(g.classify(x, a))


def mobilenet_v2(size: int) -> onnx.ModelProto:
    """MobileNet-v2 of width 1: the one network whose time speaks of depthwise convolutions."""
    g = _Graph(size)
    x, a = g.conv("image", 3, 32, 3, 2, 1, act="Clip"), 32
    for t, b, count, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):
        for n in range(count):
            s, wide = stride if n == 0 else 1, a * t
            y = g.conv(x, a, wide, 1, act="Clip") if t > 1 else x
            y = g.conv(g.conv(y, wide, wide, 3, s, 1, group=wide, act="Clip"), wide, b, 1, act="")
            x, a = g.node("Add", x, y) if s == 1 and a == b else y, b
    return g.finish(g.classify(g.conv(x, a, 1280, 1, act="Clip"), 1280))


class Published(NamedTuple):
    """build: makes the graph. ms: measured on the board."""

    build: Callable[[], onnx.ModelProto]
    ms: float


PUBLISHED = {
    "squeezenet1_1": Published(lambda: squeezenet(False), 4.34),
    "squeezenet1_0": Published(lambda: squeezenet(True), 7.6),
    "resnet18": Published(lambda: resnet((2, 2, 2, 2), False), 11.4),
    "alexnet": Published(alexnet, 14.7),
    "resnet34": Published(lambda: resnet((3, 4, 6, 3), False), 20.2),
    "densenet121": Published(lambda: densenet((6, 12, 24, 16)), 24.8),
    "resnet50": Published(lambda: resnet((3, 4, 6, 3), True), 29.8),
    "densenet169": Published(lambda: densenet((6, 12, 32, 32)), 31.2),
    "densenet201": Published(lambda: densenet((6, 12, 48, 32)), 40.8),
    "resnet101": Published(lambda: resnet((3, 4, 23, 3), True), 51.1),
    "vgg11": Published(lambda: vgg((1, 1, 2, 2, 2)), 55.1),
    "densenet161": Published(lambda: densenet((6, 12, 36, 24), 48, 96), 65.8),
    "vgg13": Published(lambda: vgg((2, 2, 2, 2, 2)), 68.7),
    "resnet152": Published(lambda: resnet((3, 8, 36, 3), True), 72.3),
    "vgg16": Published(lambda: vgg((2, 2, 3, 3, 3)), 85.1),
    "mobilenet_v2 at 300x300": Published(lambda: mobilenet_v2(300), 15.6),
}
#: Predicted over observed, of networks that the fit had not seen (left out one at a time).
RATIO = (0.69, 1.24)


class Checked(NamedTuple):
    """One published network. predicted, observed: ms. gflop: counted."""

    name: str
    predicted: float
    observed: float
    gflop: float

    @property
    def ratio(self) -> float:
        """Predicted over observed."""
        return self.predicted / self.observed


def check(names: tuple[str, ...] = tuple(PUBLISHED)) -> list[Checked]:
    """The estimator's answers for published networks, by name."""
    rows = []
    for name in names:
        result = estimate_model(PUBLISHED[name].build())
        rows.append(Checked(name, result.ms, PUBLISHED[name].ms, result.gflop))
    return rows
