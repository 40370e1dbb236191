"""Constant tensors where they are needed."""

from __future__ import annotations

import functools

import torch
from torch import Tensor


def alike(constant: Tensor, other: Tensor) -> Tensor:
    """A constant on the device and in the type of another tensor. On a GPU it is copied there once: every copy from
    the CPU waits until all that was asked of the GPU before is done. The constant must live as long as the program.
    """
    if other.device.type == "cpu":
        return constant.to(other)
    return _copied(constant, other.device, other.dtype)


@functools.lru_cache(maxsize=256)
def _copied(constant: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Tensors are hashed by identity, so this is one copy for each constant."""
    return constant.to(device, dtype)
