"""Which files are pictures by their names, and the order in which people count such names."""

import re
from typing import Tuple

#: File extensions taken for pictures.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def is_image(path: str) -> bool:
    """Whether the file name looks like a picture."""
    return path.lower().endswith(EXTENSIONS)


def natural(name: str) -> Tuple[object, ...]:
    """Sort key of a name, or of a path with ``/``: 2 before 10, whatever its case; a folder's files before the next."""
    return tuple(_part(part) for part in name.split("/"))


def _part(name: str) -> Tuple[Tuple[object, ...], str]:
    # Texts and numbers take turns, a text first, so that like is compared with like; the name itself breaks ties.
    parts = re.split(r"([0-9]+)", name.lower())
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts)), name
