"""How steadily the viewing direction follows a car that turns, or a camera that walks round one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

#: A direction that is off by more takes the front for the back.
FLIP_DEG = 90.0


def wrapped(degrees: np.ndarray) -> np.ndarray:
    """Angles in degrees to -180..180."""
    return np.asarray((np.asarray(degrees, np.float64) + 180.0) % 360.0 - 180.0)


def steps_of(frames: Sequence[int], azimuths: Sequence[float]) -> np.ndarray:
    """Change of the azimuth, degrees in -180..180, between frames that follow one another at once."""
    frame = np.asarray(frames, np.int64)
    return wrapped(np.diff(np.asarray(azimuths, np.float64)))[np.diff(frame) == 1]


def step_figures(frames: Sequence[int], azimuths: Sequence[float]) -> dict[str, float] | None:
    """Median, 95th percentile and largest size of :func:`steps_of`; None without two frames in a row."""
    sizes = np.abs(steps_of(frames, azimuths))
    if not len(sizes):
        return None
    return {"median": _tidy(np.median(sizes)), "p95": _tidy(np.percentile(sizes, 95)), "largest": _tidy(sizes.max())}


def fitted(frames: Sequence[int], azimuths: Sequence[float], step: float) -> tuple[np.ndarray, float, int]:
    """Errors (N,) of the azimuths against ``step`` degrees a frame, after the best constant offset and sense.

    The offset and the sense (1 or -1, the second and third of what is returned) are those with the least median of
    absolute errors: a few directions that are quite wrong do not turn the rest away.
    """
    frame, azimuth = np.asarray(frames, np.float64), np.asarray(azimuths, np.float64)
    best = (np.full(len(frame), 180.0), 0.0, 1)
    for sense in (1, -1):
        rest = wrapped(azimuth - sense * step * frame)
        # Every frame's own offset in turn is a candidate: no search can miss the best by more than one error.
        for offset in rest:
            errors = wrapped(rest - offset)
            near = errors[np.abs(errors) <= max(float(np.median(np.abs(errors))), 1e-9)]
            moved = offset + float(near.mean())
            errors = wrapped(rest - moved)
            if np.median(np.abs(errors)) < np.median(np.abs(best[0])):
                best = (errors, float(wrapped(np.array(moved))), sense)
    return best


def against_known(
    frames: Sequence[int], azimuths: Sequence[float], step: float, first: int = 0
) -> dict[str, Any] | None:
    """Figures against a known step, of the frames from ``first`` on; None without two frames in a row there.

    step_error: of one frame to the next. direction_error: after :func:`fitted`. Both degrees, median and 95th
    percentile of absolute values. flips: frames whose direction is off by more than FLIP_DEG, and which.
    """
    kept = [(frame, azimuth) for frame, azimuth in zip(frames, azimuths) if frame >= first]
    numbers, values = [frame for frame, _ in kept], [azimuth for _, azimuth in kept]
    steps = steps_of(numbers, values)
    if not len(steps):
        return None
    errors, offset, sense = fitted(numbers, values, step)
    wrong = np.abs(wrapped(steps - sense * step))
    return {
        "step": step, "from_frame": first, "frames": len(kept), "sense": sense, "offset": _tidy(offset),
        "step_error": {"median": _tidy(np.median(wrong)), "p95": _tidy(np.percentile(wrong, 95))},
        "direction_error": {
            "median": _tidy(np.median(np.abs(errors))), "p95": _tidy(np.percentile(np.abs(errors), 95)),
            "largest": _tidy(np.abs(errors).max()),
        },
        "flips": int((np.abs(errors) > FLIP_DEG).sum()),
        "flipped_frames": [frame for frame, error in zip(numbers, errors) if abs(error) > FLIP_DEG],
        "errors": {str(frame): _tidy(error) for frame, error in zip(numbers, errors)},
    }


def _tidy(value: Any) -> float:
    return round(float(value), 2)
