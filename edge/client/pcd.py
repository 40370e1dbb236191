"""Clouds as PCD 0.7, binary: what PCL, Open3D and CloudCompare read."""

from typing import List, Tuple

import numpy as np

from edge.geometry import Cloud
from edge.ply import atomic_file


def to_bytes(cloud: Cloud) -> bytes:
    """A binary PCD: x y z float, then where known rgb (one unsigned number a point: red << 16 | green << 8 | blue, as
    PCL packs it), confidence float and mark, unsigned."""
    fields: List[Tuple[str, str, str]] = [("x", "<f4", "F"), ("y", "<f4", "F"), ("z", "<f4", "F")]
    if cloud.rgb is not None:
        fields.append(("rgb", "<u4", "U"))
    if cloud.confidence is not None:
        fields.append(("confidence", "<f4", "F"))
    if cloud.mark is not None:
        fields.append(("mark", "u1", "U"))
    table = np.empty(len(cloud.points), np.dtype([(name, kind) for name, kind, _ in fields]))
    for index, name in enumerate("xyz"):
        table[name] = cloud.points[:, index]
    if cloud.rgb is not None:
        red, green, blue = np.asarray(cloud.rgb, np.uint32).T
        table["rgb"] = red << 16 | green << 8 | blue
    if cloud.confidence is not None:
        table["confidence"] = cloud.confidence
    if cloud.mark is not None:
        table["mark"] = cloud.mark
    header = [
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        "FIELDS " + " ".join(name for name, _, _ in fields),
        "SIZE " + " ".join(kind[-1] for _, kind, _ in fields),
        "TYPE " + " ".join(letter for _, _, letter in fields),
        "COUNT " + " ".join("1" for _ in fields),
        "WIDTH %d" % len(table),
        "HEIGHT 1",
        "VIEWPOINT 0 0 0 1 0 0 0",
        "POINTS %d" % len(table),
        "DATA binary",
        "",
    ]
    return "\n".join(header).encode("ascii") + table.tobytes()


def write_pcd(path: str, cloud: Cloud) -> None:
    """Write :func:`to_bytes` to a file, whole or not at all."""
    with atomic_file(path) as handle:
        handle.write(to_bytes(cloud))
