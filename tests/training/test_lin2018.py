"""The network's structure against the figures of the paper's release, and its units."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.errors import SettingsError
from edge.geometry import VIEW_WIDTH, pixel_grid
from training.networks import build
from training.networks.cost import count
from training.networks.lin2018 import Lin2018


@pytest.fixture(scope="module")
def network() -> Lin2018:
    torch.manual_seed(0)
    return Lin2018()


def test_cost_is_that_of_the_release(network: Lin2018) -> None:
    cost = count(network, torch.zeros(1, 3, 64, 64))
    bias = network.pixel_bias.numel()
    assert bias == 32 * 128 * 128
    assert (cost.parameters - bias) / 1e6 == pytest.approx(23.7, abs=0.1)
    assert cost.gflop == pytest.approx(1.95, abs=0.03)
    assert network.training, "counting must leave the mode as it was"


def test_output_shapes_and_the_cheap_resolution(network: Lin2018) -> None:
    image = torch.rand(2, 3, 64, 64)
    given = network(image).given()
    assert {name: value.shape for name, value in given.items()} == {"maps": (2, 8, 4, 128, 128)}
    assert network.maps(image).shape == (2, 8, 4, 128, 128)
    assert network.maps(image, 64).shape == (2, 8, 4, 64, 64)


def test_bias_starts_at_the_pixel_grid_with_x_along_columns(network: Lin2018) -> None:
    bias = Lin2018().pixel_bias.detach().numpy()
    np.testing.assert_allclose(bias[3, :2], pixel_grid(128, VIEW_WIDTH))
    assert bias[0, 0, 0, 1] > bias[0, 0, 0, 0] and bias[0, 1, 1, 0] > bias[0, 1, 0, 0]
    pooled = torch.nn.functional.avg_pool2d(network.pixel_bias, 2).detach().numpy()
    np.testing.assert_allclose(pooled[0, :2], pixel_grid(64, VIEW_WIDTH), atol=1e-6)


def test_per_pixel_bias_is_trained() -> None:
    network = Lin2018()
    network.maps(torch.rand(2, 3, 64, 64)).square().mean().backward()
    assert network.pixel_bias.grad is not None and network.pixel_bias.grad.abs().sum() > 0


def test_unknown_network_lists_the_known() -> None:
    with pytest.raises(SettingsError, match="no network is called 'pix2vox'; there are: lin2018"):
        build("pix2vox")
