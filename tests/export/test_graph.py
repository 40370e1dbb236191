"""The graph: folded, stored small, as fast as before, and refused where a device could not read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from export.compare import run_graph
from export.fold import fold_batch_norm
from export.graph import ExportError, assert_graph, export_onnx, halve_weights
from export.lint import require_clean
from export.shapes import fold_shapes
from training.networks.base import Network, Prediction
from training.networks.encoder import Encoder


class Maps(Network):
    """A body that gives maps."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(maps=self.body(image))


def _settle(network: nn.Module, *shape: int, rounds: int = 20) -> None:
    with torch.no_grad():
        for _ in range(rounds):
            network(torch.rand(8, *shape) * 3)


def test_folding_changes_nothing() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3), nn.BatchNorm1d(3)
    )
    _settle(network, 3, 4, 4)
    image = torch.rand(5, 3, 4, 4)
    folded = fold_batch_norm(network)
    torch.testing.assert_close(folded(image), network.eval()(image), atol=1e-5, rtol=1e-4)
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in folded.modules())


def test_inverted_bottlenecks_and_transposed_convolutions_fold() -> None:
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 12, 1, bias=False), nn.BatchNorm2d(12, eps=1e-3), nn.ReLU6()),
        nn.Sequential(nn.Conv2d(12, 12, 5, 2, 2, groups=12, bias=False), nn.BatchNorm2d(12, eps=1e-3), nn.ReLU6()),
        nn.Sequential(nn.Conv2d(12, 8, 1, bias=False), nn.BatchNorm2d(8, eps=1e-3)),
        nn.Sequential(nn.ConvTranspose2d(8, 6, 4, 2, 1, groups=2), nn.BatchNorm2d(6)),
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias)
    _settle(network, 3, 8, 8)
    image = torch.rand(2, 3, 8, 8)
    folded = fold_batch_norm(network)
    torch.testing.assert_close(folded(image), network.eval()(image), atol=1e-5, rtol=1e-4)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert sum(isinstance(m, nn.ReLU6) for m in folded.modules()) == 2


def test_the_encoder_is_convolutions_only(tmp_path: Path) -> None:
    torch.manual_seed(0)

    class Described(Network):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = Encoder(64, pretrained=False)

        def forward(self, image: Tensor) -> Prediction:
            return Prediction(classes=self.encoder(image).coarse.mean((2, 3)))

    network, image = Described(), torch.rand(1, 3, 64, 64)
    _settle(network, 3, 64, 64, rounds=3)
    folded = fold_batch_norm(network)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    export_onnx(folded, image, tmp_path / "g.onnx")
    halve_weights(tmp_path / "g.onnx")
    kinds = {node.op_type for node in onnx.load(str(tmp_path / "g.onnx")).graph.node}
    assert kinds == {"Conv", "Clip", "Add", "ReduceMean"}
    with torch.no_grad():
        wanted = network.eval()(image).classes.numpy()
    np.testing.assert_allclose(run_graph(tmp_path / "g.onnx", image.numpy())["classes"], wanted, atol=5e-3)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A graph with a convolution, a linear layer and a table above the limit: as exported, and stored as float16."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 24, 3, 2, 1), nn.ReLU6(), nn.Conv2d(24, 32, 3, 2, 1), nn.Flatten())
    body.append(nn.Linear(32 * 16, 64))
    folder = tmp_path_factory.mktemp("graphs")
    export_onnx(Maps(body), torch.zeros(1, 3, 16, 16), folder / "plain.onnx")
    (folder / "half.onnx").write_bytes((folder / "plain.onnx").read_bytes())
    saved = halve_weights(folder / "half.onnx")
    assert saved == 2 * 32 * 16 * 64  # kernels stay: TensorRT wants them as constants
    return folder / "plain.onnx", folder / "half.onnx"


def test_halved_weights_compute_nearly_the_same(graphs: tuple[Path, Path]) -> None:
    image = np.random.default_rng(0).random((2, 3, 16, 16)).astype(np.float32)
    plain, half = (run_graph(path, image)["maps"] for path in graphs)
    assert 0 < np.abs(plain - half).max() < 2e-3
    kinds = {t.name: t.data_type for t in onnx.load(str(graphs[1])).graph.initializer}
    assert sum(kind == TensorProto.FLOAT16 for kind in kinds.values()) == 1


def test_onnxruntime_folds_the_casts(graphs: tuple[Path, Path], tmp_path: Path) -> None:
    kinds = []
    for path in graphs:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / path.name)
        options.log_severity_level = 3
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        kinds.append([node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node])
    assert kinds[0] == kinds[1] and "Cast" not in kinds[1]


