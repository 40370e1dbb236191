"""MATLAB .mat files as plain dictionaries and lists, and fields found by what they are called."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from scipy.io.matlab import MatReadError, mat_struct

from edge.errors import DataError

Record = dict[str, Any]
#: What scipy raises on damaged files.
DAMAGE = (ValueError, TypeError, KeyError, IndexError, OSError, EOFError, OverflowError, zlib.error, struct.error)


def read_mat(path: Path, squeeze: bool = True) -> Record:
    """Variables of a .mat file of version 4 to 7: structs as dict, cells and struct arrays as list, text as str.

    squeeze: drop singleton dimensions, which MATLAB gives every scalar and list; arrays whose axes mean something
    are read without. DataError if the file is gone, cut short, no .mat, or of version 7.3 (HDF5).
    """
    try:
        with open(path, "rb") as handle:
            head = handle.read(128)
        if head.startswith(b"\x89HDF") or b"MATLAB 7.3" in head:
            raise DataError(
                f"{path} is a version 7.3 .mat file (HDF5), which is not read here; in MATLAB or Octave type: "
                f"s = load('{path.name}'); save('-v7', '{path.name}', '-struct', 's')"
            )
        raw = scipy.io.loadmat(str(path), squeeze_me=squeeze, struct_as_record=False, appendmat=False)
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there; unpack the data set again") from error
    except (*DAMAGE, MatReadError, NotImplementedError) as error:
        raise DataError(f"{path} is damaged or no .mat file ({error}); unpack it from its archive again") from error
    return {name: _plain(value) for name, value in raw.items() if not name.startswith("__")}


def _plain(value: Any) -> Any:
    if isinstance(value, mat_struct):
        return {name: _plain(getattr(value, name)) for name in value._fieldnames}
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [_plain(item) for item in value.ravel()]
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        return [str(item) for item in value.ravel()] if value.size else ""
    return str(value) if isinstance(value, str) else value


def records(value: Any) -> list[Record]:
    """A struct array as a list of dict; one struct is a list of one; anything else is empty."""
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def words(value: Any) -> list[str]:
    """A cell array of text as list of str; a single text is a list of one; anything else is empty."""
    if isinstance(value, str):
        return [value] if value else []
    return [str(item) for item in value] if isinstance(value, list) else []


def key_of(record: Record, names: Sequence[str]) -> str | None:
    """The record's key that is called like one of ``names``, whatever its case and underscores."""
    plain = {key.lower().replace("_", ""): key for key in record}
    return next((plain[n.replace("_", "")] for n in names if n.replace("_", "") in plain), None)


def number(value: Any) -> float | None:
    """A real number, or None for anything else, empty arrays, NaN and infinities included."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "buif":
        return None
    real = float(array.reshape(-1)[0])
    return real if np.isfinite(real) else None


def numbers(value: Any, count: int) -> list[float] | None:
    """Exactly ``count`` finite numbers, or None."""
    array = np.asarray(value)
    if array.size != count or array.dtype.kind not in "buif" or not np.isfinite(array).all():
        return None
    return [float(v) for v in array.ravel()]


def inventory(variables: Record) -> str:
    """What a .mat file holds, for messages about unknown ones: variables, and fields of the structs."""
    lines = []
    for name, value in variables.items():
        rows = records(value)
        if rows:
            lines.append(f"{name}: {len(rows)} records with {', '.join(rows[0])}")
        else:
            lines.append(f"{name}: {type(value).__name__} of {np.size(np.asarray(value, object))}")
    return "; ".join(lines) or "nothing"
