"""What one benchmark run is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.benchmark import metrics, protocol

ROWS = ("network", *protocol.CONTROL_NAMES)


@dataclass(frozen=True)
class Plan:
    """What to run.

    bundles, onnx, networks (name and checkpoint), clouds: what is scored; without any, every shipped bundle; Lin 2018
    always, unless rows leaves networks out. worst: whether missing clouds get the worst score. rows: out of ROWS.
    views: a body and condition. max_points: of the streamed cloud. truth_points: of the ground truth; fewer only in
    tests. workers: processes. sizes: at which the clouds of networks are scored; fewer where only these matter.
    precisions: in which each of ``bundles`` is scored.
    """

    bundles: tuple[str, ...]
    meshes: Path
    glb: tuple[Path, ...]
    cache: Path
    rows: tuple[str, ...] = ROWS
    conditions: tuple[str, ...] = protocol.CONDITIONS
    views: int = protocol.VIEWS
    backend: str = "auto"
    max_points: int = protocol.CLOUD_POINTS
    truth_points: int = protocol.TRUTH_POINTS
    onnx: tuple[Path, ...] = ()
    networks: tuple[tuple[str, Path], ...] = ()
    clouds: tuple[Path, ...] = ()
    worst: bool = False
    workers: int = 1
    sizes: tuple[int, ...] = metrics.SIZES
    precisions: tuple[str, ...] = ("fp32",)
