"""A folder of computed arrays, each under the hash of all it was made from."""

from __future__ import annotations

import ast
import hashlib
import logging
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

import numpy as np

from edge.bundle import sha256_file
from edge.ply import atomic_file
from training.meshes.model import CarMesh

LOG = logging.getLogger(__name__)
Arrays = dict[str, np.ndarray]


def fingerprint(*parts: object) -> str:
    """Short hash of plain values and arrays, in order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(str((part.dtype, part.shape)).encode() + np.ascontiguousarray(part).tobytes())
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()[:20]


def mesh_fingerprint(mesh: CarMesh) -> str:
    """Hash of all of a car that a picture or a cloud of it depends on: name, class, geometry, materials, colours."""
    parts = (
        item
        for p in mesh.parts
        for item in (p.name, p.category, tuple(float(c) for c in p.colour), p.vertices, p.faces)
    )
    return fingerprint(mesh.name, mesh.body_class, *parts)


def code_fingerprint(modules: Iterable[object]) -> str:
    """Hash of modules' source files, of a package all of its own: what they computed is stale once they change."""
    return files_fingerprint(file for module in modules for file in source_files(module))


def files_fingerprint(files: Iterable[Path]) -> str:
    """Hash of the content of files, in order."""
    return fingerprint(*(sha256_file(str(file)) for file in files))


def source_files(module: object) -> list[Path]:
    """The file of a module, or those of a package without its packages."""
    file = getattr(module, "__file__", None)
    if file is None:
        raise ValueError("a module without a source file cannot be fingerprinted")
    path = Path(file)
    return sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]


def with_imports(package: ModuleType) -> list[Path]:
    """Files of a package, and of all modules beside it that they import anywhere, or that those import; sorted.

    Only of the same top-level package; a package that is imported counts with its ``__init__.py`` alone.
    """
    top = package.__name__.partition(".")[0]
    root = Path(str(package.__file__)).parents[package.__name__.count(".") + 1]
    found, left = set(source_files(package)), source_files(package)
    while left:
        for name in _imported(left.pop()):
            place = root.joinpath(*name.split("."))
            for file in (place.with_suffix(".py"), place / "__init__.py"):
                if name.partition(".")[0] == top and file not in found and file.is_file():
                    found.add(file)
                    left.append(file)
    return sorted(found)


def _imported(file: Path) -> list[str]:
    """Full names of what a file imports; of ``from a import b`` both a and a.b, which may be no module."""
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


class Store:
    """Cache of arrays. A damaged file is named and made again; a file appears only when it is complete."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def get(self, kind: str, key: str, make: Callable[[], Arrays]) -> Arrays:
        """The arrays stored for ``kind`` and ``key``, made and stored now if there are none."""
        path = self.folder / f"{kind}-{key}.npz"
        if path.is_file():
            try:
                with np.load(path, allow_pickle=False) as data:
                    return {name: data[name] for name in data.files}
            except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                LOG.warning("cached %s is unreadable (%s) and is made again", path, error)
        arrays = make()
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(str(path)) as handle:
            np.savez(handle, **arrays)  # type: ignore[arg-type]
        return arrays
