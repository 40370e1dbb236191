"""Clouds of another program: a folder with BODY/CONDITION/VIEW.ply, .npy, .npz or .xyz, checked and read."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge.bundle import sha256_file
from edge.errors import DataError, WireError
from edge.ply import read_ply
from training.benchmark.pictures import file_name
from training.benchmark.store import fingerprint
from training.progress import track

SUFFIXES = ("ply", "npy", "npz", "xyz")
#: Longest edges between which a cloud passes for one in the canonical frame, where it is 1.
LONGEST = (0.8, 1.25)
#: How far from the origin, in car lengths, the centre of the bounding box may lie.
OFF_CENTRE = 0.15


class Survey(NamedTuple):
    """What a folder holds. missing: files that are not there, without suffix. sha256: over all files that are."""

    missing: list[str]
    warnings: list[str]
    sha256: str


def find(folder: Path, body: str, condition: str, view: int) -> Path | None:
    """The file of one view, or None. DataError if there are two."""
    found = [
        path for suffix in SUFFIXES if (path := folder / file_name(body, condition, view, suffix)).is_file()
    ]
    if len(found) > 1:
        raise DataError(f"{found[0]} and {found[1].name} are both there for one view; remove one of them")
    return found[0] if found else None


def read(path: Path) -> np.ndarray:
    """Points (N, 3) float32 of a file; further columns are left out. DataError if it holds none or cannot be read."""
    try:
        if path.suffix == ".ply":
            points = _read_ply(path)
        elif path.suffix == ".npy":
            points = np.load(path, allow_pickle=False)
        elif path.suffix == ".npz":
            points = _read_npz(path)
        else:
            points = _read_lines(path, path.read_text(encoding="utf-8").splitlines())
        points = np.asarray(points)
        if points.ndim != 2 or points.shape[1] < 3:
            raise DataError(f"{path} holds an array of shape {points.shape}; save the points as (N, 3)")
        points = points[:, :3].astype(np.float32)
    except (OSError, ValueError, TypeError, EOFError, WireError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as a cloud ({error}); save it again as {', '.join(SUFFIXES)}") from None
    if not len(points):
        raise DataError(
            f"{path} is empty: a cloud without points has no distance to anything. Mend it, or remove it and "
            "add --missing worst, which gives a missing cloud the worst score"
        )
    return points


def _read_npz(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as data:
        names = list(data.files)
        if "points" in names:
            return data["points"]
        if len(names) == 1:
            return data[names[0]]
    raise DataError(f"{path} holds the arrays {', '.join(names) or '(none)'}; save the cloud under the name points")


def _read_ply(path: Path) -> np.ndarray:
    """Binary PLY by edge.ply; text PLY, which many programs write, here."""
    with path.open("rb") as handle:
        head = handle.read(1 << 16)
    if b"format ascii" not in head.split(b"end_header", 1)[0]:
        return read_ply(str(path)).points
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    end = lines.index("end_header")
    names: list[str] = []
    counts: dict[str, int] = {}
    for words in (line.split() for line in lines[:end]):
        if words[:1] == ["element"]:
            counts[words[1]] = int(words[2])
        elif words[:1] == ["property"] and list(counts)[-1:] == ["vertex"]:
            names.append(words[-1])
    # One line an element, kind after kind in the header's order: vertices need not come first.
    before = list(counts)[: list(counts).index("vertex")]
    start, count = end + 1 + sum(counts[name] for name in before), counts["vertex"]
    table = _read_lines(path, lines[start : start + count])
    if len(table) != count:
        raise DataError(f"{path} is cut short: it has {len(table)} of {count} points; write it again")
    return table[:, [names.index(axis) for axis in "xyz"]] if count else table


def _read_lines(path: Path, lines: Sequence[str]) -> np.ndarray:
    rows = [line.replace(",", " ").split() for line in lines]
    rows = [row for row in rows if row and not row[0].startswith("#")]
    if not rows:
        return np.zeros((0, 3), np.float32)
    if len({len(row) for row in rows}) > 1:
        raise DataError(f"{path} has lines of different lengths; write one point a line: x y z")
    return np.array(rows, dtype=np.float64)


def hints(points: np.ndarray) -> list[str]:
    """What in a cloud (N, 3) looks as if it were not in the canonical frame: short sentences without numbers."""
    finite = points[np.isfinite(points).all(axis=1)]
    found = [] if len(finite) == len(points) else ["has points that are not finite, which count as wrong"]
    if not len(finite):
        return found
    lower, upper = finite.min(axis=0), finite.max(axis=0)
    edges = upper - lower
    longest = float(edges.max())
    if not LONGEST[0] <= longest <= LONGEST[1]:
        found.append("has a longest edge far from 1: is it in metres, or in the unit of another data set?")
    if longest > 0 and int(edges.argmax()) != 0:
        found.append("is not longest along x: the nose points to +x, the left side to +y, the roof to +z")
    if float(np.abs(lower + upper).max()) / 2 > OFF_CENTRE * max(longest, 1e-9):
        found.append("is off centre: the origin is the centre of the bounding box, not the ground")
    return found


def survey(folder: Path, bodies: Sequence[str], conditions: Sequence[str], views: int, worst: bool) -> Survey:
    """Read every cloud once, before any is scored.

    worst: whether missing clouds are allowed (they get the worst score). DataError names missing, empty and unreadable
    files. Clouds in what looks like another frame are warned of, once a kind, and scored as they are.
    """
    if not folder.is_dir():
        raise DataError(f"no folder of clouds at {folder}; lay them out as {file_name('BODY', 'CONDITION', 7, 'ply')}")
    wanted = [(b, c, v) for b in bodies for c in conditions for v in range(views)]
    missing: list[str] = []
    warned: dict[str, list[str]] = {}
    prints: list[str] = []
    for body, condition, view in track(wanted, f"checking {folder.name}"):
        path = find(folder, body, condition, view)
        if path is None:
            missing.append(file_name(body, condition, view, "*"))
            continue
        prints.append(f"{path.relative_to(folder).as_posix()} {sha256_file(str(path))}")
        points = read(path)
        finite = points[np.isfinite(points).all(axis=1)]
        edge = float(np.ptp(finite, axis=0).max()) if len(finite) else 0.0
        for hint in hints(points):
            warned.setdefault(hint, []).append(f"{path.relative_to(folder)}, longest edge {edge:.2f},")
    if missing and (not worst or len(missing) == len(wanted)):
        named = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        raise DataError(
            f"{folder} lacks {len(missing)} of {len(wanted)} clouds: {named}. Make them from the pictures of "
            "--export-pictures, choose with --conditions and --views, or add --missing worst, which gives a missing "
            "cloud the worst score"
        )
    warnings = [f"{len(where)} of {len(wanted)} clouds, such as {where[0]} {hint}" for hint, where in warned.items()]
    return Survey(missing, warnings, fingerprint(*prints))
