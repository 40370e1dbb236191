"""What TensorRT's ONNX parser reads, by version: the tables of ``operators.json``, and which of them a target needs.

Where each column comes from stands in the file, under ``sources``: onnx-tensorrt's own tables. docs/lint.md says how
to add an operator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from edge.targets import Target


class Need(NamedTuple):
    """An input that must be a constant. place, name: of the input. until: the last version that insists on it."""

    place: int
    name: str
    until: str


class Resizing(NamedTuple):
    """The attributes of ``Resize`` that every version reads."""

    modes: tuple[str, ...]
    transformations: tuple[str, ...]
    rounding: tuple[str, ...]


class Tables(NamedTuple):
    """The tables, parsed.

    versions: columns, oldest first; each stands for the releases from it up to the next. sources: of each column.
    operators: the versions that read an operator, () for one that none reads. constants: inputs that must be constants.
    largest_k: of ``TopK``. advice: what to use instead of an operator.
    """

    versions: tuple[str, ...]
    sources: Mapping[str, str]
    operators: Mapping[str, tuple[str, ...]]
    constants: Mapping[str, tuple[Need, ...]]
    resize: Resizing
    largest_k: int
    advice: Mapping[str, str]

    def until(self, last: str) -> tuple[str, ...]:
        """The versions up to and with ``last``."""
        return self.versions[: self.versions.index(last) + 1]


@cache
def tables() -> Tables:
    """The tables of ``operators.json``. Raises ValueError when a row has not one mark for each column."""
    content = json.loads(Path(__file__).with_name("operators.json").read_text(encoding="utf-8"))
    versions = tuple(content["sources"])
    operators = {}
    for name, marks in content["operators"].items():
        if len(marks) != len(versions) or set(marks) - {"y", "-"}:
            raise ValueError(f"operators.json: {name} has the marks {marks!r}, wanted y or - for each of {versions}")
        operators[name] = tuple(version for version, mark in zip(versions, marks, strict=True) if mark == "y")
    constants = {name: tuple(Need(*need) for need in needs) for name, needs in content["constants"].items()}
    resize = Resizing(**{name: tuple(values) for name, values in content["resize"].items()})
    return Tables(
        versions, content["sources"], operators, constants, resize, int(content["largest_k"]), content["advice"]
    )


def versions_of(target: Target) -> tuple[str, ...]:
    """The columns that the range ``target.tensorrt`` touches, oldest first; () without TensorRT."""
    if target.tensorrt is None:
        return ()
    low, high = (_number(text) for text in target.tensorrt)
    columns = tables().versions
    ends = [_number(text) for text in columns[1:]] + [high]
    return tuple(
        name for name, end in zip(columns, ends, strict=True) if _number(name) < high and max(low, _number(name)) < end
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
