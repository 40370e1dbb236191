"""A crop of a followed car to the logits of its silhouette: a small encoder and decoder of dense convolutions.

The decoder adds the encoder's features instead of joining them: Chaurasia, Culurciello, "LinkNet", VCIP 2017. Layers
are few and dense because that is what a Jetson Nano is fast at (docs/estimate.md): 3x3 convolutions, no depthwise ones,
and none at more than half of the picture's size. The last of them gives four logits a cell, which become 2 x 2 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.nn.functional as functional
from torch import Tensor, nn

from edge.errors import DataError, SettingsError
from training.networks.encoder import MEAN, STD

#: Name in checkpoints.
NAME = "silhouette"
#: Channels at a half, a 4th, 8th, 16th and 32nd of the picture's size.
CHANNELS = (16, 32, 64, 96, 192)


def _layer(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Silhouette(nn.Module):
    """RGB (B, 3, S, S), normalised by ``mean`` and ``std``, to logits (B, 1, S, S): above 0 = the visible car.

    image_size: S, a multiple of 32. channels: see CHANNELS. Raises SettingsError for another size or number of
    channels.
    """

    source = "this project; decoder after Chaurasia, Culurciello, LinkNet, VCIP 2017"
    mean = MEAN
    std = STD

    def __init__(self, image_size: int = 128, channels: tuple[int, ...] = CHANNELS) -> None:
        super().__init__()
        if image_size not in range(64, 257, 32) or len(channels) != len(CHANNELS) or min(channels) < 1:
            raise SettingsError(
                f"a silhouette network of image_size {image_size} and channels {tuple(channels)}: wanted are a "
                f"multiple of 32 from 64 to 256, and {len(CHANNELS)} positive numbers"
            )
        self.input_size = image_size
        self.stem = _layer(3, channels[0], stride=2)
        steps = list(zip(channels, channels[1:], strict=False))
        self.down = nn.ModuleList(nn.Sequential(_layer(a, b, stride=2), _layer(b, b)) for a, b in steps)
        self.narrow = nn.ModuleList(_layer(b, a, 1) for a, b in reversed(steps))
        self.up = nn.ModuleList(_layer(a, a) for a, _ in reversed(steps))
        self.head = nn.Conv2d(channels[0], 4, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        features = [self.stem(image)]
        for down in self.down:
            features.append(down(features[-1]))
        feature = features.pop()
        for narrow, up in zip(self.narrow, self.up, strict=True):
            wider = functional.interpolate(narrow(feature), scale_factor=2.0, mode="nearest")
            feature = up(wider + features.pop())
        return functional.pixel_shuffle(self.head(feature), 2)


def rebuilt(state: Mapping[str, Any], path: Path) -> Silhouette:
    """The network of a checkpoint with its averaged weights, for judging. Raises DataError if it is of another kind."""
    if state.get("network_name") != NAME:
        raise DataError(
            f"{path} is of the network {state.get('network_name')}, not of a silhouette; train one with: "
            "python -m training silhouette"
        )
    arguments = state["settings"]["arguments"]
    try:
        network = Silhouette(int(arguments["image_size"]), tuple(arguments["channels"]))
        network.load_state_dict(state["average"])
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} does not fit the silhouette network of this version ({reason}); train again") from None
    return network.eval()
