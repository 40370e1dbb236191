"""MATLAB .mat files as plain dictionaries and lists, and fields found by what they are called."""

import struct
import zlib
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from edge.errors import DataError

Record = Dict[str, Any]
#: What scipy raises on damaged files.
DAMAGE = (ValueError, TypeError, KeyError, IndexError, OSError, EOFError, OverflowError, zlib.error, struct.error)


def read_mat(path: Path, squeeze: bool = True) -> Record:
    """Variables of a .mat file of version 4 to 7: structs as dict, cells and struct arrays as list, text as str.

    squeeze: drop singleton dimensions, which MATLAB gives every scalar and list; arrays whose axes mean something
    are read without. DataError if the file is gone, cut short, no .mat, or of version 7.3 (HDF5), or SciPy is missing.
    """
    try:
        with open(str(path), "rb") as handle:
            head = handle.read(128)
        if head.startswith(b"\x89HDF") or b"MATLAB 7.3" in head:
            raise DataError(
                "%s is a version 7.3 .mat file (HDF5), which is not read here; in MATLAB or Octave type: "
                "s = load('%s'); save('-v7', '%s', '-struct', 's')" % (path, path.name, path.name)
            )
        raw = _scipy(path).loadmat(str(path), squeeze_me=squeeze, struct_as_record=False, appendmat=False)
    except FileNotFoundError:
        raise DataError("%s is not there; unpack the data set again" % path)
    except DAMAGE + (NotImplementedError,) as error:
        raise _damaged(path, error)
    except Exception as error:
        # SciPy's own MatReadError derives from Exception alone, and has moved from version to version.
        if type(error).__name__ != "MatReadError":
            raise
        raise _damaged(path, error)
    return {name: _plain(value) for name, value in raw.items() if not name.startswith("__")}


def _scipy(path: Path) -> Any:
    """scipy.io, which only these files need."""
    try:
        import scipy.io
    except ImportError:
        raise DataError(
            "%s is read with SciPy, which is not installed; type: python3 -m pip install scipy "
            "(on a Jetson: sudo apt-get install python3-scipy)" % path
        )
    return scipy.io


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError("%s is damaged or no .mat file (%s); unpack it from its archive again" % (path, error))


def _plain(value: Any) -> Any:
    if hasattr(value, "_fieldnames"):  # scipy's mat_struct, which is public only since SciPy 1.8
        return {name: _plain(getattr(value, name)) for name in value._fieldnames}
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [_plain(item) for item in value.ravel()]
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        return [str(item) for item in value.ravel()] if value.size else ""
    return str(value) if isinstance(value, str) else value


def records(value: Any) -> List[Record]:
    """A struct array as a list of dict; one struct is a list of one; anything else is empty."""
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def words(value: Any) -> List[str]:
    """A cell array of text as list of str; a single text is a list of one; anything else is empty."""
    if isinstance(value, str):
        return [value] if value else []
    return [str(item) for item in value] if isinstance(value, list) else []


def key_of(record: Record, names: Sequence[str]) -> Optional[str]:
    """The record's key that is called like one of ``names``, whatever its case and underscores."""
    plain = {key.lower().replace("_", ""): key for key in record}
    return next((plain[n.replace("_", "")] for n in names if n.replace("_", "") in plain), None)


def number(value: Any) -> Optional[float]:
    """A real number, or None for anything else, empty arrays, NaN and infinities included."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "buif":
        return None
    real = float(array.reshape(-1)[0])
    return real if np.isfinite(real) else None


def numbers(value: Any, count: int) -> Optional[List[float]]:
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
            lines.append("%s: %d records with %s" % (name, len(rows), ", ".join(rows[0])))
        else:
            lines.append("%s: %s of %d" % (name, type(value).__name__, np.size(np.asarray(value, object))))
    return "; ".join(lines) or "nothing"
