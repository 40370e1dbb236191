"""binvox volumes (Patrick Min): a text header and run-length coded occupancy, x slowest, then z, then y."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge.errors import DataError

#: Largest edge read, cells: a header must not make us reserve gigabytes.
MOST_CELLS = 1024


class Voxels(NamedTuple):
    """filled: bool (X, Y, Z), the file's own axes. translate: (3,), scale: corner and edge of the cube in the mesh's
    units, so that cell (i, j, k) is centred at ``scale * ((i, j, k) + 0.5) / n + translate``."""

    filled: np.ndarray
    translate: np.ndarray
    scale: float

    def centres(self) -> np.ndarray:
        """(N, 3) float64 centres of the filled cells in the mesh's units and axes."""
        return self.scale * (np.argwhere(self.filled) + 0.5) / max(self.filled.shape) + self.translate


def read_binvox(path: Path) -> Voxels:
    """Read a .binvox file. DataError if it is gone, no binvox file, or does not hold as many cells as it says."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); unpack the data set again") from error
    head, mark, runs = data.partition(b"\ndata\n")
    try:
        if not head.startswith(b"#binvox 1") or not mark:
            raise ValueError("no binvox header")
        fields = {line.split()[0]: line.split()[1:] for line in head.decode("ascii").splitlines()[1:] if line.strip()}
        depth, width, height = (int(v) for v in fields["dim"])
        if not all(0 < n <= MOST_CELLS for n in (depth, width, height)):
            raise ValueError(f"dimensions {depth} x {width} x {height}")
        translate = np.array([float(v) for v in fields.get("translate", ["0", "0", "0"])])
        scale = float(fields.get("scale", ["1"])[0])
        pairs = np.frombuffer(runs[: len(runs) // 2 * 2], np.uint8).reshape(-1, 2)
        total = int(pairs[:, 1].sum(dtype=np.int64))
        if total != depth * width * height or translate.shape != (3,):
            raise ValueError(f"{total} cells instead of {depth * width * height}")
    except (ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged or no binvox file ({error}); unpack it again") from error
    # The file counts y fastest: (x, z, y).
    cells = np.repeat(pairs[:, 0] != 0, pairs[:, 1]).reshape(depth, height, width)
    return Voxels(np.ascontiguousarray(cells.transpose(0, 2, 1)), translate, scale)
