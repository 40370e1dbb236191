"""A bundle's network with the maps of its encoder, and the ImageNet encoder that it began as."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from edge.bundle import Bundle
from edge.errors import DataError
from edge.runtime.backends.ort import import_onnxruntime
from training.networks.encoder import COARSE, FINE, FINE_BLOCK, FINEST, FINEST_BLOCK, MEAN, STD, Encoder, lite0

#: The blocks of the encoder after which its maps are taken, and their channels.
BLOCKS = {FINEST_BLOCK: FINEST, FINE_BLOCK: FINE, 15: COARSE}
#: Side of the picture EfficientNet-Lite0 was trained on ImageNet with.
IMAGENET_SIDE = 224


class Maps(NamedTuple):
    """Of one picture, float32. finest: (40, S / 8, S / 8). fine: (112, S / 16, S / 16). coarse: (320, S / 32, S / 32).
    pooled: (1280,), mean over the picture of the head's features, which only the ImageNet network has."""

    finest: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray
    pooled: np.ndarray | None = None


class Flagship:
    """A bundle's network, one thread of ONNX Runtime: what it tells, and its encoder's maps.

    DataError if the network is not built on the encoder, or does not tell points and pose.
    """

    def __init__(self, bundle: Bundle) -> None:
        import onnx

        self.bundle = bundle
        graph = bundle.graph_at("fp32")
        model = onnx.load(graph.path)
        self._maps = encoder_outputs(model, bundle.path)
        missing = [name for name in ("points", "azimuth", "camera", "length", "classes") if name not in graph.outputs]
        if missing:
            raise DataError(f"the network of {bundle.path} does not tell {missing[0]}; give --bundle morphable")
        model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in self._maps)
        runtime = import_onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._names = [*graph.outputs, *self._maps]
        self._input = graph.input_name

    def look(self, image: np.ndarray) -> tuple[dict[str, np.ndarray], Maps]:
        """(1, 3, S, S) float32, normalised, to the network's outputs by name, batch of 1, and its maps."""
        told = dict(zip(self._names, self._session.run(self._names, {self._input: image}), strict=True))
        return told, Maps(*(told.pop(name)[0] for name in self._maps))


def encoder_outputs(model: Any, where: str) -> list[str]:
    """Names of the tensors that hold the encoder's maps, finest first: the last of each block. DataError."""
    last: dict[int, str] = {}
    for node in model.graph.node:
        for name in node.output:
            block = re.search(r"/encoder/blocks\.(\d+)/", name)
            if block:
                last[int(block.group(1))] = name
    if not set(BLOCKS) <= set(last):
        raise DataError(
            f"the network of {where} has not the encoder whose features are wanted; give a bundle of the network "
            "morphable, for example --bundle morphable"
        )
    return [last[block] for block in BLOCKS]


class ImageNet(nn.Module):
    """EfficientNet-Lite0 as it came from ImageNet, without its classifier. DataError without its packages."""

    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)

    def __init__(self, pretrained: bool = True) -> None:
        super().__init__()
        model = lite0(IMAGENET_SIDE, pretrained)
        self.head = nn.Sequential(model._conv_head, model._bn1, nn.ReLU6())
        self.encoder = Encoder(IMAGENET_SIDE, pretrained)
        self.eval()

    def forward(self, image: Tensor) -> Mapping[str, Tensor]:
        maps = self.encoder(image)
        return {**maps._asdict(), "pooled": self.head(maps.coarse).mean((2, 3))}

    @torch.inference_mode()
    def look(self, image: np.ndarray) -> Maps:
        """(1, 3, 224, 224) float32, normalised, to maps."""
        return Maps(**{name: value[0].numpy() for name, value in self.forward(torch.from_numpy(image)).items()})