def test_constants_that_are_no_parameters_are_halved_too(tmp_path: Path) -> None:
    table = helper.make_node("Constant", [], ["t"], value=numpy_helper.from_array(np.ones((1, 5000), np.float32)))
    add = helper.make_node("Add", ["image", "t"], ["maps"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 5000)) for name in ("image", "maps")]
    graph = helper.make_graph([table, add], "g", values[:1], values[1:])
    path = tmp_path / "g.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), str(path))
    assert halve_weights(path) == 2 * 5000
    assert run_graph(path, np.zeros((1, 5000), np.float32))["maps"].max() == 1.0


def test_halved_weights_that_overflow_are_refused(tmp_path: Path) -> None:
    layer = nn.Linear(300, 300)
    nn.init.constant_(layer.weight, 1e5)
    export_onnx(Maps(nn.Sequential(nn.Flatten(), layer)), torch.zeros(1, 3, 10, 10), tmp_path / "g.onnx")
    with pytest.raises(ExportError, match="overflow float16"):
        halve_weights(tmp_path / "g.onnx")


def test_arithmetic_on_shapes_is_folded(tmp_path: Path) -> None:
    body = nn.Sequential(nn.Flatten(), nn.Linear(12, 32), nn.Unflatten(1, (-1, 4, 4)), nn.Upsample(scale_factor=2.0))
    export_onnx(Maps(body), torch.zeros(1, 3, 2, 2), tmp_path / "g.onnx")
    model = assert_graph(tmp_path / "g.onnx", {"image": (1, 3, 2, 2)}, {"maps": (1, 2, 8, 8)})
    assert [node.op_type for node in model.graph.node] == ["Flatten", "Gemm", "Reshape", "Resize"]
    assert len(fold_shapes(model).graph.node) == 4


def test_padding_becomes_the_convolutions(tmp_path: Path) -> None:
    body = nn.Sequential(nn.ZeroPad2d((0, 1, 2, 3)), nn.Conv2d(3, 4, 3, 2, 1))
    body.extend([nn.ConstantPad2d(1, 0.5), nn.Conv2d(4, 4, 3)])
    export_onnx(Maps(body), torch.zeros(1, 3, 8, 8), tmp_path / "g.onnx")
    graph = onnx.load(str(tmp_path / "g.onnx")).graph
    nodes = graph.node
    assert {t.name for t in graph.initializer} <= {name for node in nodes for name in node.input}
    assert [node.op_type for node in nodes] == ["Conv", "Pad", "Conv"]  # padding by 0.5 is none a convolution has
    assert next(a.ints for a in nodes[0].attribute if a.name == "pads") == [3, 1, 4, 2]
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        wanted = body(image).numpy()
    np.testing.assert_allclose(run_graph(tmp_path / "g.onnx", image.numpy())["maps"], wanted, atol=1e-5)


def test_wrong_graphs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    inputs, outputs = {"image": (1, 3, 8, 8)}, {"maps": (1, 4, 8, 8)}
    assert export_onnx(Maps(nn.Conv2d(3, 4, 1)), torch.zeros(1, 3, 8, 8), path) == outputs
    assert_graph(path, inputs, outputs)
    with pytest.raises(ExportError, match="declares"):
        assert_graph(path, {"image": (1, 3, 9, 8)}, outputs)
    with pytest.raises(ExportError, match="declares"):
        assert_graph(path, inputs, {"points": (1, 4, 8, 8)})
    model = onnx.load(str(path))
    model.ir_version = 10
    onnx.save(model, str(path))
    with pytest.raises(ExportError, match="IR version 10"):
        assert_graph(path, inputs, outputs)
    model.ir_version = 7
    model.opset_import[0].version = 14
    onnx.save(model, str(path))
    with pytest.raises(ExportError, match="has opsets"):
        assert_graph(path, inputs, outputs)


def test_operators_the_nano_lacks_are_refused(tmp_path: Path) -> None:
    class Remainder(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.fmod(image, 0.5)

    path = tmp_path / "g.onnx"
    export_onnx(Maps(Remainder()), torch.rand(1, 3, 8, 8), path)
    assert_graph(path, {"image": (1, 3, 8, 8)}, {"maps": (1, 3, 8, 8)})  # which devices read it is for the lint
    with pytest.raises(ExportError, match=r"\(Mod\) on Jetson Nano, .*: TensorRT 8.2 has no Mod; fold arithmetic on"):
        require_clean(path)


def test_a_network_that_gives_nothing_is_refused(tmp_path: Path) -> None:
    class Silent(Network):
        def forward(self, image: Tensor) -> Prediction:
            return Prediction()

    with pytest.raises(ExportError, match="Silent gives no output at all"):
        export_onnx(Silent(), torch.zeros(1, 3, 8, 8), tmp_path / "g.onnx")
