"""The gallery: one HTML file with every model in it, which turns them in a browser and needs no server and no network.

A page from disk may not fetch other files, so models are inside it: of each the coarse surface (10,000 triangles, whose
corners all models share), 45 kB, and two small pictures.
"""

import base64
import html
import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from edge.errors import CarcloudError
from edge.geometry import Cloud, even_stride
from edge.models.template import Template
from edge.models.work import POSTER, best_side
from edge.ply import atomic_file, read_ply

#: The page's parts.
PARTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page")
#: Points of a model without a surface.
POINTS = 3000
#: The most that models and pictures may take; beyond it photos' models are shown as pictures only.
MOST_BYTES = 48 * 1000 * 1000


class Entry(NamedTuple):
    """One model. id: unique. record: its JSON (edge.models.work, edge.models.build). stem: path of its files without
    endings. source: name of the photo, or None. members: ids of a group's photos, odd: of those left out."""

    id: str
    title: str
    record: Dict[str, Any]
    stem: str
    source: Optional[str] = None
    members: Sequence[str] = ()
    odd: Sequence[str] = ()


def write_gallery(
    path: str, title: str, counts: str, entries: Sequence[Entry], skipped: Sequence[str], template: Optional[Template]
) -> int:
    """Write the page, whole or not at all; returns how many models it holds as pictures only, for want of room.

    counts: a sentence about the whole. entries: groups first. skipped: sentences about photos without a model.
    Raises CarcloudError.
    """
    folder, room, flat = os.path.dirname(os.path.abspath(path)), MOST_BYTES, 0
    models: List[Dict[str, Any]] = []
    for entry in entries:
        model = _described(entry, folder)
        shape = _shape(entry, template)
        size = sum(len(value or "") for value in (model["poster"], model["photo"], *shape.values()))
        if size > room:
            flat += 1
            shape = {}
        model.update(shape)
        room -= sum(len(value or "") for value in (model["poster"], model["photo"], *shape.values()))
        models.append(model)
    if flat:
        counts += " %d models are shown as pictures only, to keep this page small." % flat
    faces = "" if template is None else _text(template.coarse.triangles.astype("<u2").tobytes())
    data = {"counts": counts, "faces": faces, "models": models, "skipped": list(skipped)}
    try:
        with atomic_file(path) as handle:
            handle.write(_page(title, data).encode("utf-8"))
    except OSError as error:
        raise CarcloudError("cannot write %s: %s; make room, or give another --out" % (path, error.strerror))
    return flat


def _page(title: str, data: Dict[str, Any]) -> str:
    # "<" as an escape: no name of a photo can end the script that holds it.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    script = _part("viewer.js") + "\n" + _part("gallery.js")
    page = _part("gallery.html").replace("@TITLE@", html.escape(title)).replace("@STYLE@", _part("gallery.css"))
    return page.replace("@SCRIPT@", script).replace("@DATA@", text)


def _part(name: str) -> str:
    with open(os.path.join(PARTS, name), encoding="utf-8") as handle:
        return handle.read()


def _described(entry: Entry, folder: str) -> Dict[str, Any]:
    record, stem = entry.record, os.path.relpath(entry.stem, folder).replace(os.sep, "/")
    group = record.get("kind") == "group"
    names = {"cloud (PLY)": ".ply", "mesh (GLB)": ".glb", "turntable": ".png", "anaglyph": ".anaglyph.jpg",
             "side by side": ".side-by-side.jpg"}
    length = record.get("length") or {}
    return {
        "id": entry.id, "title": entry.title, "kind": "group" if group else "photo", "group": record.get("group"),
        "confidence": record.get("confidence"), "size": record.get("size_m"), "plus_minus": length.get("plus_minus"),
        "body": record.get("body_class"), "pose": record.get("pose"), "source": entry.source,
        "azimuth": best_side(record["pose"]["azimuth"]) if record.get("pose") else POSTER,
        "used": len(entry.members) - len(entry.odd), "odd": len(entry.odd), "directions": record.get("directions"),
        "colours_from": record.get("colours_from"), "members": list(entry.members), "odd_ids": list(entry.odd),
        "poster": _picture(entry.stem + ".poster.jpg"), "photo": None if group else _picture(entry.stem + ".photo.jpg"),
        "files": {name: stem + ending for name, ending in names.items() if os.path.isfile(entry.stem + ending)},
    }  # fmt: skip


def _shape(entry: Entry, template: Optional[Template]) -> Dict[str, str]:
    """xyz: int16, 1/32767 of a car's length, and rgb: uint8, of the coarse surface's vertices, or of points."""
    try:
        cloud = read_ply(entry.stem + ".ply")
    except OSError as error:
        raise CarcloudError("cannot read %s: %s; start again" % (entry.stem + ".ply", error.strerror))
    if template is not None and len(cloud.points) == len(template.mean):
        mesh = template.bend(cloud, template.coarse)
        cloud = Cloud(mesh.vertices, rgb=mesh.rgb)
    else:
        keep = even_stride(len(cloud.points), POINTS)
        rgb = np.full((len(cloud.points), 3), 150, np.uint8) if cloud.rgb is None else cloud.rgb
        cloud = Cloud(cloud.points[keep], rgb=rgb[keep])
    xyz = np.rint(np.clip(cloud.points, -1, 1) * 32767).astype("<i2")
    assert cloud.rgb is not None
    return {"xyz": _text(xyz.tobytes()), "rgb": _text(cloud.rgb.tobytes())}


def _picture(path: str) -> Optional[str]:
    try:
        with open(path, "rb") as handle:
            return _text(handle.read())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CarcloudError("cannot read %s: %s; start again" % (path, error.strerror))


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
