"""All cars of all sources, the fixed split, and the cache of normalised meshes."""

from __future__ import annotations

import json
import logging
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from edge.errors import DataError
from training.meshes import glb, metadrive, openmrac, packages, smarts, sweethome, torcs, trigger
from training.meshes.model import CarMesh, MeshPart

LOG = logging.getLogger(__name__)
Split = Literal["train", "validation", "test"]

#: Raise when an importer gives another mesh for the same file: cached meshes of other versions are not read.
VERSION = 11
#: The fixed split, by body: what stands in neither set is for training.
TEST = frozenset(
    {
        "p406",
        "skd",
        "fordFocus",
        "suv",
        "chevrolet",
        "concept-sedan-02",
        "concept-sedan-02-sport",
        "chrono_jeep_cherokee",
        "chrono_sedan",
    }
)
VALIDATION = frozenset({"car5-trb1", "seat_leon", "gazebo_prius_hybrid"})
#: What readers of OBJ, glTF, pictures and zip files raise on damaged ones, beside the DataErrors of our own.
DAMAGE: tuple[type[Exception], ...] = (ArithmeticError, AttributeError, EOFError, LookupError, OSError, TypeError)
DAMAGE += (ValueError, struct.error, zipfile.BadZipFile, zlib.error)
#: Cars and importer of each package.
IMPORTERS: dict[str, tuple[Sequence[Any], Callable[[Path, Any], CarMesh]]] = {
    sweethome.SOURCE: (sweethome.CARS, sweethome.load_sweethome),
    torcs.SOURCE: (torcs.CARS, torcs.load_torcs),
    openmrac.SOURCE: (openmrac.CARS, openmrac.load_openmrac),
    trigger.SOURCE: (trigger.CARS, trigger.load_trigger),
    metadrive.SOURCE: (metadrive.CARS, metadrive.load_metadrive),
    smarts.SOURCE: (smarts.CARS, smarts.load_smarts),
}


class Entry(NamedTuple):
    """A car we know how to get: its name, the key of its cached form, and the importer call."""

    name: str
    key: str
    load: Callable[[], CarMesh]


def split_of(name: str) -> Split:
    """Side of the fixed split a body is on; every body not listed is for training."""
    if name in TEST:
        return "test"
    return "validation" if name in VALIDATION else "train"


def entries(cache: Path, glb_folders: Sequence[Path] = (), only_glb: bool = False) -> list[Entry]:
    """Every car of the fetched packages and of the given GLB packs, or with ``only_glb`` of the packs alone.

    DataError if a package was not fetched; an optional one is only missed aloud.
    """
    found = [] if only_glb else _of_packages(cache)
    for pack in glb_folders:
        for name, path, entry in glb.iterate(Path(pack)):
            found.append(Entry(name, _stamp(path, entry), partial(glb.load_glb, path, entry)))
    names = [e.name for e in found]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DataError(f"two cars are called {', '.join(twice)}; give each --glb folder once, and rename one of them")
    return found


def _stamp(path: Path, entry: dict[str, Any]) -> str:
    """What the cached form of a GLB car hangs on: the file, and all that the manifest says of it."""
    file = entry.get("sha256") or (path.stat().st_mtime_ns if path.is_file() else 0)
    return sha256(f"{file} {json.dumps(entry, sort_keys=True)}".encode()).hexdigest()[:12]


def _of_packages(cache: Path) -> list[Entry]:
    """Every car of the fetched packages. DataError if one was not fetched that is not optional."""
    absent = [p for p in packages.PACKAGES if not packages.is_fetched(cache, p)]
    missing = [p.name for p in absent if not p.optional]
    if missing:
        raise DataError(f"{cache} lacks {' and '.join(missing)}; run: python -m training meshes fetch --cache {cache}")
    found: list[Entry] = []
    for package in packages.PACKAGES:
        cars, load = IMPORTERS[package.name]
        if package in absent:
            what = ", ".join(car.name for car in cars)
            how = f"run: python -m training meshes fetch --cache {cache}"
            LOG.warning("%s was not fetched, so the cars %s are left out; %s", package.name, what, how)
            continue
        folder, digest = packages.package_folder(cache, package), package.sha256[:12]
        found += [Entry(car.name, digest, partial(load, folder, car)) for car in cars]
    return found


def load_cars(cache: Path, glb_folders: Sequence[Path] = (), only_glb: bool = False) -> Iterator[CarMesh]:
    """All cars in a fixed order, metres, car frame, wheels on the ground; with ``only_glb`` those of the packs alone.

    A car that cannot be read is left out with a warning that names it; the rest goes on.
    Raises DataError when a package was not fetched or a GLB folder has no manifest.
    """
    for entry in entries(Path(cache), glb_folders, only_glb):
        try:
            yield load_entry(Path(cache), entry)
        except DataError as error:
            LOG.warning("car %s left out: %s", entry.name, error)


def load_entry(cache: Path, entry: Entry) -> CarMesh:
    """One car, from the cache of normalised meshes or else imported into it. DataError if it cannot be read."""
    path = cache / "normalised" / f"{entry.name}-v{VERSION}-{entry.key}.npz"
    return _cached(path) or _import(entry, path)


def _import(entry: Entry, path: Path) -> CarMesh:
    try:
        car = entry.load()
    except DAMAGE as error:
        raise DataError(
            f"car {entry.name} cannot be read ({type(error).__name__}: {error}); a file of it is damaged: fetch or copy"
            " the meshes again"
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(f"{entry.name}-v*.npz"):
        old.unlink()
    save_car(path, car)
    return car


def _cached(path: Path) -> CarMesh | None:
    """The cached car, or None if there is none; an unreadable file is named and made anew."""
    if not path.is_file():
        return None
    try:
        return read_car(path)
    except DAMAGE as error:
        LOG.warning("cached mesh %s is unreadable (%s) and is made again", path, error)
        return None


def save_car(path: Path, car: CarMesh) -> None:
    """Write a car as .npz without pickles; the file appears only when complete."""
    about = {
        name: getattr(car, name)
        for name in ("name", "source", "licence", "attribution", "body_class", "ancestry", "length_m")
    }
    about["parts"] = [{"name": p.name, "category": p.category, "colour": list(p.colour)} for p in car.parts]
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about))}
    arrays |= {f"vertices_{i}": p.vertices for i, p in enumerate(car.parts)}
    arrays |= {f"faces_{i}": p.faces for i, p in enumerate(car.parts)}
    scratch = path.with_name(path.name + ".part")
    with open(scratch, "wb") as handle:
        np.savez(handle, **arrays)
    scratch.replace(path)


def read_car(path: Path) -> CarMesh:
    """A car written by :func:`save_car`."""
    with np.load(path, allow_pickle=False) as data:
        about = json.loads(str(data["about"]))
        parts = tuple(
            MeshPart(p["name"], p["category"], data[f"vertices_{i}"], data[f"faces_{i}"], tuple(p["colour"]))
            for i, p in enumerate(about.pop("parts"))
        )
    return CarMesh(parts=parts, **about)
