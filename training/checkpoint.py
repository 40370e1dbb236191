"""Checkpoints: written whole or not at all, read without running code from them."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from edge.errors import DataError

FORMAT = 1


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, lists, dicts) beside ``path`` and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not edge.ply.atomic_file: its scratch names are random, and runs that are killed often would leave one file of
    # some hundred megabytes each time. This one is overwritten.
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as handle:
        torch.save({"format": FORMAT, **state}, handle)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint. Raises DataError when it is missing, damaged or of another format."""
    if not path.is_file():
        raise DataError(f"no checkpoint at {path}; train one with: python -m training train --run {path.parent}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise DataError(f"{path} cannot be read as a checkpoint ({type(error).__name__}: {error})") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise DataError(f"{path} is no carcloud checkpoint of format {FORMAT}; train again or use the older version")
    return dict(state)
